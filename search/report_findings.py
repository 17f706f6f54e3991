"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.boundaries import EdgeCheck
from search.change_table import ChangeRow
from search.interactions import Interaction
from search.report_costs import Costs
from search.report_front import SecondObjective
from search.report_runs import Run
from search.space import Space


@dataclass(frozen=True)
class Findings:
    """All that a page is made of.

    Attributes:
        study: Its name.
        runs: Of the study.
        space: What was searched.
        rungs: Epochs after which a run may have been stopped.
        epochs: Of a run that was trained to its end.
        budget: What it may cost and has cost, as `status --json` prints it.
        importances: Of each dimension, the largest first; empty where they cannot be told.
        interactions: The strongest pair first; None where no two things were varied together.
        edges: Ends of dimensions that the best runs crowd at, and what they cannot tell.
        costs: Of the search, and of its finalists where there are any.
        finalists: With the scores of their repeats, the winner first.
        changes: Of a baseline, where the study tried any.
        pictures: JPEGs of validation sections, by trial number.
        data: What is known of the volume, or of each of several.
        winner: Number of the trial whose model was saved.
        second: The second objective, where the study has one.
    """

    study: str
    runs: Sequence[Run]
    space: Space
    rungs: Sequence[int]
    epochs: int
    budget: Mapping[str, Any]
    importances: Mapping[str, float] = field(default_factory=dict)
    interactions: Sequence[Interaction] | None = ()
    edges: EdgeCheck = field(default_factory=EdgeCheck)
    costs: Costs = field(default_factory=Costs)
    finalists: Sequence[Mapping[str, Any]] = ()
    changes: Sequence[ChangeRow] = ()
    pictures: Mapping[int, bytes] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    winner: int | None = None
    second: SecondObjective | None = None
