"""A network as a SavedModel, for TensorFlow Serving and other languages."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np


def write_saved_model(network: Any, folder: Path) -> None:
    """Writes the network with one signature, `serve`, from intensities to probabilities.

    Args:
        network: Of Keras's own layers, on the TensorFlow backend.
        folder: Is made.

    Raises:
        OSError: It cannot be written.
    """
    import tensorflow as tf

    try:
        network.export(folder, format="tf_saved_model", verbose=False)
    except tf.errors.OpError as error:
        # How TensorFlow says that a disk is full or a folder is not to be written to.
        cause = str(error.message).splitlines()[0]
        raise OSError(errno.EIO, cause, str(folder)) from error


def predict_saved_model(folder: Path, images: np.ndarray) -> np.ndarray:
    """Probabilities as TensorFlow computes them from the folder alone, float32."""
    import keras

    layer = keras.layers.TFSMLayer(folder, call_endpoint="serve")
    return np.asarray(layer(images))
