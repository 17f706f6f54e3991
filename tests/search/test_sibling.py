"""What the status tells of the study with the repeats and the final training."""

from __future__ import annotations

import optuna
from optuna.trial import TrialState

from search.enqueued_plans import RETIRED
from search.sibling import describe_sibling, sibling_row

NOTHING = {"device_hours_spent": 0.0, "money_spent": None}


def test_repeats_and_final_training_are_counted_apart_each_once() -> None:
    beside = optuna.create_study(study_name="mito/finalists")
    for finalist in (4, 4, 7, None):
        attributes = {} if finalist is None else {"finalist": finalist}
        beside.enqueue_trial({}, user_attrs=attributes)
    beside.tell(beside.ask(), 0.8)
    beside.ask().report(0.5, 2)
    # One that goes on as another trial, and one that made room for others.
    for attributes in ({"finalist": 7, "goes_on": True}, {"reason": RETIRED}):
        ended = optuna.trial.create_trial(state=TrialState.FAIL, user_attrs=attributes)
        beside.add_trial(ended)
    row = sibling_row(beside, {"device_hours_spent": 1.5, "money_spent": 3.0})
    assert row == {
        "study": "mito/finalists",
        "repeats": {"COMPLETE": 1, "RUNNING": 1, "WAITING": 1},
        "final": {"WAITING": 1},
        "running": [{"number": 1, "finalist": 4, "epochs": 2}],
        "device_hours_spent": 1.5,
        "money_spent": 3.0,
    }
    assert describe_sibling(row) == (
        "mito/finalists: repeats 1 COMPLETE, 1 RUNNING, 1 WAITING; final training 1 WAITING; "
        "running trial 1 after epoch 2; 1.50 device hours for 3.00 money"
    )


def test_a_final_training_alone_is_told_without_repeats_and_price() -> None:
    beside = optuna.create_study(study_name="mito/finalists")
    beside.ask()
    row = sibling_row(beside, NOTHING)
    assert (row["repeats"], row["final"], row["money_spent"]) == ({}, {"RUNNING": 1}, None)
    assert describe_sibling(row) == (
        "mito/finalists: final training 1 RUNNING; running trial 0 after epoch 0; 0.00 device hours"
    )
