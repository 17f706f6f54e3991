"""The model of a study, as files for other tools."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from search.config import Config
from search.data import load_data
from search.members import choose_members
from search.objectives import dice_of
from search.provenance import describe_software
from search.results import FINALISTS, WINNER, best_trials, model_folder
from search.study import check_space, comparable_data, described_data
from search.trial_model import Source, build_trial_model
from trainer.device import configure_device
from trainer.ensemble import combine
from trainer.errors import InputError
from trainer.export import export_model
from trainer.model import CARD_FILE, Model, check_replaceable, in_precision, load_model
from trainer.phantom import build_phantom
from trainer.postprocess import Judge, tune
from trainer.specimen import cut_specimen

_MEMBERS = 3
"""Of an ensemble, where the config does not say."""
_SHOWN = 5
_SPECIMEN = "the package's test tensor and cover picture"
_WRITERS = ("keras", "tf2onnx", "onnx", "onnxruntime", "bioimageio.spec")


def export_trial(
    config: Config,
    study: optuna.Study,
    out: Path,
    number: int | None = None,
    *,
    ensemble: bool = False,
) -> dict[str, Any]:
    """Writes `.keras`, SavedModel, ONNX, a bioimage.io package and the model card.

    Args:
        config: Of the search.
        study: The search's study.
        out: Folder to write; an older model in it is replaced.
        number: A trial at full budget; by default the winner, or the best so far.
        ensemble: The best trials as one model, so many as `[export]` says, or 3.

    Returns:
        The card, whose `notes` say what is not as one may think, and the names of the files.

    Raises:
        InputError: No such trial at full budget, its checkpoint is not kept, or the folder cannot
            be written.
    """
    if out.resolve() == model_folder(config).resolve():
        raise InputError(
            f"--out: expected another folder than the study's own model, got {out}; choose another"
        )
    if ensemble and number is not None:
        raise InputError("--ensemble: expected no --trial beside it; leave one of the two out")
    check_replaceable(out)
    notes: list[str] = []
    if number is not None:
        model = _of_trial(config, study, number)
    elif ensemble or config.export.ensemble:
        model, notes = _ensemble(config, study)
    else:
        model = _winner(config, study)
    specimen, told = _specimen(config, study, model)
    facts = {**_facts(config, study), "notes": [*notes, *told]}
    card = export_model(
        replace(model, card={**model.card, **facts}),
        out,
        specimen,
        config.export.build_publication(study.study_name),
        name=study.study_name,
    )
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
    return _build(config, study, trials[number])


def _build(config: Config, study: optuna.Study, trial: FrozenTrial) -> Model:
    check_space(config, study)
    return build_trial_model(Source(config, study, trial), trial, described_data(study))


def _ensemble(config: Config, study: optuna.Study) -> tuple[Model, list[str]]:
    """The best trials whose checkpoints are kept, tuned on the validation sections together."""
    check_space(config, study)
    members = choose_members(config, study, config.export.ensemble or _MEMBERS)
    # Without a number in the config two are an ensemble as well.
    members.check(config.export.ensemble or 2)
    data = load_data(config)
    own = comparable_data(json.loads(json.dumps(data.to_json())))
    if own != comparable_data(described_data(study)):
        raise InputError(
            "data: expected the volumes and the split that the study was made with, to tune the "
            "ensemble's threshold on, got others; name the study's own"
        )
    model = combine([_build(config, study, trial) for trial in members.trials])
    fast = in_precision(model, configure_device().precision)
    tuned = tune(
        fast,
        [Judge(fast, each.volume, each.split.validation, each.name) for each in data.volumes],
    )
    validation = asdict(tuned.scores) | {
        "of": "this ensemble, on sections that it did not train on"
    }
    card = {**model.card, "trial": members.numbers, "validation": validation}
    return replace(tuned.model, network=model.network, card=card), members.describe()


def _specimen(config: Config, study: optuna.Study, model: Model) -> tuple[np.ndarray, list[str]]:
    """A cut of the validation sections, or of a phantom, and what there is to say of it."""
    try:
        first = load_data(config).volumes[0]
    except InputError as error:
        phantom = build_phantom(24, 256, 256, seed=0)
        note = f"{_SPECIMEN} are of a synthetic phantom, as the data cannot be read: {error}"
        return cut_specimen(model, phantom, range(24)), [note]
    specimen = cut_specimen(model, first.volume, first.split.validation)
    return specimen, _compare(first.volume.sha256, described_data(study))


def _compare(found: str, data: Mapping[str, Any]) -> list[str]:
    """Whether the file of the first volume is the one that the study was made with."""
    known = (data.get("volumes") or [data])[0].get("sha256")
    if known in (None, found):
        return []
    return [
        f"{_SPECIMEN} are of another volume than the model's: its SHA-256 is {found[:12]}, that "
        f"of the study's {known[:12]}"
    ]


def _facts(config: Config, study: optuna.Study) -> dict[str, Any]:
    return {
        "finalists": _list_finalists(config, study),
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "exported_with": {**describe_software(), **_versions(_WRITERS)},
    }


def _list_finalists(config: Config, study: optuna.Study) -> Sequence[Mapping[str, Any]]:
    """Those that were repeated, with their spread; before that, the best with one score each."""
    repeated: Sequence[Mapping[str, Any]] = study.user_attrs.get(FINALISTS, [])
    if repeated:
        return repeated
    best = best_trials(study, config, _SHOWN)
    return [{"number": trial.number, "value": dice_of(trial), "scores": []} for trial in best]


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
