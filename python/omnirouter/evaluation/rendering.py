"""A document of headings, paragraphs, tables and figures, as Markdown and as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Block", "Figure", "Heading", "Items", "Paragraph", "Table", "to_html", "to_markdown"]


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list of short texts."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table; the first column is text, the others are figures. Rows whose number is in `strong` stand out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    strong: tuple[int, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A PNG picture ``name.png`` with its caption."""

    name: str
    caption: str


WITH_INTERVAL = re.compile(r"[-+\d.∞%]+ \([^()]*\)")

Block: TypeAlias = "Heading | Paragraph | Items | Table | Figure"

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; }
body { max-width: 78rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin-bottom: .4rem; } h2 { font-size: 1.25rem; margin-top: 2.4rem; border-bottom: 1px solid #ddd; }
h3 { font-size: 1.05rem; margin-top: 1.6rem; }
.wide { overflow-x: auto; }
table { font-size: .86rem; border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .8rem 0; }
th, td { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid #e4e4e4; }
th { vertical-align: bottom; border-bottom: 2px solid #999; }
th:first-child, td:first-child { text-align: left; }
.whole { white-space: nowrap; }
tr.strong td { font-weight: 600; background: #f2f7fb; }
figure { margin: 1.2rem 0; } img { max-width: min(100%, 60rem); height: auto; }
figcaption { color: #555; font-size: .9rem; max-width: 52rem; }
"""


def to_markdown(blocks: Sequence[Block]) -> str:
    r"""Markdown with tables; figures refer to files beside it.

    Examples
    --------
    >>> print(to_markdown([Heading(1, "Report"), Table(("model", "accuracy"), (("a|b", "0.5"),))]), end="")
    # Report
    <BLANKLINE>
    | model | accuracy |
    |---|---:|
    | a\|b | 0.5 |
    """
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, Paragraph):
        return block.text
    if isinstance(block, Items):
        return "\n".join(f"- {text}" for text in block.texts)
    if isinstance(block, Figure):
        return f"![{block.caption}]({block.name}.png)"
    lines = [_row(block.columns), f"|---|{'---:|' * (len(block.columns) - 1)}"]
    for i, row in enumerate(block.rows):
        lines.append(_row(tuple(f"**{cell}**" if i in block.strong and cell else cell for cell in row)))
    return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def to_html(blocks: Sequence[Block], pictures: Mapping[str, bytes]) -> str:
    """One page with its pictures inside; it loads nothing from anywhere.

    Parameters
    ----------
    blocks : sequence of Block
        The document.
    pictures : mapping of str to bytes
        PNG files of the figures, by name.
    """
    title = next((block.text for block in blocks if isinstance(block, Heading)), "Report")
    body = "\n".join(_html(block, pictures) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _html(block: Block, pictures: Mapping[str, bytes]) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{html.escape(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return f"<p>{html.escape(block.text)}</p>"
    if isinstance(block, Items):
        return "<ul>\n" + "\n".join(f"<li>{html.escape(text)}</li>" for text in block.texts) + "\n</ul>"
    if isinstance(block, Figure):
        data = base64.b64encode(pictures[block.name]).decode()
        caption = html.escape(block.caption)
        image = f'<img src="data:image/png;base64,{data}" alt="{html.escape(block.caption, quote=True)}">'
        return f"<figure>\n{image}\n<figcaption>{caption}</figcaption>\n</figure>"
    head = "".join(f"<th>{html.escape(column)}</th>" for column in block.columns)
    lines = [f"<tr>{head}</tr>"]
    for i, row in enumerate(block.rows):
        cells = "".join(f"<td>{_unbroken(html.escape(cell))}</td>" for cell in row)
        lines.append(f'<tr class="strong">{cells}</tr>' if i in block.strong else f"<tr>{cells}</tr>")
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"


def _unbroken(cell: str) -> str:
    """A cell whose figures stay on one line with their intervals, so that a wide table wraps elsewhere."""
    return WITH_INTERVAL.sub(lambda found: f'<span class="whole">{found[0]}</span>', cell)
