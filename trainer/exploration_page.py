"""One page that shows an exploration: its figures, its numbers, and what to see in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.page import Page


@dataclass(frozen=True)
class Picture:
    """A figure and what to see in it.

    Attributes:
        name: Of its file, without an ending.
        title: Heading.
        sentence: What to see.
        png: The picture.
    """

    name: str
    title: str
    sentence: str
    png: bytes


def render_page(
    title: str,
    lead: str,
    rows: Sequence[tuple[str, str]],
    findings: Sequence[tuple[str, str]],
    pictures: Sequence[Picture],
) -> bytes:
    """Builds the page: one file of HTML, pictures included, without scripts.

    Args:
        title: Heading of the page.
        lead: The line below it.
        rows: Names and values of the table.
        findings: Name of the check and sentence of each.
        pictures: In their order.
    """
    page = Page(title, lead)
    page.table(["", ""], rows)
    page.heading("The data itself")
    if findings:
        page.table(["", ""], findings)
    else:
        page.paragraph(
            "Nothing found: no section is blank, twice there, saturated, out of order or unlike "
            "its neighbours, the brightness is even, and a mask, where there is one, does not look "
            "moved."
        )
    for picture in pictures:
        page.heading(picture.title)
        page.figure(picture.png, picture.sentence)
    return page.render()
