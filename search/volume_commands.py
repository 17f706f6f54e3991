"""Commands on a model or a volume, which need no study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.options import (
    AsJson,
    Blend,
    Mask,
    ModelFolder,
    Overlap,
    Raw,
    VoxelSize,
    Window,
    parse_sections,
    parse_voxel_size,
    parse_windows,
    print_json,
    refuse_without_labels,
)

# Nothing heavy is imported here: `--help` answers at once.

app = typer.Typer()
data = typer.Typer(help="Get published volumes.")
app.add_typer(data, name="data")


@app.command()
def evaluate(
    model: ModelFolder,
    raw: Raw,
    mask: Mask,
    out: Annotated[Path | None, typer.Option(help="Folder for a page and its data.")] = None,
    voxel_size_nm: VoxelSize = None,
    sections: Annotated[
        str | None,
        typer.Option(
            metavar="FIRST,END", help="Score these alone, END excluded: those that were held out."
        ),
    ] = None,
    objects: Annotated[
        str, typer.Option(help="What the mask marks, in the plural, for the page.")
    ] = "objects",
    as_json: AsJson = False,
) -> None:
    """Score a model on a volume."""
    from search.prediction_view import PredictionView
    from search.presentation import present_evaluation
    from trainer.evaluate import evaluate_files

    with PredictionView() as view:
        scores = evaluate_files(
            model,
            raw,
            mask,
            out=out,
            voxel_size_nm=parse_voxel_size(voxel_size_nm),
            sections=parse_sections(sections),
            objects=objects,
            on_progress=view.show,
        )
    if as_json:
        print_json(scores)
    else:
        present_evaluation(scores, out)


@app.command()
def predict(
    model: ModelFolder,
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Image stack of any size.")],
    output: Annotated[Path, typer.Argument(help="Ends in .tif, .ome.tif or .zarr.")],
    labels: Annotated[
        bool, typer.Option("--labels", help="Number the objects, and write their labels too.")
    ] = False,
    split_touching: Annotated[
        bool, typer.Option("--split-touching", help="Labels of objects cut where they are thin.")
    ] = False,
    voxel_size_nm: VoxelSize = None,
    threshold: Annotated[float | None, typer.Option(help="Instead of the tuned one.")] = None,
    smallest_object: Annotated[
        int | None, typer.Option(min=0, help="Voxels of this volume, instead of the tuned size.")
    ] = None,
    views: Annotated[
        int | None, typer.Option(help="1, or 8 for flips and quarter turns; else as tuned.")
    ] = None,
    window: Window = None,
    overlap: Overlap = None,
    blend: Blend = None,
    z_median: Annotated[
        int | None, typer.Option(help="Sections of the median along z, 1 for none; else as tuned.")
    ] = None,
    float32: Annotated[
        bool,
        typer.Option("--float32", help="Compute and write float32, 0 to 1: slower, and larger."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Segment a volume of any size; an interrupted run goes on where it stopped."""
    from search.prediction_view import PredictionView
    from search.presentation import present_prediction
    from search.terminal import say
    from trainer.prediction import PredictionOptions
    from trainer.segmentation import SegmentationOptions, segment_file

    if not (labels or split_touching):
        refuse_without_labels({"--threshold": threshold, "--smallest-object": smallest_object})
    options = SegmentationOptions(
        PredictionOptions(views, z_median, parse_windows(window, overlap, blend), float32),
        labels="watershed" if split_touching else "components" if labels else None,
        threshold=threshold,
        smallest_object_voxels=smallest_object,
        voxel_size_nm=parse_voxel_size(voxel_size_nm),
    )
    with PredictionView() as view:
        written = segment_file(model, source, output, options, on_progress=view.show, say=say)
    if as_json:
        print_json(written)
    else:
        present_prediction(written)


@app.command()
def explore(
    raw: Raw,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    mask: Annotated[Path | None, typer.Option(help="Mask stack, where there is one.")] = None,
    voxel_size_nm: VoxelSize = None,
    as_json: AsJson = False,
) -> None:
    """Show what is in a volume: objects, contrast, correlation of sections, faults of the data."""
    from search.presentation import present_exploration
    from search.terminal import say
    from trainer.explore import explore_files

    size = parse_voxel_size(voxel_size_nm)
    facts = explore_files(raw, mask, out, voxel_size_nm=size, announce=say)
    if as_json:
        print_json(facts)
    else:
        present_exploration(facts, out)


@app.command()
def explain(
    model: ModelFolder,
    raw: Raw,
    section: Annotated[int, typer.Option(help="Number of the section, from 0.")],
    box: Annotated[str, typer.Option(metavar="Y0,X0,Y1,X1", help="In voxels of the section.")],
    out: Annotated[Path, typer.Option(help="Folder for a page and its pictures.")],
    as_json: AsJson = False,
) -> None:
    """Show what the network went by in a region of a section."""
    from search.presentation import present_explanation
    from trainer.explain import explain_files
    from trainer.region import Region

    facts = explain_files(model, raw, section, Region.parse(box), out)
    if as_json:
        print_json(facts)
    else:
        present_explanation(facts, out)


@data.command()
def epfl(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    address: Annotated[
        str | None, typer.Option("--from", metavar="URL", help="A folder on a mirror.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Download the EPFL hippocampus: training and testing volume, each with its mask (520 MB)."""
    from search.download_view import show_transfers
    from trainer.epfl import download_epfl

    with show_transfers() as progress:
        rows = download_epfl(out, address=address, progress=progress)
    if as_json:
        print_json(rows)
