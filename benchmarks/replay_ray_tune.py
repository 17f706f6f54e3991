"""Ray Tune with OptunaSearch and ASHA on a recorded table of learning curves."""

from __future__ import annotations

import tempfile
from typing import Any

import optuna
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.curve_table import CurveTable, Visits
from benchmarks.replay import Journal, ideas_of


def replay_ray_tune(table: CurveTable, *, seed: int, epochs: int) -> Journal:
    """Runs so many epochs, one trial at a time, and half of them pass a rung, as with `asha`.

    Its first trials are those of the other strategies. Its rungs, by its own rule, are after 1, 2,
    4, 8 ... epochs.
    A proposal is snapped where it is made, as it is for the other strategies; what the actor is
    given is the row's curve.

    Raises:
        RuntimeError: A trial failed.
    """
    journal = _Journal(epochs)
    with tempfile.TemporaryDirectory(prefix="ray-tune-") as folder:
        tuner = tune.Tuner(
            tune.with_resources(_Trainable, {"cpu": 1}),
            tune_config=_tune_config(table, seed),
            run_config=tune.RunConfig(
                storage_path=folder, verbose=0, stop=journal.stopper(), callbacks=[journal]
            ),
        )
        results = tuner.fit()
    if results.num_errors:
        raise RuntimeError(f"Ray Tune: {results.num_errors} trials failed")
    return journal.entries


def _tune_config(table: CurveTable, seed: int) -> tune.TuneConfig:
    search = OptunaSearch(
        _Proposals(table),
        metric="dice",
        mode="max",
        seed=seed,
        study_name=f"tune-{seed}",
        points_to_evaluate=ideas_of(table),
    )
    return tune.TuneConfig(
        metric="dice",
        mode="max",
        num_samples=len(table.rows),
        max_concurrent_trials=1,
        reuse_actors=True,
        search_alg=search,
        scheduler=ASHAScheduler(max_t=table.epochs, grace_period=1, reduction_factor=2),
    )


class _Proposals:
    """Draws a run and snaps it to its row; a class, since Ray Tune writes its searcher to disk."""

    def __init__(self, table: CurveTable) -> None:
        self._table = table
        self._visits = Visits(table)

    def __call__(self, trial: optuna.Trial) -> dict[str, Any]:
        index = self._visits.visit(self._table.space.suggest(trial))
        return {"row": index, "curve": list(self._table.rows[index].dice)}


class _Trainable(tune.Trainable):  # type: ignore[misc]
    """Reports the epochs of the curve that it is given."""

    def setup(self, config: dict[str, Any]) -> None:
        self._curve, self._epoch = config["curve"], 0

    def step(self) -> dict[str, float]:
        self._epoch += 1
        return {"dice": self._curve[self._epoch - 1]}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        pass

    def load_checkpoint(self, checkpoint: Any) -> None:
        pass


class _Journal(tune.Callback):  # type: ignore[misc]
    """Notes every epoch, and ends the experiment when the budget is spent."""

    def __init__(self, epochs: int) -> None:
        self.entries: Journal = []
        self._epochs = epochs

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.entries.append((trial.config["row"], result["training_iteration"]))

    def stopper(self) -> tune.Stopper:
        """Stops all that runs, once all epochs have been noted."""
        return _Stopper(self)

    @property
    def is_full(self) -> bool:
        return len(self.entries) >= self._epochs


class _Stopper(tune.Stopper):  # type: ignore[misc]
    def __init__(self, journal: _Journal) -> None:
        self._journal = journal

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._journal.is_full

    def stop_all(self) -> bool:
        return self._journal.is_full
