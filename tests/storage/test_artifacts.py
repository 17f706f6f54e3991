from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.artifacts import download_artifact, get_all_artifact_meta
from optuna.trial import TrialState

from storage.artifacts import ArtifactFolder


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(study_name="mito")


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactFolder:
    return ArtifactFolder(tmp_path / "runs" / "artifacts")


def test_optuna_finds_what_was_added(
    study: optuna.Study, artifacts: ArtifactFolder, tmp_path: Path
) -> None:
    trial = study.ask()
    artifacts.write("mito", 0, "section.png", b"first")
    artifacts.write("mito", 0, "section.png", b"second")
    artifacts.write("mito", 0, "curve.svg", b"<svg/>")
    artifacts.write("mito", 0, "log.txt", b"begun")
    artifacts.add(trial, "section.png", "curve.svg", "log.txt", "never-written.png")
    study.tell(trial, state=TrialState.PRUNED)
    found = {
        meta.filename: meta
        for meta in get_all_artifact_meta(study.trials[0], storage=study._storage)
    }
    assert {name: meta.mimetype for name, meta in found.items()} == {
        "section.png": "image/png",
        "curve.svg": "image/svg+xml",
        "log.txt": "text/plain",
    }
    download_artifact(
        artifact_store=artifacts.build_store(),
        artifact_id=found["section.png"].artifact_id,
        file_path=str(tmp_path / "downloaded"),
    )
    assert (tmp_path / "downloaded").read_bytes() == b"second"


def test_files_of_different_trials_and_studies_are_apart(artifacts: ArtifactFolder) -> None:
    paths = {
        artifacts.path(study, trial, name)
        for study in ("mito", "mito/finalists")
        for trial in (0, 1)
        for name in ("section.png", "log.txt")
    }
    assert len(paths) == 8


def test_what_cannot_be_written_is_left_out(study: optuna.Study, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    artifacts = ArtifactFolder(tmp_path / "file" / "artifacts")
    artifacts.write("mito", 0, "section.png", b"content")
    trial = study.ask()
    artifacts.add(trial, "section.png")
    assert get_all_artifact_meta(study.trials[0], storage=study._storage) == []


def test_a_write_that_fails_leaves_the_file_before_and_nothing_half_written(
    artifacts: ArtifactFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts.write("mito", 0, "log.txt", b"whole")

    def full(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        artifacts.write("mito", 0, "log.txt", b"half")
    path = artifacts.path("mito", 0, "log.txt")
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]
