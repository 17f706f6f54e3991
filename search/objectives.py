"""What a study makes large or small: the Dice, and perhaps a second thing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

METRIC = "validation Dice"


def dice_of(trial: FrozenTrial) -> float | None:
    """The Dice of a complete trial; Optuna's `value` is for studies with one objective."""
    return trial.values[0] if trial.values else None


def values_of(dice: float, facts: Mapping[str, Any], second: str | None) -> list[float]:
    """What a complete trial is told with.

    Args:
        dice: Its first objective.
        facts: Of its last epoch.
        second: The name of the other one, where there is one.
    """
    return [dice] if second is None else [dice, float(facts[second])]


def directions(second: str | None) -> list[StudyDirection]:
    """Where each objective is to go."""
    both = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    return both[:1] if second is None else both


def has_two(study: optuna.Study) -> bool:
    """Whether the study has a second objective."""
    return len(study.directions) > 1


def report_epoch(trial: optuna.Trial, dice: float, epoch: int, *, judged: bool) -> bool:
    """Reports the Dice of an epoch.

    Args:
        trial: That trained it.
        dice: After it.
        epoch: Its number.
        judged: Whether the pruner is asked.

    Returns:
        Whether the pruner stops the trial now.
    """
    if not has_two(trial.study):
        trial.report(dice, epoch)
        return judged and trial.should_prune()
    # Optuna takes no reports where there are two objectives; the curve is kept all the same.
    trial.storage.set_trial_intermediate_value(trial._trial_id, epoch, dice)
    return False


def pareto_front(points: Iterable[tuple[int, Sequence[float]]]) -> list[int]:
    """The numbers of those that no other beats in one thing and equals in the other.

    Args:
        points: Trials' numbers, and their Dice and second objective.

    Returns:
        The highest Dice first.
    """
    front, least = [], float("inf")
    for number, (_, cost) in sorted(points, key=lambda each: (-each[1][0], each[1][1], each[0])):
        if cost < least:
            front.append(number)
            least = cost
    return front
