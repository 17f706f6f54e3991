"""A whole search with repeats of its finalists: kills, larger budgets, failures."""

from __future__ import annotations

from collections import Counter

import pytest
from fake_workers import Killed
from finalist_scene import Scene
from optuna.trial import TrialState

from search import run
from search.assignment import Failure
from search.results import FINALISTS, WINNER, best_rows, ranked
from storage.checkpoints import CheckpointStore

DIVERGED = Failure("diverged", "the loss became nan in epoch 2")


def test_the_luckiest_run_of_the_search_does_not_win(scene: Scene) -> None:
    result = scene.run()
    luckiest, second, third = ranked(scene.study, scene.config)[:3]
    assert result.ending.kind == "done"
    assert result.winner is not None
    assert result.winner.number == second.number
    assert [each.number for each in result.finalists] == [
        second.number, third.number, luckiest.number
    ]  # fmt: skip
    named = result.finalists[0]
    assert named.mean == pytest.approx((second.value or 0) + 0.001 * (6 + 5))
    assert named.std == pytest.approx(0.01 / 2**0.5)
    assert [(score.seed, score.fold) for score in named.scores] == [(6, 0), (6, 1)]
    assert scene.study.user_attrs[FINALISTS] == [each.to_json() for each in result.finalists]
    rows = best_rows(scene.study, scene.config, 10)
    assert rows[0]["number"] == scene.study.user_attrs[WINNER] == second.number
    assert [row["repeats"] is None for row in rows] == [False, False, False, True]
    (card,) = scene.cards
    assert (card["trial"], card["finalists"], card["smallest"]) == (
        second.number, scene.study.user_attrs[FINALISTS], 7
    )  # fmt: skip


def test_a_study_with_two_objectives_comes_to_a_winner_and_its_model(scene: Scene) -> None:
    result = scene.run(study={"second_objective": "parameters"})
    luckiest, second, third = ranked(scene.study, scene.config)[:3]
    assert result.ending.kind == "done"
    assert [each.number for each in result.finalists] == [
        second.number, third.number, luckiest.number
    ]  # fmt: skip
    assert [each.value for each in result.finalists] == [
        trial.values[0] for trial in (second, third, luckiest)
    ]
    assert result.model is not None
    assert [card["trial"] for card in scene.cards] == [second.number]
    # The winner leads though it is not on the Pareto front: here the luckiest is smaller too.
    assert luckiest.values[1] < second.values[1]
    rows = best_rows(scene.study, scene.config, 10)
    assert [row["number"] for row in rows][:2] == [second.number, luckiest.number]


def test_each_part_of_a_search_is_shown_against_its_own_number_of_trials(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.run()
    last: dict[str, str] = {}
    for line in capsys.readouterr().err.splitlines():
        title, found, cells = line.partition(": trials ")
        if found:
            last[title.partition(" ")[0]] = cells.partition(",")[0]
    # The final training is the seventh trial of the study that holds the repeats.
    assert last == {"mito": "4/4", "finalists": "6/6", "final": "7/7"}


def test_repeats_and_final_training_show_what_they_cost(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.run(budget={"price_per_device_hour": 2.0})
    lines = capsys.readouterr().err.splitlines()
    for title in ("finalists", "final training"):
        shown = [line for line in lines if line.startswith(title) and ": trials " in line]
        assert shown
        assert all(", cost " in line for line in shown)


def test_every_finalist_is_repeated_with_each_seed_on_each_fold(scene: Scene) -> None:
    scene.run(finalists={"seeds": 2})
    begun = scene.begun("repeats")
    assert Counter((each.seed, each.fold) for each in begun) == dict.fromkeys(
        [(6, 0), (7, 0), (6, 1), (7, 1)], 3
    )
    assert {(each.epochs, each.train_on) for each in begun} == {(3, "train")}
    assert {each.seed for each in scene.begun("trials")} == {5}
    assert len(scene.trained("repeats")) == 12 * 3
    # The search has its own budget: repeats are no trials of it.
    assert len(scene.study.trials) == 4


def test_nothing_is_repeated_twice(scene: Scene) -> None:
    first = scene.run()
    again = scene.run()
    assert (again.winner, again.finalists) == (first.winner, first.finalists)
    assert len(scene.trained("repeats")) == 6 * 3
    assert len(scene.begun("finalists")) == 1


def test_a_search_killed_among_its_repeats_goes_on_with_them(scene: Scene) -> None:
    scene.scripts["repeats"] = {(2, 2): Killed}
    with pytest.raises(Killed):
        scene.run()
    assert WINNER not in scene.study.user_attrs
    scene.scripts.clear()
    result = scene.run()
    assert result.ending.kind == "done"
    assert result.winner is not None
    assert result.winner.number == ranked(scene.study, scene.config)[1].number
    assert all(len(each.scores) == 2 for each in result.finalists)
    # What the kill cost is at most the epoch that was under way in each slot.
    assert 18 <= len(scene.trained("repeats")) <= 20
    gone_on = [t for t in scene.repeated.trials if "retried_from" in t.user_attrs]
    assert gone_on
    for trial in gone_on:
        before = scene.repeated.trials[trial.user_attrs["retried_from"]]
        for name in ("plan", "finalist", "repeat_seed", "fold"):
            assert trial.user_attrs[name] == before.user_attrs[name]


def test_an_interrupted_repeat_names_no_winner(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stages = [stage for stage, _ in scene.workers]
        patch.setattr(run.Interruption, "requested", lambda _: len(scene.trained("repeats")) >= 4)
        result = scene.run()
        assert (result.ending.kind, result.model, stages) == ("interrupted", None, [])
    assert {FINALISTS, WINNER}.isdisjoint(scene.study.user_attrs)
    assert scene.run().ending.kind == "done"
    assert len(scene.trained("repeats")) == 18


def test_a_larger_budget_names_the_winner_anew_from_what_is_new(scene: Scene) -> None:
    first = scene.run()
    before = len(scene.trained("repeats"))
    second = scene.run(budget={"trials": 9})
    best = [trial.number for trial in ranked(scene.study, scene.config)[:3]]
    assert {each.number for each in second.finalists} == set(best)
    known = {each.number for each in first.finalists}
    new = set(best) - known
    assert new, "the larger search found nothing better: choose another seed"
    assert len(scene.trained("repeats")) - before == len(new) * 2 * 3
    assert second.winner is not None
    assert second.winner.number == second.finalists[0].number != first.finalists[0].number
    # Checkpoints of those that are finalists no longer are not kept.
    kept = CheckpointStore(scene.config.folder / "repeats").trials()
    trials = scene.repeated.trials
    assert {trials[number].user_attrs["finalist"] for number in kept} == set(best)


def test_a_repeat_that_diverges_counts_against_its_finalist(scene: Scene) -> None:
    # Trials 0 and 1 repeat the luckiest, 2 and 3 the second, on either fold.
    scene.scripts["repeats"] = {(2, 2): DIVERGED}
    result = scene.run()
    _, second, third = ranked(scene.study, scene.config)[:3]
    assert result.ending.kind == "done"
    assert result.winner is not None
    assert result.winner.number == third.number
    spoiled = next(each for each in result.finalists if each.number == second.number)
    assert spoiled.scores[0].dice == 0.0
    scene.scripts.clear()
    assert scene.run().winner == result.winner
    assert len(scene.begun("repeats")) == 6


def test_a_repeat_that_failed_for_another_reason_is_run_again_by_the_next_run(
    scene: Scene,
) -> None:
    scene.scripts["repeats"] = {(2, 2): Failure("error", "OSError: the file system is gone")}
    result = scene.run()
    _, second, third = ranked(scene.study, scene.config)[:3]
    assert result.ending.kind == "failed"
    expected = f"trial {second.number} with seed 6 on fold 0: OSError: the file system is gone"
    assert expected in result.ending.reason
    assert result.winner is not None
    assert result.winner.number == third.number
    assert result.model is not None
    scene.scripts.clear()
    again = scene.run()
    assert again.ending.kind == "done"
    assert again.winner is not None
    assert again.winner.number == second.number
    assert len(scene.begun("repeats")) == 7


def test_one_finalist_alone_is_not_repeated(scene: Scene) -> None:
    scene.run(finalists={"count": 1})
    assert scene.begun("repeats") == []
    assert scene.study.user_attrs[FINALISTS] == []
    assert scene.study.user_attrs[WINNER] == ranked(scene.study, scene.config)[0].number


def test_a_search_of_one_trial_has_nothing_to_choose_between(scene: Scene) -> None:
    result = scene.run(budget={"trials": 1})
    assert (result.ending.kind, result.finalists) == ("done", ())
    assert scene.begun("repeats") == []


def test_fewer_finalists_than_before_take_the_earlier_ones_place(scene: Scene) -> None:
    scene.run()
    scene.run(finalists={"count": 1})
    assert scene.study.user_attrs[FINALISTS] == []


def test_an_interrupted_final_training_goes_on_after_the_repeats_are_looked_at(
    scene: Scene,
) -> None:
    scene.scripts["finalists"] = {(6, 3): Killed}
    with pytest.raises(Killed):
        scene.run()
    assert FINALISTS in scene.study.user_attrs
    scene.scripts.clear()
    scene.run()
    assert [epoch for _, epoch in scene.trained("finalists")] == [1, 2, 3, 4, 5]
    assert len(scene.trained("repeats")) == 18


def test_a_final_training_that_made_room_for_repeats_goes_on_from_where_it_was(
    scene: Scene,
) -> None:
    scene.scripts["finalists"] = {(6, 3): Killed}
    with pytest.raises(Killed):
        scene.run()
    scene.scripts.clear()
    # Another repeat of each, which changes nothing about the winner.
    scene.run(finalists={"seeds": 2})
    assert len(scene.trained("repeats")) == 36
    assert [epoch for _, epoch in scene.trained("finalists")] == [1, 2, 3, 4, 5]
    assert [card["epochs"] for card in scene.cards] == [5]


def test_a_repeat_told_by_somebody_else_is_run(scene: Scene) -> None:
    scene.scripts["repeats"] = {(1, 1): Killed}
    with pytest.raises(Killed):
        scene.run()
    scene.scripts.clear()
    other = scene.repeated
    waiting = other.get_trials(states=(TrialState.WAITING,))[0]
    asked = other.ask()
    assert asked.number == waiting.number
    other.tell(asked, 0.99)
    result = scene.run()
    assert result.ending.kind == "done"
    assert all(score.dice < 0.99 for each in result.finalists for score in each.scores)
    assert all(len(each.scores) == 2 for each in result.finalists)
