"""A network as an ONNX file, for any program with an ONNX runtime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

INPUT, OUTPUT = "raw", "probability"
"""Names of the tensors in the file."""


def write_onnx(network: Any, path: Path) -> None:
    """Writes a float32 network; examples and sides stay dynamic, and get their names.

    Args:
        network: From intensities (example, y, x, section) or (example, z, y, x, 1) to
            probabilities, of Keras's own layers, on the TensorFlow backend.
        path: Ends in `.onnx`.
    """
    import keras

    # Keras wants to be told the input of a network that has not been called yet.
    signature = [keras.InputSpec(shape=network.input_shape, dtype="float32", name=INPUT)]
    _teach_erfc()
    with warnings.catch_warnings():
        # Keras looks for an attribute that numpy 2 has given another meaning.
        warnings.simplefilter("ignore", FutureWarning)
        network.export(path, format="onnx", verbose=False, input_signature=signature)
    _name_tensors(path, network.input_shape, network.output_shape)


def predict_onnx(path: Path, images: np.ndarray) -> np.ndarray:
    """Probabilities as ONNX Runtime computes them on the CPU, float32.

    Args:
        path: What `write_onnx` wrote.
        images: float32, of the network's input shape.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    probability: np.ndarray = session.run([OUTPUT], {INPUT: images})[0]
    return probability


def opset_of(path: Path) -> int:
    """The version of ONNX's operators that a file is made of."""
    import onnx

    imports = onnx.load(path, load_external_data=False).opset_import
    return next(int(each.version) for each in imports if each.domain in ("", "ai.onnx"))


def _axis_names(shape: Sequence[int | None]) -> list[str]:
    """Names of a network's axes by its input shape: batch, (z,) y, x, channel."""
    return ["batch", *"zyx"[-(len(shape) - 2) :], "channel"]


def _teach_erfc() -> None:
    """Tells tf2onnx what TensorFlow's gelu is made of: erfc(x) is 1 - erf(x).

    Without it an operator that no runtime knows is written into the file, in silence.
    """
    from tf2onnx.handler import tf_op

    # Names of what cannot be converted are not for users: nothing is left that cannot.
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    tf_op("Erfc")(_Erfc)


class _Erfc:
    """Converts one operator, in the form that tf2onnx looks for."""

    @classmethod
    def version_9(cls, graph: Any, node: Any, **_: Any) -> None:
        dtypes = [graph.get_dtype(node.output[0])]
        shapes = [graph.get_shape(node.output[0])]
        graph.remove_node(node.name)
        one = graph.make_const(f"{node.name}/one", np.array(1, np.float32))
        erf = graph.make_node("Erf", node.input, dtypes=dtypes, shapes=shapes)
        graph.make_node(
            "Sub",
            [one.output[0], erf.output[0]],
            outputs=node.output,
            name=node.name,
            dtypes=dtypes,
            shapes=shapes,
        )


def _name_tensors(path: Path, taken: Sequence[int | None], given: Sequence[int | None]) -> None:
    """Gives the output its name, and the dynamic sizes theirs, and checks the whole file."""
    import onnx
    from onnx.tools.update_model_dims import update_inputs_outputs_dims

    model = onnx.load(path)
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = [OUTPUT if name == output.name else name for name in node.output]
        node.input[:] = [OUTPUT if name == output.name else name for name in node.input]
    output.name = OUTPUT
    sizes = {INPUT: _sizes(taken), OUTPUT: _sizes(given)}
    named = update_inputs_outputs_dims(model, {INPUT: sizes[INPUT]}, {OUTPUT: sizes[OUTPUT]})
    onnx.checker.check_model(named)
    onnx.save(named, path)


def _sizes(shape: Sequence[int | None]) -> list[int | str]:
    return [size or name for name, size in zip(_axis_names(shape), shape, strict=True)]
