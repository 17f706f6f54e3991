from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from optuna_dashboard import get_note, save_note
from small_config import build_config

from search import lineage
from search.config import Config
from search.results import FINALISTS, WINNER
from search.study_note import StudyNote
from search.verdict import Finalist, Score


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(direction="maximize")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return build_config(tmp_path)


def finish(study: optuna.Study, config: Config, value: float) -> None:
    trial = study.ask()
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    for epoch in range(1, config.study.epochs_per_trial + 1):
        trial.report(value, epoch)
    for name in ("threshold", "precision", "recall"):
        trial.set_user_attr(name, 0.5)
    study.tell(trial, value)


def test_the_note_says_what_is_best_what_was_spent_and_what_is_next(
    study: optuna.Study, config: Config
) -> None:
    note = StudyNote(study, config)
    note.write("2 trials running")
    assert "no trial has finished yet" in get_note(study)
    finish(study, config, 0.75)
    note.write("2 trials running")
    text = get_note(study)
    assert "trial 0, validation Dice 0.7500" in text
    assert "learning_rate " in text
    assert "1 complete" in text
    assert "**Next:** 2 trials running" in text
    assert text.count("Best so far") == 1


def test_the_best_is_the_best_though_another_was_named_the_winner(
    study: optuna.Study, config: Config
) -> None:
    for value in (0.5, 0.75):
        finish(study, config, value)
    study.set_user_attr(WINNER, 0)
    StudyNote(study, config).write("going on")
    assert "**Best so far:** trial 1, validation Dice 0.7500" in get_note(study)
    assert "**Model of:** trial 0" in get_note(study)


def test_the_note_tells_the_finalists_with_their_spread(
    study: optuna.Study, config: Config
) -> None:
    scores = (Score(6, 0, 0.7), Score(7, 0, 0.8))
    named = [Finalist(3, 0.9, scores), Finalist(1, 0.8, scores[:1]), Finalist(2, 0.7, ())]
    study.set_user_attr(FINALISTS, [finalist.to_json() for finalist in named])
    StudyNote(study, config).write("all done")
    assert (
        "**Finalists, repeated:** trial 3: 0.7500 ± 0.0707 over 2 repeats; "
        "trial 1: 0.7000 over 1 repeat; trial 2: not repeated"
    ) in get_note(study)


def test_a_promoted_trial_is_counted_once(study: optuna.Study, config: Config) -> None:
    for _ in range(2):
        study.tell(study.ask(), state=TrialState.PRUNED)
    lineage.enqueue_promotion(study, 0)
    StudyNote(study, config).write("going on")
    assert "2 of 4 trials (1 pruned)" in get_note(study)


@pytest.mark.parametrize("before", ["", "mine, before\n"])
@pytest.mark.parametrize("after", ["", "\nmine, after"])
def test_what_people_write_stays(
    study: optuna.Study, config: Config, before: str, after: str
) -> None:
    note = StudyNote(study, config)
    note.write("first")
    save_note(study, before + get_note(study) + after)
    note.write("second")
    text = get_note(study)
    assert text.startswith(before)
    assert text.endswith(after)
    assert "second" in text
    assert "first" not in text


def test_a_note_that_was_there_before_stays(study: optuna.Study, config: Config) -> None:
    save_note(study, "of a person")
    StudyNote(study, config).write("next")
    assert get_note(study).endswith("\n\nof a person")


def test_a_section_whose_end_was_deleted_costs_nobody_a_word(
    study: optuna.Study, config: Config
) -> None:
    note = StudyNote(study, config)
    note.write("first")
    save_note(study, get_note(study).replace('[//]: # "to here"', "of a person"))
    note.write("second")
    assert "of a person" in get_note(study)
    assert "second" in get_note(study)


def test_it_is_written_twice_a_minute_at_most_and_only_where_it_has_changed(
    study: optuna.Study, config: Config
) -> None:
    now = [0.0]
    note = StudyNote(study, config, lambda: now[0])
    versions = []
    for now[0], step in ((0.0, "a"), (10.0, "b"), (29.0, "c"), (31.0, "d"), (62.0, "d")):
        note.keep(step)
        versions.append(
            (
                study._storage.get_study_system_attrs(study._study_id)["dashboard:note_ver"],
                get_note(study)[-30:-15],
            )
        )
    assert [version for version, _ in versions] == [1, 1, 1, 2, 2]
