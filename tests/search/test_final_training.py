from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from fake_workers import FakeWorkers, Killed
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, TrialState
from small_config import build_config

from search import trial_model
from search.assignment import Failure
from search.budget import Budget
from search.config import Config
from search.coordinator import Coordinator
from search.enqueued_plans import describe_plan
from search.final_training import Trained, final_terms, open_final, trained
from search.remaining import Pace, estimate_remaining
from search.standing import take_stock
from search.terms import Ending
from search.trial_model import Source, build_trial_model
from storage.checkpoints import Checkpoint, CheckpointStore
from trainer.errors import InputError

WAITING, FAIL, COMPLETE = TrialState.WAITING, TrialState.FAIL, TrialState.COMPLETE


class Finals:
    """A search that has ended, and the final trainings of its winners."""

    def __init__(self, folder: Path) -> None:
        self.storage = InMemoryStorage()
        self.folder = folder
        self.config = self.with_final(epochs=5)
        self.search = self.searched("data A")

    def searched(self, identity: str) -> optuna.Study:
        """A search with two finished trials."""
        search = optuna.create_study(
            study_name="mito",
            storage=self.storage,
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(seed=2),
        )
        search.set_user_attr("defined_by", identity)
        for value in (0.8, 0.9):
            trial = search.ask()
            self.config.build_space().suggest(trial)
            for name, fact in (("threshold", 0.3), ("precision", 0.7), ("recall", 0.6)):
                trial.set_user_attr(name, fact)
            search.tell(trial, value)
        return search

    def with_final(self, **final: Any) -> Config:
        return build_config(self.folder, final=final)

    def winner(self, number: int = 1) -> FrozenTrial:
        return self.search.trials[number]

    def open(self, winner: int = 1) -> optuna.Study:
        return open_final(self.config, self.storage, self.search, self.winner(winner))

    def train(
        self, winner: int = 1, stop_after: int = 1000, **settings: Any
    ) -> tuple[Ending, FakeWorkers]:
        study = self.open(winner)
        checkpoints = CheckpointStore(self.folder / "mito" / "finalists")
        workers = FakeWorkers(checkpoints, **settings)
        coordinator = Coordinator(
            study,
            self.config.build_space(),
            workers,
            checkpoints,
            final_terms(self.config, study, cpus=self.config.workers.cpus_per_trial),
            stop_requested=lambda: len(workers.trained) >= stop_after,
        )
        return coordinator.run(), workers

    def source(self, winner: int = 1) -> Source:
        return Source(self.config, self.search, self.winner(winner))

    def trained(self, winner: int = 1) -> Trained:
        return trained(self.config, self.source(winner), self.open(winner))

    def missing(self, winner: int = 1) -> str:
        """Why the only one there is to be has not come to its end."""
        found = self.trained(winner)
        assert found.sources == []
        (line,) = found.missing
        seed, reason = line.split(": ")
        assert seed == f"seed {self.config.study.seed}"
        return reason

    def results(self, winner: int = 1) -> list[FrozenTrial]:
        """The final trainings, which must have come to their end."""
        found = self.trained(winner)
        assert found.missing == []
        assert all(source.is_final for source in found.sources)
        return [source.trial for source in found.sources]

    def result(self, winner: int = 1) -> FrozenTrial:
        (trial,) = self.results(winner)
        return trial


@pytest.fixture
def finals(tmp_path: Path) -> Finals:
    return Finals(tmp_path)


def states(study: optuna.Study) -> list[TrialState]:
    return [trial.state for trial in study.trials]


def test_the_winner_is_enqueued_once(finals: Finals) -> None:
    finals.open()
    study = finals.open()
    assert states(study) == [WAITING]
    assert study.trials[0].system_attrs["fixed_params"] == finals.winner().params
    assert study.study_name == "mito/finalists"


def test_in_another_time_zone_it_is_the_same_training(
    finals: Finals, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, plans = datetime(2026, 5, 1, 12, tzinfo=UTC), set()
    try:
        for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            winner = finals.winner()
            # Optuna gives the local time, without its zone.
            winner.datetime_start = begun.astimezone().replace(tzinfo=None)
            plans.add(describe_plan(finals.search, winner))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert len(plans) == 1


def test_what_is_left_of_it_has_nothing_to_do_with_repeats(finals: Finals) -> None:
    finals.config = finals.with_final(epochs=140)
    study = finals.open()
    for value in (0.8, 0.9):
        study.add_trial(
            optuna.create_trial(value=value, intermediate_values=dict.fromkeys(range(1, 10), value))
        )
    standing = take_stock(study, epochs=140, epochs_each=140)
    standing.running[0] = 100
    standing.spent.epochs += 100
    standing.spent.trials += 1
    remaining = estimate_remaining(standing, Budget(trials=3), Pace(100.0, 100))
    assert remaining is not None
    assert remaining.seconds == pytest.approx(40.0)


def test_the_winner_is_trained_once_for_the_full_length(finals: Finals) -> None:
    assert finals.missing() == "it has not begun"
    ending, workers = finals.train()
    assert ending.kind == "done"
    assert [epoch for _, epoch in workers.trained] == [1, 2, 3, 4, 5]
    assert workers.begun[0].hyperparameters == finals.config.build_space().complete(
        finals.winner().params
    )
    result = finals.result()
    assert (result.number, result.last_step) == (0, 5)
    _, again = finals.train()
    assert again.begun == []


def test_it_is_trained_on_what_the_config_says(finals: Finals) -> None:
    finals.config = finals.with_final(epochs=2, train_on="all")
    _, workers = finals.train()
    assert (workers.begun[0].train_on, workers.begun[0].epochs) == ("all", 2)


@pytest.mark.parametrize(
    ("gpus", "cpus", "devices"),
    [(0.0, 2.0, 1.0), (0.0, 8.0, 4.0), (0.5, 2.0, 0.5), (2.0, 8.0, 2.0)],
)
def test_it_is_charged_for_what_it_holds(
    finals: Finals, gpus: float, cpus: float, devices: float
) -> None:
    held = {"gpus_per_trial": gpus, "cpus_per_trial": 2}
    workers = finals.config.workers.model_copy(update=held)
    config = finals.config.model_copy(update={"workers": workers})
    assert final_terms(config, finals.open(), cpus=cpus).devices_per_trial == devices


def test_an_interrupted_final_training_goes_on(finals: Finals) -> None:
    ending, first = finals.train(stop_after=2)
    assert ending.kind == "interrupted"
    assert finals.missing() == "interrupted"
    _, second = finals.train()
    assert [epoch for _, epoch in first.trained + second.trained] == [1, 2, 3, 4, 5]
    assert states(finals.open()) == [FAIL, COMPLETE]


def test_a_killed_final_training_goes_on(finals: Finals) -> None:
    with pytest.raises(Killed):
        finals.train(script={(0, 3): Killed})
    _, second = finals.train()
    assert [epoch for _, epoch in second.trained] == [4, 5]
    assert finals.result().number == 1


def test_a_failed_final_training_is_begun_anew_by_the_next_run(finals: Finals) -> None:
    ending, _ = finals.train(script={(0, 2): Failure("diverged", "the loss became nan")})
    assert ending.kind == "done"
    assert finals.missing() == "the loss became nan"
    _, second = finals.train()
    assert [epoch for _, epoch in second.trained] == [1, 2, 3, 4, 5]


def test_a_new_winner_takes_the_place_of_one_that_was_not_finished(finals: Finals) -> None:
    finals.train(winner=0, stop_after=2)
    _, workers = finals.train(winner=1)
    assert len(workers.trained) == 5
    study = finals.open(winner=1)
    assert states(study) == [FAIL, FAIL, COMPLETE]
    assert finals.result(winner=1).params == finals.winner(1).params
    assert finals.missing(winner=0) == "another training has taken its place"


def test_a_new_winner_keeps_its_checkpoint_though_an_older_one_scored_higher(
    finals: Finals,
) -> None:
    finals.train(winner=0, curve=lambda run, epoch: 0.9)
    finals.train(winner=1, curve=lambda run, epoch: 0.8)
    result = finals.result(winner=1)
    store = CheckpointStore(Source(finals.config, finals.open(), result).checkpoints)
    assert store.load(result.number) is not None


def test_a_final_training_whose_checkpoint_is_damaged_is_trained_anew(finals: Finals) -> None:
    finals.train()
    (damaged,) = (finals.folder / "mito" / "finalists" / "00000").glob("epoch-5.npz")
    for path in damaged.parent.iterdir():
        path.write_bytes(b"")
    _, workers = finals.train()
    assert [epoch for _, epoch in workers.trained] == [1, 2, 3, 4, 5]
    assert finals.result().number == 1


def test_another_length_is_another_final_training(finals: Finals) -> None:
    finals.train()
    finals.config = finals.with_final(epochs=7)
    assert finals.missing() == "it has not begun"
    _, workers = finals.train()
    assert [epoch for _, epoch in workers.trained] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("identity", ["data A", "data B"])
@pytest.mark.parametrize("stop_after", [2, 1000])
def test_a_study_that_was_deleted_and_made_again_gets_no_old_weights(
    finals: Finals, identity: str, stop_after: int
) -> None:
    finals.train(stop_after=stop_after)
    optuna.delete_study(study_name="mito", storage=finals.storage)
    finals.search = finals.searched(identity)
    assert finals.missing() == "it has not begun"
    _, workers = finals.train()
    assert [epoch for _, epoch in workers.trained] == [1, 2, 3, 4, 5]
    assert finals.result().number > 0


def test_one_of_each_seed_is_trained_side_by_side(finals: Finals) -> None:
    finals.config = finals.with_final(epochs=5, seeds=3)
    _, workers = finals.train(slots=2)
    assert [each.seed for each in workers.begun] == [5, 6, 7]
    assert {each.hyperparameters for each in workers.begun} == {workers.begun[0].hyperparameters}
    assert [trial.last_step for trial in finals.results()] == [5, 5, 5]
    store = CheckpointStore(Source(finals.config, finals.open(), finals.results()[0]).checkpoints)
    assert all(store.load(trial.number) is not None for trial in finals.results())
    _, again = finals.train()
    assert again.begun == []


def test_more_seeds_than_before_leave_those_that_are_trained(finals: Finals) -> None:
    finals.train()
    first = finals.result()
    finals.config = finals.with_final(epochs=5, seeds=2)
    assert finals.trained().missing == ["seed 6: it has not begun"]
    _, workers = finals.train()
    assert [each.seed for each in workers.begun] == [6]
    assert finals.results()[0] == first
    finals.config = finals.with_final(epochs=5)
    assert finals.result() == first


def test_one_seed_that_fails_leaves_the_others(finals: Finals) -> None:
    finals.config = finals.with_final(epochs=5, seeds=3)
    finals.train(script={(1, 2): Failure("diverged", "the loss became nan")})
    found = finals.trained()
    assert found.missing == ["seed 6: the loss became nan"]
    assert [source.trial.number for source in found.sources] == [0, 2]
    _, workers = finals.train()
    assert [each.seed for each in workers.begun] == [6]
    assert len(finals.results()) == 3


def test_an_interrupted_seed_goes_on_as_itself(finals: Finals) -> None:
    finals.config = finals.with_final(epochs=5, seeds=2)
    _, first = finals.train(slots=2, stop_after=4)
    _, second = finals.train(slots=2)
    assert sorted(each.seed for each in second.begun) == [5, 6]
    assert sorted(epoch for _, epoch in first.trained + second.trained) == sorted(
        [1, 2, 3, 4, 5] * 2
    )


def test_other_data_alone_make_another_final_training(finals: Finals) -> None:
    finals.train()
    finals.search.set_user_attr("defined_by", "data B")
    assert finals.missing() == "it has not begun"


@pytest.mark.parametrize(("state", "value"), [(FAIL, None), (COMPLETE, 0.99)])
def test_a_final_training_that_somebody_else_told_is_begun_anew(
    finals: Finals, state: TrialState, value: float | None
) -> None:
    final = finals.open()
    final.tell(final.ask(), value, state=state)
    assert trained(finals.config, finals.source(), final).missing == [
        "seed 5: it was told by somebody else"
    ]
    _, workers = finals.train()
    assert [epoch for _, epoch in workers.trained] == [1, 2, 3, 4, 5]
    assert finals.result().number == 1


def test_without_a_final_section_there_is_nothing_to_train(finals: Finals) -> None:
    finals.config = build_config(finals.folder)
    with pytest.raises(ValueError, match=r"\[final\]"):
        finals.open()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What models are made of, in place of models."""
    calls: list[dict[str, Any]] = []

    def build(hyperparameters: Any, state: Any, *, threshold: float, card: Any) -> str:
        calls.append({"run": hyperparameters, "state": state, "threshold": threshold, **card})
        return "model"

    monkeypatch.setattr(trial_model, "build_model", build)
    monkeypatch.setattr(trial_model, "configure_device", lambda: None)
    return calls


def save(finals: Finals, folder: str, trial: int) -> None:
    facts = {"threshold": 0.4, "precision": 0.95, "recall": 0.85}
    checkpoint = Checkpoint(5, {"weights": np.full(2, trial)}, facts)
    CheckpointStore(finals.folder / "mito" / folder).save(trial, checkpoint)


def test_a_trials_model_is_made_from_its_checkpoint(
    finals: Finals, made: list[dict[str, Any]]
) -> None:
    save(finals, "trials", 1)
    source = Source(finals.config, finals.search, finals.winner())
    assert build_trial_model(source, finals.winner(), {"sha256": "abc"}) == "model"
    (model,) = made
    assert model["run"] == finals.config.build_space().complete(finals.winner().params)
    assert list(model["state"]["weights"]) == [1, 1]
    assert (model["threshold"], model["epochs"], model["trial"]) == (0.4, 5, 1)
    assert model["data"] == {"sha256": "abc"}
    assert model["validation"]["dice"] == 0.9
    assert model["validation"]["precision"] == 0.95


@pytest.mark.parametrize("train_on", ["train", "all"])
def test_a_model_says_whether_its_validation_was_trained_on(
    finals: Finals, made: list[dict[str, Any]], train_on: str
) -> None:
    finals.config = finals.with_final(epochs=5, train_on=train_on)
    finals.train()
    result = finals.result()
    save(finals, "finalists", result.number)
    source = Source(finals.config, finals.open(), result)
    build_trial_model(source, finals.winner(), {})
    (model,) = made
    assert source.trained_on_validation == (train_on == "all")
    assert model["train_on"] == train_on
    assert model["validation"]["dice"] == result.value
    assert (model["validation"]["of"] == "sections that it trained on") == (train_on == "all")


def test_a_checkpoint_that_is_not_kept_is_missed_in_one_line(finals: Finals) -> None:
    source = Source(finals.config, finals.search, finals.winner(0))
    with pytest.raises(InputError, match=r"^trial 0: expected a readable checkpoint .*study\.keep"):
        build_trial_model(source, finals.winner(0), {})


def test_both_storages_give_the_same_final(
    open_storage: Callable[[], BaseStorage], tmp_path: Path
) -> None:
    finals = Finals(tmp_path)
    finals.storage = open_storage()  # type: ignore[assignment]
    finals.train(stop_after=2)
    finals.storage = open_storage()  # type: ignore[assignment]
    finals.train()
    assert states(finals.open()) == [FAIL, COMPLETE]
