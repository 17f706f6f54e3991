"""Trials that are known before a search begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

ONE_AT_A_TIME = "one_at_a_time"
PLANNED = ("grid", ONE_AT_A_TIME)
"""Samplers that know all of their trials before the search, and come to an end."""
CHANGE = "change"
"""User attribute of a trial: what its plan calls it."""


@dataclass(frozen=True)
class Planned:
    """One run of a plan.

    Attributes:
        params: Its values in the dimensions that matter in it.
        change: What it is called, where it has a name.
    """

    params: Mapping[str, Any]
    change: str | None = None


class Plan(Protocol):
    """Runs in an order, of which no two are the same."""

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def defaults(self) -> Mapping[str, Any]:
        """A value for each dimension, for a run of somebody else's that leaves it open."""

    def entry(self, index: int) -> Planned:
        """The run at a place, from 0 to below the size."""
