"""Each fault is planted in a clean phantom and found; the clean phantom passes."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.data_checks import check_data
from trainer.exposure import find_drift, find_saturation, measure_brightness
from trainer.finding import Finding, Unchecked, list_sections
from trainer.mask_alignment import find_mask_shift
from trainer.phantom import build_phantom
from trainer.section_copies import find_blank, find_duplicates
from trainer.section_order import find_spoiled, find_swapped
from trainer.volume import Volume


@pytest.fixture(scope="module")
def clean() -> Volume:
    return build_phantom(36, 160, 160, seed=2)


def only(findings: list[Finding] | list[Finding | Unchecked]) -> Finding:
    (found,) = findings
    assert isinstance(found, Finding)
    assert "\n" not in found.message
    assert ";" in found.message  # what was found; what to do
    return found


def reason(results: list[Finding | Unchecked]) -> str:
    """Why a check was not made."""
    (result,) = results
    assert isinstance(result, Unchecked)
    return result.reason


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_a_clean_phantom_passes_every_check(seed: int) -> None:
    volume = build_phantom(24, 96, 96, seed=seed)
    assert check_data(volume.raw, volume.mask) == ([], [])


def test_the_larger_one_passes_too(clean: Volume) -> None:
    assert check_data(clean.raw, clean.mask) == ([], [])


def test_a_check_of_everything_names_each_fault(clean: Volume) -> None:
    raw = clean.raw.copy()
    raw[4] = 90
    raw[20] = raw[30]
    findings, unchecked = check_data(raw, None)
    assert {finding.check for finding in findings} >= {"blank", "duplicate"}
    assert unchecked == [Unchecked("mask shift", "there is no mask")]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_blank_sections_are_found(clean: Volume, dtype: type) -> None:
    raw = clean.raw.astype(dtype)
    raw[7] = 0
    raw[8] = 100 + np.random.default_rng(0).integers(0, 2, raw[8].shape)
    assert only(find_blank(raw)).sections == (7, 8)
    assert find_duplicates(raw) == []


def test_a_section_that_is_there_twice_is_found_wherever_it_is(clean: Volume) -> None:
    raw = clean.raw.copy()
    raw[25] = raw[10]
    assert only(find_duplicates(raw)).sections == (10, 25)
    raw[11] = raw[10]
    assert only(find_duplicates(raw)).sections == (10, 11, 25)


def test_a_neighbour_stored_twice_with_losses_is_found(clean: Volume) -> None:
    raw = clean.raw.copy()
    noise = np.random.default_rng(0).integers(-2, 3, raw[10].shape)
    raw[11] = np.clip(raw[10].astype(int) + noise, 0, 255)
    found = only(find_duplicates(raw))
    assert (found.check, found.sections) == ("duplicate", (10, 11))


@pytest.mark.parametrize("end", ["darkest", "brightest"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_saturation_is_found_at_either_end(clean: Volume, dtype: type, end: str) -> None:
    raw = clean.raw.astype(np.float32) * (100 if dtype == np.uint16 else 1)
    low, high = np.percentile(raw, (3, 97))
    cut = np.maximum(raw, low) if end == "darkest" else np.minimum(raw, high)
    assert find_saturation(raw.astype(dtype)) == []
    found = only(find_saturation(cut.astype(dtype)))
    assert end in found.message
    assert len(found.sections) > 20


def test_saturation_of_few_sections_is_found_there(clean: Volume) -> None:
    raw = clean.raw.copy()
    raw[3:5] = np.where(raw[3:5] > 170, 255, raw[3:5])
    assert only(find_saturation(raw)).sections == (3, 4)


def test_brightness_that_drifts_is_found(clean: Volume) -> None:
    ramp = np.linspace(-1, 1, 36)[:, np.newaxis, np.newaxis] * 45
    assert find_drift(clean.raw) == []
    found = only(find_drift(clean.raw.astype(np.float32) + ramp.astype(np.float32)))
    assert (found.check, found.sections) == ("drift", ())


def test_a_section_that_leaves_the_trend_is_found(clean: Volume) -> None:
    raw = clean.raw.astype(np.float32)
    spread = measure_brightness(raw).spread
    raw[12] += 0.8 * spread
    raw[0] -= 0.8 * spread
    found = only(find_drift(raw))
    assert (found.check, found.sections) == ("brightness", (0, 12))


def test_the_drift_is_in_deviations_of_the_voxels() -> None:
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 10, (50, 64, 64)) + np.arange(50)[:, np.newaxis, np.newaxis]
    brightness = measure_brightness(raw.astype(np.float32))
    assert brightness.spread == pytest.approx(10, rel=0.02)
    assert brightness.drift == pytest.approx(4.9, rel=0.02)


@pytest.mark.parametrize("at", [0, 1, 17, 34])
def test_swapped_sections_are_found(clean: Volume, at: int) -> None:
    raw = clean.raw.copy()
    raw[[at, at + 1]] = raw[[at + 1, at]]
    found = only(find_swapped(raw))
    assert (found.check, found.sections) == ("swapped", (at, at + 1))
    assert find_spoiled(raw) == []


def test_unrelated_sections_have_no_order_to_check() -> None:
    raw = np.random.default_rng(0).integers(0, 255, (20, 64, 64)).astype(np.uint8)
    for check in (find_swapped, find_spoiled):
        assert reason(check(raw)).endswith("order cannot be told from the images")
    assert [each.check for each in check_data(raw, None)[1]] == ["swapped", "spoiled", "mask shift"]


@pytest.mark.parametrize("how", ["noise", "cover", "shift"])
def test_a_spoiled_section_is_found(clean: Volume, how: str) -> None:
    raw = clean.raw.copy()
    if how == "noise":
        raw[9] = np.clip(raw[9] + np.random.default_rng(0).normal(0, 60, raw[9].shape), 0, 255)
    elif how == "cover":
        raw[9, :, 50:130] = 120
    else:
        raw[9] = np.roll(raw[9], 8, axis=1)
    assert only(find_spoiled(raw)).sections == (9,)
    assert find_swapped(raw) == []


@pytest.mark.parametrize("shift", [-2, -1, 1, 2])
def test_a_mask_that_is_moved_is_found_with_the_way_back(clean: Volume, shift: int) -> None:
    moved = np.roll(clean.mask, shift, axis=0)
    inner = slice(abs(shift), -abs(shift))
    found = only(find_mask_shift(clean.raw[inner], moved[inner]))
    assert found.check == "mask shift"
    assert f"moved by {-shift:+d} along z" in found.message


def test_a_mask_that_belongs_to_nothing_is_not_claimed_to_be_moved(clean: Volume) -> None:
    other = build_phantom(36, 160, 160, seed=9).mask
    assert find_mask_shift(clean.raw, other) == []
    assert find_mask_shift(clean.raw, clean.mask[:, ::-1].copy()) == []


def test_a_mask_of_too_few_sections_is_not_said_to_be_right(clean: Volume) -> None:
    # Three sections at either end have no masks at all shifts.
    assert reason(find_mask_shift(clean.raw[:13], clean.mask[:13])).endswith("the volume has 7")
    assert find_mask_shift(clean.raw[:14], clean.mask[:14]) == []
    assert reason(find_mask_shift(clean.raw[:6], clean.mask[:6])).endswith("the volume has 0")


@pytest.mark.parametrize("sections", [1, 2, 3])
def test_of_few_sections_it_is_said_what_was_not_checked(clean: Volume, sections: int) -> None:
    part = slice(10, 10 + sections)
    findings, unchecked = check_data(clean.raw[part], clean.mask[part])
    assert findings == []
    assert [each.check for each in unchecked] == ["swapped", "spoiled", "mask shift"]
    assert unchecked[0].reason == f"it takes 4 sections, the volume has {sections}"


def test_a_long_list_of_sections_is_cut_short() -> None:
    assert list_sections([4]) == "section 4"
    assert list_sections(range(10)) == "sections 0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
