"""The table of a baseline and its changes."""

from __future__ import annotations

from optuna.trial import TrialState

from search.change_table import build_change_table, table_of
from search.report_runs import Run


def test_changes_stand_beside_what_was_reported() -> None:
    facts = {"change": "baseline; Default", "train_dice": 0.6, "epoch_seconds": 3.0}
    done = Run(0, TrialState.COMPLETE, {}, {1: 0.4}, 0.4, True, facts)
    reported = {"Default": {"train_dice": 0.5, "validation_dice": 0.18}, "Other": {}}
    default, other = build_change_table([done], reported)
    assert (default.number, default.measured["validation_dice"]) == (0, 0.4)
    assert (other.number, other.reason) == (None, "not tried yet")
    head, body = table_of([default, other])
    assert head == [
        "change",
        "trial",
        "train dice",
        "train dice, reported",
        "validation dice",
        "validation dice, reported",
        "",
    ]
    assert body == [
        ["Default", "0", 0.6, 0.5, 0.4, 0.18, ""],
        ["Other", "–", None, None, None, None, "not tried yet"],
    ]


def test_without_reported_numbers_every_measured_one_is_shown() -> None:
    facts = {"change": "dropout = 0.5", "loss": 0.7, "train_dice": 0.6}
    done = Run(4, TrialState.COMPLETE, {}, {1: 0.4}, 0.4, True, facts)
    head, body = table_of(build_change_table([done], {}))
    assert head == ["change", "trial", "training loss", "train dice", "validation dice"]
    assert body == [["dropout = 0.5", "4", 0.7, 0.6, 0.4]]
