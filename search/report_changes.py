"""Single changes in a report, and what they should have come to together."""

from __future__ import annotations

from typing import Any

from search.change_table import is_baseline, table_of
from search.report_findings import Findings
from search.report_runs import Run
from trainer.page import Page


def add_changes(page: Page, findings: Findings) -> None:
    """The changes of a baseline as a table, where the study tries any."""
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
