"""One page that shows an exploration: its figures, its numbers, and what to see in them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1c1c; max-width: 64rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.4rem; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; display: block; margin: 0 auto; }
figcaption, p { max-width: 48rem; } .lead { color: #555; }
table { border-collapse: collapse; margin: 1rem 0; }
td { padding: .25rem 1.2rem .25rem 0; border-bottom: 1px solid #ddd; }
td.number { text-align: right; }
.findings li { margin: .4rem 0; } .findings b { color: #b3360b; }
"""


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
) -> str:
    """Builds the page: one file of HTML, pictures included, without scripts.

    Args:
        title: Heading of the page.
        lead: The line below it.
        rows: Names and values of the table.
        findings: Name of the check and sentence of each.
        pictures: In their order.
    """
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(lead)}</p>',
        _table(rows),
        "<h2>The data itself</h2>",
        _findings(findings),
        *(_figure(picture) for picture in pictures),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _table(rows: Sequence[tuple[str, str]]) -> str:
    lines = (
        f'<tr><td>{escape(name)}</td><td class="number">{escape(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table>{''.join(lines)}</table>"


def _findings(findings: Sequence[tuple[str, str]]) -> str:
    if not findings:
        return (
            "<p>Nothing found: no section is blank, twice there, saturated, out of order or unlike "
            "its neighbours, the brightness is even, and a mask, where there is one, does not look "
            "moved.</p>"
        )
    items = (f"<li><b>{escape(name)}</b>: {escape(sentence)}</li>" for name, sentence in findings)
    return f'<ul class="findings">{"".join(items)}</ul>'


def _figure(picture: Picture) -> str:
    encoded = base64.b64encode(picture.png).decode("ascii")
    return (
        f"<h2>{escape(picture.title)}</h2><figure>"
        f'<img alt="{escape(picture.title)}" src="data:image/png;base64,{encoded}">'
        f"<figcaption>{escape(picture.sentence)}</figcaption></figure>"
    )
