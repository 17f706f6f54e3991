"""What a search has cost, and what its finalists have cost beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import optuna

from search.config import Config
from search.results import budget_row
from search.study import find_finalists


@dataclass(frozen=True)
class Cost:
    """Of a study.

    Attributes:
        hours: That it ran, restarts added up.
        device_hours: That its trials held their devices, added up over the devices.
        money: What these cost, where the price of one is known.
    """

    hours: float = 0.0
    device_hours: float = 0.0
    money: float | None = None

    def __add__(self, other: Cost) -> Cost:
        money = None if self.money is None else self.money + (other.money or 0.0)
        return Cost(self.hours + other.hours, self.device_hours + other.device_hours, money)

    def describe(self, price: float | None) -> str:
        """In words, with units.

        Args:
            price: Of a device hour, in the money of the config, which names no currency.
        """
        text = f"{self.hours:.2f} h, {self.device_hours:.2f} device hours"
        if self.money is None or price is None:
            return text
        return f"{text}, {self.money:.2f} in money ({price:g} for a device hour)"


@dataclass(frozen=True)
class Costs:
    """Of a search and what follows it.

    Attributes:
        search: The search alone.
        finalists: Their repeats and the final training; None where the study has none.
        price: Of a device hour, where it is known.
    """

    search: Cost = Cost()
    finalists: Cost | None = None
    price: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As `report.json` has it."""
        finalists = self.finalists and asdict(self.finalists)
        together = self.search + (self.finalists or Cost())
        return {
            "search": asdict(self.search),
            "finalists": finalists,
            "together": asdict(together),
        }


def read_costs(study: optuna.Study, config: Config, spent: Mapping[str, Any]) -> Costs:
    """What a study and the one of its finalists have spent.

    Args:
        study: The search.
        config: Of the search.
        spent: What the search has, as `status --json` prints it.
    """
    repeated, budget, finalists = find_finalists(config, study), config.build_budget(), None
    if repeated is not None:
        finalists = _cost(budget_row(repeated, budget, repeated.get_trials(deepcopy=False)))
    return Costs(_cost(spent), finalists, config.budget.price_per_device_hour)


def _cost(row: Mapping[str, Any]) -> Cost:
    return Cost(row["hours_spent"], row["device_hours_spent"], row["money_spent"])
