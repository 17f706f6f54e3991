"""The whole configuration file as frozen models; an error names the key and what was expected."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Discriminator, Tag, ValidationError, field_validator, model_validator

from search.budget import Budget
from search.config_sections import (
    BudgetConfig,
    ConstraintsConfig,
    DataConfig,
    ExportConfig,
    FinalConfig,
    FinalistsConfig,
    LoggingConfig,
    Section,
    SplitConfig,
    StudyConfig,
    WorkersConfig,
)
from search.constraints import Constraints
from search.extremes import fewest_weights
from search.grid import Grid
from search.one_at_a_time import REPORTED, OneAtATime, plan_one_at_a_time
from search.plan import ONE_AT_A_TIME, PLANNED, Plan, Planned
from search.refusal import explain
from search.space import Space, build_space
from search.space_checks import check_networks
from search.start import FROM, check_starts, start_values
from trainer.earlier_model import EarlierModel
from trainer.errors import InputError


def _count(data: Any) -> str:
    return "several" if isinstance(data, list | tuple) else "one"


class Config(Section):
    """A configuration file."""

    study: StudyConfig
    budget: BudgetConfig = BudgetConfig()
    data: Annotated[
        Annotated[DataConfig, Tag("one")] | Annotated[tuple[DataConfig, ...], Tag("several")],
        Discriminator(_count),
    ]
    """A section, or a list of them: `volumes` has the one as well as the others."""
    space: dict[str, Any]
    split: SplitConfig = SplitConfig()
    workers: WorkersConfig = WorkersConfig()
    start: tuple[dict[str, Any], ...] = ()
    change: tuple[dict[str, Any], ...] = ()
    """Ideas: each a name and the values in which it differs from the baseline."""
    constraints: ConstraintsConfig = ConstraintsConfig()
    finalists: FinalistsConfig = FinalistsConfig()
    final: FinalConfig | None = None
    export: ExportConfig = ExportConfig()
    logging: LoggingConfig = LoggingConfig()

    @field_validator("start", mode="before")
    @classmethod
    def _list_starts(cls, start: Any) -> Any:
        return (start,) if isinstance(start, dict) else start

    @field_validator("data")
    @classmethod
    def _check_names(cls, data: Any) -> Any:
        if isinstance(data, DataConfig):
            return data
        if not data:
            raise ValueError("expected at least one volume, got none")
        names = [each.name or f"volume {index}" for index, each in enumerate(data, start=1)]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"expected a name of its own for each volume, got {twice[0]!r} twice")
        return data

    @property
    def volumes(self) -> tuple[DataConfig, ...]:
        """The volumes to learn from, each with a name."""
        tables = (self.data,) if isinstance(self.data, DataConfig) else self.data
        return tuple(
            table if table.name else table.model_copy(update={"name": f"volume {index}"})
            for index, table in enumerate(tables, start=1)
        )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        # The plan of a grid, or of changes, is a limit by itself.
        if not self.budget.is_limited and self.study.sampler not in PLANNED:
            raise ValueError(
                "budget: expected at least one of trials, epochs, hours, device_hours, money"
            )
        return self

    def build_space(self) -> Space:
        """The dimensions of `[space]` and of the changes, and the values that are fixed."""
        return self.build_changes().space if self._has_baseline else build_space(self.space)

    def build_plan(self) -> Plan | None:
        """The trials that are known before the search, where its sampler follows a plan."""
        if self.study.sampler == "grid":
            return Grid(self.build_space(), seed=self.study.seed)
        return self.build_changes() if self.study.sampler == ONE_AT_A_TIME else None

    def build_changes(self) -> OneAtATime:
        """The baseline and its changes, each made alone."""
        place = self._baseline_place
        baseline = None if place is None else self.start[place]
        return plan_one_at_a_time(self.space, baseline, self.change, f"start[{place}]")

    def reported(self) -> dict[str, dict[str, float]]:
        """What somebody else has measured of each change, by the change's name."""
        return {change["name"]: change.get(REPORTED, {}) for change in self.change}

    @property
    def _has_baseline(self) -> bool:
        return bool(self.change) or self.study.sampler == ONE_AT_A_TIME

    @property
    def _baseline_place(self) -> int | None:
        """Of the start that changes are made of: the first that says itself what it is."""
        own = (index for index, table in enumerate(self.start) if FROM not in table)
        return next(own, None) if self._has_baseline else None

    def planned_starts(self) -> dict[str, dict[str, Any]]:
        """The tables that stand for a trial of their own: a baseline comes with its changes."""
        baseline = self._baseline_place
        tables = enumerate(self.start)
        return {f"start[{place}]": each for place, each in tables if place != baseline}

    def starts(
        self, space: Space | None = None, earlier: EarlierModel | None = None
    ) -> list[Planned]:
        """What a new study tries first, whatever its sampler: known runs, then the ideas.

        Args:
            space: Of the search for its data; as the file says without it.
            earlier: The model that one of them names.

        Raises:
            InputError: The space does not hold them.
        """
        space = space or self.build_space()
        known = start_values(space, self.planned_starts(), earlier)
        return [*map(Planned, known), *self._ideas()]

    def _ideas(self) -> tuple[Planned, ...]:
        """The baseline and each change of it, where they are not the sampler's plan already."""
        if not self.change or self.study.sampler == ONE_AT_A_TIME:
            return ()
        return self.build_changes().runs

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

    def kept_trials(self) -> int:
        """The best finished trials whose checkpoints are kept: whoever may win, or be exported."""
        return max(self.study.keep, self.finalists.count, self.export.ensemble or 0)

    @property
    def folder(self) -> Path:
        """Where everything of this study lies but the database."""
        return self.study.runs / self.study.name

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints of its trials lie."""
        return self.folder / "trials"

    @property
    def repeat_checkpoints(self) -> Path:
        """Where those of its finalists' repeats lie."""
        return self.folder / "repeats"

    @property
    def final_checkpoints(self) -> Path:
        """Where those of its winners' final trainings lie."""
        return self.folder / "finalists"

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


def load_config(path: Path, settings: Sequence[str] = (), **changes: Any) -> Config:
    """Reads and checks a configuration file.

    Args:
        path: A TOML file.
        settings: Values in place of the file's, each `section.key=value` as TOML writes it.
        changes: Values from the command line, `section__key`; None leaves the file's.

    Raises:
        InputError: In one line, what is wrong with which key.
    """
    table = _changed(_set(_read(path), settings), changes)
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


def _set(table: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    for setting in settings:
        place, sign, text = setting.partition("=")
        section, dot, key = place.strip().partition(".")
        if not (sign and dot and section and key):
            raise InputError(
                f"--set: expected SECTION.KEY=VALUE such as study.tiles_per_epoch=60, "
                f"got {setting!r}"
            )
        if not _put(table, section, key, _value(text.strip())):
            raise InputError(
                f"--set: expected a section with one table, got {section!r}; change the file"
            )
    return table


def _put(table: dict[str, Any], section: str, key: str, value: Any) -> bool:
    """Sets a value where the section is a table."""
    is_file = section == "data" and key in ("raw", "mask")
    # Files of the command line are one volume, whatever the file lists.
    if is_file and isinstance(table.get(section), list):
        table[section] = {}
    found = table.setdefault(section, {})
    if not isinstance(found, dict):
        return False
    found[key] = value
    # A file is meant in place of what the configuration would make.
    if is_file:
        found.pop("phantom", None)
    return True


def _value(text: str) -> Any:
    """As TOML reads it; a bare word is a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _changed(table: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in changes.items():
        section, key = name.split("__")
        if value is not None:
            # Anything but a table is refused with the rest of the file.
            _put(table, section, key, value)
    return table


def _check_space(config: Config, path: Path) -> None:
    try:
        space = config.build_space()
        if config.change and config.study.sampler != ONE_AT_A_TIME:
            # What ideas name is combined by whoever goes on from them.
            check_networks(space)
        check_starts(space, config.planned_starts())
        config.starts()
        _check_feasible(config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _check_feasible(config: Config) -> None:
    """Refuses a limit that no network of the space keeps to: its search would never end."""
    if config.constraints.parameters is None:
        return
    least = fewest_weights(config.build_space())
    if least > config.constraints.parameters:
        raise InputError(
            f"constraints.parameters: expected at least {least}, as the smallest network of the "
            f"space has, got {config.constraints.parameters}"
        )
