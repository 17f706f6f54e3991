from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from search import lineage
from search.assignment import Assignment, Begun, EpochReport, Failure
from search.budget import Budget
from search.coordinator import Coordinator
from search.curves import Curve, ParametricCurves
from search.draws import draw_normal, draw_uniform
from search.memory_checkpoints import MemoryCheckpoints
from search.mishaps import Mishap, Mishaps
from search.occupancy import Occupancy
from search.promotion import PromotingPruner
from search.rung import Rung
from search.rung_pruner import Bracket, RungPruner
from search.simulation import SimulatedWorkers, VirtualClock
from search.space import build_space
from search.terms import Ending, Terms
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters

EPOCHS = 2


class SteadyCurves:
    """Every epoch takes as long, and every trial learns the same."""

    def __init__(self, seconds: float = 10.0) -> None:
        self._curve = Curve((0.4, 0.8), (seconds, seconds))

    def curve(self, hyperparameters: Hyperparameters) -> Curve:
        return self._curve


class Strikes(Mishaps):
    """What goes wrong with which trial in which epoch."""

    def __init__(self, script: Mapping[tuple[int, int], Mishap]) -> None:
        super().__init__()
        object.__setattr__(self, "script", script)

    def strike(self, trial: int, epoch: int) -> Mishap | None:
        script: Mapping[tuple[int, int], Mishap] = self.__dict__["script"]
        return script.get((trial, epoch))


class Simulated:
    """A search on simulated workers, in memory."""

    def __init__(self, slots: int, mishaps: Mishaps | None = None, **settings: Any) -> None:
        self.checkpoints = MemoryCheckpoints()
        self.workers = SimulatedWorkers(
            slots, SteadyCurves(), self.checkpoints, VirtualClock(), mishaps=mishaps, **settings
        )
        self.study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(seed=1),
            pruner=optuna.pruners.NopPruner(),
        )

    def run(self, budget: Budget, retries: int = 2) -> Ending:
        self.coordinator = Coordinator(
            self.study,
            build_space({"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}),
            self.workers,
            self.checkpoints,
            Terms(
                epochs=EPOCHS,
                tiles_per_epoch=1,
                train_on="train",
                seed=1,
                retries=retries,
                keep=2,
                epochs_expected=EPOCHS,
                budget=budget,
            ),
            clock=self.workers.clock,
        )
        return self.coordinator.run()

    def states(self) -> list[str]:
        return [trial.state.name for trial in self.study.get_trials()]


def test_time_is_that_of_the_longest_slot() -> None:
    search = Simulated(slots=2)
    search.run(Budget(trials=4))
    # On each slot: a process starts (15 s), two epochs, another trial's network (5 s), two epochs.
    assert search.workers.clock() == pytest.approx(15 + 20 + 5 + 20)
    assert search.coordinator.standing.spent.seconds == pytest.approx(60)
    assert search.coordinator.standing.spent.device_seconds == pytest.approx(120)


def test_one_trial_more_than_slots_takes_a_second_round() -> None:
    search = Simulated(slots=2)
    search.run(Budget(trials=3))
    occupancy, last = search.workers.occupancy, search.workers.begun[2]
    assert last == pytest.approx(35)
    assert occupancy.idle_share(0, last) == 0
    assert occupancy.share("starting", 0, last) == pytest.approx(15 / 35)
    # One of two slots has nothing to do while the other trains the last trial.
    assert occupancy.idle_share(last, search.workers.clock()) == pytest.approx(0.5)


def test_worker_is_replaced_after_its_number_of_trials() -> None:
    search = Simulated(slots=1, trials_per_worker=2)
    search.run(Budget(trials=3))
    assert search.workers.clock() == pytest.approx((15 + 20) + (5 + 20) + (15 + 20))


@pytest.mark.parametrize(
    ("budget", "seconds"),
    [
        # The second epoch of the first trial ends at 35 s, the first one of the second at 50 s.
        (Budget(hours=41 / 3600), 50),
        (Budget(device_hours=41 / 3600), 50),
        (Budget(money=4.1, price_per_device_hour=360.0), 50),
        (Budget(epochs=3), 50),
    ],
)
def test_budget_ends_it_with_the_epoch_under_way(budget: Budget, seconds: float) -> None:
    search = Simulated(slots=1)
    ending = search.run(budget)
    assert "is spent" in ending.reason
    assert search.workers.clock() == pytest.approx(seconds)
    assert search.states() == ["COMPLETE", "FAIL", "WAITING"]


def test_lost_worker_costs_the_epoch_that_it_was_in() -> None:
    lost = Mishap(Failure("lost", "the worker was lost"), after=0.5)
    search = Simulated(slots=1, mishaps=Strikes({(0, 2): lost}))
    search.run(Budget(trials=1))
    assert search.states() == ["FAIL", "COMPLETE"]
    assert search.study.trials[1].user_attrs["inherited_epochs"] == 1
    # The epoch before is not trained again; the worker that takes over is new.
    assert search.workers.clock() == pytest.approx(15 + 10 + 5 + 15 + 10)


def test_lost_workers_are_replaced_no_more_than_retries() -> None:
    lost = Mishap(Failure("lost", "the worker was lost"), after=0.5)
    search = Simulated(slots=1, mishaps=Strikes({(trial, 1): lost for trial in range(9)}))
    search.run(Budget(trials=1), retries=2)
    assert search.states() == ["FAIL"] * 3
    assert [trial.user_attrs["attempt"] for trial in search.study.trials] == [1, 2, 2]


def test_failures_end_as_the_coordinator_tells_them() -> None:
    memory = Mishap(Failure("memory", "out of memory"), after=0.5)
    diverged = Mishap(Failure("diverged", "the loss became nan"), after=1.0)
    search = Simulated(slots=1, mishaps=Strikes({(0, 1): memory, (1, 2): diverged}))
    search.run(Budget(trials=3))
    assert search.states() == ["PRUNED", "FAIL", "COMPLETE"]
    assert search.study.trials[0].constraints == {"memory": 1.0}


def test_failures_strike_as_often_as_they_are_said_to() -> None:
    mishaps = Mishaps(seed=3, lost=0.1, memory=0.05, diverged=0.2)
    epochs = [(trial, epoch) for trial in range(2000) for epoch in range(1, 6)]
    struck = [mishaps.strike(*epoch) for epoch in epochs]
    kinds = [mishap.failure.kind for mishap in struck if mishap is not None]
    for kind, share in (("lost", 0.1), ("memory", 0.05), ("diverged", 0.2)):
        assert kinds.count(kind) / len(struck) == pytest.approx(share, abs=0.02)
    assert struck == [
        mishaps.strike(trial, epoch) for trial in range(2000) for epoch in range(1, 6)
    ]


@pytest.mark.parametrize(
    "shares", [{"lost": -0.1}, {"memory": 1.1}, {"lost": 0.6, "diverged": 0.5}]
)
def test_impossible_shares_of_failures_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(InputError, match="failures: expected shares of epochs from 0 to 1"):
        Mishaps(**shares)


def test_no_trial_is_begun_without_a_slot() -> None:
    workers = Simulated(slots=1).workers
    workers.begin(_assignment(0))
    assert workers.free() == 0
    with pytest.raises(RuntimeError, match="no slot was free"):
        workers.begin(_assignment(1))


def test_released_trial_says_nothing_more() -> None:
    workers = Simulated(slots=2).workers
    workers.begin(_assignment(0))
    workers.begin(_assignment(1))
    workers.release(0)
    (event,) = workers.wait(1.0)
    assert event.trial == 1
    assert event.outcome == Begun(None)
    workers.advance(1)
    (event,) = workers.wait(1.0)
    assert isinstance(event.outcome, EpochReport)
    assert (event.outcome.epoch, event.outcome.history) == (1, (0.4,))
    workers.release(1)
    assert workers.wait(1.0) == []


def test_clock_can_count_real_work() -> None:
    worked = [0.0]
    clock = VirtualClock(lambda: worked[0])
    clock.wait_until(10.0)
    worked[0] = 2.5
    assert clock() == 12.5
    clock.wait_until(11.0)
    assert clock() == 12.5


def test_idle_is_what_nobody_has_recorded() -> None:
    occupancy = Occupancy(slots=2)
    occupancy.add("starting", 0, 2)
    occupancy.add("training", 2, 8)
    occupancy.add("training", 5, 20)
    assert occupancy.share("training", 0, 10) == pytest.approx((6 + 5) / 20)
    assert occupancy.idle_share(0, 10) == pytest.approx(1 - (2 + 6 + 5) / 20)
    assert occupancy.idle_share(5, 5) == 0


def test_draws_depend_on_their_key_alone() -> None:
    first = [draw_uniform("a", number) for number in range(1000)]
    assert first == [draw_uniform("a", number) for number in range(1000)]
    assert first != [draw_uniform("b", number) for number in range(1000)]
    assert sum(first) / 1000 == pytest.approx(0.5, abs=0.05)
    normal = [draw_normal("a", number) for number in range(1000)]
    assert sum(normal) / 1000 == pytest.approx(0.0, abs=0.1)
    assert sum(value**2 for value in normal) / 1000 == pytest.approx(1.0, abs=0.15)


def _assignment(trial: int) -> Assignment:
    return Assignment(trial, Hyperparameters(), EPOCHS, 1, "train", 1)


CURVED = build_space(
    {
        "learning_rate": {"low": 3e-4, "high": 3e-2, "log": True},
        "loss": ["bce", "dice", "log_dice"],
        "depth": {"low": 2, "high": 4},
        "normalization": ["batch", "none"],
    }
)


def search_curves(
    pruner: optuna.pruners.BasePruner, seed: int, budget: Budget, slots: int = 4
) -> tuple[Coordinator, ParametricCurves]:
    """A search of made-up curves, drawn at random, and the same curves without their noise."""
    curves, true = (
        ParametricCurves(CURVED, epochs=27, epoch_seconds=60, seed=seed, noise=noise)
        for noise in (1.0, 0.0)
    )
    checkpoints = MemoryCheckpoints()
    workers = SimulatedWorkers(slots, curves, checkpoints, VirtualClock())
    study = optuna.create_study(
        study_name=f"mito-{seed}",
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=seed),
        pruner=pruner,
    )
    terms = Terms(27, 1, "train", seed=0, retries=2, keep=2, epochs_expected=27, budget=budget)
    coordinator = Coordinator(study, CURVED, workers, checkpoints, terms, clock=workers.clock)
    coordinator.run()
    return coordinator, true


def test_promotion_takes_up_again_what_was_stopped_too_early() -> None:
    # Whether that is worth its epochs is for benchmarks to say: here, that it is done.
    def left_behind(pruner: RungPruner) -> list[int]:
        """Lines that are among the best third of the first rung, and never went on from it."""
        coordinator, _ = search_curves(pruner, 3, Budget(trials=60))
        trials = coordinator._study.get_trials()
        first = {lineage.origin(t): t.intermediate_values[1] for t in trials}
        best = sorted(first, key=lambda line: -first[line])[: len(first) // 3]
        gone_on = {lineage.origin(t) for t in trials if (t.last_step or 0) > 1}
        return [line for line in best if line not in gone_on]

    assert left_behind(RungPruner([Bracket((1, 3))], reduction=3))
    assert left_behind(PromotingPruner([Bracket((1, 3))], reduction=3, keep=60)) == []


def test_looking_for_what_to_promote_costs_the_same_however_many_trials_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is looked at for a promotion is counted: rungs, and not trials.
    looked: list[int] = []
    promotable = Rung.promotable

    def count(rung: Rung) -> tuple[float, int] | None:
        looked.append(len(rung.paused()))
        return promotable(rung)

    monkeypatch.setattr(Rung, "promotable", count)
    pruner = PromotingPruner([Bracket((1, 3))], reduction=3, keep=10)
    coordinator, _ = search_curves(pruner, 1, Budget(trials=300), slots=50)
    trials = coordinator._study.get_trials(deepcopy=False)
    assert coordinator.standing.spent.trials == 300 < len(trials)
    # Two rungs: each looks at its best only.
    assert max(looked) == 10
    epochs = coordinator.standing.spent.epochs
    assert len(looked) <= 2 * (epochs + 2 * len(trials))


def test_nothing_stays_running() -> None:
    search = Simulated(slots=3, mishaps=Mishaps(seed=1, lost=0.2, memory=0.05, diverged=0.1))
    search.run(Budget(trials=60))
    trials = search.study.get_trials()
    assert all(trial.state is not TrialState.RUNNING for trial in trials)
    anew = [trial for trial in trials if "retried_from" not in trial.user_attrs]
    assert len(anew) == 60
    assert {trial.state.name for trial in trials} == {"COMPLETE", "FAIL", "PRUNED"}


def test_checkpoints_in_memory_leave_the_current_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".deleted-by-me").mkdir()
    MemoryCheckpoints().tidy()
    assert (tmp_path / ".deleted-by-me").is_dir()
