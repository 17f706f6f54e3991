from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from search.learning_curve import draw_learning_curve

_SVG = "{http://www.w3.org/2000/svg}"


def points(svg: str) -> list[tuple[float, float]]:
    (line,) = ElementTree.fromstring(svg).iter(f"{_SVG}polyline")
    return [
        (float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", line.get("points", ""))
    ]


def test_a_better_epoch_is_higher_and_a_later_one_further_right() -> None:
    (x1, y1), (x2, y2), (x3, y3) = points(
        draw_learning_curve({1: 0.2, 3: 0.5, 2: 0.8}, epochs=4, title="trial 1")
    )
    assert x1 < x2 < x3
    assert y2 < y3 < y1
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)


def test_axes_are_the_same_for_a_trial_that_was_stopped_early() -> None:
    early = points(draw_learning_curve({1: 0.5}, epochs=9, title="a"))
    whole = points(draw_learning_curve(dict.fromkeys(range(1, 10), 0.5), epochs=9, title="b"))
    assert early[0] == whole[0]


@pytest.mark.parametrize("epochs", [1, 7, 100, 1000])
def test_any_budget_has_a_few_labels_the_last_of_them_near_its_end(epochs: int) -> None:
    svg = draw_learning_curve({1: 1.5, epochs: -0.5}, epochs=epochs, title="<&>")
    texts = [text.text for text in ElementTree.fromstring(svg).iter(f"{_SVG}text")]
    labels = [int(text) for text in texts if text and text.isdigit()]
    assert 1 <= len(labels) <= 10
    assert labels[-1] > epochs * 0.8
    assert texts[0] == "<&>"
