"""A report as one HTML page that needs nothing else: no network, no script, light or dark, narrow or wide."""

import base64
from collections.abc import Sequence
from html import escape

from agents.reporting.blocks import Block, Code, Figures, Photos, Section, Table, Text
from agents.reporting.style import CSS
from agents.reporting.styles import Style

LONG = 48
"""Letters of a cell from which it may break."""


def page(title: str, lead: str, sections: Sequence[Section], styles: dict[str, Style]) -> str:
    """The page.

    Args:
        title: what it is about.
        lead: what it rests on, in a line.
        sections: in their order.
        styles: how each group is drawn.
    """
    links = "".join(f'<a href="#s{k}">{escape(section.title)}</a>' for k, section in enumerate(sections))
    body = "".join(
        f'<section id="s{k}"><h2>{escape(section.title)}</h2>'
        + "".join(html_of(block, styles) for block in section.blocks)
        + "</section>"
        for k, section in enumerate(sections)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body><header><h1>{escape(title)}</h1>"
        f"<p>{escape(lead)}</p><nav>{links}</nav></header><main>{body}</main></body></html>\n"
    )


def html_of(block: Block, styles: dict[str, Style]) -> str:
    """A block as HTML."""
    if isinstance(block, Text):
        return f"<p{' class=small' if block.small else ''}>{escape(block.text)}</p>"
    if isinstance(block, Code):
        return f"<pre><code>{escape(block.text)}</code></pre>"
    if isinstance(block, Table):
        return html_table(block, styles)
    if isinstance(block, Photos):
        return "".join(photo(caption, png) for caption, png in block.pngs)
    return html_figures(block, styles)


def html_figures(block: Figures, styles: dict[str, Style]) -> str:
    """Pictures side by side where there is room, and their legend."""
    figures = "".join(f"<figure>{svg}</figure>" for svg in block.svgs)
    legend = "".join(f"<li>{named(label, styles)}</li>" for label in block.legend)
    return f'<ul class="legend">{legend}</ul><div class="figures">{figures}</div>'


def photo(caption: str, png: bytes) -> str:
    """A picture with its content in the page."""
    data = base64.b64encode(png).decode()
    text = escape(caption)
    return (
        f'<figure class="photo"><figcaption>{text}</figcaption>'
        f'<img alt="{text}" src="data:image/png;base64,{data}"></figure>'
    )


def html_table(table: Table, styles: dict[str, Style]) -> str:
    """A table that scrolls by itself where it is too wide."""
    head = "".join(f"<th>{named(cell, styles)}</th>" for cell in table.head)
    plain = len(table.rows) - table.faint
    rows = []
    for k, row in enumerate(table.rows):
        shades = table.shades[k] if table.shades else [None] * len(row)
        cells = f"<th>{named(row[0], styles)}</th>"
        cells += "".join(map(data, row[1:], shades[1:]))
        rows.append(f"<tr{' class=faint' if k >= plain else ''}>{cells}</tr>")
    body = "".join(rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def named(text: str, styles: dict[str, Style]) -> str:
    """A group's name with its line; any other text as it is."""
    if text not in styles:
        return escape(text)
    style = styles[text]
    dash = {"-": "", "--": "9 4", "-.": "9 3 2 3", ":": "2 3"}[style["linestyle"]]
    line = f'<line x1="0" y1="5" x2="22" y2="5" stroke="{style["color"]}" stroke-dasharray="{dash}"/>'
    key = f'<svg class="key" viewBox="0 0 22 10" aria-hidden="true">{line}</svg>'
    return f'<span class="named">{key}{escape(text)}</span>'


def data(cell: str, share: float | None) -> str:
    """A cell that is no name; a probability is blue above one half, orange below, interval beneath."""
    if share is None:
        return f"<td{' class=long' if len(cell) > LONG else ''}>{escape(cell)}</td>"
    colour = "59,130,196" if share >= 0.5 else "224,129,43"
    value, _, rest = cell.partition(" ")
    style = f"background:rgba({colour},{abs(share - 0.5) * 0.9:.2f})"
    beneath = f"<small>{escape(rest)}</small>" if rest else ""
    return f'<td class="share" style="{style}">{escape(value)}{beneath}</td>'
