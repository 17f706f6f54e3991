"""A study as one page for the person who has to decide what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from search import report_charts
from search.report_changes import add_changes
from search.report_dimensions import add_edges, add_importances, add_pairs, add_slices
from search.report_facts import add_facts
from search.report_findings import Findings
from search.report_front import draw_front, front_of
from search.report_runs import Run, best_first
from search.shown_value import show_value
from trainer.overlay import overlay_legend
from trainer.page import Page

_BEST_SHOWN = 5
_SCORES = ("precision", "recall")


def build_report_page(findings: Findings) -> bytes:
    """Writes the page."""
    page = Page(f"What the search {findings.study} found", _headline(findings))
    add_facts(page, findings)
    _add_best(page, findings)
    _add_front(page, findings)
    add_changes(page, findings)
    _add_course(page, findings)
    add_importances(page, findings)
    add_slices(page, findings)
    add_pairs(page, findings)
    add_edges(page, findings)
    _add_finalists(page, findings)
    _add_pictures(page, findings)
    return page.render()


def _headline(findings: Findings) -> str:
    ranked = best_first(findings.runs)
    if not ranked:
        return f"No run has been trained to its end yet; {len(findings.runs)} have begun."
    best = next((run for run in ranked if run.number == findings.winner), ranked[0])
    text = f"Trial {best.number} is the best: Dice {best.value:.4f} on the validation sections."
    if findings.second is not None:
        text += f" That is by Dice alone; {_count_front(findings)}."
    repeated = [each for each in findings.finalists if each["number"] == best.number]
    if repeated and repeated[0].get("mean") is not None:
        spread = repeated[0].get("std")
        text += f" Repeated, it comes to {repeated[0]['mean']:.4f}" + (
            f" ± {spread:.4f}." if spread is not None else "."
        )
    return text


def _count_front(findings: Findings) -> str:
    count = len(front_of(findings.runs))
    return f"{count} run{'s' * (count != 1)} make{'s' * (count == 1)} the Pareto front"


def _add_best(page: Page, findings: Findings) -> None:
    ranked = best_first(findings.runs)[:_BEST_SHOWN]
    if not ranked:
        return
    page.heading("The best runs" if findings.second is None else "The runs with the highest Dice")
    scores = [
        ["Dice", *(_digits(run.value) for run in ranked)],
        *_second_rows(findings, ranked),
        *([name, *(_digits(run.facts.get(name)) for run in ranked)] for name in _SCORES),
    ]
    params = [
        [each.name, *(show_value(run.params.get(each.name)) for run in ranked)]
        for each in findings.space.dimensions
    ]
    page.table(["trial", *(str(run.number) for run in ranked)], [*scores, *params])


def _second_rows(findings: Findings, ranked: Sequence[Run]) -> list[list[str]]:
    """The second objective of each run, and whether another one beats it in both."""
    second = findings.second
    if second is None:
        return []
    front = {run.number for run in front_of(findings.runs)}
    return [
        [second.label, *(second.show(run.second) for run in ranked)],
        ["on the Pareto front", *("yes" if run.number in front else "no" for run in ranked)],
    ]


def _add_front(page: Page, findings: Findings) -> None:
    if findings.second is None or not front_of(findings.runs):
        return
    page.heading("The Pareto front")
    page.figure(
        draw_front(findings.runs, findings.second),
        "Every run that was trained to its end; the better ones lie further up and further to the "
        "left. Those on the line, with their numbers, are the front: no other run is better in "
        "one thing and as good in the other. Where the line climbs steeply, a little more of "
        "what it costs gains much Dice; where it is flat, the cheaper run will do.",
    )


def _add_course(page: Page, findings: Findings) -> None:
    if not any(run.reports for run in findings.runs):
        return
    page.heading("The course of the search")
    page.figure(
        report_charts.draw_history(findings.runs),
        "Each mark is a run, from the first to the last that was begun; in the strip at the foot "
        "lies what failed, or did not keep within memory or limits, before it had a Dice. The "
        "line is the best one that was trained to its end so far: where it is flat for long, more "
        "trials are worth little.",
    )
    if findings.epochs == 1:
        return
    ranked = best_first(findings.runs)
    page.figure(
        report_charts.draw_curves(findings.runs, findings.rungs, ranked[0] if ranked else None),
        "Dice after each epoch. Grey runs were stopped at a rung (dotted) or ended otherwise. "
        "Where curves cross behind a rung, good runs may have been stopped too soon.",
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


def _digits(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "–"
