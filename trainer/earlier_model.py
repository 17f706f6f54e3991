"""A model of an earlier search, to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainer.ensemble import first_member
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.model import NETWORK_FILE, load_card, load_model, sha256
from trainer.voxel_size import VoxelSize, trained_voxel_size


@dataclass(frozen=True)
class EarlierModel:
    """A model folder, whose weights a run can begin with.

    Attributes:
        folder: That `run` or `export` wrote.
        sha256: Of its network, so that another model in its place is noticed.
        hyperparameters: Of the run that made it.
        voxel_size_nm: Of the data that it was trained on, z, y, x, where they are known.
    """

    folder: Path
    sha256: str
    hyperparameters: Hyperparameters
    voxel_size_nm: VoxelSize | None = None

    @classmethod
    def read(cls, folder: Path) -> EarlierModel:
        """Reads the card and compares the network's hash with it; nothing heavy is loaded.

        Of an ensemble it is the first network: the best trial's, or the first seed's.

        Raises:
            InputError: It is no model folder, or a file of it was altered.
        """
        card = load_card(folder)
        hyperparameters = Hyperparameters.from_mapping(card["hyperparameters"])
        model = cls(folder, card["sha256"], hyperparameters, trained_voxel_size(card))
        model.check()
        return model

    def check(self) -> None:
        """Refuses files that cannot be read here, or are another model's.

        Raises:
            InputError: In one line, which.
        """
        path = self.folder / NETWORK_FILE
        try:
            found = sha256(path)
        except OSError as error:
            raise InputError(
                f"{path}: expected the network of the model to go on from, got: {error.strerror}; "
                "make its folder readable at this path"
            ) from None
        if found != self.sha256:
            raise InputError(
                f"{path}: expected the network with SHA-256 {self.sha256[:12]}, got "
                f"{found[:12]}; give the model that the study began with"
            )

    def fits(self, hyperparameters: Hyperparameters) -> bool:
        """Whether a run has the same network, and can begin with the weights."""
        return dict(self.hyperparameters.network) == dict(hyperparameters.network)

    def weights(self) -> Mapping[str, np.ndarray]:
        """The weights by their paths in the network.

        Raises:
            InputError: As `check`, or the file is no such network.
        """
        self.check()
        network = first_member(load_model(self.folder)).network
        return {weight.path: np.asarray(weight) for weight in network.weights}
