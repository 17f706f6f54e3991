"""Checkpoints of finalists and of their repeats: whom they judge, and what is done without them."""

from __future__ import annotations

import shutil

import pytest
from finalist_scene import Scene

from search.config import Config
from search.members import repeat_sources
from search.results import ranked
from search.run import SearchRun
from trainer.errors import InputError


@pytest.mark.parametrize("train_on", ["train", "all"])
def test_repeats_judge_where_the_model_has_seen_every_section(scene: Scene, train_on: str) -> None:
    scene.run(final={"train_on": train_on})
    (judges,) = scene.judged
    # Of 12 sections the last two validate the search, and the first two are fold 1.
    own = [(5, range(10, 12))]
    assert judges == (own if train_on == "train" else [(6, range(10, 12)), (6, range(2))])
    of = scene.cards[0]["validation"]["of"]
    assert of.startswith("this model" if train_on == "train" else "repeats of the search's trial")


def test_the_models_of_repeats_are_there_to_judge_by(scene: Scene) -> None:
    result = scene.run()
    for finalist in result.finalists:
        repeats = repeat_sources(scene.config, scene.study, finalist.number)
        assert [source.fold for source in repeats] == [0, 1]
        assert all(source.is_repeat and not source.is_final for source in repeats)
        assert [source.trial.value for source in repeats] == [s.dice for s in finalist.scores]


def test_a_repeat_whose_checkpoint_is_damaged_judges_nothing(scene: Scene) -> None:
    scene.run(final={"train_on": "all"})
    for damaged in (scene.config.folder / "repeats").rglob("epoch-*.npz"):
        damaged.write_bytes(b"")
    # Another winner's model is made anew.
    scene.run(final={"epochs": 6})
    assert scene.judged[1] == [(5, range(10, 12))]


def test_without_repeats_there_are_no_members(scene: Scene) -> None:
    result = scene.run(finalists={"count": 1})
    assert result.winner is not None
    study = scene.study
    assert repeat_sources(scene.config, study, result.winner.number) == []


def damage(config: Config, trial: int) -> None:
    for path in (config.checkpoints / f"{trial:05d}").iterdir():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("count", [1, 2])
def test_a_trial_whose_checkpoint_is_lost_is_no_finalist(scene: Scene, count: int) -> None:
    assert scene.run(finalists={"count": 4}, study={"keep": 4}).model
    first, second, third, _ = ranked(scene.study, scene.config)[:4]
    damage(scene.config, first.number)
    said: list[str] = []
    scene.config = scene.config.model_copy(
        update={"finalists": scene.config.finalists.model_copy(update={"count": count})}
    )
    result = SearchRun(scene.config, said.append).run()
    assert f"trial {first.number} is left out: no readable checkpoint of it" in said
    assert result.model
    assert result.winner
    assert result.winner.number in {second.number, third.number}
    assert len(result.finalists) == (count if count > 1 else 0)


def test_without_any_checkpoint_the_search_says_so(scene: Scene) -> None:
    assert scene.run().model
    shutil.rmtree(scene.config.checkpoints)
    with pytest.raises(
        InputError, match=r"^study\.runs: expected a readable checkpoint of a trial"
    ):
        scene.run()
