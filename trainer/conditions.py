"""Which hyperparameters matter beside which values of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from trainer.hyperparameters import Hyperparameters

Condition = tuple[str, ...] | int
"""What another hyperparameter must be: one of these words, or above this number."""

CONDITIONS: Mapping[str, Mapping[str, Condition]] = {
    each.name: each.metadata["only"] for each in fields(Hyperparameters) if each.metadata["only"]
}
"""Under which values of others a hyperparameter matters; one that is not here always does.

All of them must be so: what one of the others depends on is named as well.
"""


def matters(name: str, values: Mapping[str, Any]) -> bool:
    """Whether a hyperparameter has any effect beside these values of others."""
    return all(
        fulfils(values.get(other, getattr(Hyperparameters, other)), condition)
        for other, condition in CONDITIONS.get(name, {}).items()
    )


def fulfils(value: Any, condition: Condition) -> bool:
    """Whether a value is one of a condition's words, or above its number."""
    return value in condition if isinstance(condition, tuple) else bool(value > condition)


def describe_condition(condition: Condition) -> str:
    """What the other one must be, in words."""
    return " or ".join(condition) if isinstance(condition, tuple) else f"above {condition}"
