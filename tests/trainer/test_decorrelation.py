from __future__ import annotations

import numpy as np
import pytest

from trainer.decorrelation import (
    DEFORMATIONS,
    NOISES,
    Curve,
    deform,
    displacement_deviation,
    measure_decorrelation,
)
from trainer.intensity import Intensity
from trainer.phantom import build_phantom

RAW = build_phantom(24, 96, 96, seed=1).raw


@pytest.fixture(scope="module")
def curves() -> list[Curve]:
    return measure_decorrelation(RAW)


def by_kind(curves: list[Curve], kind: str) -> list[Curve]:
    return [curve for curve in curves if curve.kind == kind]


def test_each_augmentation_has_its_curve(curves: list[Curve]) -> None:
    counts = {kind: len(by_kind(curves, kind)) for kind in ("plain", "flip", "noise", "elastic")}
    assert counts == {"plain": 1, "flip": 2, "noise": len(NOISES), "elastic": len(DEFORMATIONS)}
    for curve in curves:
        assert curve.correlation.distances[-1] == 12
        assert (curve.correlation.low <= curve.correlation.values).all()
        assert (curve.correlation.values <= curve.correlation.high).all()


def test_a_flip_leaves_little_and_noise_and_deformation_the_less_the_stronger(
    curves: list[Curve],
) -> None:
    plain = by_kind(curves, "plain")[0].correlation.values[0]
    for flip in by_kind(curves, "flip"):
        assert abs(flip.correlation.values[1]) < plain / 3
    for kind, per_row in (("noise", len(NOISES)), ("elastic", 3)):
        values = [curve.correlation.values[1] for curve in by_kind(curves, kind)]
        for start in range(0, len(values), per_row):
            row = values[start : start + per_row]
            assert row == sorted(row, reverse=True)
            assert row[-1] < plain


def test_noise_lowers_the_correlation_as_theory_says(curves: list[Curve]) -> None:
    spread = float(np.mean([section.std() for section in Intensity.measure(RAW).scale(RAW)]))
    plain = by_kind(curves, "plain")[0].correlation.values[0]
    for curve in by_kind(curves, "noise"):
        factor = 1 / np.sqrt(1 + (curve.settings["noise"] / spread) ** 2)
        assert curve.correlation.values[0] == pytest.approx(factor, abs=0.01)
        assert curve.correlation.values[1] == pytest.approx(plain * factor, abs=0.02)


def test_the_deviation_of_displacements_is_the_one_that_is_drawn() -> None:
    section = np.zeros((300, 300), np.uint8)
    field = deform(section, 240.0, 10.0, np.random.default_rng(0))
    moved = field.y - np.arange(300, dtype=np.float32)[:, np.newaxis]
    assert moved.std() == pytest.approx(displacement_deviation(240.0, 10.0), rel=0.15)


def test_a_single_section_has_no_distances() -> None:
    plain, *changed = measure_decorrelation(RAW[:1])
    assert len(plain.correlation.distances) == 0
    assert all(curve.correlation.distances.tolist() == [0] for curve in changed)
