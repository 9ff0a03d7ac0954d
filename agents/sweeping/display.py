"""How far a sweep is: in a terminal a live table of the runs under way, elsewhere a line now and then."""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agents.console import REFRESH_EVERY_S, clock, say, short
from agents.sweeping.run import Point, Run

LINE_EVERY_S = 60.0
"""Between lines where there is no terminal."""
BAR = 10


class Display:
    """Counts runs and env steps; tells the time that is left."""

    def __init__(self, num_runs: int, total_steps: int, done: list[Run], begun: dict[Run, int]):
        """Begins to count.

        Args:
            num_runs: of the whole sweep.
            total_steps: env steps of all runs.
            done: runs that were done before.
            begun: env steps of those that were interrupted.
        """
        self._num_runs, self._total_steps = num_runs, total_steps
        self._num_done, self._num_failed = len(done), 0
        self._steps = {run: run.config.total_steps for run in done} | begun
        self._steps_before = sum(self._steps.values())
        self._started = self._last_line = time.monotonic()
        self._last_refresh = -math.inf
        console = Console(highlight=False)
        self._live: Live | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            # Drawn by `update` alone, as in agents.console.
            self._live = Live(console=console, auto_refresh=False, redirect_stderr=False)
            self._draw(self._live.start)

    def done(self, run: Run, result: dict[str, Any]) -> None:
        """Is told of a run that is done, and of its evaluation."""
        self._num_done += 1
        self._steps[run] = run.config.total_steps
        say(f"done: {run.title}: {figures(result)}")

    def failed(self) -> None:
        """Is told of a run that failed."""
        self._num_failed += 1

    def update(self, running: list[Run]) -> None:
        """Shows how far the runs under way are."""
        now = time.monotonic()
        period, last = (
            (LINE_EVERY_S, self._last_line) if self._live is None else (REFRESH_EVERY_S, self._last_refresh)
        )
        if now - last < period:
            return
        points = {run: run.point() for run in running}
        for run, point in points.items():
            if point is not None:
                self._steps[run] = min(point.env_steps, run.config.total_steps)
        if self._live is None:
            self._last_line = now
            say("; ".join([self._summary(len(running), now), *(brief(*item) for item in points.items())]))
        else:
            self._last_refresh = now
            head = Text(self._summary(len(running), now), no_wrap=True, overflow="ellipsis")
            self._draw(partial(self._live.update, Group(rows(points), head), refresh=True))

    def _summary(self, num_running: int, now: float) -> str:
        left = self._num_runs - self._num_done - self._num_failed - num_running
        failed = f", {self._num_failed} failed" if self._num_failed else ""
        counts = f"{self._num_done}/{self._num_runs} runs done{failed}, {num_running} running, {left} waiting"
        steps = sum(self._steps.values())
        gained = steps - self._steps_before
        if not gained:
            return counts
        left_s = (now - self._started) / gained * (self._total_steps - steps)
        return f"{counts}, left about {clock(left_s)}"

    def _draw(self, change: Callable[[], None]) -> None:
        """Changes what the terminal shows; one that is gone is not written to again."""
        try:
            change()
        except OSError:
            self._live = None

    def close(self) -> None:
        """Takes the table from the screen: what is left to say, lines say."""
        if self._live is not None:
            self._live.transient = True
            self._draw(self._live.stop)


def rows(points: dict[Run, Point | None]) -> Table:
    """The runs under way, a row each."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for _ in range(4):
        table.add_column(justify="right", no_wrap=True)
    for run, point in points.items():
        total = run.config.total_steps
        if point is None:
            table.add_row(run.title, "", "starting", "", "")
            continue
        filled = min(BAR, int(BAR * point.env_steps / total))
        table.add_row(
            run.title,
            "━" * filled + "╌" * (BAR - filled),
            f"{short(point.env_steps)}/{short(total)}",
            f"{short(point.steps_per_s)} steps/s",
            "" if math.isnan(point.success) else f"success {point.success:.2f}",
        )
    return table


def brief(run: Run, point: Point | None) -> str:
    """A run under way in a few words."""
    if point is None:
        return f"{run.title}: starting"
    success = "" if math.isnan(point.success) else f", success {point.success:.2f}"
    return f"{run.title}: {100 * point.env_steps // run.config.total_steps} %{success}"


def figures(result: dict[str, Any]) -> str:
    """An evaluation in a few words."""
    success, returns = result["success"]["mean"], result.get("returns", {}).get("mean")
    parts = [] if success is None else [f"success {success:.3f}"]
    return ", ".join([*parts, *([] if returns is None else [f"return {returns:.3f}"])])
