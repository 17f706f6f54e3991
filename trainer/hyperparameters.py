"""Everything that defines one U-Net run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from trainer.errors import InputError

CHOICES: Mapping[str, tuple[str, ...]] = {
    "optimizer": ("adam", "adamw", "sgd"),
    "schedule": ("constant", "cosine"),
    "loss": ("bce", "dice", "log_dice", "bce_dice", "focal", "tversky"),
    "kernel": ("3x3", "effective_5x5", "5x5"),
    "activation": ("relu", "elu", "leaky_relu", "gelu", "silu"),
    "normalization": ("batch", "layer", "group", "none"),
    "upsampling": ("transpose", "resize"),
    "block": ("plain", "residual"),
    "gate": ("none", "attention"),
}
"""The words that each categorical hyperparameter knows."""

_LIMITS: Mapping[str, tuple[float, float]] = {
    "learning_rate": (1e-9, 100.0),
    "epsilon": (1e-16, 10.0),
    "beta_1": (0.0, 0.999999),
    "beta_2": (0.0, 0.9999999),
    "momentum": (0.0, 0.999999),
    "weight_decay": (0.0, 10.0),
    "batch_size": (1, 4096),
    "focal_gamma": (1.0, 10.0),
    "tversky_alpha": (0.0, 1.0),
    "depth": (1, 8),
    "filters": (1, 1024),
    "dropout": (0.0, 0.95),
    "tile_size": (8, 4096),
    "flip_probability": (0.0, 1.0),
    "rotation_degrees": (0.0, 180.0),
    "zoom": (0.0, 0.9),
    "brightness": (0.0, 1.0),
    "contrast": (0.0, 0.9),
}


@dataclass(frozen=True)
class Hyperparameters:
    """One U-Net run: the optimizer, the network and the tiles it learns from.

    The network and optimizer default to the baseline of the 2019 report: levels of 32 to 512
    filters, 1024 at the centre, batch normalization, Adam as Keras sets it.

    Attributes:
        optimizer: `adam`, `adamw` or `sgd` (with Nesterov momentum).
        learning_rate: The highest learning rate of the schedule.
        beta_1: Decay of Adam's mean of gradients.
        beta_2: Decay of Adam's mean of squared gradients.
        epsilon: Adam's smoothing term against division by zero.
        momentum: Of `sgd` alone.
        weight_decay: Of `adamw` alone.
        schedule: `constant`, or `cosine` from the learning rate down to 0 over the whole run.
        batch_size: Tiles in one step.
        loss: `bce`, `dice`, `log_dice`, `bce_dice` (their sum), `focal` or `tversky`.
        focal_gamma: Of `focal` alone: how much less a voxel counts that is right already.
        tversky_alpha: Of `tversky` alone: what false foreground counts against missed; 0.5 is Dice.
        depth: How often the resolution is halved on the way to the centre.
        filters: Of the first level; every level below has twice as many.
        kernel: `3x3` (two convolutions a level), `effective_5x5` (three) or `5x5` (two true ones).
        activation: After each convolution.
        normalization: `batch`, `layer` (per example, over rows, columns and features), `group`
            (the same over 8 features at a time) or `none`.
        dropout: Share of features dropped between the two convolutions of a level.
        upsampling: `transpose` (2 x 2 transposed convolution) or `resize` (twice the size, then a
            3 x 3 convolution, which leaves no checkerboard).
        block: `plain`, or `residual`, where a level's input is added to its output.
        gate: `none`, or `attention`, which lets through what the level below points at.
        tile_size: Side of the square tiles, in voxels.
        flip_probability: Of a mirrored tile, along each axis.
        rotation_degrees: Tiles are turned by up to this angle, either way.
        zoom: Tiles are scaled by a factor between 1 / (1 + zoom) and 1 + zoom.
        brightness: Largest shift of intensity, in units of the volume's intensity range.
        contrast: Largest relative change of contrast.
    """

    optimizer: str = "adam"
    learning_rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    momentum: float = 0.9
    weight_decay: float = 0.004
    schedule: str = "cosine"
    batch_size: int = 8
    loss: str = "bce_dice"
    focal_gamma: float = 2.0
    tversky_alpha: float = 0.3
    depth: int = 5
    filters: int = 32
    kernel: str = "3x3"
    activation: str = "relu"
    normalization: str = "batch"
    dropout: float = 0.0
    upsampling: str = "transpose"
    block: str = "plain"
    gate: str = "none"
    tile_size: int = 256
    flip_probability: float = 0.5
    rotation_degrees: float = 180.0
    zoom: float = 0.1
    brightness: float = 0.1
    contrast: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name), field.default)
        if self.tile_size % self.halvings:
            raise InputError(
                f"tile_size: expected a multiple of {self.halvings} (depth {self.depth} halves it "
                f"{self.depth} times), got {self.tile_size}; change tile_size or depth"
            )

    @property
    def halvings(self) -> int:
        """The factor between the first level's resolution and the centre's."""
        return int(2**self.depth)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Hyperparameters:
        """Takes names and values as a study or a model card keeps them.

        Raises:
            InputError: A name that is no hyperparameter, or a value out of its range.
        """
        known = {field.name for field in fields(cls)}
        for name in values:
            if name not in known:
                raise InputError(
                    f"{name}: expected one of {', '.join(sorted(known))}; correct the name"
                )
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """The values under their names, as JSON can hold them."""
        return asdict(self)


def _check(name: str, value: Any, default: Any) -> None:
    """Refuses a value that no run could be made from, in a line that quotes it."""
    if isinstance(default, str):
        if value not in CHOICES[name]:
            raise InputError(f"{name}: expected one of {', '.join(CHOICES[name])}, got {value!r}")
        return
    kind = int if isinstance(default, int) else (int, float)
    expected = "a whole number" if isinstance(default, int) else "a number"
    if isinstance(value, bool) or not isinstance(value, kind):
        raise InputError(f"{name}: expected {expected}, got {value!r}")
    low, high = _LIMITS[name]
    if not low <= value <= high:
        raise InputError(f"{name}: expected {expected} from {low:g} to {high:g}, got {value!r}")
