from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import trainer.evaluate as evaluate_module
from trainer.errors import InputError
from trainer.evaluate import Evaluation, _describe, build_files, evaluate, evaluate_files
from trainer.evaluation_page import Subject
from trainer.hyperparameters import Hyperparameters
from trainer.model import Model, build_model, save_model
from trainer.segmentation import SegmentationOptions, segment_file
from trainer.stack import read_stack, write_stack
from trainer.unet import build_unet
from trainer.volume import Volume

# Keras 3.15 asks a TensorFlow variable for its array in a way that numpy 2 will not know.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning:keras.src.backend"
)

HP = Hyperparameters(depth=1, filters=2, tile_size=32)
SHAPE = (3, 20, 31)


class Echo:
    """A network that takes the brightness for the probability."""

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        return np.clip(images.mean(axis=-1, keepdims=True), 0, 1)


def model(threshold: float = 0.5) -> Model:
    return Model(Echo(), HP, threshold, {})


def test_objects_too_small_to_be_kept_have_no_part_in_the_scores() -> None:
    scores = evaluate(replace(model(0.6), smallest_object_voxels=25), volume())
    # The 24 false voxels are gone.
    assert scores.scores.precision == 1.0
    assert scores.scores.recall == pytest.approx(60 / 92)
    assert scores.instances_3d.predicted == 1
    assert scores.best.dice >= scores.scores.dice


def volume() -> Volume:
    """Two objects, of 60 and 32 voxels.

    The first is bright, the second half bright; 24 bright voxels are no object.
    """
    mask = np.zeros(SHAPE, np.uint8)
    mask[0:3, 2:6, 2:7] = 1
    mask[1:3, 10:14, 10:14] = 1
    raw = np.where(mask == 1, 200, 0).astype(np.uint8)
    raw[1:3, 10:14, 10:14] = 100
    raw[0, 2:6, 20:26] = 200
    return Volume(raw, mask, None)


@pytest.fixture
def scored() -> Evaluation:
    return evaluate(model(0.6), volume())


def test_the_scores_are_those_of_the_models_threshold(scored: Evaluation) -> None:
    # 60 voxels are right, 24 false, 32 missed.
    scores = scored.scores
    assert scores.dice == pytest.approx(2 * 60 / (84 + 92))
    assert scores.iou == pytest.approx(60 / (60 + 24 + 32))
    assert scores.precision == pytest.approx(60 / 84)
    assert scores.recall == pytest.approx(60 / 92)
    assert (scores.threshold, scores.voxels) == (0.6, 3 * 20 * 31)


def test_the_best_threshold_is_found_apart_from_it(scored: Evaluation) -> None:
    assert scored.best.dice == pytest.approx(2 * 92 / (116 + 92))
    assert scored.best.threshold == pytest.approx(128 / 255)
    assert evaluate(model(0.3), volume()).scores.dice == scored.best.dice


def test_objects_are_counted_in_sections_and_in_the_volume(scored: Evaluation) -> None:
    sections, whole = scored.instances_2d, scored.instances_3d
    assert (sections.found, sections.total, sections.predicted) == (3, 5, 4)
    assert (whole.found, whole.total, whole.predicted) == (1, 2, 2)


def test_the_probabilities_are_kept(scored: Evaluation) -> None:
    assert scored.probability.dtype == np.uint8
    assert scored.probability[0, 3, 3] == 255
    assert scored.probability[1, 11, 11] == 128
    assert scored.probability[0, 19, 30] == 0


def test_the_mapping_has_every_name_and_is_json(scored: Evaluation) -> None:
    mapping = json.loads(json.dumps(scored.to_mapping()))
    names = {"dice", "iou", "precision", "recall", "threshold", "voxels", "mcc", "sections"}
    names |= {"average_precision", "boundary_dice", "best_threshold", "dice_at_best_threshold"}
    names |= {f"panoptic_quality_{kind}" for kind in ("2d", "3d")}
    kinds = ["instances_2d", "instances_2d_iou_075", "instances_3d", "instances_3d_iou_075"]
    assert set(mapping) == names | set(kinds)
    for kind in kinds:
        assert set(mapping[kind]) == {"found", "total", "predicted", "precision", "recall", "f1"}
    assert mapping["dice_at_best_threshold"] > mapping["dice"]
    assert set(mapping["boundary_dice"]) == {"1", "2"}


def test_the_further_scores_are_those_of_the_same_voxels(scored: Evaluation) -> None:
    mapping = scored.to_mapping()
    truth, prediction = volume().mask.ravel(), scored.prediction.ravel()
    assert mapping["mcc"] == pytest.approx(np.corrcoef(truth, prediction)[0, 1])
    # Of 84 voxels at 1 there are 60 right; 32 more at 100 / 255 are all right; no truth is left.
    assert mapping["average_precision"] == pytest.approx(60 / 92 * 60 / 84 + 32 / 92 * 92 / 116)
    assert mapping["panoptic_quality_3d"] == pytest.approx(2 * 1 / 4)
    assert mapping["panoptic_quality_2d"] == pytest.approx(2 * 3 / 9)
    assert mapping["sections"]["worst"] == [0, 1, 2]
    # The first object's border alone is within reach of anything: in it the two agree.
    assert mapping["boundary_dice"]["1"] == mapping["boundary_dice"]["2"]


@pytest.fixture(scope="module")
def files(device: object, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("evaluate")
    state = {f"model/{w.path}": np.asarray(w) for w in build_unet(HP).weights}
    save_model(build_model(HP, state, threshold=0.5, card={}), folder / "model")
    write_stack(folder / "raw.tif", volume().raw, None)
    write_stack(folder / "mask.tif", volume().mask, None)
    return {name.split(".")[0]: folder / name for name in ("model", "raw.tif", "mask.tif")}


def test_files_are_scored_and_the_overlays_written(files: dict[str, Path], tmp_path: Path) -> None:
    scores = evaluate_files(**files, out=tmp_path)
    assert scores["voxels"] == 3 * 20 * 31
    assert json.loads((tmp_path / "evaluation.json").read_text()) == scores
    assert len(list(tmp_path.glob("section-*.png"))) == 3
    assert (tmp_path / "sections.csv").read_text().count("\n") == 1 + 3
    assert (tmp_path / "objects.csv").read_text().count("\ntrue,") == 2
    assert scores["voxel_size_nm"] is None
    assert scores["notes"] == []


@pytest.mark.parametrize(
    ("trained", "here", "notes"),
    [([5, 5, 5], (5, 5, 5.2), 0), ([5, 5, 5], (5, 10, 10), 1), (None, (5, 5, 5), 0)],
)
def test_a_volume_of_another_voxel_size_is_noted(
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    trained: list[int] | None,
    here: tuple[float, float, float],
    notes: int,
) -> None:
    known = Model(Echo(), HP, 0.5, {"data": {"voxel_size_nm": trained}})
    monkeypatch.setattr(evaluate_module, "load_model", lambda folder, precision: known)
    scores = evaluate_files(**files, voxel_size_nm=here)
    assert scores["voxel_size_nm"] == list(here)
    assert len(scores["notes"]) == notes


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("here", [None, (5.0, 5.0, 5.0), (12.0, 2.5, 7.0)])
def test_it_scores_what_predict_writes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    here: tuple[float, float, float] | None,
    channels: int,
) -> None:
    card = {"data": {"voxel_size_nm": [5, 5, 5]}}
    hp = replace(HP, section_channels=channels)
    known = Model(Echo(), hp, 0.55, card, z_median=3, smallest_object_voxels=40)
    monkeypatch.setattr(evaluate_module, "load_model", lambda folder, precision: known)
    monkeypatch.setattr("trainer.segmentation._load", lambda folder, options: known)
    monkeypatch.setattr("trainer.segmentation._precision", lambda options: "float32")
    monkeypatch.setattr("trainer.intensity._SAMPLE_SECTIONS", 7)
    smooth = ndimage.gaussian_filter(np.random.default_rng(2).random((11, 40, 50)), 2)
    raw = np.clip((smooth - smooth.min()) * 900, 0, 255).astype(np.uint8)
    mask = (ndimage.gaussian_filter(smooth, 1) > np.median(smooth)).astype(np.uint8)
    write_stack(tmp_path / "raw.tif", raw, None)
    write_stack(tmp_path / "mask.tif", mask, None)
    scores = evaluate_files(
        tmp_path, tmp_path / "raw.tif", tmp_path / "mask.tif", voxel_size_nm=here
    )
    options = SegmentationOptions(labels="components", voxel_size_nm=here)
    written = segment_file(tmp_path, tmp_path / "raw.tif", tmp_path / "a.tif", options)
    found = read_stack(tmp_path / "a.labels.tif", role="mask").array > 0
    assert 0.1 < scores["dice"] < 0.99
    assert scores["dice"] == 2 * (found & (mask > 0)).sum() / (found.sum() + mask.sum())
    assert scores["instances_3d"]["predicted"] == written["objects"]
    assert scores["notes"] == written["notes"]


def test_some_sections_are_scored_as_a_volume_amid_the_others() -> None:
    rng, known = np.random.default_rng(3), replace(model(), z_median=3)
    raw = rng.integers(0, 255, (9, 20, 31)).astype(np.uint8)
    whole = Volume(raw, (raw > 128).astype(np.uint8), None)
    scored = evaluate(known, whole, range(4, 7))
    np.testing.assert_array_equal(scored.probability, evaluate(known, whole).probability[4:7])
    assert scored.scores.voxels == 3 * 20 * 31
    # Under the numbers that they have in the volume.
    assert [each.section for each in scored.sections] == [4, 5, 6]
    assert scored.section_summary["dice_min_section"] in (4, 5, 6)
    assert {round(each.z) for each in scored.objects} <= {4, 5, 6}
    cut = replace(whole, raw=raw[4:7], mask=whole.mask[4:7])
    subject = Subject("model", "raw.tif", cut.raw.shape, None, "objects", ())
    names = {name for name in build_files(scored, cut, subject) if name.endswith(".png")}
    assert names <= {f"section-{number:04d}.png" for number in (4, 5, 6)}
    assert names


@pytest.mark.parametrize(("memory", "noted"), [(40 * 40, True), (60 * 60, False)])
def test_windows_that_show_the_network_too_little_are_noted(
    monkeypatch: pytest.MonkeyPatch, memory: int, noted: bool
) -> None:
    monkeypatch.setattr("trainer.prediction.count_room", lambda networks: 40 * 40)
    monkeypatch.setattr("trainer.prediction.count_memory", lambda networks: memory)
    raw = np.random.default_rng(0).integers(0, 255, (2, 90, 70)).astype(np.uint8)
    notes = evaluate(model(), Volume(raw, (raw > 128).astype(np.uint8), None)).notes
    assert any(note.startswith("memory allows windows of 40 x 40") for note in notes) == noted


@pytest.mark.parametrize("block", [range(2, 2), range(-1, 2), range(1, 4), range(3, 1)])
def test_sections_that_the_volume_does_not_have_are_refused(block: range) -> None:
    with pytest.raises(InputError, match=r"^sections: expected FIRST,END with 0 <= FIRST"):
        evaluate(model(), volume(), block)


def test_scores_that_memory_cannot_hold_are_refused_before_the_prediction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainer.memory.free_memory", lambda: 13 * 2 * 20 * 31)
    assert evaluate(model(), volume(), range(1, 3)).scores.voxels == 2 * 20 * 31
    unused = Model(None, HP, 0.5, {})
    with pytest.raises(InputError, match=r"^scoring 3 sections needs .*; score fewer with --sec"):
        evaluate(unused, volume())


@pytest.mark.parametrize(
    ("card", "block", "known"),
    [
        ({"train_on": "train"}, range(8, 10), ""),
        ({"train_on": "train"}, range(3, 10), "3 to 4"),
        ({"train_on": "all"}, range(3, 10), "3 to 6"),
        ({"train_on": "all", "holdout_gap": 0}, range(3, 10), "3 to 7"),
        ({}, None, "0 to 4"),
        ({"sha256": "another"}, None, ""),
    ],
)
def test_sections_that_the_model_was_trained_on_are_named(
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    card: dict[str, str],
    block: range | None,
    known: str,
) -> None:
    here = written(tmp_path)
    blocks = {"train": [0, 5], "validation": [6, 7], "holdout": [8, 10], "gap": 1}
    blocks |= {"holdout_gap": card.pop("holdout_gap")} if "holdout_gap" in card else {}
    data = {"sha256": card.pop("sha256", here.sha256), "voxel_size_nm": None, **blocks}
    trained = replace(model(), card={"data": data, **card})
    monkeypatch.setattr(evaluate_module, "load_model", lambda folder, precision: trained)
    notes = evaluate_files(
        files["model"], tmp_path / "raw.tif", tmp_path / "mask.tif", sections=block
    )["notes"]
    said = [note for note in notes if "was trained on sections" in note]
    assert [note.split("sections ")[1].split(" of")[0] for note in said] == (
        [known] if known else []
    )
    assert any(note.startswith("scored sections") for note in notes) == (block is not None)


def written(folder: Path) -> Volume:
    """Ten sections of noise, in files as well."""
    raw = np.random.default_rng(0).integers(0, 255, (10, 20, 31)).astype(np.uint8)
    here = Volume(raw, (raw > 128).astype(np.uint8), None)
    write_stack(folder / "raw.tif", here.raw, None)
    write_stack(folder / "mask.tif", here.mask, None)
    return here


@pytest.mark.parametrize("at", ["the volume", "its file"])
@pytest.mark.parametrize(
    ("corrected", "known", "said"),
    [(False, True, False), (True, True, True), (True, False, None)],
)
def test_sections_are_known_by_the_image_where_the_mask_was_corrected(
    tmp_path: Path, at: str, corrected: bool, known: bool, said: bool | None
) -> None:
    here = written(tmp_path)
    data = {"sha256": here.sha256, "train": [0, 5], "validation": [6, 8]}
    data |= {"raw_sha256": here.raw_sha256} if known else {}
    data = {"sha256": "other", "file": data} if at == "its file" else data
    mask = here.mask.copy()
    mask[9, 0, 0] ^= corrected
    card = {"data": {"volumes": [{"sha256": "another"}, data]}, "train_on": "train"}
    notes = list(_describe(range(10), replace(model(), card=card), replace(here, mask=mask)))
    assert any("was trained on sections 0 to 4 of" in note for note in notes) == (said is not None)
    assert any("learned from another mask of this image" in note for note in notes) == bool(said)


@pytest.mark.parametrize(("holdout_gap", "near"), [(None, False), (0, True), (1, False)])
def test_sections_next_to_those_that_the_model_learned_from_are_named(
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    holdout_gap: int | None,
    near: bool,
) -> None:
    here = written(tmp_path)
    data = {"sha256": here.sha256, "train": [0, 5], "validation": [6, 7], "holdout": [8, 10]}
    data |= {"gap": 1, **({} if holdout_gap is None else {"holdout_gap": holdout_gap})}
    trained = replace(model(), card={"data": data, "train_on": "all"})
    monkeypatch.setattr(evaluate_module, "load_model", lambda folder, precision: trained)
    block = range(8, 10)
    notes = evaluate_files(
        files["model"], tmp_path / "raw.tif", tmp_path / "mask.tif", sections=block
    )["notes"]
    line = "0 sections, fewer than the gap of 1, lie between those scored"
    assert any(note.startswith(line) for note in notes) == near


@pytest.mark.parametrize("at", ["the volume", "its file"])
def test_sections_that_the_model_was_chosen_on_are_named(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    here = written(tmp_path)
    data = {"sha256": here.sha256, "train": [0, 5], "validation": [6, 8]}
    if at == "its file":
        # It was resampled: what was trained on is twice as many sections.
        data = {"sha256": "other", "train": [0, 10], "validation": [12, 16], "file": data}
    card = {"data": {"volumes": [data]}, "train_on": "train"}
    monkeypatch.setattr(
        evaluate_module, "load_model", lambda folder, precision: replace(model(), card=card)
    )

    def notes(block: range) -> list[str]:
        paths = (files["model"], tmp_path / "raw.tif", tmp_path / "mask.tif")
        return list(evaluate_files(*paths, sections=block)["notes"])

    assert any("chosen and tuned on sections 6 to 7 of" in note for note in notes(range(6, 10)))
    assert any("was trained on sections 3 to 4 of" in note for note in notes(range(3, 6)))
    assert not any("chosen" in note or "trained" in note for note in notes(range(8, 10)))


def test_an_object_is_as_small_as_the_space_that_it_fills() -> None:
    known = replace(model(), card={"data": {"voxel_size_nm": [5, 5, 5]}}, smallest_object_voxels=50)
    raw = np.zeros(SHAPE, np.uint8)
    raw[:, 4:8, 10:13] = 200
    here = Volume(raw, (raw > 0).astype(np.uint8), (5.0, 5.0, 10.0))
    # Its 36 voxels are as large as 72 of the model's.
    assert evaluate(known, here).instances_3d.predicted == 1
    assert evaluate(known, replace(here, voxel_size_nm=None)).instances_3d.predicted == 0


@pytest.mark.parametrize("name", ["model", "raw", "mask"])
def test_a_missing_file_is_named(files: dict[str, Path], tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=str(tmp_path / "nowhere")):
        evaluate_files(**{**files, name: tmp_path / "nowhere"})


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(evaluate_module, "evaluate", None)
    with pytest.raises(InputError, match=r"^--out: expected a folder that can be written"):
        evaluate_files(**files, out=tmp_path / "file")
    with pytest.raises(InputError, match=r"^--out: expected no model folder"):
        evaluate_files(**files, out=files["model"])


def text_of(page: bytes) -> str:
    return re.sub(r"<[^>]*>", " ", re.sub(r'src="[^"]*"', "", page.decode()))


def test_the_page_says_how_many_were_found(scored: Evaluation) -> None:
    subject = Subject("m", "raw <1>.tif", SHAPE, (5.0, 5.0, 5.0), "mitochondria", ["of 5 nm"])
    files = build_files(scored, volume(), subject)
    page = files["evaluation.html"]
    text = text_of(page)
    assert "1 of 2 mitochondria found" in text
    assert "1 of the 2 predicted objects match none of them" in text
    assert "raw &lt;1&gt;.tif" in text
    assert "Note: of 5 nm." in text
    for heading in ("Objects", "Voxels", "Along the volume", "The threshold", "The worst sections"):
        assert heading in text
    # Three charts and three sections.
    assert page.count(b"data:image/svg+xml;base64,") == 3
    assert page.count(b"data:image/jpeg;base64,") == 3


def test_a_page_of_nothing_at_all_can_be_drawn() -> None:
    nothing = replace(volume(), mask=np.zeros(SHAPE, np.uint8), raw=np.zeros(SHAPE, np.uint8))
    evaluation = evaluate(model(), nothing)
    subject = Subject("m", "raw.tif", SHAPE, None, "nuclei")
    files = build_files(evaluation, nothing, subject)
    assert "0 of 0 nuclei found" in text_of(files["evaluation.html"])
    assert files["objects.csv"].count(b"\n") == 1


def test_an_empty_truth_and_an_empty_prediction_agree() -> None:
    nothing = replace(volume(), mask=np.zeros(SHAPE, np.uint8), raw=np.zeros(SHAPE, np.uint8))
    assert evaluate(model(), nothing).scores.dice == 1.0
