"""A study as one page for the person who has to decide what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search import report_charts
from search.boundaries import Edge
from search.change_table import ChangeRow, is_baseline, table_of
from search.interactions import LEAST_RUNS, Interaction
from search.report_runs import Run, best_first
from search.shown_value import show_value
from search.space import Space
from trainer.overlay import overlay_legend
from trainer.page import Page

_PAIRS_SHOWN, _BEST_SHOWN = 4, 5
_WORTH_SHOWING = 0.01
_SCORES = ("precision", "recall")


@dataclass(frozen=True)
class Findings:
    """All that a page is made of.

    Attributes:
        study: Its name.
        runs: Of the study.
        space: What was searched.
        rungs: Epochs after which a run may have been stopped.
        epochs: Of a run that was trained to its end.
        budget: What it may cost and has cost, as `status --json` prints it.
        importances: Of each dimension, the largest first; empty where they cannot be told.
        interactions: The strongest pair first; None where no two things were varied together.
        edges: Ends of ranges that the best runs crowd at.
        finalists: With the scores of their repeats, the winner first.
        changes: Of a baseline, where the study tried any.
        pictures: JPEGs of validation sections, by trial number.
        data: What is known of the volume, or of each of several.
        winner: Number of the trial whose model was saved.
    """

    study: str
    runs: Sequence[Run]
    space: Space
    rungs: Sequence[int]
    epochs: int
    budget: Mapping[str, Any]
    importances: Mapping[str, float] = field(default_factory=dict)
    interactions: Sequence[Interaction] | None = ()
    edges: Sequence[Edge] = ()
    finalists: Sequence[Mapping[str, Any]] = ()
    changes: Sequence[ChangeRow] = ()
    pictures: Mapping[int, bytes] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    winner: int | None = None


def build_report_page(findings: Findings) -> bytes:
    """Writes the page."""
    page = Page(f"What the search {findings.study} found", _headline(findings))
    _add_facts(page, findings)
    _add_best(page, findings)
    _add_changes(page, findings)
    _add_course(page, findings)
    _add_dimensions(page, findings)
    _add_pairs(page, findings)
    _add_edges(page, findings)
    _add_finalists(page, findings)
    _add_pictures(page, findings)
    return page.render()


def _headline(findings: Findings) -> str:
    ranked = best_first(list(findings.runs))
    if not ranked:
        return f"No run has been trained to its end yet; {len(findings.runs)} have begun."
    best = next((run for run in ranked if run.number == findings.winner), ranked[0])
    text = f"Trial {best.number} is the best: Dice {best.value:.4f} on the validation sections."
    repeated = [each for each in findings.finalists if each["number"] == best.number]
    if repeated and repeated[0].get("mean") is not None:
        spread = repeated[0].get("std")
        text += f" Repeated, it comes to {repeated[0]['mean']:.4f}" + (
            f" ± {spread:.4f}." if spread is not None else "."
        )
    return text


def _add_facts(page: Page, findings: Findings) -> None:
    counts = report_charts.finished_states(findings.runs)
    total, budget = len(findings.runs), findings.budget
    rows: list[list[object]] = [
        ["runs", ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"],
        ["stopped early", _share(counts["stopped early"], total)],
        ["infeasible", _share(counts["infeasible"], total)],
        ["epochs trained", f"{budget['epochs_trained']:,}"],
        ["time", f"{budget['hours_spent']:.2f} h, {budget['device_hours_spent']:.2f} device hours"],
    ]
    if budget.get("money_spent") is not None:
        rows.append(["cost", f"{budget['money_spent']:.2f}"])
    for volume in findings.data.get("volumes", [findings.data]):
        rows += _volume(volume)
    page.table(["", ""], rows)
    if total and counts["infeasible"] > 0.2 * total:
        page.paragraph(
            "More than a fifth of the runs did not keep within memory or limits: narrow the "
            "dimensions that decide the network's size, or give the workers more memory."
        )


def _volume(data: Mapping[str, Any]) -> list[list[object]]:
    """Size and sections of a volume; its name comes first where there are several."""
    if not data.get("shape"):
        return []
    of = f"{data['name']}: " if "name" in data else ""
    shape = " × ".join(map(str, data["shape"]))
    rows: list[list[object]] = [[f"{of}volume", f"{shape} voxels (z × y × x)"]]
    for name in ("train", "validation", "holdout"):
        if data.get(name):
            first, end = data[name]
            rows.append([f"{of}{name} sections", f"{first} to {end - 1}"])
    return rows


def _add_best(page: Page, findings: Findings) -> None:
    ranked = best_first(list(findings.runs))[:_BEST_SHOWN]
    if not ranked:
        return
    page.heading("The best runs")
    scores = [
        ["Dice", *(_digits(run.value) for run in ranked)],
        *([name, *(_digits(run.facts.get(name)) for run in ranked)] for name in _SCORES),
    ]
    params = [
        [each.name, *(show_value(run.params.get(each.name)) for run in ranked)]
        for each in findings.space.dimensions
    ]
    page.table(["trial", *(str(run.number) for run in ranked)], [*scores, *params])


def _add_changes(page: Page, findings: Findings) -> None:
    if not findings.changes:
        return
    page.heading("Single changes")
    page.paragraph(
        "Each row changes the baseline in what its name says. Where the config gives numbers that "
        "were reported elsewhere, they stand beside the measured ones."
    )
    head, body = table_of(findings.changes)
    page.table(head, body)
    combined = _combination(findings)
    if combined:
        page.paragraph(combined)


def _combination(findings: Findings) -> str | None:
    """What a change of several values should have come to if its parts did not interact."""
    rows = {row.number: row for row in findings.changes if row.number is not None}
    runs = {
        run.number: run for run in findings.runs if run.number in rows and run.value is not None
    }
    baseline = next((run for run in runs.values() if is_baseline(run)), None)
    if baseline is None:
        return None
    alone = {}
    for run in runs.values():
        changed = _difference(run, baseline)
        if len(changed) == 1:
            alone[next(iter(changed.items()))] = (run.last or 0.0) - (baseline.last or 0.0)
    for run in runs.values():
        changed = _difference(run, baseline)
        if len(changed) > 1 and all(item in alone for item in changed.items()):
            gains = [alone[item] for item in changed.items()]
            expected = (baseline.last or 0.0) + sum(gains)
            return (
                f"“{rows[run.number].name}” changes {len(changed)} values at once. By what each of "
                f"them did alone ({', '.join(f'{gain:+.3f}' for gain in gains)}) it should have "
                f"come to a Dice of {min(1.0, max(0.0, expected)):.3f}; it came to {run.last:.3f}. "
                "The difference is what these values do to each other, which no search of one "
                "value at a time can see."
            )
    return None


def _difference(run: Run, baseline: Run) -> dict[str, Any]:
    return {n: value for n, value in run.params.items() if baseline.params.get(n) != value}


def _add_course(page: Page, findings: Findings) -> None:
    if not any(run.reports for run in findings.runs):
        return
    page.heading("The course of the search")
    page.figure(
        report_charts.draw_history(findings.runs),
        "Each dot is a run, from the first to the last that was begun. The line is the best one "
        "that was trained to its end so far: where it is flat for long, more trials are "
        "worth little.",
    )
    if findings.epochs == 1:
        return
    ranked = best_first(list(findings.runs))
    page.figure(
        report_charts.draw_curves(findings.runs, findings.rungs, ranked[0] if ranked else None),
        "Dice after each epoch. Grey runs were stopped at a rung (dotted) or ended otherwise. "
        "Where curves cross behind a rung, good runs may have been stopped too soon.",
    )


def _add_dimensions(page: Page, findings: Findings) -> None:
    if findings.importances:
        page.heading("What matters")
        page.figure(
            report_charts.draw_importances(findings.importances),
            "How much each dimension decides whether a run is among the better ones (PED-ANOVA, "
            "Watanabe et al. 2023). Spend trials on the long bars, and fix the short ones.",
        )
    scored = [run for run in findings.runs if run.last is not None]
    if scored and findings.space.dimensions:
        page.heading("Every dimension by itself")
        page.figure(
            report_charts.draw_slices(scored, findings.space.dimensions),
            "Dice over the values that were tried: filled for runs trained to their end, hollow "
            "for those stopped before. A slope that goes on to an edge says that the range is too "
            "narrow.",
        )


def _add_pairs(page: Page, findings: Findings) -> None:
    if findings.interactions is None:
        return
    page.heading("What acts together")
    shown = [each for each in findings.interactions if each.strength >= _WORTH_SHOWING]
    if not shown:
        few = len([run for run in findings.runs if run.last is not None]) < LEAST_RUNS
        page.paragraph(
            f"Fewer than {LEAST_RUNS} runs have scores: too few to tell interactions from noise."
            if few
            else "No pair of dimensions explains more together than each of them by itself."
        )
        return
    page.paragraph(
        "Share of the differences in Dice that two dimensions explain together, beyond what each "
        "explains by itself. A large share means that the best value of one depends on the other: "
        "tuning them one after the other misses it."
    )
    page.table(
        ["dimensions", "share"],
        [[" and ".join(each.names), each.strength] for each in shown[:_PAIRS_SHOWN]],
    )
    known = {each.name: each for each in findings.space.dimensions}
    page.figure(
        report_charts.draw_pairs(
            findings.runs,
            [(known[each.names[0]], known[each.names[1]]) for each in shown[:_PAIRS_SHOWN]],
        ),
        "Dice as colour over the values of both: bright dots that lie along a diagonal, or in one "
        "corner, show what goes with what.",
    )


def _add_edges(page: Page, findings: Findings) -> None:
    page.heading("The edges of the space")
    if not findings.edges:
        page.paragraph(
            "The best runs do not crowd at an end of any range, as far as there are enough."
        )
    for edge in findings.edges:
        wider = "lower" if edge.end == "low" else "higher"
        page.paragraph(
            f"{edge.name}: {edge.crowded} of the {edge.best} best runs lie near its {edge.end} "
            f"end, {show_value(edge.bound)}. Better values may lie beyond: let the range reach "
            f"{wider}."
        )


def _add_finalists(page: Page, findings: Findings) -> None:
    if not findings.finalists:
        return
    page.heading("The finalists")
    page.table(
        ["trial", "in the search", "mean of the repeats", "standard deviation", "repeats"],
        [
            [
                str(each["number"]),
                f"{each['value']:.4f}",
                _digits(each.get("mean")),
                _digits(each.get("std")),
                len(each["scores"]),
            ]
            for each in findings.finalists
        ],
    )
    page.figure(
        report_charts.draw_finalists(findings.finalists),
        "The best runs again, with other seeds and on other blocks of sections. The cross is what "
        "the search saw; where it lies above the dots, the run was lucky. The winner has the best "
        "mean.",
    )


def _add_pictures(page: Page, findings: Findings) -> None:
    if not findings.pictures:
        return
    page.heading("What the best runs see")
    page.legend(overlay_legend())
    for number, picture in findings.pictures.items():
        page.figure(
            picture, f"A validation section as trial {number} segments it after its last epoch."
        )


def _share(count: int, total: int) -> str:
    return f"{count} of {total} ({count / total:.0%})" if total else "none"


def _digits(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "–"
