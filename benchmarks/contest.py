"""The three contenders on the same trials, in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from benchmarks.lap import WARM_UP, Lap
from benchmarks.optuna_alone import OptunaAlone
from benchmarks.ours import OurSearch
from benchmarks.postgres_server import PostgresServer


class Contender(Protocol):
    """Runs trials, and knows what it has run."""

    def run(self, trials: int) -> Lap:
        """Runs so many more trials, the warm-up included."""

    def epochs(self) -> int:
        """Epochs of all trials so far."""


def hold_contest(
    server: PostgresServer,
    folder: Path,
    *,
    blocks: int,
    block_trials: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Lets the contenders take turns, so that whatever else the machine does meets all of them."""
    # Ray Tune's packages are in the extra `bench` alone.
    from benchmarks.ray_tune import RayTune

    with ExitStack() as stack:
        contenders: dict[str, Contender] = {
            "coordinator": stack.enter_context(OurSearch(server.create_database("ours"), folder)),
            "optuna": OptunaAlone(server.create_database("optuna")),
            "ray_tune": RayTune(),
        }
        laps: dict[str, list[Lap]] = {name: [] for name in contenders}
        for block in range(1, blocks + 1):
            for name, contender in contenders.items():
                laps[name].append(contender.run(block_trials + WARM_UP))
                say(f"block {block} of {blocks}: {name} {laps[name][-1].ms_per_trial:.1f} ms")
        trials = blocks * (block_trials + WARM_UP)
        epochs = {name: each.epochs() / trials for name, each in contenders.items()}
    return summarize(laps, epochs)


def summarize(laps: Mapping[str, Sequence[Lap]], epochs: Mapping[str, float]) -> dict[str, Any]:
    """The median block of each contender, and what the figures have to be read with.

    Args:
        laps: Of each contender, in the order in which they were run.
        epochs: That each contender really ran, a trial: pruners differ.
    """
    middle = {name: median(lap.ms_per_trial for lap in each) for name, each in laps.items()}
    return {
        **{f"{name}_ms_per_trial": round(ms, 3) for name, ms in middle.items()},
        "ratio_optuna": round(middle["coordinator"] / middle["optuna"], 3),
        "ratio_ray_tune": round(middle["coordinator"] / middle["ray_tune"], 3),
        "epochs_per_trial": {name: round(epochs[name], 2) for name in middle},
        "ms_per_epoch": {name: round(ms / epochs[name], 3) for name, ms in middle.items()},
        "blocks_ms_per_trial": {
            name: [round(lap.ms_per_trial, 2) for lap in each] for name, each in laps.items()
        },
    }
