from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from segmentation_rig import SIZE, Brightness, model, segment, volume

from trainer.errors import InputError
from trainer.formats import open_source
from trainer.intensity import Intensity
from trainer.median import median_along_z
from trainer.prediction import PredictionOptions, prepare_prediction
from trainer.segmentation import predict
from trainer.stack import write_stack
from trainer.windows import Windows


@pytest.mark.parametrize("views", [1, 8])
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_a_volume_in_memory_is_predicted_as_the_model_does(channels: int, views: int) -> None:
    array = volume(9, 20, 17)
    one = model(channels=channels, views=views)
    assert np.array_equal(predict(array, one), one.predict(array))


def test_a_single_section_keeps_its_axes() -> None:
    assert predict(volume(20, 17), model()).shape == (20, 17)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((0, 4, 4)), "expected grey values"),
        (np.zeros((2, 2, 4, 4)), "expected grey values"),
        (np.full((2, 4, 4), np.nan), "section 0 holds NaN"),
        (np.zeros((2, 4, 4), complex), "holds values of type complex128"),
        (np.array([[["a"]]]), "holds values of type"),
        (np.zeros((2, 4, 4), bool), "holds values of type bool"),
    ],
)
def test_an_array_of_something_else_is_refused(array: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=f"^array: {said}"):
        predict(array, model())


@pytest.mark.parametrize(
    ("options", "said"),
    [({"views": 3}, "views: expected one of 1, 8"), ({"z_median": 2}, "z_median: expected an odd")],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        predict(volume(4, 8, 8), model(), options=PredictionOptions(**options))


def test_windows_are_the_reports_own_method() -> None:
    array = volume(2, 48, 64)
    options = PredictionOptions(z_median=1, windows=Windows(16, 0.5, "mean"))
    plain = predict(array, model(channels=1), options=PredictionOptions(z_median=1))
    # Every voxel's probability is its own brightness here: a mean of equals.
    assert np.abs(predict(array, model(channels=1), options=options).astype(int) - plain).max() <= 1


def test_sections_are_divided_as_the_model_was_tuned_unless_told_otherwise() -> None:
    array, seen = volume(2, 48, 64), set()

    class Shape(Brightness):
        def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
            seen.add(images.shape[1:3])
            return super().predict_on_batch(images)

    tuned = model(Shape(), windows=Windows(16, 0.25))
    predict(array, tuned)
    assert seen == {(16, 16)}
    seen.clear()
    predict(array, tuned, options=PredictionOptions(windows=Windows(32)))
    assert seen == {(32, 32)}


@pytest.mark.parametrize(
    ("tuned", "asked", "found", "told"), [(1, None, 1, False), (3, 5, 5, False), (3, None, 5, True)]
)
def test_a_median_is_converted_where_one_was_tuned_and_none_is_asked_for(
    tuned: int, asked: int | None, found: int, told: bool
) -> None:
    options = PredictionOptions(z_median=asked)
    trained = model(channels=1, z_median=tuned)
    prepared = prepare_prediction(trained, volume(12, 24, 31), (SIZE[0] / 2, *SIZE[1:]), options)
    assert prepared.settings["z_median_sections"] == found
    assert any("median along z was tuned" in note for note in prepared.notes) == told


@pytest.mark.parametrize("here", [(20, 8, 10), (10, 4, 5), (40, 2, 2.5)])
def test_another_voxel_size_is_resampled_there_and_back(here: tuple[float, ...]) -> None:
    array, seen = volume(12, 40, 40), []

    class Shape(Brightness):
        def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
            seen.append(images.shape)
            return super().predict_on_batch(images)

    found = predict(array, model(Shape()), voxel_size_nm=here)
    plain = predict(array, model())
    assert found.shape == array.shape
    assert {shape[1:3] for shape in seen} == {(round(40 * here[1] / 4), round(40 * here[2] / 5))}
    assert sum(shape[0] for shape in seen) == round(12 * here[0] / 20)
    assert np.corrcoef(found.ravel(), plain.ravel())[0, 1] > 0.8


def test_a_network_of_single_sections_keeps_them_and_its_median_as_thick() -> None:
    array = volume(12, 16, 16)
    network = Brightness()
    found = predict(array, model(network, 1, z_median=3), voxel_size_nm=(10, 4, 5))
    assert network.sections == 12
    bare = predict(array, model(channels=1, z_median=1))
    # Three sections of 20 nm are as thick as six of 10 nm; five is the nearest odd number below.
    assert any(np.array_equal(found, median_along_z(bare, window)) for window in (5, 7))


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("threshold", [0.0, 1.1, float("nan")])
def test_a_threshold_that_cannot_be_is_refused(raw: Path, tmp_path: Path, threshold: float) -> None:
    with pytest.raises(InputError, match="threshold: expected more than 0"):
        segment(raw, tmp_path / "a.tif", threshold=threshold)


@pytest.mark.parametrize("sections", [3, 40])
def test_the_scale_of_a_file_is_measured_as_that_of_an_array(
    tmp_path: Path, sections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.intensity._SAMPLE_VOXELS", 997)
    array = volume(sections, 31, 33)
    write_stack(tmp_path / "a.tif", array, None)
    with open_source(tmp_path / "a.tif") as source:
        assert Intensity.measure_sections(source) == Intensity.measure(array)
        monkeypatch.setattr("trainer.intensity._SAMPLE_SECTIONS", 10)
        sparse = Intensity.measure_sections(source)
    whole = Intensity.measure(array)
    assert abs(sparse.low - whole.low) < 8
    assert abs(sparse.high - whole.high) < 8


def test_of_a_large_volume_the_scale_keeps_no_section_in_memory() -> None:
    read: list[weakref.ref[np.ndarray]] = []
    alive: list[int] = []

    class Sections:
        shape, dtype = (20, 64, 64), np.dtype(np.uint16)

        def __len__(self) -> int:
            return 20

        def __getitem__(self, number: int) -> np.ndarray:
            alive.append(sum(each() is not None for each in read))
            section = np.full(self.shape[1:], number, self.dtype)
            read.append(weakref.ref(section))
            return section

    Intensity.measure_sections(Sections())
    assert len(alive) == 20
    assert max(alive) <= 1


def test_views_can_be_asked_for(raw: Path, tmp_path: Path, loaded: Any) -> None:
    network = Brightness()
    loaded(model(network))
    segment(raw, tmp_path / "a.tif", prediction=PredictionOptions(views=8))
    assert network.sections == 8 * 13
