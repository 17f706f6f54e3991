from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest

from trainer import exploration_exhibits as exhibits
from trainer import explore as module
from trainer.errors import InputError
from trainer.exploration_exhibits import PICTURE_NAMES
from trainer.exploration_page import Picture, render_page
from trainer.explore import explore_files
from trainer.instances import Overlap, measure_sections, score_overlaps
from trainer.phantom import build_phantom
from trainer.split import measure_guard_gap
from trainer.stack import write_stack

VOLUME = build_phantom(24, 96, 96, seed=1)
AREA, BODY = 8 * 8, 8 * 8 * 8  # nm² and nm³ of a voxel


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("volume")
    write_stack(folder / "raw.tif", VOLUME.raw, VOLUME.voxel_size_nm)
    write_stack(folder / "mask.tif", VOLUME.mask, None)
    return folder / "raw.tif", folder / "mask.tif"


@pytest.fixture(scope="module")
def explored(
    files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("explored") / "new" / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exhibits, "_DPI", 45)  # quicker
        return explore_files(*files, out), out


class Tags(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_numbers_are_the_volumes(explored: tuple[dict[str, Any], Path]) -> None:
    facts, _ = explored
    mask = VOLUME.mask
    sections = score_overlaps(measure_sections(mask, mask)).total
    bodies = score_overlaps([Overlap.measure(mask, mask)]).total
    assert facts["shape"] == [24, 96, 96]
    assert facts["voxel_size_nm"] == [8.0, 8.0, 8.0]
    assert facts["foreground_fraction"] == pytest.approx(mask.mean())
    assert (facts["objects_2d"], facts["objects_3d"]) == (sections, bodies)
    assert facts["mean_area_nm2"] == pytest.approx(mask.sum() * AREA / sections)
    assert facts["mean_volume_nm3"] == pytest.approx(mask.sum() * BODY / bodies)
    assert facts["guard_gap_sections"] == measure_guard_gap(VOLUME.raw)
    assert facts["dice_of_everything"] <= facts["threshold_dice"] < 0.5
    assert facts["findings"] == facts["not_checked"] == []


def test_the_distributions_are_in_voxels_and_in_nm(explored: tuple[dict[str, Any], Path]) -> None:
    facts, _ = explored
    for voxels, nm, size in (
        ("areas_voxels", "areas_nm2", AREA),
        ("volumes_voxels", "volumes_nm3", BODY),
    ):
        assert facts[nm] == {name: value * size for name, value in facts[voxels].items()}


def test_the_json_is_what_is_returned_and_holds_nothing_but_json(
    explored: tuple[dict[str, Any], Path],
) -> None:
    facts, out = explored
    text = (out / "explore.json").read_text()
    assert json.loads(text) == facts
    assert "NaN" not in text
    kinds = [curve["kind"] for curve in facts["correlation"]["curves"]]
    assert kinds == ["plain", "flip", "flip", *["noise"] * 4, *["elastic"] * 6]


def test_the_folder_holds_the_page_the_json_and_every_figure(
    explored: tuple[dict[str, Any], Path],
) -> None:
    _, out = explored
    figures = {f"{name}.png" for name in PICTURE_NAMES}
    assert {path.name for path in out.iterdir()} == {"explore.html", "explore.json", *figures}
    for name in figures:
        picture = imageio.imread(out / name)
        assert min(picture.shape[:2]) > 100
        assert np.ptp(picture[..., :3]) > 100  # something is drawn


def test_the_page_needs_no_script_no_network_and_no_other_file(
    explored: tuple[dict[str, Any], Path],
) -> None:
    _, out = explored
    page = (out / "explore.html").read_text()
    tags = Tags(page)
    assert "script" not in {tag for tag, _ in tags.found}
    sources = [str(attrs["src"]) for _, attrs in tags.found if "src" in attrs]
    assert len(sources) == len(PICTURE_NAMES)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not [attrs for _, attrs in tags.found if "href" in attrs]
    assert not re.search(r"url\(|@import", page)


def test_the_page_says_what_to_see_in_every_figure(explored: tuple[dict[str, Any], Path]) -> None:
    facts, out = explored
    tags = Tags((out / "explore.html").read_text())
    names = [tag for tag, _ in tags.found]
    assert names.count("figcaption") == names.count("img")
    assert f"{facts['objects_2d']:,} objects in the sections" in tags.text
    assert f"The guard gap is {facts['guard_gap_sections']} sections" in tags.text
    assert f"{facts['mean_volume_nm3']:,.1f} nm³" in tags.text
    assert "in a colour of its own" in tags.text
    assert "(dashed)" in tags.text
    assert "(dotted)" in tags.text


def test_the_page_claims_what_was_checked_and_nothing_else(
    explored: tuple[dict[str, Any], Path],
) -> None:
    whole = Tags((explored[1] / "explore.html").read_text()).text
    assert "no sections are out of order" in whole
    assert "the mask does not look moved" in whole
    assert "not checked" not in whole
    unchecked = [("swapped", "too few"), ("mask shift", "no mask")]
    page = Tags(render_page("A", "", [], [], [], unchecked).decode()).text
    assert "none is there twice" in page
    assert "out of order" not in page
    assert "look moved" not in page
    assert "not checked: too few" in page
    found = Tags(render_page("A", "", [], [("blank", "section 1")], [], unchecked).decode()).text
    assert "Nothing found" not in found
    assert "not checked: no mask" in found


def test_a_name_with_markup_stays_a_name() -> None:
    picture = Picture("a", "<b>A</b>", "x < y & z", b"")
    page = render_page("<i>t</i>", "&", [("<u>", "1")], [("<s>", "<p>")], [picture]).decode()
    for markup in ("<i>", "<b>A", "<u>", "<s>", "x < y"):
        assert markup not in page
    assert "x &lt; y &amp; z" in page


def test_without_a_mask_there_is_what_can_be_said_without_one(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exhibits, "_DPI", 45)
    facts = explore_files(files[0], None, tmp_path / "out")
    assert facts["guard_gap_sections"] == measure_guard_gap(VOLUME.raw)
    for key in ("foreground_fraction", "objects_2d", "areas_nm2", "threshold_dice"):
        assert facts[key] is None
    assert facts["not_checked"] == [{"check": "mask shift", "reason": "there is no mask"}]
    names = {path.stem for path in (tmp_path / "out").glob("*.png")}
    assert names == set(PICTURE_NAMES) - {"object_sizes", "surfaces"}
    page = (tmp_path / "out" / "explore.html").read_text()
    assert "Without a mask" in page
    assert "not checked: there is no mask" in page


@pytest.fixture
def _few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module, "draw_exhibits", lambda _: iter([Picture("sections", "A", "s", b"png")])
    )


@pytest.mark.usefixtures("_few_pictures")
def test_an_unknown_voxel_size_leaves_voxels_and_says_how_to_give_it(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    write_stack(tmp_path / "raw.tif", VOLUME.raw, None)
    paths = tmp_path / "raw.tif", files[1]
    facts = explore_files(*paths, tmp_path / "out")
    assert facts["mean_area_nm2"] is facts["mean_volume_nm3"] is facts["voxel_size_nm"] is None
    assert facts["areas_nm2"] is facts["volumes_nm3"] is None
    assert facts["mean_area_voxels"] == pytest.approx(VOLUME.mask.sum() / facts["objects_2d"])
    assert any("--voxel-size-nm Z,Y,X" in note for note in facts["notes"])
    given = explore_files(*paths, tmp_path / "out", voxel_size_nm=(10, 2, 3))
    assert given["mean_area_nm2"] == pytest.approx(6 * facts["mean_area_voxels"])
    assert given["mean_volume_nm3"] == pytest.approx(60 * facts["mean_volume_voxels"])
    assert given["notes"] == []


@pytest.mark.usefixtures("_few_pictures")
def test_an_older_exploration_is_replaced_and_nothing_else(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    explore_files(*files, out)
    (out / "explore.json").write_text("old")
    (out / "surfaces.png").write_bytes(b"old")
    explore_files(files[0], None, out)
    assert json.loads((out / "explore.json").read_text())["objects_2d"] is None
    assert not (out / "surfaces.png").exists()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"^--out: expected .* holds notes\.txt; choose another"):
        explore_files(*files, out)
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["sections.png", "thesis.docx"])
def test_a_folder_of_the_users_is_left_alone(
    files: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match="choose another name"):
        explore_files(*files, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with pytest.raises(InputError, match="got the file"):
        explore_files(*files, tmp_path / name)


def fail(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.usefixtures("_few_pictures")
@pytest.mark.parametrize("failing", ["write_bytes", "write_text"])
def test_a_full_disk_leaves_nothing_half_written(
    files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
) -> None:
    monkeypatch.setattr(Path, failing, lambda *_, **__: fail())
    with pytest.raises(InputError, match="No space left on device"):
        explore_files(*files, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_few_pictures")
@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw[:2],
        lambda raw: raw.astype(np.uint16) * 200,
        lambda raw: raw.astype(np.float32) / 255,
        lambda raw: np.full_like(raw, 9),
    ],
    ids=["two sections", "uint16", "float32", "constant"],
)
def test_any_volume_can_be_explored(
    tmp_path: Path, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    raw = change(VOLUME.raw)
    write_stack(tmp_path / "raw.tif", raw, (8.0, 8.0, 8.0))
    write_stack(tmp_path / "mask.tif", VOLUME.mask[12 : 12 + len(raw)] if len(raw) < 24 else
                VOLUME.mask, None)  # fmt: skip
    facts = explore_files(tmp_path / "raw.tif", tmp_path / "mask.tif", tmp_path / "out")
    text = (tmp_path / "out" / "explore.json").read_text()
    assert json.loads(text) == facts
    assert "NaN" not in text
    assert "Infinity" not in text


def test_a_place_that_cannot_be_written_is_found_out_first(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    raw, mask = files
    (tmp_path / "file").write_text("mine")
    told: list[str] = []
    with pytest.raises(InputError, match=r"^--out: expected a folder that can be written, got "):
        explore_files(raw, mask, tmp_path / "file" / "below", announce=told.append)
    assert told == []


def test_voxels_of_any_size_that_can_be_are_explored(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    raw, mask = files
    for number, size in enumerate([(1e-3, 1e-3, 1e8), (1e8, 1e8, 1e8)]):
        out = tmp_path / f"out {number}"
        assert explore_files(raw, mask, out, voxel_size_nm=size)["voxel_size_nm"] == list(size)
