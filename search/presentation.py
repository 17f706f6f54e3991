"""Results as a person reads them in a terminal."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from search.config import Config
from search.forecast import Forecast
from search.run import Result
from search.terminal import OUT, say

_LOGS_SHOWN = 3


def result_row(result: Result) -> dict[str, Any]:
    """The end of a search as `run --json` prints it."""
    winner = result.winner
    return {
        "ending": result.ending.kind,
        "reason": result.ending.reason,
        "model": str(result.model) if result.model else None,
        "trial": winner and winner.number,
        "value": winner and winner.value,
        "params": winner and winner.params,
        "user_attrs": winner and winner.user_attrs,
    }


def present_result(result: Result, config: Config, again: Sequence[str]) -> None:
    """Shows the best trial, its scores, its model, and what to type next.

    Args:
        result: Of the search.
        config: Of the search.
        again: The arguments that go on with it, its config first.
    """
    OUT.print(f"\n{config.study.name}: {result.ending.reason}", markup=False)
    winner = result.winner
    if winner is not None:
        attributes = winner.user_attrs
        OUT.print(f"best trial: {winner.number}", markup=False)
        for name, value in winner.params.items():
            OUT.print(f"    {name} = {_short(value)}", markup=False)
        OUT.print(
            f"validation: Dice {winner.value:.4f}, precision {attributes['precision']:.4f}, "
            f"recall {attributes['recall']:.4f} at threshold {attributes['threshold']:.2f}",
            markup=False,
        )
    if result.model is not None:
        OUT.print(f"model: {result.model}", markup=False)
    OUT.print("next:", markup=False)
    for line in _next_commands(result, again):
        OUT.print(f"    {line}", markup=False)


def present_check(facts: Mapping[str, Any]) -> None:
    """Shows what a search would do and cost."""
    for line in facts["notes"]:
        OUT.print(line, markup=False)
    device, hours, cost = facts["device"], facts["hours"], facts["cost"]
    rungs = "; ".join(", ".join(map(str, bracket)) or "none" for bracket in facts["rungs"])
    lines = [
        f"database: {facts['database']}",
        f"device: {device['name']}, {device['precision']}, {device['slots']} trials at a time",
        *(_node(node) for node in facts["nodes"] or ()),
        f"rungs: after epoch {rungs}" if rungs else "rungs: none, every trial runs to its end",
        f"an epoch of a middling network ({facts['parameters']:,} parameters): "
        f"{facts['epoch_seconds']:.1f} s",
        f"search: about {_hours(hours['search_expected'])}, at most "
        f"{_hours(hours['search_at_most'])}; final training: about {_hours(hours['final'])}",
        f"search: about {cost['device_hours']:.2f} device hours"
        + ("" if cost["money"] is None else f" for {cost['money']:.2f} in money"),
        f"disk: about {facts['disk_bytes'] / 1e6:.0f} MB of checkpoints",
    ]
    for line in lines:
        OUT.print(line, markup=False)


def _node(node: Mapping[str, Any]) -> str:
    return (
        f"node {node['address']}: {node['cpus']:g} CPUs, {node['gpus']:g} GPUs; same versions, "
        "same data, same runs folder"
    )


def present_simulation(forecast: Forecast) -> None:
    """Shows what a search would take, and what it would cost."""
    counts = ", ".join(f"{count} {state}" for state, count in forecast.counts.items() if count)
    hours = f"{forecast.device_hours:.2f} device hours"
    lines = [
        f"{forecast.trials} trials on {forecast.slots} slots: {counts}; {forecast.epochs} epochs",
        f"time: {_hours(forecast.virtual_hours)}, {hours}"
        + ("" if forecast.cost is None else f" for {forecast.cost:.2f} in money"),
        f"slots stood idle {forecast.idle_share:.1%} of the time while there were trials to begin, "
        f"and {forecast.tail_idle_share:.1%} of the last {_hours(forecast.tail_hours)}",
        f"ended: {forecast.reason} (simulated in {forecast.wall_seconds:.1f} s)",
    ]
    for line in lines:
        OUT.print(line, markup=False)


def present_status(row: Mapping[str, Any]) -> None:
    """Shows every trial of a study, and the budget."""
    table = Table("trial", "state", "Dice", "epochs", "reason", box=None, pad_edge=False)
    for trial in row["trials"]:
        table.add_row(
            str(trial["number"]),
            trial["state"],
            _dice(trial["value"]),
            str(trial["epochs"]),
            Text(trial["reason"] or ""),
        )
    OUT.print(table)
    _present_logs(row["trials"])
    counts = ", ".join(f"{count} {state}" for state, count in row["counts"].items() if count)
    budget = row["budget"]
    OUT.print(f"{row['study']}: {counts or 'no trials yet'}", markup=False)
    OUT.print(
        f"budget: {budget['trials_begun']} of {budget['trials'] or 'any number of'} trials, "
        f"{budget['epochs_trained']} of {budget['epochs'] or 'any number of'} epochs, "
        f"{budget['hours_spent']:.2f} of {budget['hours'] or 'any number of'} hours, "
        f"{budget['device_hours_spent']:.2f} of {budget['device_hours'] or 'any number of'} "
        f"device hours{_money(budget)}",
        markup=False,
    )


def present_best(rows: Sequence[Mapping[str, Any]]) -> None:
    """Shows the best trials."""
    if not rows:
        OUT.print("no trial has reached its full budget yet")
    for row in rows:
        params = ", ".join(f"{name} = {_short(value)}" for name, value in row["params"].items())
        model = f"  model: {row['model']}" if row["model"] else ""
        OUT.print(f"trial {row['number']}: Dice {row['value']:.4f}{model}", markup=False)
        OUT.print(f"    {params}", markup=False)


def present_evaluation(scores: Mapping[str, Any]) -> None:
    """Shows a model's scores on a volume."""
    for note in scores["notes"]:
        say(note)
    OUT.print(
        f"Dice {scores['dice']:.4f}, IoU {scores['iou']:.4f}, precision {scores['precision']:.4f}, "
        f"recall {scores['recall']:.4f} at threshold {scores['threshold']:.2f}, "
        f"over {scores['voxels']:,} voxels",
        markup=False,
    )
    boundary = ", ".join(f"{dice:.4f} at {n}" for n, dice in scores["boundary_dice"].items())
    OUT.print(
        f"MCC {scores['mcc']:.4f}, average precision {scores['average_precision']:.4f}, "
        f"boundary Dice {boundary} voxels",
        markup=False,
    )
    for key, what in (("3d", "objects in the volume"), ("2d", "in sections")):
        found, strict = scores[f"instances_{key}"], scores[f"instances_{key}_iou_075"]
        OUT.print(
            f"{what}: found {found['found']} of {found['total']} at IoU 0.5, {strict['found']} at "
            f"IoU 0.75 (precision {found['precision']:.3f}, F1 {found['f1']:.3f} at 0.5; "
            f"panoptic quality {scores[f'panoptic_quality_{key}']:.3f})",
            markup=False,
        )


def present_explanation(facts: Mapping[str, Any], out: Path) -> None:
    """Shows the filters that stand out in a region."""
    OUT.print(
        f"section {facts['section']}, box {','.join(map(str, facts['box']))}: probability "
        f"{facts['mean_probability']:.3f} in the mean, {facts['foreground_share']:.1%} foreground",
        markup=False,
    )
    for level in facts["levels"]:
        filters = ", ".join(
            f"{each['filter']} ({each['stands_out']:+.2f})" for each in level["strongest"]
        )
        OUT.print(f"{level['level']}: filters {filters} of {level['filters']}", markup=False)
    say(f"written to {out}: open {out / 'explain.html'}")


def _present_logs(trials: Sequence[Mapping[str, Any]]) -> None:
    for trial in [trial for trial in trials if trial.get("log")][-_LOGS_SHOWN:]:
        OUT.print(f"\nend of the log of trial {trial['number']}:", markup=False)
        for line in trial["log"]:
            OUT.print(f"    {line}", markup=False, highlight=False)


def _money(budget: Mapping[str, Any]) -> str:
    if budget["money_spent"] is None:
        return ""
    return f", {budget['money_spent']:.2f} of {budget['money'] or 'any amount of'} money"


def _next_commands(result: Result, again: Sequence[str]) -> list[str]:
    program, config = _program(), again[0]
    if result.ending.kind == "interrupted":
        return [shlex.join([program, "run", *again]) + "    # goes on where it stopped"]
    if result.model is None:
        return [shlex.join([program, "status", config]) + "    # why trials failed"]
    raw, mask = result.unseen or (Path("RAW.tif"), Path("MASK.tif"))
    model = str(result.model)
    return [
        shlex.join([program, "dashboard", config]),
        shlex.join([program, "export", config, "--out", "exported"]),
        shlex.join([program, "evaluate", model, "--raw", str(raw), "--mask", str(mask)]),
    ]


def _program() -> str:
    """The command as it can be typed here, also where the environment is not active."""
    found = shutil.which("unet-search")
    own = Path(sys.argv[0])
    if found or not own.is_file():
        return "unet-search"
    return os.path.relpath(own)


def _dice(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _hours(value: float | None) -> str:
    if value is None:
        return "an unknown time"
    return f"{value * 60:.0f} minutes" if value < 2 else f"{value:.1f} hours"
