"""The model that a search ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from search.data import StudyData
from search.results import FINALISTS
from search.trial_model import Source, build_trial_model
from storage.checkpoints import CheckpointStore
from trainer.device import configure_device
from trainer.ensemble import combine
from trainer.model import Model, in_precision, save_model
from trainer.postprocess import Judge, Tuned, tune


def save_winner(
    sources: Sequence[Source],
    search: Source,
    data: StudyData,
    folder: Path,
    repeats: Sequence[Source] = (),
) -> Path:
    """Writes the model of the search, what follows the network tuned on validation.

    Args:
        sources: Whose weights it has; of several, which differ in their seed, it is the mean.
        search: The winner as the search ran it.
        data: The study's.
        folder: To write to.
        repeats: The winner's, as far as their checkpoints are kept.
    """
    model = _build(sources, search, data)
    # Sections that were trained on cannot judge: others of its kind do, each on sections that are
    # new to it.
    seen = sources[0].trained_on_validation
    judges = _choose_judges(search, repeats) if seen else sources[:1]
    tuned = _tune(model, judges, search, data, seen=seen)
    card = {
        **model.card,
        "validation": _validation(tuned, data, of=_judged_by(judges, seen=seen)),
        "finalists": search.study.user_attrs.get(FINALISTS, []),
    }
    save_model(replace(tuned.model, card=card), folder)
    return folder


def _build(sources: Sequence[Source], search: Source, data: StudyData) -> Model:
    models = [build_trial_model(source, search.trial, data.to_json()) for source in sources]
    if len(models) == 1:
        return models[0]
    model = combine(models)
    return replace(model, card={**model.card, "seed": [each.card["seed"] for each in models]})


def _tune(
    model: Model, judges: Sequence[Source], search: Source, data: StudyData, *, seen: bool
) -> Tuned:
    models = [
        build_trial_model(judge, search.trial, data.to_json()) if seen else model
        for judge in judges
    ]
    precision = configure_device().precision
    fast = [in_precision(each, precision) for each in models]
    # A threshold belongs to the network that it was found for: one that was trained longer and on
    # more is surer of itself, and the other's threshold would suit it less than one half.
    return tune(
        model,
        [
            Judge(each, own.volume, own.splits[judge.fold].validation, own.name)
            for each, judge in zip(fast, judges, strict=True)
            for own in data.volumes
        ],
        threshold=0.5 if seen else None,
    )


def _validation(tuned: Tuned, data: StudyData, *, of: str) -> dict[str, Any]:
    scores = asdict(tuned.scores) | {"of": of}
    if len(data.volumes) > 1:
        scores["by_volume"] = {name: asdict(own) for name, own in tuned.by_volume.items()}
    return scores


def _choose_judges(search: Source, repeats: Sequence[Source]) -> list[Source]:
    """One for each fold: the first of its repeats, and at least the search's own trial."""
    judges = {0: search}
    judges |= {repeat.fold: repeat for repeat in reversed(repeats) if _is_readable(repeat)}
    return [judges[fold] for fold in sorted(judges)]


def _is_readable(source: Source) -> bool:
    # One whose checkpoint has been damaged is done without.
    return CheckpointStore(source.checkpoints).load(source.trial.number) is not None


def _judged_by(judges: Sequence[Source], *, seen: bool) -> str:
    if not seen:
        return "this model, on sections that it did not train on"
    repeated = any(judge.is_repeat for judge in judges)
    who = "repeats of the search's trial, each" if repeated else "the search's trial,"
    return f"{who} on sections that it did not train on"
