"""The sections of a configuration file as frozen models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from trainer.publication import U_NET, Author, Citation, Publication

_PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
_Positive = Annotated[int, Field(ge=1, strict=True)]
_Count = Annotated[int, Field(ge=0, strict=True)]
_Sections = tuple[
    Annotated[int, Field(ge=0, strict=True)], Annotated[int, Field(ge=1, strict=True)]
]


def _local(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError(f"expected a path without the character NUL, got {str(path)!r}")
    # Of s3://bucket/runs a path has made s3:/bucket/runs; in volume.h5:/raw the dot tells a file.
    if re.match(r"[A-Za-z][A-Za-z0-9+-]+:/", str(path)):
        raise ValueError(f"expected a path of this machine's file system, got {str(path)!r}")
    return path


_Path = Annotated[Path, AfterValidator(_local)]


class Section(BaseModel):
    """A table of the file; a key that it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StudyConfig(Section):
    """`[study]`: its name, its strategy, and the length of a trial."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    epochs_per_trial: _Positive
    tiles_per_epoch: _Positive
    """In tiles of 256 x 256."""
    sampler: Literal["tpe", "gp", "cmaes", "qmc", "random", "grid", "one_at_a_time"] = "tpe"
    pruner: Literal[
        "hyperband", "successive_halving", "asha", "async_hyperband", "median", "patient", "none"
    ] = "asha"
    patience_epochs: _Positive | None = None
    """Epochs without a new best after which `patient` stops a trial; a third of all by default."""
    second_objective: Literal["parameters", "prediction_seconds_per_megavoxel"] | None = None
    """To be small, beside a large Dice; such a study cannot prune."""
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] = 0
    runs: _Path = Path("runs")
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


class BudgetConfig(Section):
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


class ConstraintsConfig(Section):
    """`[constraints]`: the most that a network may be; beyond it a trial is infeasible."""

    parameters: _Positive | None = None
    """Weights that training changes."""
    epoch_seconds: _PositiveFloat | None = None
    prediction_seconds_per_megavoxel: _PositiveFloat | None = None
    """As the validation sections are predicted after an epoch."""


class PhantomConfig(Section):
    """`[data] phantom`: a synthetic volume in place of files."""

    sections: Annotated[int, Field(ge=4, le=4096, strict=True)] = 64
    height: Annotated[int, Field(ge=32, le=8192, strict=True)] = 192
    width: Annotated[int, Field(ge=32, le=8192, strict=True)] = 192
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] = 0


class SplitConfig(Section):
    """`[split]`: which sections serve for what, in contiguous blocks with a gap between them."""

    validation: Annotated[float, Field(gt=0, lt=1, strict=True)] | _Sections = 0.2
    gap: Literal["auto"] | _Count = "auto"
    holdout: _Sections | None = None
    holdout_gap: _Count | None = None
    """Between the holdout and any other block; `gap` where it is not given."""


class DataConfig(Section):
    """`[data]`: an image stack and its mask; paths are relative to the working directory."""

    raw: _Path | None = None
    mask: _Path | None = None
    voxel_size_nm: tuple[_PositiveFloat, _PositiveFloat, _PositiveFloat] | None = None
    phantom: PhantomConfig | None = None
    name: str | None = Field(default=None, pattern=r"^\S(.{0,62}\S)?$")
    """Of the volume, in scores and lines; "volume 1" and so on where it has none."""
    validation: Annotated[float, Field(gt=0, lt=1, strict=True)] | _Sections | None = None
    """Of this volume, in place of what `[split]` says; as the three that follow."""
    gap: Literal["auto"] | _Count | None = None
    holdout: _Sections | None = None
    holdout_gap: _Count | None = None

    @model_validator(mode="after")
    def _check_one_source(self) -> DataConfig:
        files = (self.raw is not None, self.mask is not None)
        if any(files) if self.phantom is not None else not all(files):
            beside = ", and not both" if self.phantom is not None else ""
            raise ValueError(f"expected both raw and mask, or a phantom{beside}")
        return self

    def split(self, common: SplitConfig) -> SplitConfig:
        """How the volume is split: as it says itself, and else as all are."""
        own = {name: getattr(self, name) for name in SplitConfig.model_fields}
        return common.model_copy(update={key: it for key, it in own.items() if it is not None})


class WorkersConfig(Section):
    """`[workers]`: where trials run, and on what share of it each."""

    where: Literal["ray", "inline"] = "ray"
    cpus_per_trial: _Positive = 1
    gpus_per_trial: Annotated[float, Field(ge=0, le=64, strict=True)] = 0.0
    memory_gb_per_trial: _PositiveFloat | None = None
    """Beyond it a worker is ended, and its trial infeasible; by default the host's is the limit."""
    trials_per_worker: _Positive = 25
    retries: _Count = 2

    @field_validator("gpus_per_trial")
    @classmethod
    def _check_whole(cls, gpus: float) -> float:
        if gpus > 1 and not gpus.is_integer():
            raise ValueError(f"expected a share of one GPU or a whole number of them, got {gpus:g}")
        return gpus

    @model_validator(mode="after")
    def _check_own_process(self) -> WorkersConfig:
        if self.where == "inline" and self.memory_gb_per_trial is not None:
            raise ValueError("expected memory_gb_per_trial with where = 'ray' only")
        return self


class LoggingConfig(Section):
    """`[logging]`: what is kept of every trial beside its log and its pictures."""

    tensorboard: Annotated[bool, Field(strict=True)] = False
    """Event files of each epoch's scores, under the study's folder."""


class AuthorConfig(Section):
    """`[[export.authors]]`: somebody to ask about the model."""

    name: str
    affiliation: str | None = None
    orcid: str | None = None
    github_user: str | None = None


class CitationConfig(Section):
    """`[[export.cite]]`: a work that users of the model are asked to cite."""

    text: str
    doi: str | None = None
    url: str | None = None

    @model_validator(mode="after")
    def _check_findable(self) -> CitationConfig:
        if self.doi is None and self.url is None:
            raise ValueError("expected a doi or a url beside text")
        return self


class ExportConfig(Section):
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


class FinalConfig(Section):
    """`[final]`: the training of the winner, whose model is what the search ends with."""

    epochs: _Positive
    """Of each training, where its hours have room for them."""
    hours: _PositiveFloat | None = None
    """For all trainings, by the time of the winner's epochs."""
    train_on: Literal["train", "all"] = "train"
    seeds: _Positive = 1
    """How often the winner is trained, with another seed each time; the model is their mean."""


class FinalistsConfig(Section):
    """`[finalists]`: the best trials are repeated, and the winner is the best on average."""

    count: _Positive = 3
    """Trials at full budget that may win; with 1 the best of the search does, unrepeated."""
    seeds: _Positive = 2
    """How often each is trained anew on a fold, with another seed each time."""
    folds: _Positive = 1
    """Blocks of sections to validate on in turn; the first is the search's own."""
