from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import keras
import numpy as np
import pytest
from stub_model import Stub

from trainer.activation_map import count_bytes, respond
from trainer.ensemble import combine
from trainer.errors import InputError
from trainer.explain import explain, explain_files
from trainer.hyperparameters import Hyperparameters
from trainer.model import Model, build_model, save_model
from trainer.region import Region
from trainer.stack import write_stack
from trainer.unet import build_unet, with_probability

# Keras 3.15 asks a TensorFlow variable for its array in a way that numpy 2 will not know.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("device"),
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning:keras.src.backend"
    ),
]
REGION = Region(4, 8, 12, 20)


def untrained(**values: Any) -> Model:
    keras.utils.set_random_seed(4)
    hyperparameters = Hyperparameters(**{"depth": 2, "filters": 4, "tile_size": 32, **values})
    network = with_probability(build_unet(hyperparameters, stock=True))
    return Model(network, hyperparameters, 0.5, {})


def raw(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)


def test_gradients_are_those_of_small_changes() -> None:
    model = untrained(normalization="group", activation="silu")
    image = np.random.default_rng(1).random((1, 16, 24, 1)).astype(np.float32)
    found = respond(model.network, image, REGION.slices)
    assert [level.name for level in found.levels] == ["down_0", "down_1", "centre", "up_1", "up_0"]
    assert [level.factor for level in found.levels] == [1, 2, 4, 2, 1]
    # Behind up_0 there is but the last convolution, whose weights are its gradient in the region.
    kernel, bias = model.network.get_layer("logits").get_weights()
    last = found.levels[-1]
    assert np.allclose(found.logits, last.response @ kernel[0, 0, :, 0] + bias, atol=1e-4)
    expected = np.zeros_like(last.gradient)
    expected[REGION.slices] = kernel[0, 0, :, 0]
    assert np.allclose(last.gradient, expected, atol=1e-5)
    # From the centre upwards, by a small step along the response itself.
    centre = found.levels[2]
    below = model.network.get_layer("centre_act_1")
    bridges = [model.network.get_layer(f"down_{n}_act_1").output for n in (0, 1)]
    above = keras.Model([below.output, *bridges], model.network.get_layer("logits").output)
    kept = [found.levels[n].response[np.newaxis] for n in (0, 1)]

    def score(response: np.ndarray) -> float:
        logits = above([response[np.newaxis], *kept], training=False).numpy()
        return float(logits[0][REGION.slices].sum())

    step = 1e-2
    moved = (score(centre.response * (1 + step)) - score(centre.response * (1 - step))) / (2 * step)
    assert moved == pytest.approx((centre.gradient * centre.response).sum(), rel=0.02, abs=0.01)


@pytest.mark.parametrize(
    "values",
    [
        {"normalization": "layer", "section_channels": 3, "kernel": "effective_5x5"},
        {"block": "residual", "gate": "attention", "upsampling": "resize", "outer_levels": 1},
        {"stem_stride": 2, "section_channels": 3},
    ],
)
def test_any_2d_network_and_any_size_is_explained(values: dict[str, Any]) -> None:
    found = explain(untrained(**values), raw(3, 21, 31), 1, REGION)
    assert found.window == Region(0, 0, 21, 31)
    assert found.gray.shape == found.foreground.shape == (21, 31)
    assert 0 < found.probability < 1
    for level in found.levels:
        assert len(level.filters) == min(4, level.response.response.shape[-1])
        assert (level.activation_map is None) == level.response.name.startswith("down")
        if level.activation_map is not None:
            assert level.activation_map.shape == (21, 31)
            assert level.activation_map.min() >= 0


def test_a_prediction_and_its_explanation_agree() -> None:
    model, volume = untrained(), raw(3, 21, 31)
    found = explain(model, volume, 2, REGION)
    predicted = model.predict(volume)[2]
    assert found.probability == pytest.approx(predicted[REGION.slices].mean() / 255, abs=0.005)


def test_a_large_section_is_shown_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.explain._LARGEST_SIDE", 16)
    region = Region(30, 40, 36, 48)
    found = explain(untrained(), raw(1, 60, 80), 0, region)
    assert found.window == Region(25, 36, 41, 52)
    assert found.shown_region == Region(5, 4, 11, 12)
    for level in found.to_mapping()["levels"]:
        for each in level["strongest"]:
            for y, x in each["answers_most_at"]:
                assert 25 <= y < 41
                assert 36 <= x < 52


def test_the_memory_grows_with_the_voxels_and_holds_every_response_and_gradient() -> None:
    network = untrained(block="residual", gate="attention").network
    needed = count_bytes(network, 32, 64)
    assert count_bytes(network, 64, 128) == 4 * needed
    image = np.zeros((1, 32, 64, 1), np.float32)
    levels = respond(network, image, REGION.slices).levels
    assert needed > sum(level.response.nbytes + level.gradient.nbytes for level in levels)


def saved(folder: Path) -> Path:
    model = untrained()
    state = {f"model/{w.path}": np.asarray(w) for w in build_unet(model.hyperparameters).weights}
    save_model(build_model(model.hyperparameters, state, threshold=0.5, card={}), folder)
    return folder


def test_where_memory_is_short_less_is_shown_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.explain._LARGEST_SIDE", 64)
    write_stack(tmp_path / "raw.tif", raw(1, 60, 80), None)
    arguments = saved(tmp_path / "model"), tmp_path / "raw.tif", 0, REGION, tmp_path / "out"
    most = count_bytes(untrained().network, 32, 32)
    monkeypatch.setattr("trainer.memory.free_memory", lambda: most)
    facts = explain_files(*arguments)
    assert facts["window"] == [0, 0, 32, 32]
    assert facts["notes"][0].startswith("the network was shown 32 x 32 voxels (y x x) around")
    monkeypatch.setattr("trainer.memory.free_memory", lambda: 10 * most)
    assert explain_files(*arguments)["notes"] == []


def test_a_box_whose_gradients_have_no_room_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    model, region = untrained(), Region(0, 0, 60, 80)
    most = count_bytes(model.network, 32, 32)
    monkeypatch.setattr("trainer.memory.free_memory", lambda: most)
    with pytest.raises(InputError) as caught:
        explain(model, raw(1, 60, 80), 0, region)
    assert str(caught.value).startswith("--box: needs ")
    assert "; choose a smaller box" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_single_section_is_explained_as_it_is_predicted(tmp_path: Path) -> None:
    write_stack(tmp_path / "raw.tif", raw(1, 21, 31), None)
    facts = explain_files(
        saved(tmp_path / "model"), tmp_path / "raw.tif", 0, REGION, tmp_path / "out"
    )
    assert facts["window"] == [0, 0, 21, 31]


@pytest.mark.parametrize("members", [0, 2])
def test_a_3d_model_is_refused_before_the_volume_is_read(tmp_path: Path, members: int) -> None:
    hyperparameters = Hyperparameters(dimensions="3d")
    model = Model(Stub(), hyperparameters, 0.5, {}, members=(hyperparameters,) * members)
    save_model(model, tmp_path / "model")
    with pytest.raises(InputError) as caught:
        # There is no such volume, which would be said otherwise.
        explain_files(tmp_path / "model", tmp_path / "none.tif", 0, REGION, tmp_path / "out")
    message = str(caught.value)
    assert "expected a 2D network" in message
    assert "`unet-search export CONFIG --trial N --out DIR`" in message
    assert "\n" not in message


def test_what_is_no_2d_u_net_is_one_line() -> None:
    inputs = keras.Input((None, None, 1))
    other = keras.Model(inputs, keras.layers.Conv2D(1, 1)(inputs))
    for network in (other, object()):
        with pytest.raises(InputError, match="expected a single 2D U-Net"):
            respond(network, np.zeros((1, 8, 8, 1), np.float32), REGION.slices)
        with pytest.raises(InputError, match="expected a single 2D U-Net"):
            count_bytes(network, 8, 8)


def test_another_backend_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="got the backend jax"):
        respond(untrained().network, np.zeros((1, 8, 8, 1), np.float32), REGION.slices)


@pytest.mark.parametrize(
    ("section", "region", "message"),
    [
        (3, REGION, "--section: expected 0 to 2, got 3"),
        (-1, REGION, "--section: expected 0 to 2, got -1"),
        (0, Region(0, 0, 22, 5), "--box: expected a box within the section of 21 x 31 voxels"),
    ],
)
def test_a_place_outside_the_volume_is_one_line(section: int, region: Region, message: str) -> None:
    with pytest.raises(InputError) as caught:
        explain(Model(None, Hyperparameters(), 0.5, {}), raw(3, 21, 31), section, region)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("nm", "notes"), [(5.0, 0), (10.0, 1)])
def test_other_voxels_than_the_models_are_told(tmp_path: Path, nm: float, notes: int) -> None:
    model = untrained()
    state = {f"model/{w.path}": np.asarray(w) for w in build_unet(model.hyperparameters).weights}
    card = {"data": {"voxel_size_nm": [30.0, 5.0, 5.0]}}
    saved = build_model(model.hyperparameters, state, threshold=0.5, card=card)
    save_model(saved, tmp_path / "model")
    write_stack(tmp_path / "raw.tif", raw(3, 21, 31), (30.0, nm, nm))
    out = tmp_path / "out"
    facts = explain_files(tmp_path / "model", tmp_path / "raw.tif", 1, REGION, out)
    assert len(facts["notes"]) == notes
    page = (out / "explain.html").read_text()
    assert ("trained on voxels of 5 x 5 nm" in page) == bool(notes)


def test_what_predict_does_beside_is_told(tmp_path: Path) -> None:
    model = untrained()
    state = {f"model/{w.path}": np.asarray(w) for w in build_unet(model.hyperparameters).weights}
    saved = build_model(model.hyperparameters, state, threshold=0.5, card={})
    save_model(replace(saved, views=8, z_median=5), tmp_path / "model")
    write_stack(tmp_path / "raw.tif", raw(3, 21, 31), None)
    facts = explain_files(tmp_path / "model", tmp_path / "raw.tif", 1, REGION, tmp_path / "out")
    (note,) = facts["notes"]
    assert note.endswith("`predict` adds a median along z, the mean over flips and turns")


def test_of_an_ensemble_the_first_network_is_explained_and_that_is_said(tmp_path: Path) -> None:
    first, second = untrained(), untrained(filters=8)
    save_model(combine([first, second]), tmp_path / "model")
    volume = raw(3, 21, 31)
    write_stack(tmp_path / "raw.tif", volume, None)
    facts = explain_files(tmp_path / "model", tmp_path / "raw.tif", 1, REGION, tmp_path / "out")
    assert "the mean of 2 networks: this is the first" in facts["notes"][0]
    alone = explain(first, volume, 1, REGION)
    assert facts["mean_probability"] == pytest.approx(alone.probability, abs=1e-5)


def test_files_are_explained_in_pictures_numbers_and_a_page(tmp_path: Path) -> None:
    model = untrained()
    state = {f"model/{w.path}": np.asarray(w) for w in build_unet(model.hyperparameters).weights}
    saved = build_model(model.hyperparameters, state, threshold=0.5, card={})
    save_model(saved, tmp_path / "model")
    write_stack(tmp_path / "raw.tif", raw(3, 21, 31), None)
    out = tmp_path / "out"
    facts = explain_files(tmp_path / "model", tmp_path / "raw.tif", 1, REGION, out)
    assert json.loads((out / "explain.json").read_text()) == facts
    assert {path.name for path in out.iterdir()} == {*facts["files"], "explain.json"}
    maps = {f"map-{name}.png" for name in ("centre", "up_1", "up_0")}
    filters = {f"filters-{n}.png" for n in ("down_0", "down_1", "centre", "up_1", "up_0")}
    assert set(facts["files"]) == {"explain.html", "section.png", *maps, *filters}
    assert imageio.imread(out / "map-centre.png").shape == (21, 31, 3)
    assert facts["box"] == [4, 8, 12, 20]
    assert facts["levels"][0].keys() == {
        "level",
        "voxels_per_cell",
        "filters",
        "map_share_in_box",
        "strongest",
    }
    assert facts["notes"] == []
    page = (out / "explain.html").read_text()
    assert len(re.findall('<figure><img src="data:image/jpeg;base64,', page)) == 9
    captions = re.findall("<figcaption>(.*?)</figcaption>", page)
    assert len(captions) == 9
    assert len([text for text in captions if "scaled to its own strongest place" in text]) == 3
    assert len([text for text in captions if "two maps cannot be compared" in text]) == 5
    assert "http" not in re.sub('src="[^"]*"', "", page)
    with pytest.raises(InputError, match="expected no model folder"):
        explain_files(tmp_path / "model", tmp_path / "raw.tif", 1, REGION, tmp_path / "model")
