from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.artifacts import get_all_artifact_meta
from optuna.trial import TrialState

from search import lineage
from search.exhibits import Exhibits
from search.trial_log import TrialLog
from storage.artifacts import ArtifactFolder


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(study_name="mito", direction="maximize")


def names(study: optuna.Study) -> list[str]:
    metas = get_all_artifact_meta(study.trials[0], storage=study._storage)
    return sorted(meta.filename for meta in metas)


def test_a_trial_ends_with_its_curve_its_log_and_its_section(
    study: optuna.Study, tmp_path: Path
) -> None:
    artifacts = ArtifactFolder(tmp_path / "artifacts")
    TrialLog(tmp_path / "logs", "mito").write(0, 1, "Dice 0.5")
    artifacts.write("mito", 0, "section.png", b"picture")
    trial = study.ask()
    trial.report(0.5, 1)
    trial.report(float("nan"), 2)
    Exhibits(artifacts, tmp_path / "logs", epochs=3).add(trial)
    study.tell(trial, state=TrialState.PRUNED)
    assert names(study) == ["learning-curve.svg", "log.txt", "section.png"]
    assert b"Dice 0.5" in artifacts.path("mito", 0, "log.txt").read_bytes()
    assert artifacts.path("mito", 0, "learning-curve.svg").read_bytes().startswith(b"<svg")


def test_a_trial_that_has_done_nothing_has_nothing(study: optuna.Study, tmp_path: Path) -> None:
    artifacts = ArtifactFolder(tmp_path / "artifacts")
    # Of a study of that name that was deleted.
    artifacts.write("mito", 0, "section.png", b"of another trial")
    trial = study.ask()
    Exhibits(artifacts, tmp_path / "logs", epochs=3).add(trial)
    assert names(study) == []


def test_of_an_endless_log_the_end_is_kept(study: optuna.Study, tmp_path: Path) -> None:
    artifacts = ArtifactFolder(tmp_path / "artifacts")
    (tmp_path / "00000.log").write_bytes(b"x" * 3_000_000 + b"the end")
    Exhibits(artifacts, tmp_path, epochs=3).add(study.ask())
    kept = artifacts.path("mito", 0, "log.txt").read_bytes()
    assert kept.endswith(b"the end")
    assert len(kept) == 1 << 20


def test_a_trial_that_goes_on_and_ends_at_once_shows_what_it_went_on_from(
    study: optuna.Study, tmp_path: Path
) -> None:
    artifacts = ArtifactFolder(tmp_path / "artifacts")
    artifacts.write("mito", 0, "section.png", b"of the first")
    first = study.ask()
    lineage.end_for_now(study, first, "the worker was lost")
    for _ in range(2):
        lineage.enqueue_continuations(study)
        trial = study.ask()
        Exhibits(artifacts, None, epochs=3).add(trial)
        assert artifacts.path("mito", trial.number, "section.png").read_bytes() == b"of the first"
        lineage.end_for_now(study, trial, "the worker was lost")
    artifacts.write("mito", 2, "section.png", b"its own")
    lineage.enqueue_continuations(study)
    Exhibits(artifacts, None, epochs=3).add(study.ask())
    assert artifacts.path("mito", 3, "section.png").read_bytes() == b"its own"
