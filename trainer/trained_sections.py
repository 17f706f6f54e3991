"""Which sections of a volume a model has learned from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.split import split_sections
from trainer.volume import Volume


def find_trained_sections(card: Mapping[str, Any], volume: Volume) -> range:
    """The sections of this very volume that the model was trained on, or none.

    Args:
        card: The model's.
        volume: With its mask, which need not be the one that the model learned from.
    """
    known = _find(card, volume)
    return range(0) if known is None else _trained(card, known, len(volume.raw))


def find_validation_sections(card: Mapping[str, Any], volume: Volume) -> range:
    """The sections of this very volume that the model was chosen and tuned on, or none."""
    known = _find(card, volume)
    return range(0) if known is None else range(*known.get("validation", (0, 0)))


def find_guard_gap(card: Mapping[str, Any], volume: Volume) -> int:
    """How many sections of this very volume lie between two that share little; 0 if unknown."""
    known = _find(card, volume)
    return 0 if known is None else int(known.get("gap", 0))


def has_other_mask(card: Mapping[str, Any], volume: Volume) -> bool:
    """Whether the model has learned from the same grey values with another mask."""
    known = _find(card, volume)
    return known is not None and known.get("sha256") != volume.sha256


def _find(card: Mapping[str, Any], volume: Volume) -> Mapping[str, Any] | None:
    """What the card says of the volume, as its file has it."""
    data = card.get("data") or {}
    files = [each.get("file") or each for each in data.get("volumes") or [data]]
    # Where several volumes share their grey values, the one with this mask is meant.
    for key, own in (("sha256", volume.sha256), ("raw_sha256", volume.raw_sha256)):
        for known in files:
            if known.get(key) == own:
                return dict(known)
    return None


def _trained(card: Mapping[str, Any], known: Mapping[str, Any], sections: int) -> range:
    if card.get("train_on") != "all":
        return range(*known.get("train", (0, 0)))
    if "validation" not in known:
        return range(0)
    held = known.get("holdout")
    split = split_sections(
        sections,
        validation=(known["validation"][0], known["validation"][1]),
        gap=known.get("gap", 0),
        holdout=held and (held[0], held[1]),
        holdout_gap=known.get("holdout_gap"),
    )
    return split.all
