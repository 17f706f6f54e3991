"""Several models as one: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.input_grid import InputGrid

if TYPE_CHECKING:
    from trainer.model import Model

_MEMBER = "member_"


def combine(models: Sequence[Model]) -> Model:
    """Makes one model of several, saved, loaded and exported as any other.

    The card, the threshold and what follows the network are the first one's, until they are set
    anew. Members may differ in everything but 2D and 3D: sides are multiples of the largest
    divisor, and the input has every section that one of them sees.

    Args:
        models: At least two, as `build_model` gave them.

    Raises:
        InputError: They are fewer, or of 2D and 3D.
    """
    ranks = {len(model.network.input_shape) for model in models}
    if len(models) < 2 or len(ranks) > 1:
        got = f"{len(models)}" if len(models) < 2 else "2D and 3D together"
        raise InputError(
            f"ensemble: expected two or more models of 2D or of 3D, got {got}; take others"
        )
    members = tuple(
        hyperparameters
        for model in models
        for hyperparameters in (model.members or (model.hyperparameters,))
    )
    if len(members) != len(models):
        raise InputError(
            "ensemble: expected single models, got an ensemble among them; leave it out"
        )
    network = average([model.network for model in models], members)
    return replace(models[0], network=network, members=members)


def first_member(model: Model) -> Model:
    """The first network of an ensemble as a model of its own; a single one as it is."""
    if not model.members:
        return model
    network = model.network.get_layer(f"{_MEMBER}0")
    return replace(model, network=network, hyperparameters=model.members[0], members=())


def average(networks: Sequence[Any], members: Sequence[Hyperparameters]) -> Any:
    """A network whose output is the mean of theirs, of Keras's own layers.

    Args:
        networks: From intensities to probabilities; their layers are shared, not copied.
        members: What each of them is.
    """
    import keras

    offsets = InputGrid.of(members).section_offsets
    inputs = keras.Input((*networks[0].input_shape[1:-1], len(offsets)), name="raw")
    outputs = []
    for number, (network, seen) in enumerate(zip(networks, members, strict=True)):
        # Names within a network are told apart by that of the member.
        member = keras.Model(network.inputs[0], network.outputs[0], name=f"{_MEMBER}{number}")
        outputs.append(member(_pick(inputs, offsets, seen.section_offsets)))
    mean = keras.layers.Average(dtype="float32", name="probability")(outputs)
    return keras.Model(inputs, mean, name="ensemble")


def _pick(sections: Any, offsets: tuple[int, ...], wanted: tuple[int, ...]) -> Any:
    """Those sections of the input that a member sees."""
    import keras

    if wanted == offsets:
        return sections
    places = [offsets.index(offset) for offset in wanted]
    if places == list(range(places[0], places[-1] + 1)):
        return sections[..., places[0] : places[-1] + 1]
    return keras.ops.take(sections, places, axis=-1)
