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


_SOUND = {
    "blank": "no section is blank",
    "duplicate": "none is there twice",
    "saturation": "none is saturated",
    "brightness": "the brightness is even",
    "swapped": "no sections are out of order",
    "spoiled": "none is unlike its neighbours",
    "mask shift": "the mask does not look moved",
}
"""What a check that finds nothing has shown."""


def render_page(
    title: str,
    lead: str,
    rows: Sequence[tuple[str, str]],
    findings: Sequence[tuple[str, str]],
    pictures: Sequence[Picture],
    unchecked: Sequence[tuple[str, str]] = (),
) -> bytes:
    """Builds the page: one file of HTML, pictures included, without scripts.

    Args:
        title: Heading of the page.
        lead: The line below it.
        rows: Names and values of the table.
        findings: Name of the check and sentence of each.
        pictures: In their order.
        unchecked: Name of each check that could not be made, and why not.
    """
    page = Page(title, lead)
    page.table(["", ""], rows)
    page.heading("The data itself")
    if not findings:
        page.paragraph(_describe_sound({check for check, _ in unchecked}))
    told = [*findings, *((check, f"not checked: {reason}") for check, reason in unchecked)]
    if told:
        page.table(["", ""], told)
    for picture in pictures:
        page.heading(picture.title)
        page.figure(picture.png, picture.sentence)
    return page.render()


def _describe_sound(unchecked: set[str]) -> str:
    """Claims what was checked, and nothing else."""
    return f"Nothing found: {', '.join(_SOUND[name] for name in _SOUND if name not in unchecked)}."
