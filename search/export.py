"""The model of a finished trial, as files for other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from search.config import Config
from search.finalists import Source, build_trial_model
from search.results import WINNER, best_trials, model_folder
from trainer.device import configure_device
from trainer.errors import InputError
from trainer.model import CARD_FILE, Model, load_model, save_model


def export_trial(
    config: Config, study: optuna.Study, out: Path, number: int | None
) -> dict[str, Any]:
    """Writes `model.keras`, `saved_model/` and the card `model.json`.

    Args:
        config: Of the search.
        study: The search's study.
        out: Folder to write; an older model in it is replaced.
        number: A trial at full budget; by default the winner, or the best so far.

    Returns:
        The card, and the names of the files.

    Raises:
        InputError: No such trial at full budget, or its checkpoint is not kept.
    """
    if out.resolve() == model_folder(config).resolve():
        raise InputError(
            f"--out: expected another folder than the study's own model, got {out}; choose another"
        )
    model = _winner(config, study) if number is None else _of_trial(config, study, number)
    save_model(model, out, saved_model=True)
    card: dict[str, Any] = json.loads((out / CARD_FILE).read_text())
    return card | {"files": sorted(path.name for path in out.iterdir())}


def _winner(config: Config, study: optuna.Study) -> Model:
    folder = model_folder(config)
    # Without a winner it is the model of a study that was deleted.
    if WINNER in study.user_attrs and (folder / CARD_FILE).is_file():
        configure_device()
        return load_model(folder, stock=True)
    best = best_trials(study, config, 1)
    if not best:
        raise InputError(
            f"study.name: expected a trial at full budget to export, {study.study_name!r} has none "
            "yet; go on with `unet-search run`"
        )
    return _of_trial(config, study, best[0].number)


def _of_trial(config: Config, study: optuna.Study, number: int) -> Model:
    trials = study.get_trials(deepcopy=False)
    if not 0 <= number < len(trials) or trials[number].state is not TrialState.COMPLETE:
        state = trials[number].state.name if 0 <= number < len(trials) else "not there"
        raise InputError(
            f"--trial: expected a trial at full budget, {number} is {state}; see `unet-search best`"
        )
    trial = trials[number]
    data = json.loads(study.user_attrs["defined_by"])["data"]
    return build_trial_model(Source(config, study, trial), trial, data)
