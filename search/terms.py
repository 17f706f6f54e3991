"""What every trial of a study is run under, and how a search ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from optuna.trial import FrozenTrial

from search import lineage
from search.assignment import Assignment
from search.budget import Budget
from search.constraints import Constraints
from search.pruners import expected_epochs
from trainer.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    from search.config import Config


@dataclass(frozen=True)
class Terms:
    """What every trial of a study is run under.

    Attributes:
        epochs: Of a trial's full budget.
        tiles_per_epoch: In tiles of 256 x 256.
        train_on: `train` sections, or `all` but the holdout and its gap.
        seed: Of weights and tiles.
        retries: How often a trial may lose its worker and go on.
        keep: Finished trials whose checkpoints are kept, the best ones.
        epochs_expected: Of a trial, on average, as far as the pruner lets it.
        budget: When the search ends.
        devices_per_trial: What a running trial is charged for: its share of a GPU, or one worker.
        constraints: What a trial must keep to.
        second_objective: The fact of its last epoch that a trial is told with beside its Dice.
    """

    epochs: int
    tiles_per_epoch: int
    train_on: Literal["train", "all"]
    seed: int
    retries: int
    keep: int
    epochs_expected: float
    budget: Budget
    devices_per_trial: float = 1.0
    constraints: Constraints = field(default_factory=Constraints)
    second_objective: str | None = None

    def assign(self, trial: FrozenTrial, hyperparameters: Hyperparameters) -> Assignment:
        """What a worker is told of a trial, which may have a seed and a fold of its own."""
        return Assignment(
            trial=trial.number,
            hyperparameters=hyperparameters,
            epochs=self.epochs,
            tiles_per_epoch=self.tiles_per_epoch,
            train_on=self.train_on,
            seed=trial.user_attrs.get(lineage.SEED, self.seed),
            fold=trial.user_attrs.get(lineage.FOLD, 0),
        )


@dataclass(frozen=True)
class Ending:
    """How a search ended.

    Attributes:
        kind: `done` (the budget is spent), `interrupted`, or `failed`.
        reason: One line.
    """

    kind: Literal["done", "interrupted", "failed"]
    reason: str


def search_terms(config: Config) -> Terms:
    """The terms of a search, without its repeats and its final training."""
    study = config.study
    return Terms(
        epochs=study.epochs_per_trial,
        tiles_per_epoch=study.tiles_per_epoch,
        train_on="train",
        seed=study.seed,
        retries=config.workers.retries,
        keep=config.kept_trials(),
        epochs_expected=expected_epochs(study.pruner, epochs=study.epochs_per_trial),
        budget=config.build_budget(),
        devices_per_trial=config.workers.gpus_per_trial or 1.0,
        constraints=config.build_constraints(),
        second_objective=study.second_objective,
    )
