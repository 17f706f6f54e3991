"""The sampler whose cost is bounded, against Optuna's own: what an ask costs, and what it finds.

`python -m benchmarks.sampler` prints its progress on stderr and one JSON object as the last line
of stdout. Both see the same tasks from the same seeds, with 8 trials running at a time.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from benchmarks.machine import describe_machine, describe_versions
from benchmarks.objectives import Outcome, build_objective_pruner, build_objectives
from search.bounded_tpe import BoundedTPESampler

_RUNNING = 8
_CONTENDERS = ("bounded", "optuna", "random")


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        sizes: Trials after which the best so far is noted; the last one ends a search.
        seeds: Searches of each task by each sampler.
        asks: That a cost is the median of.
        studies: Finished trials in the studies that are asked of.
    """

    sizes: tuple[int, ...] = (500, 1000, 1500)
    seeds: int = 10
    asks: int = 20
    studies: tuple[int, ...] = (100, 1000, 10000)


QUICK = Plan(sizes=(20, 40), seeds=2, asks=3, studies=(30, 60))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program, and returns its exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks.sampler", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it works")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON there as well")
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    line = json.dumps(measure(QUICK if options.quick else Plan(), _say))
    if options.out:
        options.out.write_text(line + "\n", encoding="utf-8")
    print(line)
    return 0


def measure(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Measures the cost of an ask, and then what is found on every task."""
    machine = describe_machine()
    ask_ms = {str(size): _cost(size, plan.asks, say) for size in plan.studies}
    quality = {task: _compare(task, plan, say) for task in build_objectives(0)}
    return {
        "ask_ms": ask_ms,
        "quality": quality,
        "machine": machine,
        "versions": describe_versions(),
        "settings": {
            "running": _RUNNING,
            "seeds": plan.seeds,
            "quality": "value without noise of the best trial so far, medians over the seeds; "
            "p: of a sign test on the seeds that differ, two-sided",
        },
    }


def build_contender(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """Builds a sampler: the bounded one, Optuna's with the same settings, or a random one."""
    if name == "bounded":
        return BoundedTPESampler(seed=seed)
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, group=True)


def _cost(size: int, asks: int, say: Callable[[str], None]) -> dict[str, float]:
    """Milliseconds of an ask by each sampler, in a study of so many finished trials."""
    studies = {name: _filled(name, size) for name in _CONTENDERS}
    spent: dict[str, list[float]] = {name: [] for name in _CONTENDERS}
    for _ in range(asks):
        # They take turns, so that a busy machine is busy for all of them.
        for name, study in studies.items():
            started = time.perf_counter()
            trial = study.ask()
            outcome = build_objectives(0)["hill"]()[0](trial)
            spent[name].append(1000 * (time.perf_counter() - started))
            study.tell(trial, outcome.value)
    ms = {name: round(statistics.median(times), 2) for name, times in spent.items()}
    say(f"an ask at {size} trials: {ms} ms")
    return ms


def _filled(name: str, size: int) -> optuna.Study:
    objective = build_objectives(0)["hill"]()[0]
    other = _create("random", 1, "none")
    for _ in range(size):
        trial = other.ask()
        other.tell(trial, objective(trial).value)
    study = _create(name, 0, "none")
    study.add_trials(other.get_trials(deepcopy=False))
    return study


def _create(name: str, seed: int, pruner: str) -> optuna.Study:
    return optuna.create_study(
        direction="maximize",
        sampler=build_contender(name, seed),
        pruner=build_objective_pruner(pruner),
    )


def _compare(task: str, plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """The best of a task after so many trials, by each sampler, and whether they differ."""
    found: dict[str, list[list[float]]] = {name: [] for name in _CONTENDERS}
    for seed in range(plan.seeds):
        for name in _CONTENDERS:
            found[name].append(_search(task, name, seed, plan.sizes))
        last = ", ".join(f"{name} {found[name][-1][-1]:.4f}" for name in _CONTENDERS)
        say(f"{task}, seed {seed}: {last}")
    return {
        str(size): _summarize({name: [run[i] for run in found[name]] for name in _CONTENDERS})
        for i, size in enumerate(plan.sizes)
    }


def _search(task: str, name: str, seed: int, sizes: Sequence[int]) -> list[float]:
    """The best after each number of trials: the true value of what looks best."""
    objective, pruner = build_objectives(seed)[task]()
    study = _create(name, seed, pruner)
    running: deque[tuple[optuna.Trial, Outcome]] = deque()
    best, noted = Outcome(-math.inf, -math.inf), []
    for number in range(1, sizes[-1] + 1):
        trial = study.ask()
        running.append((trial, objective(trial)))
        if len(running) >= _RUNNING:
            best = _tell_first(study, running, best)
        if number in sizes:
            noted.append(best.true_value)
    return noted


def _tell_first(
    study: optuna.Study, running: deque[tuple[optuna.Trial, Outcome]], best: Outcome
) -> Outcome:
    trial, outcome = running.popleft()
    if outcome.value is None:
        study.tell(trial, state=TrialState.PRUNED)
        return best
    study.tell(trial, outcome.value)
    return max(best, outcome, key=_told)


def _told(outcome: Outcome) -> float:
    return -math.inf if outcome.value is None else outcome.value


def _summarize(values: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    ahead = [b - o for b, o in zip(values["bounded"], values["optuna"], strict=True)]
    wins, losses = sum(d > 0 for d in ahead), sum(d < 0 for d in ahead)
    medians = {name: round(statistics.median(each), 5) for name, each in values.items()}
    return {**medians, "better": wins, "worse": losses, "p": round(sign_test(wins, losses), 4)}


def sign_test(wins: int, losses: int) -> float:
    """How likely a split at least as uneven is where neither is better (exact, two-sided)."""
    n = wins + losses
    tail: int = sum(math.comb(n, k) for k in range(max(wins, losses), n + 1))
    return min(1.0, 2 * tail / float(2**n))


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
