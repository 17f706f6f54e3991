"""Ray Tune with OptunaSearch and ASHA, on the same trials."""

from __future__ import annotations

import tempfile
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.lap import Lap, Stopwatch
from benchmarks.noop import EPOCHS, SLOTS, draw, score


class RayTune:
    """Ray Tune with OptunaSearch and ASHA, its actors used again from trial to trial."""

    def __init__(self) -> None:
        self._storage = InMemoryStorage()
        self._counter = _Counter(Stopwatch())

    def run(self, trials: int) -> Lap:
        """Runs so many more trials, the warm-up included; the sampler knows those before."""
        self._counter.begin(Stopwatch())
        with tempfile.TemporaryDirectory(prefix="ray-tune-") as folder:
            tuner = tune.Tuner(
                tune.with_resources(_Trainable, {"cpu": 1}),
                tune_config=self._tune_config(trials),
                run_config=tune.RunConfig(
                    storage_path=folder,
                    verbose=0,
                    stop={"training_iteration": EPOCHS},
                    callbacks=[self._counter],
                ),
            )
            results = tuner.fit()
        if results.num_errors or len(results) != trials:
            raise RuntimeError(
                f"Ray Tune: expected {trials} trials without an error, got {len(results)} with "
                f"{results.num_errors}"
            )
        return self._counter.stopwatch.lap()

    def epochs(self) -> int:
        """Epochs of all trials so far."""
        return self._counter.epochs

    def _tune_config(self, trials: int) -> tune.TuneConfig:
        search = OptunaSearch(
            _define, metric="dice", mode="max", storage=self._storage, study_name="tune"
        )
        return tune.TuneConfig(
            metric="dice",
            mode="max",
            num_samples=trials,
            max_concurrent_trials=SLOTS,
            reuse_actors=True,
            search_alg=search,
            scheduler=ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=3),
        )


def _define(trial: optuna.Trial) -> None:
    draw(trial)


class _Trainable(tune.Trainable):  # type: ignore[misc]
    """Reports epochs of no length."""

    def setup(self, config: dict[str, Any]) -> None:
        self._epoch = 0

    def step(self) -> dict[str, float]:
        self._epoch += 1
        return {"dice": score(self.config["dropout"], self.config["beta_1"], self._epoch)}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._epoch = 0
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        pass

    def load_checkpoint(self, checkpoint: Any) -> None:
        pass


class _Counter(tune.Callback):  # type: ignore[misc]
    """Counts epochs and ended trials."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.epochs = 0
        self.begin(stopwatch)

    def begin(self, stopwatch: Stopwatch) -> None:
        self.stopwatch = stopwatch
        self._ended = 0

    def on_trial_result(self, *args: Any, **kwargs: Any) -> None:
        self.epochs += 1

    def on_trial_complete(self, *args: Any, **kwargs: Any) -> None:
        self._ended += 1
        self.stopwatch.ended(self._ended)
