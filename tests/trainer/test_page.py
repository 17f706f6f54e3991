from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from trainer.chart import open_chart
from trainer.overlay import encode_jpeg, encode_png
from trainer.page import Page


class Reader(HTMLParser):
    """Collects the tags, their attributes and the text; a tag left open is an error."""

    VOID = ("meta", "img")

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page.decode())
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_all_text_is_escaped() -> None:
    bad = "<script>alert('x')</script> & \"y\""
    page = Page(bad, bad)
    page.heading(bad)
    page.paragraph(bad)
    page.table([bad], [[bad]])
    page.legend([(bad, 'red"><b>')])
    page.figure(b"<svg/>", bad)
    reader = Reader(page.render())
    assert {tag for tag, _ in reader.tags} & {"script", "b"} == set()
    # Title, headline, lead, heading, paragraph, head and cell, legend, caption.
    assert reader.text.count(bad) == 9


def test_a_page_holds_its_pictures_and_names_no_other_place() -> None:
    picture = np.zeros((4, 5, 3), np.uint8)
    with open_chart("x", "y") as chart:
        chart.axes.plot([0, 1], [0, 1])
    page = Page("A")
    for content in (encode_png(picture), encode_jpeg(picture), chart.svg):
        page.figure(content, "what to see")
    rendered = page.render()
    sources = [str(attributes["src"]) for tag, attributes in Reader(rendered).tags if tag == "img"]
    kinds = [re.match("data:(image/[a-z+]+);base64,", source) for source in sources]
    assert [kind and kind[1] for kind in kinds] == ["image/png", "image/jpeg", "image/svg+xml"]
    assert base64.b64decode(sources[2].split(",")[1]) == chart.svg
    assert rendered.count(b"http") == 0
    assert b"<script" not in rendered


def test_numbers_stand_to_the_right_and_are_readable() -> None:
    page = Page("A")
    page.table(["name", "count", "share"], [["a", 1234567, 0.5], ["b", 2, None]])
    cells = [tag for tag in Reader(page.render()).tags if tag[0] == "td"]
    assert [attributes.get("class") for _, attributes in cells] == [None, "number", "number"] * 2
    text = Reader(page.render()).text
    assert "1,234,567" in text
    assert "0.500" in text
    assert "–" in text


def test_a_head_of_empty_words_is_left_out() -> None:
    page = Page("A")
    page.table(["", ""], [["model", "m"]])
    assert "th" not in {tag for tag, _ in Reader(page.render()).tags}


def test_a_row_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError):
        Page("A").table(["a", "b"], [["only one"]])


def test_a_chart_is_svg_and_the_same_each_time() -> None:
    drawn = []
    for _ in range(2):
        with open_chart("size in µm³", "share") as chart:
            chart.axes.plot([1, 2, 3], [3, 1, 2])
        drawn.append(chart.svg)
    assert ElementTree.fromstring(drawn[0]).tag.endswith("svg")
    assert drawn[0] == drawn[1]


def test_a_name_that_is_no_text_does_not_lose_the_page() -> None:
    page = Page("zelle_\udcfc.tif")
    assert b"zelle_?.tif" in page.render()
