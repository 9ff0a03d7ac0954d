"""What a report is made of: sections of texts, tables, commands and pictures; and these in Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Text:
    """A paragraph; `small` is what one reads only once."""

    text: str
    small: bool = False
    on_page: bool = False
    """Whether it speaks of a picture that is on the page alone; the Markdown leaves it out."""


@dataclass(frozen=True)
class Table:
    """Rows of cells; a cell that is a group's name gets its colour on the page."""

    head: list[str]
    rows: list[list[str]]
    shades: list[list[float | None]] = field(default_factory=list)
    """By cell, of a table that is a heat map: a probability."""
    faint: int = 0
    """How many rows at the end are no results but what to hold them against."""


@dataclass(frozen=True)
class Code:
    """Commands."""

    text: str


@dataclass(frozen=True)
class Figures:
    """Pictures beside each other, with one legend; on the page alone."""

    svgs: list[str]
    """The elements."""
    legend: list[str] = field(default_factory=list)
    """Groups."""


@dataclass(frozen=True)
class Photos:
    """Pictures as PNG, of their own size; on the page alone."""

    pngs: list[tuple[str, bytes]]
    """Caption of each, and the file's content."""


Block = Text | Table | Code | Figures | Photos


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: list[Block]


def markdown(sections: Sequence[Section], picture: str, page: str) -> str:
    """A report as Markdown.

    Args:
        sections: of the report; of one that is all pictures it says where they are.
        picture: the file with all curves, beside the text.
        page: that with everything.
    """
    parts = [f"![Curves]({picture})"]
    for section in sections:
        told = [text for block in section.blocks if (text := markdown_of(block))]
        parts += [f"## {section.title}", *(told or [f"Its pictures are on the page, [{page}]({page})."])]
    return "\n\n".join(parts) + "\n"


def markdown_of(block: Block) -> str:
    """A block as Markdown; nothing of what is on the page alone."""
    if isinstance(block, Text):
        return "" if block.on_page else block.text
    if isinstance(block, Code):
        return f"```\n{block.text}\n```"
    return markdown_table(block) if isinstance(block, Table) else ""


def markdown_table(table: Table) -> str:
    """A table as Markdown; what is no result in italics."""
    plain = len(table.rows) - table.faint
    rows = [[f"*{row[0]}*", *row[1:]] if k >= plain else row for k, row in enumerate(table.rows)]
    lines = [table.head, ["---"] * len(table.head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
