from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import BaseStorage
from optuna.trial import TrialState
from small_config import TABLE, build_config

from search.config import Config
from search.data import StudyData
from search.study import (
    METRIC,
    find_finalists,
    find_study,
    open_finalists,
    open_study,
    token_of,
)
from search.study_volume import StudyVolume
from trainer.earlier_model import EarlierModel
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.split import split_sections
from trainer.volume import Volume

START = ({"learning_rate": 1e-3, "loss": "bce"}, {"loss": "dice"})


@pytest.fixture
def storage(open_storage: Callable[[], BaseStorage]) -> BaseStorage:
    return open_storage()


def data(first_voxel: int = 0) -> StudyData:
    raw = np.zeros((12, 32, 32), np.uint8)
    raw[0, 0, 0] = first_voxel
    volume = Volume(raw, raw, (5.0, 5.0, 5.0), ())
    return StudyData((StudyVolume(volume, split_sections(12, gap=1)),))


def config(**sections: Any) -> Config:
    built = build_config(Path("runs"), **{k: v for k, v in sections.items() if k != "start"})
    return built.model_copy(update={"start": sections.get("start", ())})


def enqueued(study: optuna.Study) -> list[dict[str, Any]]:
    return [trial.system_attrs["fixed_params"] for trial in study.trials]


def test_a_new_study_holds_what_is_needed_to_repeat_it(storage: BaseStorage) -> None:
    study = open_study(config(), data(), storage)
    assert (study.study_name, study.direction.name) == ("mito", "MAXIMIZE")
    assert study.metric_names == [METRIC]
    kept = study.user_attrs
    assert Config.model_validate_json(kept["config"]) == config()
    assert {"python", "optuna", "numpy"} <= json.loads(kept["software"]).keys()
    identity = json.loads(kept["defined_by"])
    assert identity["data"]["sha256"] == data().volumes[0].volume.sha256
    assert identity["space"]["depth"] == 2
    assert study.trials == []


def test_the_start_is_enqueued_once(storage: BaseStorage) -> None:
    for _ in range(2):
        study = open_study(config(start=START), data(), storage)
    assert enqueued(study) == list(START)


def test_a_study_goes_on_under_another_budget_strategy_and_place_to_run(
    storage: BaseStorage,
) -> None:
    first = open_study(config(), data(), storage)
    first.tell(first.ask(), 0.5)
    other = config(
        budget={"trials": 40, "hours": 2},
        workers={"where": "ray", "retries": 0},
        study={"sampler": "random", "pruner": "none", "keep": 7, "seed": 6},
        final={"epochs": 4},
    )
    study = open_study(other, data(), storage)
    assert len(study.trials) == 1
    assert isinstance(study.sampler, optuna.samplers.RandomSampler)
    assert isinstance(study.pruner, optuna.pruners.NopPruner)


SPACE = TABLE["space"]


@pytest.mark.parametrize(
    ("sections", "first_voxel", "key", "before", "now"),
    [
        ({"space": {**SPACE, "loss": ["bce"]}}, 0, "space.loss", "['bce', 'dice']", "['bce']"),
        ({"space": {**SPACE, "depth": 1}}, 0, "space.depth", "2", "1"),
        ({"space": {**SPACE, "dropout": 0.1}}, 0, "space.dropout", "0.0", "0.1"),
        ({"study": {"epochs_per_trial": 4}}, 0, "study.epochs_per_trial", "3", "4"),
        ({"study": {"tiles_per_epoch": 9}}, 0, "study.tiles_per_epoch", "10", "9"),
        ({}, 1, "data.sha256", data().volumes[0].volume.sha256, data(1).volumes[0].volume.sha256),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_another_search_under_the_same_name_is_refused(
    sections: dict[str, Any], first_voxel: int, key: str, before: str, now: str
) -> None:
    storage = optuna.storages.InMemoryStorage()
    open_study(config(), data(), storage)
    with pytest.raises(InputError) as caught:
        open_study(config(**sections), data(first_voxel), storage)
    message = str(caught.value)
    assert message.startswith("study.name: the study 'mito' exists with ")
    assert f"{key} = " in message
    assert before in message
    assert now in message
    assert "give the new search another study.name" in message
    assert "\n" not in message
    assert len(storage.get_all_studies()) == 1


def test_a_study_goes_on_where_the_config_names_what_was_a_default_before() -> None:
    storage = optuna.storages.InMemoryStorage()
    open_study(config(), data(), storage)
    open_study(config(space={**SPACE, "stem_stride": 1}), data(), storage)
    with pytest.raises(InputError, match="stem_stride = 1, the config has 2"):
        open_study(config(space={**SPACE, "stem_stride": 2}), data(), storage)


def test_a_study_that_was_created_and_not_described_is_taken(storage: BaseStorage) -> None:
    optuna.create_study(storage=storage, study_name="mito", direction="maximize")
    study = open_study(config(start=START), data(), storage)
    assert "defined_by" in study.user_attrs
    assert enqueued(study) == list(START)


def test_a_study_that_was_killed_while_it_was_described_is_taken(
    storage: BaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = optuna.Study.set_user_attr

    def die(study: optuna.Study, key: str, value: Any) -> None:
        if key == "defined_by":
            raise KeyboardInterrupt
        write(study, key, value)

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "set_user_attr", die)
        with pytest.raises(KeyboardInterrupt):
            open_study(config(start=START), data(), storage)
    study = open_study(config(start=START), data(), storage)
    assert "defined_by" in study.user_attrs
    assert enqueued(study) == list(START)


def test_somebody_elses_study_is_not_written_into(storage: BaseStorage) -> None:
    foreign = optuna.create_study(storage=storage, study_name="mito", direction="maximize")
    foreign.tell(foreign.ask(), 1.0)
    with pytest.raises(InputError, match=r"^study\.name: the study 'mito' exists"):
        open_study(config(), data(), storage)
    assert foreign.user_attrs == {}


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_search_that_goes_on_does_not_draw_its_first_values_again(sampler: str) -> None:
    storage = optuna.storages.InMemoryStorage()
    searched = config(study={"sampler": sampler})
    for _ in range(4):
        study = open_study(searched, data(), storage)
        for _ in range(2):
            trial = study.ask()
            searched.build_space().suggest(trial)
            study.tell(trial, 0.5)
    assert len({trial.params["learning_rate"] for trial in study.trials}) == 8


def test_finalists_have_a_study_beside_the_searchs_own(storage: BaseStorage) -> None:
    open_study(config(), data(), storage)
    finalists = open_finalists(config(), storage)
    assert finalists.study_name == "mito/finalists"
    finalists.enqueue_trial({"depth": 2})
    assert len(open_finalists(config(), storage).trials) == 1
    assert open_study(config(), data(), storage).trials == []


def test_a_study_that_is_made_anew_knows_nothing_of_the_deleted_ones_finalists(
    storage: BaseStorage,
) -> None:
    first = open_study(config(), data(), storage)
    open_finalists(config(), storage).enqueue_trial({"depth": 2})
    token = token_of(config(), storage)
    assert token == open_study(config(), data(), storage).user_attrs["token"]
    assert len(open_finalists(config(), storage).trials) == 1

    # As the dashboard does.
    optuna.delete_study(study_name=first.study_name, storage=storage)
    assert token_of(config(), storage) is None
    study = open_study(config(), data(), storage)
    assert find_finalists(config(), study) is None
    assert token_of(config(), storage) != token


def test_a_study_is_found_where_a_search_has_made_it(
    tmp_path: Path, closing_storages: None
) -> None:
    from storage.database import database_from_environment
    from storage.studies import open_study_storage

    small = build_config(tmp_path / "runs")
    open_study(small, data(), open_study_storage(database_from_environment(tmp_path / "runs")))
    assert find_study(small).study_name == "mito"
    other = build_config(tmp_path / "runs", study={"name": "other"})
    with pytest.raises(InputError, match=r"^study\.name: .* found none named 'other'"):
        find_study(other)


def test_to_look_for_a_study_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"start it with `unet-search run`"):
        find_study(build_config(tmp_path / "runs"))
    assert list(tmp_path.iterdir()) == []


def test_states_of_a_refused_study_are_left_alone() -> None:
    storage = optuna.storages.InMemoryStorage()
    study = open_study(config(), data(), storage)
    study.ask()
    with pytest.raises(InputError):
        open_study(config(study={"epochs_per_trial": 9}), data(), storage)
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING]


def test_the_model_to_begin_with_is_part_of_what_a_study_is(
    storage: BaseStorage, tmp_path: Path
) -> None:
    run = Hyperparameters(depth=2, tile_size=16, learning_rate=2e-3)
    earlier = EarlierModel(tmp_path, "ab12", run)
    space = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "depth": 2, "tile_size": 16}
    begun = config(space=space, start=({"from": str(tmp_path)},))
    going_on = replace(data(), earlier=earlier)
    study = open_study(begun, going_on, storage)
    assert enqueued(study) == [{"learning_rate": 2e-3}]
    assert json.loads(study.user_attrs["defined_by"])["study"]["started_from"] == "ab12"
    open_study(begun, going_on, storage)
    for other in (data(), replace(data(), earlier=replace(earlier, sha256="cd34"))):
        with pytest.raises(InputError, match=r"study\.started_from = 'ab12', the config has "):
            open_study(begun, other, storage)


def test_a_model_that_the_space_does_not_hold_leaves_no_study(tmp_path: Path) -> None:
    storage = optuna.storages.InMemoryStorage()
    earlier = EarlierModel(tmp_path, "ab12", Hyperparameters(depth=1, tile_size=16))
    with pytest.raises(InputError, match=r"^start\[0\]\.from"):
        open_study(
            config(start=({"from": str(tmp_path)},)), replace(data(), earlier=earlier), storage
        )
    assert storage.get_all_studies() == []
