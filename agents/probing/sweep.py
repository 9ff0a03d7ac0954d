"""Runs cores over probes, settings and seeds, one after another or in several processes."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from signal import SIGINT, SIGTERM, getsignal, signal

import torch

from agents.allocation import keep_freed_memory
from agents.console import PLAIN_LINE_EVERY_S, clock, say
from agents.machine import resolve_device
from agents.options import parse_options
from agents.probing import records
from agents.probing.fitting import Point, fit, make_reader
from agents.probing.task import Task
from agents.probing.tasks import Choice, make_task
from cores import make_core
from cores.core import RecurrentCore
from envs.gym_workers import live_with_parent


@dataclass(frozen=True)
class Run:
    """One core on one probe with one seed: plain values, which another process can take."""

    choice: Choice
    setting: str
    core: str
    """Name, and options after commas: "chrono,t_max=200"."""
    seed: int
    hidden_size: int
    batch_size: int
    steps: int
    learning_rate: float

    @property
    def key(self) -> tuple[str, ...]:
        """What makes this run this run, as it stands in the table (see `records.KEY`)."""
        sizes = (self.hidden_size, self.batch_size, self.steps, self.learning_rate)
        return tuple(map(str, (self.choice.name, self.setting, self.core, self.seed, *sizes)))

    def core_of(self, input_size: int) -> RecurrentCore:
        """The core for inputs of this size.

        Raises:
            ValueError: one line; no such core, or an option it does not take.
        """
        name, *options = self.core.split(",")
        return make_core(name, input_size, self.hidden_size, **parse_options("core-opt", tuple(options)))


def carry_out(run: Run, path: Path, device: str) -> None:
    """Does one run, tells how far it is, and adds it to the table.

    Args:
        run: what to do.
        path: OUT.csv.
        device: cpu, cuda or cuda:N.
    """
    started = time.perf_counter()
    task = make_task(run.choice)
    keep_freed_memory()
    with fast_floats():
        result = fit(
            task,
            make_reader(task, run.core_of, run.seed),
            seed=run.seed,
            steps=run.steps,
            batch_size=run.batch_size,
            learning_rate=run.learning_rate,
            device=resolve_device(device),
            watch=Watch(run, task),
        )
    seconds = time.perf_counter() - started
    records.append(path, run.key, result, batch_size=run.batch_size, seconds=seconds)
    end = "not solved" if result.solved_at is None else f"solved at {result.solved_at:,}"
    say(f"{title(run)}  {figures(result.points[-1], task)}  {end}  {clock(seconds)}")


class Watch:
    """Says how far a run is, not more often than every ten seconds."""

    def __init__(self, run: Run, task: Task):
        self._run, self._task = run, task
        self._started = self._last = time.perf_counter()

    def __call__(self, point: Point) -> None:
        """Is told of an evaluation."""
        now = time.perf_counter()
        if now - self._last < PLAIN_LINE_EVERY_S or not point.updates:
            return
        self._last = now
        left_s = (now - self._started) / point.updates * (self._run.steps - point.updates)
        progress = f"{point.updates:,}/{self._run.steps:,} updates"
        say(f"{title(self._run)}  {figures(point, self._task)}  {progress}  left at most {clock(left_s)}")


def title(run: Run) -> str:
    """A run in a few words."""
    return f"{run.choice.name} {run.setting}  {run.core:<12} seed {run.seed}"


def figures(point: Point, task: Task) -> str:
    """An evaluation in a few words."""
    accuracy = f"  accuracy {point.accuracy:.3f}" if task.num_classes else ""
    return f"loss {point.loss:.4f}{accuracy}"


def carry_out_all(runs: list[Run], path: Path, *, jobs: int, device: str) -> None:
    """Does all runs, in so many processes at once, and tells the time that is left.

    Args:
        runs: what to do.
        path: OUT.csv.
        jobs: processes; 1: this one does the work.
        device: cpu, cuda or cuda:N.

    Raises:
        SystemExit: 130 or 143, interrupted or terminated; what is finished is in the table.
    """
    started = time.perf_counter()

    def tell(finished: int) -> None:
        left_s = (time.perf_counter() - started) / finished * (len(runs) - finished)
        say(f"{finished}/{len(runs)} runs  left about {clock(left_s)}")

    with signals_exit():
        say(f"{len(runs)} runs to do, {min(jobs, len(runs))} at once")
        if jobs == 1:
            for index, run in enumerate(runs):
                carry_out(run, path, device)
                tell(index + 1)
        else:
            carry_out_in_processes(runs, partial(carry_out, path=path, device=device), jobs, tell)


def carry_out_in_processes(
    runs: list[Run], work: Callable[[Run], None], jobs: int, tell: Callable[[int], None]
) -> None:
    """Hands the runs to so many processes; an error in one, or its death, ends them all."""
    # Not forked: threads of torch and numba do not survive it.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(runs)), context, initializer=live_with_parent)
    try:
        futures = [pool.submit(work, run) for run in runs]
        for finished, future in enumerate(as_completed(futures)):
            future.result()
            tell(finished + 1)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    pool.shutdown()


@contextmanager
def fast_floats() -> Iterator[None]:
    """Within, one thread of torch, and numbers below 1e-38 count as zero.

    A gate that forgets makes the gradient of a long sequence that small, and the processor ten times as
    slow with it: 3.7 s in place of 0.4 s an update of `lstm` at 2000 steps.
    """
    torch.set_num_threads(1)  # threads of small products wait for each other far longer than they compute
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def signals_exit() -> Iterator[None]:
    """Within, Ctrl-C and SIGTERM raise SystemExit with the shell's codes, 130 and 143."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = {number: getsignal(number) for number in (SIGINT, SIGTERM)}
    for number in before:
        signal(number, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal(number, handler)
