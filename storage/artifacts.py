"""Pictures and logs of trials, where optuna-dashboard finds them."""

import json
import mimetypes
import os
import uuid
from contextlib import suppress
from pathlib import Path

import optuna
from optuna.artifacts import FileSystemArtifactStore

_PREFIX = "artifacts:"
_NAMESPACE = uuid.UUID("5c3f8a52-3f0c-4f3c-9a5e-0f6d1c1d7b52")


class ArtifactFolder:
    """The files of trials as Optuna keeps artifacts: each under an id, its name with the trial.

    The id follows from study, trial and name. So a worker can write a file anew after every epoch,
    and the coordinator, without a word from it, add what there is to the trial in the end.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, study: str, trial: int, name: str, content: bytes) -> None:
        """Write a file in place of what it was; what cannot be written is left out.

        Args:
            study: Its name.
            trial: Number of the trial.
            name: Of the file, whose ending tells what it is.
            content: All of it.
        """
        path = self.path(study, trial, name)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        # No picture is worth a trial; a full disk is found out by what has to be kept.
        with suppress(OSError):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_bytes(content)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)

    def add(self, trial: optuna.Trial, *names: str) -> None:
        """Tell Optuna of the trial's files, as `optuna.artifacts.upload_artifact` does.

        Args:
            trial: Not finished yet.
            names: Of files; those that were never written are left out.
        """
        for name in names:
            path = self.path(trial.study.study_name, trial.number, name)
            if path.is_file():
                kind, encoding = mimetypes.guess_type(name)
                facts = {
                    "artifact_id": path.name,
                    "filename": name,
                    "mimetype": kind or "text/plain",
                    "encoding": encoding,
                }
                trial.storage.set_trial_system_attr(
                    trial._trial_id, _PREFIX + path.name, json.dumps(facts)
                )

    def path(self, study: str, trial: int, name: str) -> Path:
        """Return where a file of a trial lies."""
        return self._folder / str(uuid.uuid5(_NAMESPACE, f"{study}/{trial}/{name}"))

    def build_store(self) -> FileSystemArtifactStore:
        """Return what Optuna and its dashboard read the files from."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return FileSystemArtifactStore(self._folder)
