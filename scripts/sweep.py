"""Trains tasks x cores x seeds x options, as many runs at once as the machine bears.

python -m scripts.sweep docs/results/sweeps/tmaze.toml --dry-run
python -m scripts.sweep docs/results/sweeps/tmaze.toml --log-dir runs/tmaze --jobs 2

A file holds fields of a run as `--config` takes them, seeds = 5 or a list, and under [grid] lists whose
product is taken; each [[group]] has fields, seeds and a grid of its own over these. Writes a folder a run, as
scripts.train does, and sweep.json: what was asked. The same command goes on where it was stopped.
"""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO

import tyro
from rich.console import Console

from agents.command_line import FAILED, parse, usage_errors
from agents.metrics import say, short
from agents.run_checks import readable
from agents.run_folder import lock_run
from agents.sweeping.checks import Checked, check_all, fitting_jobs
from agents.sweeping.child import Child
from agents.sweeping.crew import Crew
from agents.sweeping.display import Display
from agents.sweeping.run import Run
from agents.sweeping.summary import summary
from agents.sweeping.sweep_file import expand, read_sweep


@dataclass(frozen=True)
class Arguments:
    """Trains all runs that a file asks for; the same command goes on where it was stopped."""

    file: Annotated[Path, tyro.conf.Positional]
    """FILE.toml: fields of a run, seeds, [grid] and [[group]]."""
    jobs: int = 0
    """Runs at once. 0: as many as processor cores and memory bear."""
    log_dir: Path | None = None
    """Where run folders go; by default the file's log_dir, or runs/ and the file's name."""
    dry_run: bool = False
    """Check everything, list the runs, and stop."""


def main(words: Sequence[str]) -> int:
    """Does what is not done yet; returns the exit code."""
    with usage_errors("sweep"):
        arguments = parse(Arguments, "sweep", words)
        if arguments.jobs < 0:
            raise ValueError(f"--jobs must be at least 0, got {arguments.jobs}")
        sweep = read_sweep(arguments.file)
        log_dir = arguments.log_dir or Path(sweep.log_dir or f"runs/{arguments.file.stem}")
        checked = check_all(expand(sweep.blocks), str(log_dir), arguments.file)
        lock = nullcontext() if arguments.dry_run else lock_sweep(log_dir, arguments.file, checked.runs)
        todo = [run for run in checked.runs if run.result() is None]
        commands = {run: run.words() for run in todo}
    jobs = arguments.jobs or fitting_jobs(checked)
    tell(checked, todo, commands, jobs, log_dir)
    if arguments.dry_run:
        for run in checked.runs:
            say(f"{'todo' if run in commands else 'done'}  {run.title}  {run.folder}")
        say("a dry run: nothing was begun, and nothing written")
        return 0
    with lock:
        crew = carry_out(checked.runs, commands, jobs)
    return conclude(checked.runs, crew, arguments.file, log_dir)


def tell(checked: Checked, todo: list[Run], commands: dict[Run, list[str]], jobs: int, log_dir: Path) -> None:
    """Says how much is to be done."""
    for line in checked.warnings:
        say(f"warning: {line}")
    if checked.num_repeated:
        say(f"{checked.num_repeated} runs are asked for twice; each is done once")
    resumed = sum("--resume" in words for words in commands.values())
    steps = sum(run.config.total_steps for run in todo)
    counts = f"{len(checked.runs) - len(todo)} done, {resumed} to go on with, {len(todo) - resumed} to begin"
    say(f"{len(checked.runs)} runs in {log_dir}: {counts}; {short(steps)} env steps")
    cores = f"{checked.threads} processor core{'s' * (checked.threads > 1)}"
    say(f"{jobs} at once, each on {cores} and with {readable(checked.bytes)} of memory or less")


def lock_sweep(log_dir: Path, file: Path, runs: list[Run]) -> TextIO:
    """Takes a folder for this sweep, and writes sweep.json: the file, and folder and fields of each run.

    Raises:
        OSError, ValueError: it can't be written, or another sweep has it.
    """
    log_dir.mkdir(parents=True, exist_ok=True)
    lock = lock_run(log_dir)
    folders = {str(run.folder.relative_to(log_dir)): dict(run.said) for run in runs}
    record = {"file": str(file), "text": file.read_text(), "runs": folders}
    temporary = log_dir / ".sweep.json.new"
    temporary.write_text(json.dumps(record, indent=1) + "\n")
    temporary.replace(log_dir / "sweep.json")
    return lock


def carry_out(runs: list[Run], commands: dict[Run, list[str]], jobs: int) -> Crew:
    """Does the runs that have commands."""
    begun = {run: point.env_steps for run in commands if (point := run.point()) is not None}
    done = [run for run in runs if run not in commands]
    display = Display(len(runs), sum(run.config.total_steps for run in runs), done, begun)
    todo = iter(commands)
    crew = Crew(lambda run: Child(commands[run], str(run.folder)), lambda: next(todo, None), jobs, display)
    crew.work()
    return crew


def conclude(runs: list[Run], crew: Crew, file: Path, log_dir: Path) -> int:
    """Says what came of it; returns the exit code."""
    results: dict[Run, dict[str, Any] | None] = {run: run.result() for run in runs}
    if any(result is not None for result in results.values()):
        Console(highlight=False).print(summary(results))
        say(f"python -m scripts.report {log_dir} --out report")
    for failure in crew.failures:
        say(f"failed: {failure.run.title}: {failure.why} ({failure.run.folder})")
    if crew.stopped_by is not None:
        left = sum(result is None for result in results.values())
        say(f"stopped by {crew.stopped_by.name}, {left} of {len(runs)} runs left, all saved. Go on with")
        say(f"  python -m scripts.sweep {file} --log-dir {log_dir}")
        return 128 + crew.stopped_by
    return FAILED if crew.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
