"""The table of a race: medians of the turns, and how many times a rival's rate Longhold's is."""

import statistics

from benchmarks.rivals.contestants import LONGHOLD

HEAD = """| system | H | env steps/s | Longhold beside it | Longhold is faster by | first update | memory |
|---|---|---|---|---|---|---|
"""


def table(rows: list[dict]) -> str:
    """Markdown: a line for each rival and size, and one for Longhold at each size."""
    lines = []
    for hidden_size in sorted({row["hidden_size"] for row in rows}):
        own = [row for row in rows if row["hidden_size"] == hidden_size and is_longhold(row)]
        if finished(own):
            lines.append(f"| **Longhold** | {hidden_size} | {spread(own)} | | | {cost(own)} |")
        for rival in dict.fromkeys(row["rival"] for row in rows):
            pair = [row for row in rows if row["hidden_size"] == hidden_size and row["rival"] == rival]
            beside = [row for row in pair if is_longhold(row)]
            theirs = [row for row in pair if not is_longhold(row)]
            if theirs:
                lines.append(line(hidden_size, beside, theirs))
    return HEAD + "\n".join(lines) + "\n"


def line(hidden_size: int, beside: list[dict], theirs: list[dict]) -> str:
    """One rival at one size."""
    name = f"{theirs[0]['contestant']} {theirs[0]['version']}".strip()
    if not finished(theirs):
        return f"| {name} | {hidden_size} | {theirs[-1]['fallen'].replace('|', '/')} | | | | |"
    if not finished(beside):
        return f"| {name} | {hidden_size} | {spread(theirs)} | | | {cost(theirs)} |"
    times = median(beside, "steps_per_s") / median(theirs, "steps_per_s")
    own = f"{median(beside, 'steps_per_s'):,.0f}"
    return f"| {name} | {hidden_size} | {spread(theirs)} | {own} | {times:.1f} x | {cost(theirs)} |"


def is_longhold(row: dict) -> bool:
    """Whether a turn was that of the one that all others are held against."""
    return row["contestant"] == LONGHOLD.title


def finished(rows: list[dict]) -> list[dict]:
    """The turns that were measured."""
    return [row for row in rows if "fallen" not in row]


def median(rows: list[dict], name: str) -> float:
    """The median of what was measured."""
    return statistics.median(row[name] for row in finished(rows))


def spread(rows: list[dict]) -> str:
    """Median, least and most rate."""
    rates = [row["steps_per_s"] for row in finished(rows)]
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f} … {max(rates):,.0f})"


def cost(rows: list[dict]) -> str:
    """Time to the first update, and memory."""
    return f"{median(rows, 'first_update_s'):.1f} s | {median(rows, 'memory_mib'):,.0f} MiB"
