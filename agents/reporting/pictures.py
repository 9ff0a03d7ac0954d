"""Pictures by matplotlib: SVG that takes the colour of its text from the page, and one PNG of them all."""

import io
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

INK = "#010203"
"""Stands for the colour of the page's text."""
INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
SIZE = (4.4, 2.9)
"""Inches of one picture; at 96 pixels to the inch it fits a telephone's screen almost unreduced."""
LEGEND = 36
"""Characters of a line of the sheet's legend: one of options without end would leave the pictures no room."""
Draw = Callable[[Any], None]
Row = list[tuple[str, Draw]]
"""One picture of the whole width, or two: title of each, and what draws it."""


@contextmanager
def drawing(settings: dict[str, Any]) -> Iterator[Any]:
    """Gives pyplot, with what all pictures have in common.

    Raises:
        ValueError: there is no matplotlib.
    """
    try:
        import matplotlib
    except ImportError:
        raise ValueError("pictures need matplotlib: pip install -e '.[plots]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    shared: Any = dict.fromkeys(INKED, INK) | {"font.size": 8.5, "axes.linewidth": 0.6} | settings
    with matplotlib.rc_context(shared):
        yield pyplot


def tidy(axes: Any) -> None:
    """What is no figure steps back."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#8a8f99", alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")


def svg_of(draw: Draw, name: str, title: str) -> str:
    """A picture as an element of a page.

    Args:
        draw: draws into axes.
        name: of letters, digits and dashes; one of its own for each picture of a page.
        title: what a reader hears who does not see it.
    """
    with drawing({"svg.hashsalt": name, "svg.fonttype": "none"}) as pyplot:
        figure, axes = pyplot.subplots(figsize=SIZE, layout="constrained")
        draw(axes)
        tidy(axes)
        figure.set_facecolor("none")
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        pyplot.close(figure)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", text).replace("xlink:href", "href")
    text = text.replace(INK, "currentColor")
    size = re.search(r'viewBox="[^"]*"', text)
    assert size is not None
    head = f'<svg {size.group()} role="img" aria-label="{escape(title)}">'
    return re.sub(r"<svg[^>]*>", head, text, count=1)


def write_png(rows: Sequence[Row], styles: dict[str, dict[str, str]], path: Path) -> None:
    """All pictures on one sheet with one legend; those of a row share its width.

    Args:
        rows: at least one; of none but such with one picture the sheet is narrow.
        styles: of the groups.
        path: the file.
    """
    columns = max(map(len, rows))
    with drawing({}) as pyplot:
        size = (0.4 + SIZE[0] * columns + 1.8, SIZE[1] * len(rows))
        figure = pyplot.figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(len(rows), columns)
        for k, row in enumerate(rows):
            for j, (title, draw) in enumerate(row):
                axes = figure.add_subplot(grid[k, :] if len(row) == 1 else grid[k, j])
                draw(axes)
                tidy(axes)
                axes.set_title(title, fontsize=9)
        lines: Any = pyplot.Line2D
        names = ["\n".join(textwrap.wrap(label, LEGEND, break_on_hyphens=False)) for label in styles]
        looks = zip(names, styles.values(), strict=True)
        handles = [lines([], [], linewidth=1.6, label=name, **style) for name, style in looks]
        figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8, handlelength=2.8)
        figure.savefig(path, dpi=130, facecolor="white")
        pyplot.close(figure)
