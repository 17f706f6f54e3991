"""Our median rule beside Optuna's own: two studies told the same, decision by decision."""

from __future__ import annotations

import random

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

from search.median_pruner import MedianPruner
from search.pruners import build_pruner

EPOCHS = 6
VALUES = [0.0, 0.1, 0.2, 0.3, 0.5, 0.5, 0.7, 0.9, float("nan")]


@pytest.mark.filterwarnings("ignore:All-NaN")
@pytest.mark.parametrize("direction", [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE])
@pytest.mark.parametrize("seed", range(3))
def test_the_median_rule_decides_as_optunas(seed: int, direction: StudyDirection) -> None:
    chance, verdicts = random.Random(seed), []
    ours = optuna.create_study(direction=direction, pruner=build_pruner("median", epochs=EPOCHS))
    theirs = optuna.create_study(direction=direction, pruner=optuna.pruners.MedianPruner())
    running: list[tuple[optuna.Trial, optuna.Trial, int]] = []
    for _ in range(250):
        if len(running) < 4:
            running.append((ours.ask(), theirs.ask(), 0))
        mine, other, epoch = running.pop(chance.randrange(len(running)))
        epoch += 1
        value = chance.choice(VALUES[:-1] if epoch == EPOCHS else VALUES)
        for trial in (mine, other):
            trial.report(value, epoch)
        verdict = mine.should_prune()
        assert verdict == other.should_prune(), (mine.number, epoch)
        verdicts.append(verdict)
        if epoch == EPOCHS or (verdict and chance.random() < 0.7):
            complete = epoch == EPOCHS
            for study, trial in ((ours, mine), (theirs, other)):
                state = TrialState.COMPLETE if complete else TrialState.PRUNED
                study.tell(trial, value if complete else None, state=state)
        else:
            running.append((mine, other, epoch))
        if chance.random() < 0.03:
            # As after a restart.
            ours.pruner = MedianPruner(epochs=EPOCHS)
    assert set(verdicts) == {True, False}


def test_the_study_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    study = optuna.create_study(pruner=MedianPruner(epochs=2))
    reads = []
    read = optuna.Study.get_trials

    def counted(self: optuna.Study, *arguments: object, **settings: object) -> object:
        reads.append(1)
        return read(self, *arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(optuna.Study, "get_trials", counted)
    for _ in range(8):
        trial = study.ask()
        for epoch in (1, 2):
            trial.report(1.0, epoch)
            trial.should_prune()
        study.tell(trial, 1.0)
    assert len(reads) == 1
