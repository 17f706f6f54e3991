"""One HTML page that holds everything it shows: no scripts, no other files, no network."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1d2530; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .75rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; overflow-wrap: anywhere; }
p.lead { font-size: 1.2rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem 1rem .35rem 0; border-bottom: 1px solid #dde2e8;
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; color: #4a5563; overflow-wrap: normal; }
/* What a row is about stays in one piece; what is said of it may be a long path. */
td:first-child { overflow-wrap: break-word; }
td.number { text-align: right; white-space: nowrap; }
th.number { text-align: right; }
figure { margin: 1rem 0 1.75rem; }
figure img { display: block; max-width: 100%; height: auto; }
figcaption { color: #4a5563; font-size: .95rem; margin-top: .4rem; max-width: 46rem; }
.key { display: inline-block; width: .85em; height: .85em; margin: 0 .35em 0 .9em;
  border: 1px solid #8a94a0; vertical-align: -.08em; }
.key:first-child { margin-left: 0; }
.wide { overflow-x: auto; }
""".strip()
_MEDIA_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


class Page:
    """A page that is written from top to bottom. All text is escaped."""

    def __init__(self, title: str, lead: str = "") -> None:
        self._title = title
        self._parts = [f"<h1>{escape(title)}</h1>"]
        if lead:
            self._parts.append(f'<p class="lead">{escape(lead)}</p>')

    def heading(self, text: str) -> None:
        """Begins a section."""
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def paragraph(self, text: str) -> None:
        """Adds a paragraph."""
        self._parts.append(f"<p>{escape(text)}</p>")

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Adds a table: numbers to the right, words to the left, None as a dash.

        A head of empty words is left out.
        """
        body = [list(row) for row in rows]
        columns = list(zip(*body, strict=True)) or [("",)] * len(head)
        right = [not any(isinstance(cell, str) for cell in column) for column in columns]
        top = [_row("th", head, right)] if any(head) else []
        lines = [*top, *(_row("td", row, right) for row in body)]
        self._parts.append(f'<div class="wide"><table>{"".join(lines)}</table></div>')

    def figure(self, picture: bytes, caption: str) -> None:
        """Adds a PNG, JPEG or SVG, with the sentence that says what is to be seen in it."""
        kind = next((t for start, t in _MEDIA_TYPES.items() if picture.startswith(start)), None)
        source = f"data:{kind or 'image/svg+xml'};base64,{base64.b64encode(picture).decode()}"
        text = escape(caption)
        self._parts.append(
            f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'
        )

    def legend(self, colours: Iterable[tuple[str, str]]) -> None:
        """Adds what colours mean, each a name and a CSS colour."""
        keys = (
            f'<span class="key" style="background: {escape(colour)}"></span>{escape(name)}'
            for name, colour in colours
        )
        self._parts.append(f"<p>{''.join(keys)}</p>")

    def render(self) -> bytes:
        """The whole page, in UTF-8."""
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self._title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n"
            "<body>\n<main>\n" + "\n".join(self._parts) + "\n</main>\n</body>\n</html>\n"
            # A file's name need not be of UTF-8.
        ).encode(errors="replace")


def _row(tag: str, cells: Sequence[object], right: Sequence[bool]) -> str:
    opened = (f'<{tag} class="number">' if number else f"<{tag}>" for number in right)
    pairs = zip(opened, cells, strict=True)
    return f"<tr>{''.join(f'{start}{escape(_shown(cell))}</{tag}>' for start, cell in pairs)}</tr>"


def _shown(cell: object) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:.3f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
