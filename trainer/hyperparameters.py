"""Everything that defines one U-Net run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any

from trainer.anisotropy import plan_pooling
from trainer.errors import InputError


def _word(default: str, choices: tuple[str, ...], meaning: str, **only: Any) -> Any:
    return field(default=default, metadata={"choices": choices, "meaning": meaning, "only": only})


def _number(default: float, low: float, high: float, meaning: str, **only: Any) -> Any:
    limits = (low, high)
    return field(default=default, metadata={"limits": limits, "meaning": meaning, "only": only})


_ADAM = ("adam", "adamw")
_KERNELS = {"3x3": (3, 2), "effective_5x5": (3, 3), "5x5": (5, 2)}


@dataclass(frozen=True)
class Hyperparameters:
    """One U-Net run: the optimizer, the network and the tiles it learns from.

    The network and optimizer default to the baseline of the 2019 report: levels of 32 to 512
    filters, 1024 at the centre, batch normalization, Adam as Keras sets it. Each field carries
    its meaning; `docs/dimensions.md` lists them.
    """

    optimizer: str = _word(
        "adam", ("adam", "adamw", "sgd"), "How weights follow their gradients; sgd is Nesterov's."
    )
    learning_rate: float = _number(1e-3, 1e-9, 100.0, "The highest one of the schedule.")
    beta_1: float = _number(0.9, 0.0, 0.999999, "Decay of the mean of gradients.", optimizer=_ADAM)
    beta_2: float = _number(
        0.999, 0.0, 0.9999999, "Decay of the mean of squared gradients.", optimizer=_ADAM
    )
    epsilon: float = _number(
        1e-7, 1e-16, 10.0, "Smoothing against division by zero.", optimizer=_ADAM
    )
    momentum: float = _number(
        0.9, 0.0, 0.999999, "Share of the last step that is added to the next.", optimizer=("sgd",)
    )
    weight_decay: float = _number(
        0.004,
        0.0,
        10.0,
        "Share of weights that a step takes, times its rate.",
        optimizer=("adamw",),
    )
    schedule: str = _word(
        "cosine",
        ("constant", "cosine", "linear", "exponential"),
        "How the learning rate falls over the run: to 0, or exponentially to a hundredth.",
    )
    warmup: float = _number(
        0.0, 0.0, 0.9, "Share of the run in which the learning rate rises from 0."
    )
    ema_momentum: float = _number(
        0.0, 0.0, 0.99999, "Of the moving average of weights that is judged and kept; 0 for none."
    )
    batch_size: int = _number(8, 1, 4096, "Tiles in one step.")
    loss: str = _word(
        "bce_dice",
        ("bce", "dice", "log_dice", "bce_dice", "focal", "tversky"),
        "What training makes small: binary cross-entropy, Dice and their kin.",
    )
    focal_gamma: float = _number(
        2.0, 1.0, 10.0, "How much less a voxel counts that is right already.", loss=("focal",)
    )
    tversky_alpha: float = _number(
        0.3, 0.0, 1.0, "Weight of false foreground against missed; 0.5 is Dice.", loss=("tversky",)
    )
    dimensions: str = _word(
        "2d",
        ("2d", "3d"),
        "Whether convolutions see a section, or a stack of them that is segmented as a whole.",
    )
    depth: int = _number(5, 1, 8, "How often the resolution is halved on the way to the centre.")
    filters: int = _number(32, 1, 1024, "At the first level; each one below has twice as many.")
    outer_levels: int = _number(
        0,
        -2,
        4,
        "Levels added at both ends, each with half the filters of the next; removed below 0.",
    )
    centre_levels: int = _number(
        0, 0, 4, "Levels added at the centre, each with twice the filters of the one above."
    )
    stem_stride: int = _number(
        1, 1, 8, "Side of the squares of voxels that enter the first level as one: 1, 2, 4 or 8."
    )
    kernel: str = _word(
        "3x3",
        tuple(_KERNELS),
        "Of a level: two 3 x 3 convolutions, three of them, or two true 5 x 5; cubes in 3D.",
    )
    activation: str = _word(
        "relu", ("relu", "elu", "leaky_relu", "gelu", "silu"), "After each convolution."
    )
    normalization: str = _word(
        "batch",
        ("batch", "layer", "group", "none"),
        "Over a batch, per example over all its features, over 8 features at a time, or none.",
    )
    dropout: float = _number(
        0.0, 0.0, 0.95, "Share of features dropped between a level's convolutions."
    )
    upsampling: str = _word(
        "transpose",
        ("transpose", "resize"),
        "Of a level: a 2 x 2 transposed convolution, or enlarging and a 3 x 3 convolution.",
    )
    block: str = _word(
        "plain", ("plain", "residual"), "Whether a level's input is added to its output."
    )
    gate: str = _word(
        "none",
        ("none", "attention"),
        "Whether the level below weighs what passes straight across.",
    )
    section_channels: int = _number(
        1,
        1,
        15,
        "Sections that the network sees, an odd number around the one it segments.",
        dimensions=("2d",),
    )
    section_step: int = _number(
        1,
        1,
        32,
        "How many sections lie from one of them to the next.",
        dimensions=("2d",),
        section_channels=1,
    )
    planar_levels: int = _number(
        0,
        0,
        8,
        "First levels that convolve and pool in the plane alone; where the space does not name it, "
        "as many as the volume's voxels ask for.",
        dimensions=("3d",),
    )
    tile_size: int = _number(256, 8, 4096, "Side of the square tiles, in voxels.")
    tile_sections: int = _number(16, 1, 1024, "Sections of a tile.", dimensions=("3d",))
    tile_placement: str = _word(
        "random",
        ("random", "grid"),
        "Where tiles lie: anywhere, or in the cells of a fixed grid as in the report.",
    )
    foreground_share: float = _number(
        0.0, 0.0, 1.0, "Share of tiles that are centred on foreground.", tile_placement=("random",)
    )
    flip_probability: float = _number(
        0.5, 0.0, 1.0, "Chance of a mirrored tile, for each axis; in 3D for z as well."
    )
    flip_axes: str = _word(
        "both",
        ("both", "vertical", "horizontal"),
        "Which way tiles are mirrored in the plane.",
        flip_probability=0,
    )
    rotation_probability: float = _number(1.0, 0.0, 1.0, "Chance of a turned tile.")
    rotation_degrees: float = _number(
        180.0, 0.0, 180.0, "Largest angle, either way.", rotation_probability=0
    )
    zoom_probability: float = _number(1.0, 0.0, 1.0, "Chance of a scaled tile.")
    zoom: float = _number(
        0.1, 0.0, 0.9, "Factors from 1 / (1 + zoom) to 1 + zoom.", zoom_probability=0
    )
    shift_probability: float = _number(
        0.0, 0.0, 1.0, "Chance of a tile moved out of its cell.", tile_placement=("grid",)
    )
    shift: float = _number(
        0.1,
        0.0,
        1.0,
        "Largest move along each axis, in sides of a tile.",
        tile_placement=("grid",),
        shift_probability=0,
    )
    elastic_probability: float = _number(0.0, 0.0, 1.0, "Chance of an elastically deformed tile.")
    elastic_alpha: float = _number(
        120.0, 0.0, 10000.0, "Factor on the smoothed displacements.", elastic_probability=0
    )
    elastic_sigma: float = _number(
        10.0, 1.0, 200.0, "Width of that smoothing, in voxels.", elastic_probability=0
    )
    brightness_probability: float = _number(1.0, 0.0, 1.0, "Chance of a brighter or darker tile.")
    brightness: float = _number(
        0.1,
        0.0,
        1.0,
        "Largest shift, in units of the volume's intensity range.",
        brightness_probability=0,
    )
    contrast_probability: float = _number(1.0, 0.0, 1.0, "Chance of a changed contrast.")
    contrast: float = _number(
        0.1, 0.0, 0.9, "Largest relative change of contrast.", contrast_probability=0
    )
    blur_probability: float = _number(0.0, 0.0, 1.0, "Chance of a tile out of focus.")
    blur_sigma: float = _number(
        1.0, 0.0, 10.0, "Largest width of the Gaussian, in voxels.", blur_probability=0
    )
    noise_probability: float = _number(0.0, 0.0, 1.0, "Chance of a tile with Gaussian noise.")
    noise: float = _number(
        0.05,
        0.0,
        1.0,
        "Largest deviation, in units of the volume's intensity range.",
        noise_probability=0,
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            _check(each, getattr(self, each.name))
        if self.section_channels % 2 == 0:
            raise InputError(
                f"section_channels: expected an odd number, got {self.section_channels}; "
                "as many sections are seen above as below"
            )
        if self.outer_levels + self.depth + self.centre_levels < 1:
            raise InputError(
                f"outer_levels: expected at least {1 - self.depth - self.centre_levels}, so that "
                f"of depth = {self.depth} a level is left, got {self.outer_levels}; "
                "change outer_levels or depth"
            )
        if self.filters % 2 ** max(0, self.outer_levels):
            raise InputError(
                f"outer_levels: expected as many as filters = {self.filters} can be halved, "
                f"got {self.outer_levels}; change outer_levels or filters"
            )
        if self.stem_stride not in (1, 2, 4, 8):
            raise InputError(f"stem_stride: expected 1, 2, 4 or 8, got {self.stem_stride}")
        if self.tile_size % self.halvings:
            raise InputError(
                f"tile_size: expected a multiple of {self.halvings} (stem_stride = "
                f"{self.stem_stride}, then halved {len(self.level_filters) - 1} times), "
                f"got {self.tile_size}; change tile_size, stem_stride or depth"
            )
        if self.tile_sections % self.section_halvings:
            raise InputError(
                f"tile_sections: expected a multiple of {self.section_halvings} (the network "
                f"halves it until about 4 are left), got {self.tile_sections}; "
                "change tile_sections"
            )

    @property
    def level_filters(self) -> tuple[int, ...]:
        """Features of every level, from the first one to the centre."""
        first = int(self.filters * 2.0**-self.outer_levels)
        levels = self.outer_levels + self.depth + self.centre_levels
        return tuple(first * 2**level for level in range(levels + 1))

    @property
    def convolutions(self) -> tuple[int, int]:
        """Side of the kernels, and how many convolutions of a level stand in a row."""
        return _KERNELS[self.kernel]

    @property
    def is_3d(self) -> bool:
        """Whether axes are z, y, x, and not y, x."""
        return self.dimensions == "3d"

    @property
    def pooling(self) -> tuple[tuple[int, ...], ...]:
        """By which factors each level but the centre is made coarser, (y, x) or (z, y, x)."""
        levels = len(self.level_filters)
        if not self.is_3d:
            return ((2, 2),) * (levels - 1)
        return plan_pooling(levels, self.planar_levels, self.tile_sections)

    @property
    def network(self) -> Mapping[str, Any]:
        """What the network consists of: in a run that is alike in this, weights mean the same.

        Dropout is none of it: it has no weights, and a network of other dropout can go on from
        them.
        """
        names = ("dimensions", "stem_stride", "kernel", "activation", "normalization", "upsampling")
        return {name: getattr(self, name) for name in (*names, "block", "gate")} | {
            "level_filters": self.level_filters,
            "section_offsets": self.section_offsets,
            "pooling": self.pooling,
            "planar_levels": min(self.planar_levels, len(self.level_filters)) * self.is_3d,
        }

    @property
    def halvings(self) -> int:
        """The factor between a tile's rows and columns and the centre's."""
        return int(self.stem_stride * 2 ** (len(self.level_filters) - 1))

    @property
    def section_halvings(self) -> int:
        """The factor between a tile's sections and the centre's: 1 in 2D."""
        return math.prod(factors[0] for factors in self.pooling) if self.is_3d else 1

    @property
    def stem(self) -> tuple[int, ...]:
        """Voxels that enter the first level as one, (y, x) or (z, y, x): sections stay apart."""
        plane = (self.stem_stride, self.stem_stride)
        return (1, *plane) if self.is_3d else plane

    @property
    def tile_shape(self) -> tuple[int, ...]:
        """Voxels of a tile, (y, x) or (z, y, x)."""
        plane = (self.tile_size, self.tile_size)
        return (self.tile_sections, *plane) if self.is_3d else plane

    @property
    def section_offsets(self) -> tuple[int, ...]:
        """Where the sections lie that the network sees as channels: 0 is the one it segments."""
        if self.is_3d:
            return (0,)
        reach = self.section_channels // 2 * self.section_step
        return tuple(range(-reach, reach + 1, self.section_step))

    @property
    def input_channels(self) -> int:
        """Of the network's input: in 3D sections are an axis, and no channels."""
        return len(self.section_offsets)

    def kernel_shape(self, level: int, side: int) -> tuple[int, ...]:
        """A kernel of a level, (y, x) or (z, y, x), whose side is given."""
        if not self.is_3d:
            return (side, side)
        return (1 if level < self.planar_levels else side, side, side)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Hyperparameters:
        """Takes names and values as a study or a model card keeps them.

        Raises:
            InputError: A name that is no hyperparameter, or a value out of its range.
        """
        known = {each.name for each in fields(cls)}
        for name in values:
            if name not in known:
                raise InputError(
                    f"{name}: expected one of {', '.join(sorted(known))}; correct the name"
                )
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """The values under their names, as JSON can hold them."""
        return asdict(self)


CHOICES: Mapping[str, tuple[str, ...]] = {
    each.name: each.metadata["choices"]
    for each in fields(Hyperparameters)
    if "choices" in each.metadata
}
"""The words that each categorical hyperparameter knows."""

NETWORK_FIELDS = (
    "dimensions",
    "depth",
    "filters",
    "outer_levels",
    "centre_levels",
    "stem_stride",
    "kernel",
    "activation",
    "normalization",
    "upsampling",
    "block",
    "gate",
    "section_channels",
    "section_step",
    "planar_levels",
    "tile_sections",
)
"""What `Hyperparameters.network` is made of."""


def _check(each: Field[Any], value: Any) -> None:
    """Refuses a value that no run could be made from, in a line that quotes it."""
    if "choices" in each.metadata:
        choices = each.metadata["choices"]
        if value not in choices:
            raise InputError(f"{each.name}: expected one of {', '.join(choices)}, got {value!r}")
        return
    whole = isinstance(each.default, int)
    expected = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise InputError(f"{each.name}: expected {expected}, got {value!r}")
    low, high = each.metadata["limits"]
    if not low <= value <= high:
        raise InputError(
            f"{each.name}: expected {expected} from {low:g} to {high:g}, got {value!r}"
        )
