"""What a search may cost, and what it has cost so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Limits of a whole study; the one that is reached first ends the search.

    Attributes:
        trials: Trials begun. Those that go on from another one do not count.
        epochs: Epochs trained, by all trials together.
        hours: Hours of the search, restarts added up.
        device_hours: Hours that trials held their devices, added up over the devices.
        money: What the device hours may cost, in the unit of the price.
        price_per_device_hour: What one of them costs.
    """

    trials: int | None = None
    epochs: int | None = None
    hours: float | None = None
    device_hours: float | None = None
    money: float | None = None
    price_per_device_hour: float | None = None

    def spent_by(self, spent: Spent) -> str | None:
        """Names the limit that ends every trial, or None while there is something left."""
        limits = (
            (self.epochs, spent.epochs, "epochs"),
            (self.hours, spent.seconds / 3600, "hours"),
            (self.device_hours, spent.device_seconds / 3600, "device hours"),
            (self.money, self.cost(spent), "money"),
        )
        for limit, used, what in limits:
            if limit is not None and used is not None and used >= limit:
                amount = f"{limit:g} of money" if what == "money" else f"{limit:g} {what}"
                return f"the budget of {amount} is spent"
        return None

    def cost(self, spent: Spent) -> float | None:
        """What has been spent in money, where the price is known."""
        if self.price_per_device_hour is None:
            return None
        return spent.device_seconds / 3600 * self.price_per_device_hour

    def allows_another(self, spent: Spent) -> bool:
        """Whether one more trial may begin."""
        return self.trials is None or spent.trials < self.trials


@dataclass
class Spent:
    """What a study has cost so far, earlier runs of it included."""

    trials: int = 0
    epochs: int = 0
    seconds: float = 0.0
    device_seconds: float = 0.0
