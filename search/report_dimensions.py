"""The dimensions in a report: what matters, alone and in pairs, and the edges of the space."""

from __future__ import annotations

from collections.abc import Sequence

from search import report_charts, report_pairs
from search.boundaries import Edge, EdgeCheck
from search.interactions import LEAST_RUNS, Interaction
from search.plan import CHANGE
from search.report_findings import Findings
from search.report_importances import FEW_FOR_IMPORTANCES, LEAST_FOR_IMPORTANCES
from search.report_pairs import LEAST_FOR_MAP, Pair, with_both
from search.report_runs import count_endings
from search.shown_value import show_value
from trainer.page import Page

_PAIRS_SHOWN = 4
_WORTH_SHOWING = 0.01


def add_importances(page: Page, findings: Findings) -> None:
    """How much each dimension decides, or why that is not told."""
    if not findings.space.dimensions:
        return
    page.heading("What matters")
    done = count_endings(findings.runs)["trained to the end"]
    if not findings.importances:
        page.paragraph(_why_untold(done))
        return
    page.figure(
        report_charts.draw_importances(findings.importances),
        "How much each dimension decides whether a run is among the better ones (PED-ANOVA, "
        "Watanabe et al. 2023). Spend trials on the long bars, and fix the short ones.",
    )
    if done < FEW_FOR_IMPORTANCES:
        page.paragraph(
            f"Only {done} runs were trained to their end: these numbers are mostly noise, and "
            "another run may turn their order around. Fix nothing because of them yet."
        )


def _why_untold(done: int) -> str:
    if done < LEAST_FOR_IMPORTANCES:
        return (
            f"Fewer than {LEAST_FOR_IMPORTANCES} runs were trained to their end: too few to tell "
            "which dimensions matter."
        )
    return "The runs do not differ in a way that tells which dimensions matter."


def add_slices(page: Page, findings: Findings) -> None:
    """Dice over each dimension by itself."""
    scored = any(run.last is not None for run in findings.runs)
    if not scored or not findings.space.dimensions:
        return
    page.heading("Every dimension by itself")
    page.figure(
        report_charts.draw_slices(findings.runs, findings.space.dimensions),
        "Dice over the values that were tried, each axis as wide as the space. A slope that goes "
        "on to an edge says that the range is too narrow; crosses on one side, that it reaches "
        "where networks do not keep within memory or limits. What ended without a Dice lies in "
        "the strip at the foot.",
    )


def add_pairs(page: Page, findings: Findings) -> None:
    """Which dimensions act together."""
    if findings.interactions is None:
        return
    page.heading("What acts together")
    shown = [each for each in findings.interactions if each.strength >= _WORTH_SHOWING]
    if shown:
        _show_pairs(page, findings, shown[:_PAIRS_SHOWN])
        return
    few = len([run for run in findings.runs if run.last is not None]) < LEAST_RUNS
    page.paragraph(
        f"Fewer than {LEAST_RUNS} runs have scores: too few to tell interactions from noise."
        if few
        else "No pair of dimensions explains more together than each of them by itself."
    )


def _show_pairs(page: Page, findings: Findings, shown: Sequence[Interaction]) -> None:
    page.paragraph(
        "Share of the differences in Dice that two dimensions explain together, beyond what each "
        "explains by itself. A large share means that the best value of one depends on the other: "
        "tuning them one after the other misses it."
    )
    page.table(
        ["dimensions", "share"], [[" and ".join(each.names), each.strength] for each in shown]
    )
    known = {each.name: each for each in findings.space.dimensions}
    strongest, *others = [(known[each.names[0]], known[each.names[1]]) for each in shown]
    mapped = _add_map(page, findings, strongest)
    rest = others if mapped else [strongest, *others]
    if rest:
        page.figure(
            report_pairs.draw_pairs(findings.runs, rest),
            "Dice as colour over the values of both: bright dots that lie along a diagonal, or in "
            "one corner, show what goes with what.",
        )


def _add_map(page: Page, findings: Findings, pair: Pair) -> bool:
    """Maps the pair that acts together most; says so where there are too few runs for it."""
    names = " and ".join(each.name for each in pair)
    if len(with_both(findings.runs, pair)) < LEAST_FOR_MAP:
        page.paragraph(
            f"Fewer than {LEAST_FOR_MAP} runs have a Dice and values of {names}: too few for a "
            "map of the two."
        )
        return False
    page.figure(
        report_pairs.draw_map(findings.runs, pair),
        f"{names}, which act together most: the runs on the left, on the right the mean Dice of "
        "those in each cell, with their number; what is blank was not tried. Where the brightest "
        "cell of a row is another one from row to row, the two have to be tuned together. A cell "
        "of one or two runs says little.",
    )
    return True


def add_edges(page: Page, findings: Findings) -> None:
    """Whether the best runs crowd at an end of a dimension."""
    page.heading("The edges of the space")
    check = findings.edges
    for edge in check.edges:
        page.paragraph(_describe_edge(edge))
    ideas = any(CHANGE in run.facts for run in findings.runs)
    text = _describe_rest(check, of="that the search drew itself " if ideas else "")
    if text:
        page.paragraph(text)


def _describe_edge(edge: Edge) -> str:
    wider = "lower" if edge.end == "low" else "higher"
    return (
        f"{edge.name}: {edge.crowded} of the {edge.best} best runs lie near its {edge.end} "
        f"end, {show_value(edge.bound)}, where chance would put {edge.expected:.1f}. Better values "
        f"may lie beyond: let it reach {wider}."
    )


def _describe_rest(check: EdgeCheck, *, of: str) -> str:
    """What the check says of all dimensions without a crowded end."""
    crowded = {edge.name for edge in check.edges}
    if not check.told and not check.untold:
        return "No dimension has three numbers or more: there is no edge to look at."
    if not check.told:
        return (
            f"Too few finished runs {of}to say whether the best crowd at an end of a range or of "
            "a list of numbers."
        )
    parts = []
    if not crowded:
        parts.append("The best runs do not crowd at an end of any range or list of numbers.")
    if check.untold:
        parts.append(f"Too few finished runs {of}to say it of {', '.join(check.untold)}.")
    return " ".join(parts)
