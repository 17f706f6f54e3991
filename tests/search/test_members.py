"""Which trials an ensemble is made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import create_trial
from small_config import TABLE, build_config

from search.config import Config
from search.members import choose_members
from search.results import FINALISTS, WINNER
from storage.checkpoints import Checkpoint, CheckpointStore
from trainer.errors import InputError

VALUES = (0.7, 0.9, 0.8, 0.85)
KINDS = ("2d", "3d")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    space = {**TABLE["space"], "dimensions": list(KINDS), "tile_sections": 4}
    return build_config(tmp_path, space=space)


def study_of(config: Config, *kinds: str) -> optuna.Study:
    """Trials at full budget with their checkpoints, of these kinds; the best is number 1."""
    study = optuna.create_study(direction="maximize")
    for number, (value, kind) in enumerate(zip(VALUES, kinds, strict=True)):
        trial = create_trial(
            value=value,
            params={"dimensions": kind},
            distributions={"dimensions": CategoricalDistribution(KINDS)},
            user_attrs={"threshold": 0.5},
            intermediate_values={3: value},
        )
        study.add_trial(trial)
        keep = CheckpointStore(config.checkpoints)
        keep.save(number, Checkpoint(3, {"w": np.zeros(2)}, {}))
    return study


def test_those_that_were_repeated_go_before_those_with_one_lucky_score(config: Config) -> None:
    study = study_of(config, "2d", "2d", "2d", "2d")
    study.set_user_attr(WINNER, 2)
    means = [{"number": 2, "n": 2, "mean": 0.79}, {"number": 0, "n": 2, "mean": 0.69}]
    # One that was chosen and has no repeat has its one score alone.
    study.set_user_attr(FINALISTS, [*means, {"number": 3, "n": 0, "mean": None}])
    assert choose_members(config, study, 4).numbers == [2, 0, 1, 3]
    assert choose_members(config, study, 2).numbers == [2, 0]


def test_a_finalist_that_is_not_on_the_front_is_a_member(config: Config) -> None:
    two = optuna.create_study(directions=["maximize", "minimize"])
    for trial in study_of(config, "2d", "2d", "2d", "2d").trials:
        # The larger the Dice, the smaller the network: only one is on the front.
        trial.values = [trial.values[0], 1 - trial.values[0]]
        two.add_trial(trial)
    assert choose_members(config, two, 3).numbers == [1]
    two.set_user_attr(FINALISTS, [{"number": 3, "n": 1, "mean": 0.9}])
    assert choose_members(config, two, 3).numbers == [3, 1]


def test_all_are_of_the_best_ones_kind(config: Config) -> None:
    members = choose_members(config, study_of(config, "2d", "2d", "2d", "3d"), 2)
    assert (members.numbers, members.others) == ([1, 2], (3,))
    members.check(2)
    trained, left = members.describe()
    assert "(trial 1 3 epochs, trial 2 3 epochs) and not of a final training" in trained
    assert left == "left out, as not of 2D networks like the best one: trial 3"


def test_too_few_of_the_best_ones_kind_are_told_with_what_to_do(config: Config) -> None:
    members = choose_members(config, study_of(config, "2d", "3d", "2d", "2d"), 3)
    with pytest.raises(
        InputError,
        match=r"found 1 of 3D networks, as the best one's is; search on, or set export\.ensemble",
    ):
        members.check(2)


def test_one_without_a_checkpoint_is_passed_over(config: Config) -> None:
    study = study_of(config, "2d", "3d", "2d", "2d")
    CheckpointStore(config.checkpoints).delete(1)
    members = choose_members(config, study, 4)
    assert (members.numbers, members.kind, members.others) == ([3, 2, 0], "2D", ())
