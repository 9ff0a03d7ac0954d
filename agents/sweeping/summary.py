"""What came of a sweep: success by core and task."""

from typing import Any

from rich import box
from rich.table import Table

from agents.sweeping.run import Run


def summary(results: dict[Run, dict[str, Any] | None]) -> Table:
    """A row for each core, with whatever else was tried with it, and a column for each task.

    Args:
        results: the evaluation of each run, None where it is not done.
    """
    cells: dict[tuple[str, str], list[dict[str, Any] | None]] = {}
    for run, result in results.items():
        cells.setdefault((run.kind, run.task), []).append(result)
    rows, tasks = (list(dict.fromkeys(key[part] for key in cells)) for part in (0, 1))
    table = Table(box=box.MARKDOWN)
    table.add_column("success, mean of seeds")
    for task in tasks:
        table.add_column(task, justify="right")
    for row in rows:
        table.add_row(row, *(cell(cells.get((row, task), [])) for task in tasks))
    return table


def cell(results: list[dict[str, Any] | None]) -> str:
    """The mean over seeds, and how many are still missing."""
    found = [r["success"]["mean"] for r in results if r is not None and r["success"]["mean"] is not None]
    text = f"{sum(found) / len(found):.3f}" if found else "-"
    return text if len(found) == len(results) else f"{text} ({len(found)} of {len(results)})"
