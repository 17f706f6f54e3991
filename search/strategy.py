"""What a person should know of a search's strategy before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

import optuna
from optuna.trial import TrialState

from search.config import Config
from search.estimate import estimate_cost


def describe_strategy(config: Config) -> list[str]:
    """Notes on sampler, constraints and objectives, each one line; none on the usual ones."""
    return [
        *_plan(config),
        *_second_objective(config),
        *_constraints(config),
        *_sampler(config),
    ]


def describe_price(study: optuna.Study, config: Config) -> str:
    """What the trials of a plan will cost, from the epochs that the study has seen."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    seconds = [t.user_attrs["epoch_seconds"] for t in finished if "epoch_seconds" in t.user_attrs]
    epochs = (config.most_trials() or 0) * config.study.epochs_per_trial
    if not seconds:
        return (
            f"price: {epochs:,} epochs at most; how long one takes is shown as soon as it is "
            "known, and `unet-search check` times it first"
        )
    cost = estimate_cost(config, epochs * fmean(seconds) / 3600)
    money = "" if cost["money"] is None else f" for {cost['money']:,.2f} in money"
    return f"price: at most {cost['device_hours']:,.2f} device hours{money}, what is spent included"


def _plan(config: Config) -> Iterator[str]:
    plan, study = config.build_plan(), config.study
    if plan is None:
        return
    trials = config.most_trials() or plan.size
    what = "combinations" if study.sampler == "grid" else "runs, the baseline among them"
    yield (
        f"{study.sampler}: {plan.size:,} {what}; {trials:,} trials of at most "
        f"{study.epochs_per_trial} epochs, {trials * study.epochs_per_trial:,} epochs in all"
    )


def _second_objective(config: Config) -> Iterator[str]:
    second = config.study.second_objective
    if second is not None:
        yield (
            f"two objectives, validation Dice and {second}: no trial is pruned; a limit "
            f"{second} in [constraints] in place of study.second_objective lets the pruner work"
        )


def _constraints(config: Config) -> Iterator[str]:
    if config.build_constraints().limits_time() and config.study.pruner != "none":
        yield (
            "a trial's times are known after its second epoch, since the first one compiles: no "
            "trial is pruned before"
        )


def _sampler(config: Config) -> Iterator[str]:
    trials = config.most_trials()
    if config.study.sampler == "gp" and (trials is None or trials > 200):
        yield "gp takes seconds to minutes a trial beyond 200 trials; tpe does not slow down"
