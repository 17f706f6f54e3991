"""Results as a person reads them in a terminal."""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from search.best_view import describe_best, describe_collapse, describe_model
from search.change_table import ChangeRow, table_of
from search.check_view import describe_check, show_hours
from search.config import Config
from search.data import Unseen
from search.forecast import Forecast
from search.objectives import dice_of
from search.results import describe_repeats
from search.run import Result
from search.runner import DICE_BY_VOLUME
from search.shown_value import show_value
from search.sibling import describe_sibling
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
        "value": winner and dice_of(winner),
        "params": winner and winner.params,
        "user_attrs": winner and winner.user_attrs,
        "finalists": [finalist.to_json() for finalist in result.finalists],
        "changes": [change.to_json() for change in result.changes],
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
        found = describe_collapse(attributes)
        nothing = f" ({found}: it has learned nothing)" if found else ""
        OUT.print(f"best trial: {winner.number}{nothing}", markup=False)
        for name, value in winner.params.items():
            OUT.print(f"    {name} = {show_value(value)}", markup=False)
        OUT.print(
            f"validation in the search: Dice {dice_of(winner):.4f}, "
            f"precision {attributes['precision']:.4f}, "
            f"recall {attributes['recall']:.4f} at threshold {attributes['threshold']:.2f}",
            markup=False,
        )
        for name, dice in attributes.get(DICE_BY_VOLUME, {}).items():
            OUT.print(f"    {name}: Dice {dice:.4f}", markup=False)
    for finalist in result.finalists:
        OUT.print(
            f"finalist {finalist.number}: Dice {describe_repeats(finalist.to_json())}; "
            f"{finalist.value:.4f} in the search",
            markup=False,
        )
    if result.changes:
        _present_changes(result.changes)
    if result.model is not None:
        OUT.print(f"model: {result.model}", markup=False)
        for line in describe_model(result.model):
            OUT.print(f"    {line}", markup=False)
    OUT.print("next:", markup=False)
    for line in _next_commands(result, again):
        OUT.print(f"    {line}", markup=False)


def _present_changes(changes: Sequence[ChangeRow]) -> None:
    head, body = table_of(changes)
    table = Table(*head, box=None, pad_edge=False)
    for row in body:
        table.add_row(*("-" if cell is None else Text(show_value(cell)) for cell in row))
    OUT.print(table)


def present_check(facts: Mapping[str, Any]) -> None:
    """Shows what a search would do and cost."""
    for line in describe_check(facts):
        OUT.print(line, markup=False)


def present_simulation(forecast: Forecast) -> None:
    """Shows what a search would take, and what it would cost."""
    counts = ", ".join(f"{count} {state}" for state, count in forecast.counts.items() if count)
    went_on = sum(forecast.counts.values()) - forecast.counts.get("WAITING", 0) - forecast.trials
    again = f", of which {went_on} went on as another one" if went_on > 0 else ""
    hours = f"{forecast.device_hours:.2f} device hours"
    lines = [
        f"{forecast.trials} trials on {forecast.slots} slots: {counts}{again}; "
        f"{forecast.epochs} epochs",
        f"time: {show_hours(forecast.virtual_hours)}, {hours}"
        + ("" if forecast.cost is None else f" for {forecast.cost:.2f} in money"),
        f"slots stood idle {forecast.idle_share:.1%} of the time while there were trials to begin, "
        f"and {forecast.tail_idle_share:.1%} of the last {show_hours(forecast.tail_hours)}",
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
            Text(
                "; ".join(filter(None, (trial["reason"], describe_collapse(trial["user_attrs"]))))
            ),
        )
    OUT.print(table)
    _present_logs(row["trials"])
    counts = ", ".join(f"{count} {state}" for state, count in row["counts"].items() if count)
    budget = row["budget"]
    OUT.print(f"{row['study']}: {counts or 'no trials yet'}", markup=False)
    by = f"run by {row['run_by']}" if row["run_by"] else "not running at the moment"
    OUT.print(by, markup=False)
    OUT.print(
        f"budget: {budget['trials_begun']}{_of(budget['trials'])} trials, "
        f"{budget['epochs_trained']}{_of(budget['epochs'])} epochs, "
        f"{budget['hours_spent']:.2f}{_of(budget['hours'])} hours, "
        f"{budget['device_hours_spent']:.2f}{_of(budget['device_hours'])} device hours"
        f"{_money(budget)}",
        markup=False,
    )
    if row["finalists"]:
        OUT.print(describe_sibling(row["finalists"]), markup=False)


def _of(limit: float | None) -> str:
    return "" if limit is None else f" of {limit}"


def present_best(rows: Sequence[Mapping[str, Any]]) -> None:
    """Shows the best trials."""
    for line in describe_best(rows):
        OUT.print(line, markup=False)


def present_export(card: Mapping[str, Any], out: Path) -> None:
    """Says what was written, and how large it is."""
    trials = card["trial"] if isinstance(card["trial"], list) else [card["trial"]]
    what = f"trial{'s' if len(trials) > 1 else ''} {', '.join(map(str, trials))}"
    say(f"{what} written to {out}:")
    for name in card["files"]:
        say(f"    {name}  {_size(out / name)}")
    for note in card["notes"]:
        say(note)
    if not card["publication"]["authors"]:
        say("before you publish it: [export] of the config takes authors, licence and citations")


def _size(path: Path) -> str:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    kilobytes = sum(file.stat().st_size for file in files) / 1e3
    return f"{kilobytes / 1e3:.1f} MB" if kilobytes >= 1e3 else f"{kilobytes:.0f} kB"


def present_evaluation(scores: Mapping[str, Any], out: Path | None) -> None:
    """Shows a model's scores on a volume, and where the page is."""
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
    if out is not None:
        say(f"written to {out}: open {out / 'evaluation.html'}")


def present_explanation(facts: Mapping[str, Any], out: Path) -> None:
    """Shows the filters that stand out in a region."""
    OUT.print(
        f"section {facts['section']}, box {','.join(map(str, facts['box']))}: probability "
        f"{facts['mean_probability']:.3f} in the mean, {facts['foreground_share']:.1%} foreground",
        markup=False,
    )
    for note in facts["notes"]:
        say(note)
    for level in facts["levels"]:
        filters = ", ".join(
            f"{each['filter']} ({each['stands_out']:+.2f})" for each in level["strongest"]
        )
        OUT.print(f"{level['level']}: filters {filters} of {level['filters']}", markup=False)
    say(f"written to {out}: open {out / 'explain.html'}")


def present_exploration(facts: Mapping[str, Any], out: Path) -> None:
    """Shows the main numbers of an exploration, what is wrong with the data, and the page."""
    from trainer.explore import PAGE_FILE, table_rows

    for note in facts["notes"]:
        say(note)
    for name, value in table_rows(facts):
        OUT.print(f"{name}: {value}", markup=False)
    for finding in facts["findings"]:
        OUT.print(f"{finding['check']}: {finding['message']}", markup=False)
    for each in facts["not_checked"]:
        OUT.print(f"{each['check']}: not checked: {each['reason']}", markup=False)
    OUT.print(f"page: {out / PAGE_FILE}", markup=False)


def present_prediction(written: Mapping[str, Any]) -> None:
    """Shows what a prediction wrote."""
    size = written["voxel_size_nm"]
    voxels = " x ".join(f"{side:g}" for side in size) + " nm" if size else "of unknown size"
    shape = " x ".join(map(str, written["shape"]))
    speed = written["voxels_per_second"]
    pace = f", {speed / 1e6:.2f} million voxels a second" if speed else ""
    OUT.print(
        f"probabilities: {written['output']} ({shape}, voxels {voxels}; "
        f"{written['seconds']:.0f} s{pace})",
        markup=False,
    )
    if written["labels"]:
        OUT.print(
            f"labels: {written['labels']} ({written['objects']} objects, where the probability "
            f"reaches {written['threshold']:g})",
            markup=False,
        )
    else:
        say(f"foreground is what reaches {written['threshold']:g}; --labels writes the objects")


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
    program, config = _program(), [again[0], *_settings(again)]
    if result.ending.kind == "interrupted":
        return [shlex.join([program, "run", *again]) + "    # goes on where it stopped"]
    if result.model is None:
        return [shlex.join([program, "status", *config]) + "    # why trials failed"]
    unseen = result.unseen or Unseen(Path("RAW.tif"), Path("MASK.tif"))
    files = ["--raw", str(unseen.raw), "--mask", str(unseen.mask)]
    held = ["--sections", "{},{}".format(*unseen.sections)] if unseen.sections else []
    return [
        shlex.join([program, "dashboard", *config]),
        shlex.join([program, "report", *config, "--out", "report"]),
        shlex.join([program, "export", *config, "--out", "exported"]),
        shlex.join([program, "evaluate", str(result.model), *files, *held]),
    ]


def _settings(again: Sequence[str]) -> list[str]:
    """Without them another command would read another study, or other files, than was run."""
    settings = []
    for name, value in itertools.pairwise(again):
        if name == "--set":
            settings += [name, value]
        elif name in ("--raw", "--mask"):
            settings += ["--set", f"data.{name[2:]}={value}"]
    return settings


def _program() -> str:
    """The command as it can be typed here, also where the environment is not active."""
    found = shutil.which("unet-search")
    own = Path(sys.argv[0])
    if found or not own.is_file():
        return "unet-search"
    return os.path.relpath(own)


def _dice(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
