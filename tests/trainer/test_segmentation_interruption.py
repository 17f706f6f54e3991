"""Predictions that were interrupted, and what the same command makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from segmentation_rig import SIZE, Brightness, model, names, read, segment

from trainer import segmentation
from trainer.errors import InputError
from trainer.prediction import PredictionOptions
from trainer.segmentation import PROBABILITIES, SegmentationOptions, segment_file
from trainer.tiff import TiffReader
from trainer.windows import Windows


class Spot(Brightness):
    """A network for which it matters where in an image a voxel lies."""

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        places = np.arange(images.shape[1])[:, None, None] / 100
        return np.clip(super().predict_on_batch(images) * 0.5 + places, 0, 1)


def stop_at(number: int) -> Callable[[str, int, int], None]:
    """Ctrl-C after so many sections."""

    def stop(stage: str, section: int, total: int) -> None:
        if section == number:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("stops_at", [1, 6, 12])
@pytest.mark.parametrize("here", [SIZE, (10.0, 8.0, 5.0)])
def test_an_interrupted_prediction_goes_on_where_it_stopped(
    raw: Path, tmp_path: Path, loaded: Any, stops_at: int, here: Any
) -> None:
    loaded(model(channels=5))
    segment(raw, tmp_path / "whole.tif", voxel_size_nm=here)

    options = SegmentationOptions(voxel_size_nm=here)
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        segment_file(
            Path("model"),
            raw,
            tmp_path / "a.tif",
            options,
            on_progress=stop_at(stops_at),
            say=told.append,
        )
    line = f"interrupted after section {stops_at} of 13: the same command goes on from there"
    assert told[-1] == line
    assert names(tmp_path) == [".a.tif.partial", "raw.tif", "whole.tif"]
    # Half a section that was being written when the power went.
    with (tmp_path / ".a.tif.partial" / "sections.bin").open("ab") as file:
        file.write(b"half")
    written = segment(raw, tmp_path / "a.tif", voxel_size_nm=here)
    assert written["resumed_at"] == stops_at
    assert np.array_equal(read(tmp_path / "a.tif"), read(tmp_path / "whole.tif"))
    assert names(tmp_path) == ["a.tif", "raw.tif", "whole.tif"]


def leave(raw: Path, output: Path, options: SegmentationOptions = PROBABILITIES) -> None:
    """A prediction that was interrupted after some sections."""
    with pytest.raises(KeyboardInterrupt):
        segment_file(Path("model"), raw, output, options, on_progress=stop_at(4))


@pytest.mark.usefixtures("loaded")
def test_sections_of_another_precision_are_not_gone_on_from(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(segmentation, "_precision", lambda options: "mixed_bfloat16")
        leave(raw, tmp_path / "a.tif")
    assert segment(raw, tmp_path / "a.tif")["resumed_at"] == 0


@pytest.mark.parametrize(
    ("earlier", "resumed_at"),
    [
        (PredictionOptions(), 4),
        (PredictionOptions(windows=Windows(16)), 0),
        (PredictionOptions(float32=True), 0),
    ],
)
@pytest.mark.usefixtures("loaded")
def test_another_setting_begins_anew(
    raw: Path, tmp_path: Path, earlier: PredictionOptions, resumed_at: int
) -> None:
    leave(raw, tmp_path / "a.tif", SegmentationOptions(earlier))
    assert segment(raw, tmp_path / "a.tif")["resumed_at"] == resumed_at


def test_other_free_memory_does_not_begin_anew(
    raw: Path, tmp_path: Path, loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(size: int | None) -> None:
        windows = size and Windows(size, 0.5, "taper", 4)
        monkeypatch.setattr("trainer.prediction.choose_windows", lambda *_: windows)

    loaded(model(Spot()))
    choose(16)
    segment(raw, tmp_path / "whole.tif")
    with pytest.raises(KeyboardInterrupt):
        segment_file(Path("model"), raw, tmp_path / "a.tif", on_progress=stop_at(6))
    choose(None)
    assert segment(raw, tmp_path / "a.tif")["resumed_at"] == 6
    # The windows that it began with are those that it ends with.
    assert np.array_equal(read(tmp_path / "a.tif"), read(tmp_path / "whole.tif"))


@pytest.mark.usefixtures("loaded")
def test_one_prediction_at_a_time_writes_an_output(raw: Path, tmp_path: Path) -> None:
    def again(stage: str, section: int, total: int) -> None:
        if section == 3:
            with pytest.raises(InputError, match="another process is predicting it"):
                segment(raw, tmp_path / "a.tif")

    segment_file(Path("model"), raw, tmp_path / "a.tif", on_progress=again)
    assert names(tmp_path) == ["a.tif", "raw.tif"]


@pytest.mark.usefixtures("loaded")
def test_a_passing_read_error_costs_no_section(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.predict._BATCH_VOXELS", 1)

    def unplug(stage: str, section: int, total: int) -> None:
        if section == 3:
            monkeypatch.setattr(TiffReader, "read", fail)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    told: list[str] = []
    read_sections = TiffReader.read
    with pytest.raises(InputError, match="Input/output error"):
        segment_file(Path("model"), raw, tmp_path / "a.tif", on_progress=unplug, say=told.append)
    monkeypatch.setattr(TiffReader, "read", read_sections)
    resumed = segment(raw, tmp_path / "a.tif")["resumed_at"]
    assert resumed > 0
    assert told[-1].startswith(f"interrupted after section {resumed} of 13: the same command")


@pytest.mark.usefixtures("loaded")
def test_a_disk_that_fills_up_at_the_end_costs_no_section(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("trainer.sinks.write_tiff", full)
        with pytest.raises(InputError, match="No space left"):
            segment(raw, tmp_path / "a.tif")
    assert segment(raw, tmp_path / "a.tif")["resumed_at"] == 13
