"""Several models as one: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trainer.errors import InputError

if TYPE_CHECKING:
    from trainer.model import Model

_MEMBER = "member_"


def combine(models: Sequence[Model]) -> Model:
    """Makes one model of several, saved, loaded and exported as any other.

    The card, the threshold and what follows the network are the first one's, until they are set
    anew. Members may differ in everything but 2D and 3D: sides are multiples of the largest
    divisor, and a member that sees fewer sections than another takes those in the middle.

    Args:
        models: At least two, as `build_model` gave them.

    Raises:
        InputError: They are fewer, or of 2D and 3D.
    """
    ranks = {len(model.network.input_shape) for model in models}
    if len(models) < 2 or len(ranks) > 1:
        got = f"{len(models)}" if len(models) < 2 else "2D and 3D together"
        raise InputError(f"ensemble: expected two or more models of 2D or of 3D, got {got}")
    members = tuple(
        hyperparameters
        for model in models
        for hyperparameters in (model.members or (model.hyperparameters,))
    )
    if len(members) != len(models):
        raise InputError("ensemble: expected single models, got an ensemble among them")
    network = average([model.network for model in models])
    return replace(models[0], network=network, members=members)


def first_member(model: Model) -> Model:
    """The first network of an ensemble as a model of its own; a single one as it is."""
    if not model.members:
        return model
    network = model.network.get_layer(f"{_MEMBER}0")
    return replace(model, network=network, hyperparameters=model.members[0], members=())


def average(networks: Sequence[Any]) -> Any:
    """A network whose output is the mean of theirs, of Keras's own layers.

    Args:
        networks: From intensities to probabilities; their layers are shared, not copied.
    """
    import keras

    widest = max((network.input_shape for network in networks), key=lambda shape: int(shape[-1]))
    inputs = keras.Input(widest[1:], name="raw")
    outputs = []
    for number, network in enumerate(networks):
        # Names within a network are told apart by that of the member.
        member = keras.Model(network.inputs[0], network.outputs[0], name=f"{_MEMBER}{number}")
        outputs.append(member(_middle(inputs, int(network.input_shape[-1]))))
    mean = keras.layers.Average(dtype="float32", name="probability")(outputs)
    return keras.Model(inputs, mean, name="ensemble")


def _middle(sections: Any, count: int) -> Any:
    """So many sections around the one to segment."""
    rest = (sections.shape[-1] - count) // 2
    return sections[..., rest : rest + count] if rest else sections
