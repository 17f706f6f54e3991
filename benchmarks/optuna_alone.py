"""Optuna without any of this project, on the same trials."""

from __future__ import annotations

import optuna
from optuna.storages import RDBStorage

from benchmarks.lap import Lap, Stopwatch
from benchmarks.noop import EPOCHS, draw, score
from storage.database import Database


class OptunaAlone:
    """`study.optimize` in one process, with Optuna's own storage, sampler and pruner."""

    def __init__(self, database: Database) -> None:
        self.study = optuna.create_study(
            storage=RDBStorage(database.url.render_as_string(hide_password=False)),
            study_name="optuna",
            direction="maximize",
            pruner=optuna.pruners.HyperbandPruner(max_resource=EPOCHS),
        )

    def run(self, trials: int) -> Lap:
        """Runs so many more trials, the warm-up included."""
        stopwatch = Stopwatch()
        ended = iter(range(1, trials + 1))
        self.study.optimize(
            _objective, trials, n_jobs=1, callbacks=[lambda *_: stopwatch.ended(next(ended))]
        )
        return stopwatch.lap()

    def epochs(self) -> int:
        """Epochs of all trials so far."""
        trials = self.study.get_trials(deepcopy=False)
        return sum(len(trial.intermediate_values) for trial in trials)


def _objective(trial: optuna.Trial) -> float:
    values = draw(trial)
    value = 0.0
    for epoch in range(1, EPOCHS + 1):
        value = score(values["dropout"], values["beta_1"], epoch)
        trial.report(value, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value
