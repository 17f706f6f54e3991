"""The facts that a report begins with: runs, time, cost, volumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.report_costs import Costs
from search.report_findings import Findings
from search.report_runs import count_endings
from trainer.page import Page


def add_facts(page: Page, findings: Findings) -> None:
    """How many runs there were, what they cost, and what they were trained on."""
    counts = count_endings(findings.runs)
    total = len(findings.runs)
    rows: list[list[object]] = [
        ["runs", ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"],
        ["stopped early", _share(counts["stopped early"], total)],
        ["infeasible", _share(counts["infeasible"], total)],
        ["epochs trained in the search", f"{findings.budget['epochs_trained']:,}"],
        *_costs(findings.costs),
    ]
    for volume in findings.data.get("volumes", [findings.data]):
        rows += _volume(volume)
    page.table(["", ""], rows)
    if total and counts["infeasible"] > 0.2 * total:
        page.paragraph(
            "More than a fifth of the runs did not keep within memory or limits: narrow the "
            "dimensions that decide the network's size, or give the workers more memory."
        )


def _costs(costs: Costs) -> list[list[object]]:
    """The search alone, the finalists where there are any, and both."""
    search = ["time and cost of the search alone", costs.search.describe(costs.price)]
    if costs.finalists is None:
        return [[*search]]
    together = costs.search + costs.finalists
    return [
        [*search],
        ["of the finalists and the final training", costs.finalists.describe(costs.price)],
        ["of both together", together.describe(costs.price)],
    ]


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


def _share(count: int, total: int) -> str:
    return f"{count} of {total} ({count / total:.0%})" if total else "none"
