"""Trains tasks x cores x seeds x options, as many runs at once as the machine bears.

python -m scripts.sweep docs/results/sweeps/tmaze.toml --dry-run
python -m scripts.sweep docs/results/sweeps/tmaze.toml --log-dir runs/tmaze --jobs 2

A file holds fields of a run as `--config` takes them, seeds = 5 or a list, and under [grid] lists whose
product is taken; each [[group]] has fields, seeds and a grid of its own over these. Writes a folder a run, as
scripts.train does, and sweep.json: what was asked. The same command goes on where it was stopped.
"""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TextIO

import tyro
from rich.console import Console

from agents.command_line import FAILED, parse, usage_errors
from agents.console import say, short
from agents.files import write_json
from agents.run_checks import readable
from agents.run_folder import lock_run
from agents.runners.cluster import connect, num_cores
from agents.sweeping.checks import Checked, check_all, fitting_jobs, threads_of
from agents.sweeping.child import Child
from agents.sweeping.display import Display
from agents.sweeping.plan import Plan, corners, read_plan, within
from agents.sweeping.remote_child import RemoteChild
from agents.sweeping.run import Run, make_run
from agents.sweeping.run_pool import Process, RunPool
from agents.sweeping.search import Search, name_of
from agents.sweeping.summary import summary
from agents.sweeping.sweep_file import Fields, expand, read_sweep
from agents.sweeping.work import Listed, Work


@dataclass(frozen=True)
class Arguments:
    """Trains all runs that a file asks for; the same command goes on where it was stopped."""

    file: Annotated[Path, tyro.conf.Positional]
    """FILE.toml: fields of a run, seeds, [grid], [[group]] and [search]."""
    jobs: int = 0
    """Runs at once. 0: as many as processor cores and memory bear."""
    log_dir: Path | None = None
    """Where run folders go; by default the file's log_dir, or runs/ and the file's name."""
    on: Literal["local", "ray"] = "local"
    """local: runs are processes of this machine. ray: of the machines of a Ray cluster, which must all see
    LOG_DIR under the same name."""
    ray_address: str = "auto"
    """ray: the cluster, as of scripts.train."""
    dry_run: bool = False
    """Check everything, list the runs, and stop."""


def main(argv: Sequence[str]) -> int:
    """Does what is not done yet; returns the exit code."""
    with usage_errors("sweep"):
        arguments = parse(Arguments, "sweep", argv)
        if arguments.jobs < 0:
            raise ValueError(f"--jobs must be at least 0, got {arguments.jobs}")
        if arguments.on == "local" and arguments.ray_address != "auto":
            raise ValueError("--ray-address is for --on ray")
        sweep = read_sweep(arguments.file)
        plan = read_plan(sweep, arguments.file)
        log_dir = arguments.log_dir or Path(sweep.log_dir or f"runs/{arguments.file.stem}")
        log_dir = log_dir.absolute() if arguments.on == "ray" else log_dir

        def make_runs(values: Fields) -> list[Run]:
            runs = [make_run(fields, str(log_dir)) for fields in expand(within(sweep.blocks, values))]
            return [dataclasses.replace(run, varied=tuple(values)) for run in dict.fromkeys(runs)]

        trials = [{}] if plan is None else corners(plan)
        asked = [fields for values in trials for fields in expand(within(sweep.blocks, values))]
        checked = check_all(asked, str(log_dir), arguments.file)
        if arguments.dry_run:
            return foresee(plan, checked, len(make_runs(trials[0])), log_dir)
        bears = fitting_jobs(checked)
        if arguments.on == "ray":
            connect(arguments.ray_address, 0, "--on ray")
            bears = max(1, num_cores() // checked.threads)
        lock = lock_sweep(log_dir, arguments.file, [] if plan else checked.runs)
        if plan is None:
            work: Work = Listed(checked.runs)
        else:
            name = name_of(plan, sweep.blocks)
            work = Search(plan, log_dir, name, make_runs)
    tell(checked, work, arguments.jobs or bears, log_dir)
    display = Display(work.num_runs, work.total_steps, work.done, work.begun)
    pool = RunPool(start_by(arguments.on), work.next_run, arguments.jobs or bears, display)
    with lock:
        pool.work(work.ended)
    return conclude(work, pool, log_dir, f"python -m scripts.sweep {' '.join(argv)}")


def start_by(on: str) -> Callable[[Run], Process]:
    """How a run is started, here or on a cluster."""
    if on == "local":
        return lambda run: Child(run.argv(), str(run.folder))

    def start(run: Run) -> Process:
        gpus = int(run.config.device.startswith("cuda"))
        return RemoteChild(run.argv(), str(run.folder), cores=threads_of(run.config), gpus=gpus)

    return start


def foresee(plan: Plan | None, checked: Checked, num_runs: int, log_dir: Path) -> int:
    """Says what would be done; returns the exit code."""
    if plan is None:
        tell(checked, Listed(checked.runs), fitting_jobs(checked), log_dir)
        for run in checked.runs:
            say(f"{'todo' if run.result() is None else 'done'}  {run.title}  {run.folder}")
    else:
        say(f"{plan.trials} trials of {num_runs} runs each, for the greatest {plan.metric}, over")
        for name, limits in plan.ranges.items():
            say(f"  {name}: {limits}")
    say("a dry run: nothing was begun, and nothing written")
    return 0


def tell(checked: Checked, work: Work, jobs: int, log_dir: Path) -> None:
    """Says how much is to be done."""
    for line in checked.warnings:
        say(f"warning: {line}")
    if checked.num_repeated and isinstance(work, Listed):
        say(f"{checked.num_repeated} runs are asked for twice; each is done once")
    left = work.total_steps - sum(run.config.total_steps for run in work.done) - sum(work.begun.values())
    begun = f", {len(work.begun)} begun" if work.begun else ""
    say(f"{work.num_runs} runs in {log_dir}, {len(work.done)} done{begun}; {short(left)} env steps to do")
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
    write_json(log_dir / "sweep.json", record)
    return lock


def conclude(work: Work, pool: RunPool, log_dir: Path, command: str) -> int:
    """Says what came of it; returns the exit code."""
    if isinstance(work, Search):
        for line in work.report():
            say(line)
    elif isinstance(work, Listed):
        results = {run: run.result() for run in work.runs}
        if any(result is not None for result in results.values()):
            Console(highlight=False).print(summary(results))
            say(f"report: python -m scripts.report {log_dir} --out report")
    for failure in pool.failures:
        say(f"failed: {failure.run.title}: {failure.why} ({failure.run.folder})")
    if pool.stopped_by is not None:
        say(f"stopped by {pool.stopped_by.name}; the runs under way are saved. The same command goes on:")
        say(f"  {command}")
        return 128 + pool.stopped_by
    return FAILED if pool.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
