"""What is known about a model, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trainer.conditions import matters
from trainer.model import CARD_FILE, NETWORK_FILE, ONNX_FILE, SAVED_MODEL
from trainer.spatial_axes import spatial_axes
from trainer.voxel_size import trained_voxel_size

if TYPE_CHECKING:
    from trainer.model import Model
    from trainer.publication import Publication


def describe_model(
    model: Model, card: Mapping[str, Any], publication: Publication
) -> dict[str, Any]:
    """Adds to a card what everybody who is handed a model asks first.

    Args:
        model: The model.
        card: Of the model folder, as JSON holds it.
        publication: How it is presented.

    Returns:
        What the exported card holds besides.
    """
    return {
        "summary": _summarize(model, card),
        "publication": publication.to_mapping(),
        "weights": int(model.network.count_params()),
        "limits": list(_limits(model, card)),
    }


def write_readme(model: Model, card: Mapping[str, Any], package: str) -> str:
    """The card as Markdown, which is the package's documentation as well.

    Args:
        model: The model.
        card: With what `describe_model` added.
        package: Name of the bioimage.io package.
    """
    publication = card["publication"]
    parts = [
        f"# {publication['name']}",
        publication["description"],
        card["summary"],
        "## Files",
        _list_files(package),
        "## In Python",
        _code(model),
        _explain_postprocessing(model),
        "## Data",
        _list(_data(card)),
        "## Validation",
        _list(_validation(card)),
        _finalists(card.get("finalists") or ()),
        "## Training",
        _list(_training(model, card)),
        "## Limits",
        _list(card["limits"]),
        "## Authors, licence, citation",
        _list(_credits(publication)),
        "## Made with",
        _list(f"{name} {version}" for name, version in sorted(_versions(card).items())),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summarize(model: Model, card: Mapping[str, Any]) -> str:
    kind = f"{len(spatial_axes(model))}D U-Net"
    what = f"A mean of {len(model.members)} networks ({kind})" if model.members else f"A {kind}"
    dice = (card.get("validation") or {}).get("dice")
    scored = f", with a Dice of {dice:.3f} on validation sections" if dice is not None else ""
    return f"{what} that tells foreground from background{scored}. Found by unet-search."


def _limits(model: Model, card: Mapping[str, Any]) -> Iterator[str]:
    size = trained_voxel_size(card)
    made = f"voxels of {_by(size)} nm (z x y x x)" if size else "voxels of unknown size"
    several = len((card.get("data") or {}).get("volumes") or ())
    volumes = f"{several} volumes" if several > 1 else "one volume"
    yield (
        f"Trained on {volumes}, with {made}. Other tissues, microscopes and magnifications have "
        "to be tried before the result is trusted."
    )
    axes = ", ".join(f"{axis.name} {axis.step}" for axis in spatial_axes(model))
    yield f"The sides of its input are multiples of: {axes}. unet-search pads and cuts by itself."
    yield (
        "Gray values are scaled by the 1st and 99th percentile of the whole volume. Where a "
        "program scales each image or tile by its own, results differ a little."
    )
    yield (
        f"{_chosen(card)}; `unet-search evaluate` on sections held out gives the true score"
        f"{_near_the_holdout(card)}."
    )


def _chosen(card: Mapping[str, Any]) -> str:
    """How threshold and post-processing came about, and what that does to the score."""
    if card.get("train_on") == "all":
        return (
            "Post-processing was chosen, and the score above measured, with trials of the search "
            "on sections that they had not seen; the model learned from those as well, and its "
            "threshold was not chosen: it is one half"
        )
    return (
        "Threshold and post-processing were chosen on the validation sections, which makes their "
        "score a little too good"
    )


def _near_the_holdout(card: Mapping[str, Any]) -> str:
    """What makes the scores of held-out sections a little too good as well."""
    data = card.get("data") or {}
    for volume in data.get("volumes") or [data]:
        beside = volume.get("holdout_gap")
        if beside is not None and beside < volume.get("gap", 0):
            return (
                f", but for {beside} sections beside them that were left out, not {volume['gap']}"
            )
    return ""


def _list_files(package: str) -> str:
    rows = [
        (f"`{NETWORK_FILE}`", "Keras 3, in safe mode and without code of ours"),
        (f"`{ONNX_FILE}`", "any ONNX runtime; float32, any number and size of images"),
        (f"`{SAVED_MODEL}/`", "TensorFlow Serving, and TensorFlow in other languages"),
        (f"`{package}`", "ilastik, deepImageJ, `bioimageio predict`, the BioImage Model Zoo"),
        (f"`{CARD_FILE}`", "this card as data, with the SHA-256 of every file"),
    ]
    return _table(("file", "for"), rows)


def _code(model: Model) -> str:
    """Some lines for each: from a volume to probabilities."""
    begin = {
        "keras": (
            f'model = keras.saving.load_model("{NETWORK_FILE}")',
            "run = lambda images: model.predict(images, verbose=0)",
        ),
        "onnxruntime": (
            f'session = onnxruntime.InferenceSession("{ONNX_FILE}")',
            'run = lambda images: session.run(None, {"raw": images})[0]',
        ),
    }
    deep = len(spatial_axes(model)) == 3
    lines = _lines_in_3d(model) if deep else _lines_in_2d(model)
    blocks = [
        "\n".join(["```python", f"import {library}", "import numpy as np", *first, *lines, "```"])
        for library, first in begin.items()
    ]
    return "\n\n".join(blocks)


_SCALED = (
    "low, high = np.percentile(volume, (1, 99))  # gray values (z, y, x)",
    'x = ((volume - low) / (high - low)).astype("float32")',
)


def _lines_in_2d(model: Model) -> list[str]:
    """Section by section."""
    lines, reach = list(_SCALED), model.section_offsets[-1]
    if not reach:
        lines[-1] += "[..., None]"
    else:
        lines.append(f'x = np.pad(x, (({reach}, {reach}), (0, 0), (0, 0)), "edge")')
        window = f"{2 * reach + 1}, axis=0"
        lines.append(f"x = np.lib.stride_tricks.sliding_window_view(x, {window})")
        lines[-1] += _picked(model.section_offsets)
    return [*lines, "probability = np.concatenate([run(x[k : k + 1]) for k in range(len(x))])"]


def _lines_in_3d(model: Model) -> list[str]:
    """Slab by slab: a whole volume rarely fits into memory, and none was seen in training."""
    count = model.grid.tile_sections
    return [
        *_SCALED,
        f'x = np.pad(x, ((0, -len(x) % {count}), (0, 0), (0, 0)), "edge")[..., None]',
        f"# {count} sections at a time, as in training; unet-search predict lets them overlap.",
        f"slabs = [x[None, k : k + {count}] for k in range(0, len(x), {count})]",
        "probability = np.concatenate([run(slab)[0] for slab in slabs])[: len(volume)]",
    ]


def _picked(offsets: Sequence[int]) -> str:
    """The index that takes these of all sections from the first to the last."""
    places = [offset - offsets[0] for offset in offsets]
    return "" if places == list(range(len(places))) else f"[..., {places}]"


def _explain_postprocessing(model: Model) -> str:
    lines = [f"Foreground is where the probability reaches {model.threshold:g}."]
    if model.views > 1:
        lines.append(
            f"That is for the mean over {model.views} flips and quarter turns of each section."
        )
    if model.windows is not None:
        size, overlap = model.windows.size, model.windows.overlap
        lines.append(
            f"Sections are seen in windows of {size} x {size} that overlap by {overlap:.0%}."
        )
    if model.z_median > 1:
        lines.append(f"Before it comes a median over {model.z_median} sections along z.")
    if model.smallest_object_voxels > 1:
        lines.append(f"Objects below {model.smallest_object_voxels:,} voxels are left out.")
    lines.append("`unet-search predict --labels` and `unet-search evaluate` do all of it.")
    return " ".join(lines)


_OF_VOLUME = {
    "sha256": "SHA-256 of volume and mask",
    "raw_sha256": "SHA-256 of the volume alone",
    "shape": "voxels (z, y, x)",
    "voxel_size_nm": "voxel size in nm (z, y, x)",
    "train": "training sections",
    "validation": "validation sections",
    "holdout": "held-out sections",
    "gap": "sections between two blocks",
    "holdout_gap": "sections beside the held-out ones",
}


def _data(card: Mapping[str, Any]) -> Iterator[str]:
    data = card.get("data") or {}
    if not data:
        yield "unknown"
    yield from _volume(data)
    for number, volume in enumerate(data.get("volumes") or (), start=1):
        name = volume.get("name") or number
        yield from (f"volume {name}, {line}" for line in _volume(volume))


def _volume(data: Mapping[str, Any]) -> Iterator[str]:
    for key, name in _OF_VOLUME.items():
        value = data.get(key)
        if key in ("shape", "voxel_size_nm") and value:
            yield f"{name}: {_by(value)}"
        elif isinstance(value, list | tuple):
            yield f"{name}: {value[0]} to {value[1] - 1}"
        elif value is not None:
            yield f"{name}: {value}"


_OF_VALIDATION = {
    "dice": "Dice",
    "iou": "IoU",
    "of": "measured by",
    "dice_by_volume": "Dice of each volume",
}


def _validation(card: Mapping[str, Any]) -> Iterator[str]:
    scores = card.get("validation") or {}
    yield from _scores(scores)
    for name, own in (scores.get("by_volume") or {}).items():
        yield from (f"volume {name}, {line}" for line in _scores(own))
    yield (
        "on other data: `unet-search evaluate FOLDER --raw RAW --mask MASK --out OUT` gives Dice, "
        "IoU, precision, recall, the objects found, and pictures of the worst sections"
    )


def _scores(scores: Mapping[str, Any]) -> Iterator[str]:
    for key, value in scores.items():
        if key != "by_volume":
            yield f"{_OF_VALIDATION.get(key, key)}: {_cell(value)}"


_OF_FINALIST = {
    "number": "trial",
    "value": "Dice in the search",
    "mean": "mean of its repeats",
    "std": "their deviation",
    "n": "repeats",
}


def _finalists(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    columns = [name for name in _OF_FINALIST if any(name in row for row in rows)]
    cells = [[_cell(row.get(name)) for name in columns] for row in rows]
    head = [_OF_FINALIST[name] for name in columns]
    return "The best of the search:\n\n" + _table(head, cells)


_OF_TRAINING = {
    "study": "study",
    "trial": "trial",
    "created": "created",
    "train_on": "trained on",
    "epochs": "epochs",
    "tiles_per_epoch": "tiles in an epoch",
    "seed": "seed",
}
_TRAINED_ON = {"train": "the training sections", "all": "all sections but those held out"}


def _training(model: Model, card: Mapping[str, Any]) -> Iterator[str]:
    for key, name in _OF_TRAINING.items():
        value = card.get(key)
        if value is not None:
            yield f"{name}: {_TRAINED_ON[value] if key == 'train_on' else _words(value)}"
    yield f"weights: {card['weights']:,}"
    for number, member in enumerate(model.networks):
        run = member.to_mapping()
        values = ", ".join(f"{name} = {_short(run[name])}" for name in run if matters(name, run))
        yield f"{f'member {number}' if model.members else 'hyperparameters'}: {values}"


def _words(value: Any) -> str:
    """Of an ensemble there are several."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _credits(publication: Mapping[str, Any]) -> Iterator[str]:
    for author in publication["authors"]:
        yield ", ".join(str(value) for value in author.values() if value)
    yield f"licence of the weights: {publication['license']}"
    for citation in publication["cite"]:
        where = f"https://doi.org/{citation['doi']}" if citation["doi"] else citation["url"]
        yield f"{citation['text']}, {where}"


def _versions(card: Mapping[str, Any]) -> dict[str, str]:
    """Of the training, and of what wrote the files."""
    return {**(card.get("software") or {}), **(card.get("exported_with") or {})}


def _by(sizes: Sequence[float]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(own)}" for name, own in value.items())
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def _list(lines: Any) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
