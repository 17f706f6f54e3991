"""The whole configuration file as frozen models; an error names the key and what was expected."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from search.budget import Budget
from search.constraints import Constraints
from search.extremes import smallest
from search.grid import Grid
from search.one_at_a_time import OneAtATime, plan_one_at_a_time
from search.plan import Plan
from search.refusal import explain
from search.space import Space, build_space
from trainer.errors import InputError
from trainer.footprint import count_weights

_PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
_Positive = Annotated[int, Field(ge=1, strict=True)]
_Sections = tuple[
    Annotated[int, Field(ge=0, strict=True)], Annotated[int, Field(ge=1, strict=True)]
]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StudyConfig(_Section):
    """`[study]`: its name, its strategy, and the length of a trial."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    epochs_per_trial: _Positive
    tiles_per_epoch: _Positive
    """In tiles of 256 x 256."""
    sampler: Literal["tpe", "gp", "cmaes", "qmc", "random", "grid", "one_at_a_time"] = "tpe"
    pruner: Literal["hyperband", "successive_halving", "median", "patient", "none"] = "hyperband"
    patience_epochs: _Positive | None = None
    """Epochs without a new best after which `patient` stops a trial; a third of all by default."""
    second_objective: Literal["parameters", "prediction_seconds_per_megavoxel"] | None = None
    """To be small, beside a large Dice; such a study cannot prune."""
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] = 0
    runs: Path = Path("runs")
    keep: _Positive = 3
    """Finished trials whose checkpoints are kept, the best ones."""

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name.startswith("studies.db") or name.endswith(".lock") or name == "artifacts":
            raise ValueError(f"expected a name that no file beside the studies has, got {name!r}")
        return name

    @model_validator(mode="after")
    def _check_strategy(self) -> Self:
        if self.patience_epochs is not None and self.pruner != "patient":
            raise ValueError(
                f"expected patience_epochs with pruner = 'patient', not {self.pruner!r}"
            )
        if self.second_objective is None:
            return self
        if self.pruner != "none":
            raise ValueError(
                f"expected pruner = 'none' beside second_objective, got {self.pruner!r}: a study "
                "with two objectives cannot prune; set it, or in place of second_objective a "
                f"limit {self.second_objective} in [constraints], which goes with every pruner"
            )
        if self.sampler == "cmaes":
            raise ValueError(
                "expected another sampler than 'cmaes' beside second_objective: CMA-ES knows one "
                "objective; take 'tpe'"
            )
        return self


class BudgetConfig(_Section):
    """`[budget]`: what the whole search may cost; the first limit reached ends it."""

    trials: _Positive | None = None
    epochs: _Positive | None = None
    hours: _PositiveFloat | None = None
    device_hours: _PositiveFloat | None = None
    """Hours that trials hold their devices, added up: a share of a GPU, or one worker's cores."""
    money: _PositiveFloat | None = None
    price_per_device_hour: _PositiveFloat | None = None

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        limits = (self.trials, self.epochs, self.hours, self.device_hours, self.money)
        return any(limit is not None for limit in limits)

    @model_validator(mode="after")
    def _check_price(self) -> Self:
        if self.money is not None and self.price_per_device_hour is None:
            raise ValueError("expected price_per_device_hour beside money")
        return self


class ConstraintsConfig(_Section):
    """`[constraints]`: the most that a network may be; beyond it a trial is infeasible."""

    parameters: _Positive | None = None
    """Weights that training changes."""
    epoch_seconds: _PositiveFloat | None = None
    prediction_seconds_per_megavoxel: _PositiveFloat | None = None
    """As the validation sections are predicted after an epoch."""


class PhantomConfig(_Section):
    """`[data] phantom`: a synthetic volume in place of files."""

    sections: Annotated[int, Field(ge=4, le=4096, strict=True)] = 64
    height: Annotated[int, Field(ge=32, le=8192, strict=True)] = 192
    width: Annotated[int, Field(ge=32, le=8192, strict=True)] = 192
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] = 0


class DataConfig(_Section):
    """`[data]`: the image stack and its mask; paths are relative to the working directory."""

    raw: Path | None = None
    mask: Path | None = None
    voxel_size_nm: tuple[_PositiveFloat, _PositiveFloat, _PositiveFloat] | None = None
    phantom: PhantomConfig | None = None

    @model_validator(mode="after")
    def _check_one_source(self) -> DataConfig:
        if (self.phantom is None) == (self.raw is None or self.mask is None):
            raise ValueError("expected both raw and mask, or a phantom")
        return self


class SplitConfig(_Section):
    """`[split]`: which sections serve for what, in contiguous blocks with a gap between them."""

    validation: Annotated[float, Field(gt=0, lt=1, strict=True)] | _Sections = 0.2
    gap: Literal["auto"] | Annotated[int, Field(ge=0, strict=True)] = "auto"
    holdout: _Sections | None = None


class WorkersConfig(_Section):
    """`[workers]`: where trials run, and on what share of it each."""

    where: Literal["ray", "inline"] = "ray"
    cpus_per_trial: _Positive = 1
    gpus_per_trial: Annotated[float, Field(ge=0, le=64, strict=True)] = 0.0
    memory_gb_per_trial: _PositiveFloat | None = None
    """Beyond it a worker is ended, and its trial infeasible; by default the host's is the limit."""
    trials_per_worker: _Positive = 25
    retries: Annotated[int, Field(ge=0, strict=True)] = 2

    @model_validator(mode="after")
    def _check_own_process(self) -> WorkersConfig:
        if self.where == "inline" and self.memory_gb_per_trial is not None:
            raise ValueError("expected memory_gb_per_trial with where = 'ray' only")
        return self


class LoggingConfig(_Section):
    """`[logging]`: what is kept of every trial beside its log and its pictures."""

    tensorboard: Annotated[bool, Field(strict=True)] = False
    """Event files of each epoch's scores, under the study's folder."""


class FinalConfig(_Section):
    """`[final]`: the training of the winner, whose model is what the search ends with."""

    epochs: _Positive
    train_on: Literal["train", "all"] = "train"


class Config(_Section):
    """A configuration file."""

    study: StudyConfig
    budget: BudgetConfig = BudgetConfig()
    data: DataConfig
    space: dict[str, Any]
    split: SplitConfig = SplitConfig()
    workers: WorkersConfig = WorkersConfig()
    start: tuple[dict[str, Any], ...] = ()
    change: tuple[dict[str, Any], ...] = ()
    """Of the sampler `one_at_a_time`: each a name and the values that differ from the baseline."""
    constraints: ConstraintsConfig = ConstraintsConfig()
    final: FinalConfig | None = None
    logging: LoggingConfig = LoggingConfig()

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        # The plan of a grid, or of changes, is a limit by itself.
        if not self.budget.is_limited and self.study.sampler not in ("grid", "one_at_a_time"):
            raise ValueError(
                "budget: expected at least one of trials, epochs, hours, device_hours, money"
            )
        if self.change and self.study.sampler != "one_at_a_time":
            raise ValueError(
                "change: expected [[change]] with study.sampler = 'one_at_a_time' only, "
                f"got {self.study.sampler!r}"
            )
        return self

    def build_space(self) -> Space:
        """The dimensions of `[space]` and of the changes, and the values that are fixed."""
        if self.study.sampler == "one_at_a_time":
            return self.build_changes().space
        return build_space(self.space)

    def build_plan(self) -> Plan | None:
        """The trials that are known before the search, where its sampler follows a plan."""
        if self.study.sampler == "grid":
            return Grid(self.build_space(), seed=self.study.seed)
        return self.build_changes() if self.study.sampler == "one_at_a_time" else None

    def build_changes(self) -> OneAtATime:
        """The baseline and its changes, each made alone."""
        first = self.start[0] if self.start else None
        return plan_one_at_a_time(self.space, first, self.change)

    def starts(self) -> list[dict[str, Any]]:
        """Values that a new study tries first, whatever its sampler.

        Raises:
            InputError: The space does not hold them.
        """
        space = self.build_space()
        params = [space.start(table, f"start[{n}]") for n, table in enumerate(self.start)]
        # The baseline is part of the plan.
        return params[1:] if self.study.sampler == "one_at_a_time" else params

    def most_trials(self) -> int | None:
        """Trials that the search can come to; None where only something else ends it."""
        plan = self.build_plan()
        planned = None if plan is None else plan.size + len(self.starts())
        limits = [self.budget.trials, planned]
        return min((limit for limit in limits if limit is not None), default=None)

    def build_constraints(self) -> Constraints:
        """The limits of `[constraints]`."""
        return Constraints(**self.constraints.model_dump())

    def build_budget(self) -> Budget:
        """The limits of `[budget]`."""
        return Budget(**self.budget.model_dump())

    @property
    def folder(self) -> Path:
        """Where everything of this study lies but the database."""
        return self.study.runs / self.study.name

    @property
    def artifacts(self) -> Path:
        """Where the pictures of all studies lie, for one dashboard to show them."""
        return self.study.runs / "artifacts"

    @property
    def tensorboard(self) -> Path | None:
        """Where event files of its trials lie, if they are asked for."""
        return self.folder / "tensorboard" if self.logging.tensorboard else None

    @property
    def logs(self) -> Path:
        """Where the logs of its trials lie."""
        return self.folder / "logs"


def load_config(path: Path, **changes: Any) -> Config:
    """Reads and checks a configuration file.

    Args:
        path: A TOML file.
        changes: Values from the command line, `section__key`; None leaves the file's.

    Raises:
        InputError: In one line, what is wrong with which key.
    """
    table = _changed(_read(path), changes)
    try:
        config = Config.model_validate(table)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error, Config)}") from None
    _check_space(config, path)
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            raise InputError(f"{path}: expected a configuration file, found none; see configs/")
        # Editors on Windows put a mark before the text.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except InputError:
        raise
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"{path}: expected TOML, got: {error}; correct the file") from None


def _changed(table: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in changes.items():
        section, key = name.split("__")
        # Anything but a table is refused with the rest of the file.
        if value is None or not isinstance(table.setdefault(section, {}), dict):
            continue
        table[section][key] = value
        if section == "data":
            table[section].pop("phantom", None)
    return table


def _check_space(config: Config, path: Path) -> None:
    try:
        config.starts()
        _check_feasible(config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _check_feasible(config: Config) -> None:
    """Refuses a limit that no network of the space keeps to: its search would never end."""
    if config.constraints.parameters is None:
        return
    least = count_weights(smallest(config.build_space()))
    if least > config.constraints.parameters:
        raise InputError(
            f"constraints.parameters: expected at least {least}, as the smallest network of the "
            f"space has, got {config.constraints.parameters}"
        )
