"""Brings runs together: how each core fares on each task, how long it remembers, and what made the runs.

python -m scripts.report runs/tmaze --out report
python -m scripts.report runs/tmaze runs/memory-len --out docs/results/both

Writes OUT.html, one page with everything; OUT.md, its texts and tables; OUT.png, its curves; OUT.csv, a row a
run. Intervals are 95 % bootstrap intervals over seeds.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from agents.command_line import parse, usage_errors
from agents.console import say
from agents.reporting.blocks import markdown, markdown_table
from agents.reporting.contents import rows_of, sections_of
from agents.reporting.groups import Task, all_labels, notes, sort_runs
from agents.reporting.page import page
from agents.reporting.pictures import write_png
from agents.reporting.runs import read_runs
from agents.reporting.styles import styles_of
from agents.reporting.tables import results, write_csv

ENDINGS = (".html", ".png", ".csv", ".md")


@dataclass(frozen=True)
class Arguments:
    """Compares runs: of one task or several, of one delay or several, of any cores and settings."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders with runs in them, at any depth."""
    out: Path = Path("report")
    """Where the report goes, without an ending."""


def main(argv: Sequence[str]) -> int:
    """Writes the report; returns the exit code."""
    with usage_errors("report"):
        arguments = parse(Arguments, "report", argv)
        if not arguments.runs:
            raise ValueError("it takes folders with runs in them, e.g. runs/tmaze")
        places = places_of(arguments.out)
        tasks = sort_runs(read_runs(arguments.runs))
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        say(lead_of(tasks))
        for line in notes(tasks):
            say(f"note: {line}")
        write(tasks, places, f"python -m scripts.report {shlex.join(argv)}")
    for task in tasks:
        say(f"\n{task.label}\n{markdown_table(results(task))}")
    say(f"\nwrote {', '.join(str(place) for place in places.values())}")
    return 0


def places_of(out: Path) -> dict[str, Path]:
    """The report's files by ending.

    Raises:
        ValueError: no file can be called so.
    """
    name = out.name.removesuffix(".html")
    if not name:
        raise ValueError(f"--out takes a name for files, got '{out}'")
    return {ending: out.with_name(name + ending) for ending in ENDINGS}


def write(tasks: Sequence[Task], places: dict[str, Path], command: str) -> None:
    """Writes all files of a report.

    Args:
        tasks: with their runs.
        places: of the files, by ending.
        command: the one that makes this report.
    """
    styles = styles_of(all_labels(tasks))
    sections = sections_of(tasks, styles, command)
    title = ", ".join(dict.fromkeys(task.env for task in tasks))
    places[".html"].write_text(page(title, lead_of(tasks), sections, styles))
    places[".md"].write_text(markdown(sections, places[".png"].name, places[".html"].name))
    write_csv(tasks, places[".csv"])
    write_png(rows_of(tasks, styles), styles, places[".png"])


def lead_of(tasks: Sequence[Task]) -> str:
    """What a report rests on, in a line."""
    runs = [run for task in tasks for group in task.groups.values() for run in group]
    finished, cores = sum(run.finished for run in runs), {run.config.core for run in runs}
    counts = [(len(tasks), "task"), (len(cores), "core"), (finished, "finished run")]
    return ", ".join(f"{number} {name}{'s' * (number != 1)}" for number, name in counts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
