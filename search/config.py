"""The whole configuration file as frozen models; an error names the key and what was expected."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from search.budget import Budget
from search.refusal import explain
from search.space import Space, build_space
from trainer.errors import InputError
from trainer.publication import U_NET, Author, Citation, Publication

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
    sampler: Literal["tpe", "random"] = "tpe"
    pruner: Literal["hyperband", "asha", "async_hyperband", "none"] = "hyperband"
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] = 0
    runs: Path = Path("runs")
    keep: _Positive = 3
    """Finished trials whose checkpoints are kept, the best ones."""
    keep_paused: _Positive = 10
    """Of the trials stopped at each rung, those that may still be promoted, the best ones."""

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name.startswith("studies.db") or name.endswith(".lock") or name == "artifacts":
            raise ValueError(f"expected a name that no file beside the studies has, got {name!r}")
        return name


class BudgetConfig(_Section):
    """`[budget]`: what the whole search may cost; the first limit reached ends it."""

    trials: _Positive | None = None
    epochs: _Positive | None = None
    hours: _PositiveFloat | None = None
    device_hours: _PositiveFloat | None = None
    """Hours that trials hold their devices, added up: a share of a GPU, or one worker's cores."""
    money: _PositiveFloat | None = None
    price_per_device_hour: _PositiveFloat | None = None

    @model_validator(mode="after")
    def _check_limited(self) -> BudgetConfig:
        limits = (self.trials, self.epochs, self.hours, self.device_hours, self.money)
        if all(limit is None for limit in limits):
            raise ValueError("expected at least one of trials, epochs, hours, device_hours, money")
        if self.money is not None and self.price_per_device_hour is None:
            raise ValueError("expected price_per_device_hour beside money")
        return self


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


class AuthorConfig(_Section):
    """`[[export.authors]]`: somebody to ask about the model."""

    name: str
    affiliation: str | None = None
    orcid: str | None = None
    github_user: str | None = None


class CitationConfig(_Section):
    """`[[export.cite]]`: a work that users of the model are asked to cite."""

    text: str
    doi: str | None = None
    url: str | None = None

    @model_validator(mode="after")
    def _check_findable(self) -> CitationConfig:
        if self.doi is None and self.url is None:
            raise ValueError("expected a doi or a url beside text")
        return self


class ExportConfig(_Section):
    """`[export]`: how the model is presented, and of how many trials it is made."""

    name: str | None = None
    """Title of the bioimage.io package; by default made from the study's name."""
    description: str = ""
    authors: tuple[AuthorConfig, ...] = ()
    license: str = "CC-BY-4.0"
    """Of the weights, an identifier of the SPDX list."""
    cite: tuple[CitationConfig, ...] = ()
    tags: tuple[str, ...] = ()
    ensemble: Annotated[int, Field(ge=2, strict=True)] | None = None
    """So many of the best trials, as one model; by default the winner alone."""

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[A-Za-z0-9_+() -]{5,64}", name):
            raise ValueError(
                "expected 5 to 64 letters, digits, spaces, '_', '+', '-' and brackets, "
                f"got {name!r}"
            )
        return name

    @field_validator("description")
    @classmethod
    def _check_description(cls, description: str) -> str:
        if len(description) > 1024:
            raise ValueError(f"expected at most 1024 characters, got {len(description)}")
        return description

    def build_publication(self, study: str) -> Publication:
        """What the values say, with defaults for those that are left out."""
        cite = tuple(Citation(**each.model_dump()) for each in self.cite)
        plain = re.sub(r"[^A-Za-z0-9_-]", "-", study)
        return Publication(
            name=self.name or f"U-Net {plain}"[:64],
            description=self.description,
            authors=tuple(Author(**each.model_dump()) for each in self.authors),
            license=self.license,
            cite=cite or (U_NET,),
            tags=self.tags,
        )


class FinalConfig(_Section):
    """`[final]`: the training of the winner, whose model is what the search ends with."""

    epochs: _Positive
    train_on: Literal["train", "all"] = "train"


class FinalistsConfig(_Section):
    """`[finalists]`: the best trials are repeated, and the winner is the best on average."""

    count: _Positive = 3
    """Trials at full budget that may win; with 1 the best of the search does, unrepeated."""
    seeds: _Positive = 2
    """How often each is trained anew on a fold, with another seed each time."""
    folds: _Positive = 1
    """Blocks of sections to validate on in turn; the first is the search's own."""


class Config(_Section):
    """A configuration file."""

    study: StudyConfig
    budget: BudgetConfig
    data: DataConfig
    space: dict[str, Any]
    split: SplitConfig = SplitConfig()
    workers: WorkersConfig = WorkersConfig()
    start: tuple[dict[str, Any], ...] = ()
    finalists: FinalistsConfig = FinalistsConfig()
    final: FinalConfig | None = None
    export: ExportConfig = ExportConfig()
    logging: LoggingConfig = LoggingConfig()

    def build_space(self) -> Space:
        """The dimensions of `[space]`, and the values it fixes."""
        return build_space(self.space)

    def build_budget(self) -> Budget:
        """The limits of `[budget]`."""
        return Budget(**self.budget.model_dump())

    @property
    def folder(self) -> Path:
        """Where everything of this study lies but the database."""
        return self.study.runs / self.study.name

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints of its trials lie."""
        return self.folder / "trials"

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
        space = config.build_space()
        for index, params in enumerate(config.start):
            space.start(params, f"start[{index}]")
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
