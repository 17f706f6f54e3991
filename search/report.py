"""A study as one HTML page: `unet-search report`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna

from search.boundaries import check_edges
from search.change_table import list_changes
from search.config import Config
from search.exhibits import SECTION
from search.interactions import Interaction, measure_interactions
from search.objectives import has_two
from search.plan import ONE_AT_A_TIME
from search.pruners import rungs
from search.report_costs import read_costs
from search.report_findings import Findings
from search.report_front import SecondObjective, front_of
from search.report_importances import measure_importances
from search.report_page import build_report_page
from search.report_runs import Run, best_first, read_runs
from search.results import FINALISTS, WINNER, budget_row
from search.space import Dimension
from search.study import described_data
from storage.artifacts import ArtifactFolder
from trainer.output_folder import OutputFolder
from trainer.overlay import to_jpeg

_PAGE, _DATA = "report.html", "report.json"
_PICTURES, _BEST = 3, 5


def write_report(config: Config, study: optuna.Study, out: Path) -> dict[str, Any]:
    """Writes `report.html` and `report.json` into a folder.

    Args:
        config: Of the search.
        study: To read; it may be running.
        out: The folder; other files in it stay.

    Returns:
        What `report.json` holds.

    Raises:
        InputError: The folder cannot be written.
    """
    folder = OutputFolder(out, _DATA, (_PAGE,))
    folder.prepare()
    findings = gather(config, study)
    facts = folder.write(_facts(findings), {_PAGE: build_report_page(findings)})
    return {**facts, "files": [str(out / _PAGE), str(out / _DATA)]}


def gather(config: Config, study: optuna.Study) -> Findings:
    """Reads all that a report shows."""
    runs, space = read_runs(study, config), config.build_space()
    changes = list_changes(study, config)
    # One that has only begun may not have its values yet.
    told = [run.params for run in runs if run.reports]
    spent = budget_row(study, config.build_budget(), study.get_trials(deepcopy=False))
    always = [each for each in space.dimensions if all(each.name in params for params in told)]
    return Findings(
        study=study.study_name,
        runs=runs,
        space=space,
        rungs=_all_rungs(config),
        epochs=config.study.epochs_per_trial,
        budget=spent,
        importances=measure_importances(study),
        interactions=_interactions(config, runs, always),
        edges=check_edges(runs, space),
        costs=read_costs(study, config, spent),
        finalists=study.user_attrs.get(FINALISTS, []),
        changes=changes,
        pictures=_pictures(config, study, best_first(runs)[:_PICTURES]),
        data=described_data(study),
        winner=study.user_attrs.get(WINNER),
        second=_second_objective(config, study),
    )


def _interactions(
    config: Config, runs: Sequence[Run], dimensions: Sequence[Dimension]
) -> Sequence[Interaction] | None:
    if config.study.sampler == ONE_AT_A_TIME:
        # Single changes never vary two things against each other.
        return None
    return measure_interactions(runs, dimensions)


def _all_rungs(config: Config) -> list[int]:
    settings = config.study
    brackets = rungs(
        settings.pruner, epochs=settings.epochs_per_trial, patience=settings.patience_epochs
    )
    return sorted({rung for bracket in brackets for rung in bracket})


def _second_objective(config: Config, study: optuna.Study) -> SecondObjective | None:
    """The study says whether it has one; only its config is sure to have the name."""
    name = config.study.second_objective or "second objective"
    return SecondObjective(name) if has_two(study) else None


def _pictures(config: Config, study: optuna.Study, runs: Sequence[Run]) -> dict[int, bytes]:
    artifacts = ArtifactFolder(config.artifacts)
    found = {}
    for run in runs:
        # A picture that a crash has cut short is left out.
        with suppress(OSError, ValueError):
            path = artifacts.path(study.study_name, run.number, SECTION)
            found[run.number] = to_jpeg(path.read_bytes())
    return found


def _facts(findings: Findings) -> dict[str, Any]:
    """The page's numbers for a program."""
    second, edges = findings.second, findings.edges
    return {
        "study": findings.study,
        "winner": findings.winner,
        "best": [_run_row(run, second) for run in best_first(findings.runs)[:_BEST]],
        "second_objective": second and second.name,
        "front": [_run_row(run, second) for run in front_of(findings.runs)],
        "importances": dict(findings.importances),
        "interactions": [
            {"dimensions": list(each.names), "strength": round(each.strength, 4)}
            for each in (findings.interactions or ())[:10]
        ],
        "edges": [{"dimension": e.name, "end": e.end, "bound": e.bound} for e in edges.edges],
        "edges_untold": list(edges.untold),
        "finalists": list(findings.finalists),
        "changes": [row.to_json() for row in findings.changes],
        "budget": dict(findings.budget),
        "costs": findings.costs.to_json(),
    }


def _run_row(run: Run, second: SecondObjective | None) -> dict[str, Any]:
    row = {"number": run.number, "value": run.value, "params": dict(run.params)}
    return row if second is None else {**row, "second": run.second}
