"""What a program says: lines, warnings, and the progress of a run."""

import math
import os
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column
from rich.text import Text

PLAIN_LINE_EVERY_S, REFRESH_EVERY_S, WARN_EVERY_S = 10.0, 0.25, 60.0
"""Seconds between lines where there is no terminal, changes where there is one, and warnings."""


def say(line: str) -> None:
    """Prints a line; where nobody reads any more (`| head`), the run goes on unheard."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        print(line.encode(encoding, "replace").decode(encoding), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:
        pass  # a full disk, a terminal that is gone


class Seldom:
    """Says one line a minute at most, of those that it is given."""

    def __init__(self):
        self._said_at = -math.inf

    def __call__(self, line: str) -> None:
        """Says a line, or not."""
        if time.monotonic() - self._said_at >= WARN_EVERY_S:
            self._said_at = time.monotonic()
            say(line)


class Display:
    """Progress on the console: a live bar and a line of figures in a terminal, plain lines elsewhere."""

    def __init__(self, total_steps: int, start_steps: int):
        self._total, self._start_steps = total_steps, start_steps
        self._started = time.perf_counter()
        self._last_line = self._started - PLAIN_LINE_EVERY_S
        self._last_refresh = -math.inf
        self._figures = ""
        self._live: Live | None = None
        console = Console(highlight=False)
        if console.is_terminal and not console.is_dumb_terminal:
            bar = BarColumn(bar_width=max(4, min(24, console.width - 48)))
            text = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"))
            self._bar = Progress(bar, text, console=console)
            self._task = self._bar.add_task("", total=total_steps)
            # Drawn by `update` alone: a thread of its own would meet a terminal that is gone unseen.
            self._live = Live(self._bar, console=console, auto_refresh=False)
            self._draw(self._live.start)

    def restart(self, env_steps: int) -> None:
        """Reckons the time that is left from here."""
        self._started, self._start_steps = time.perf_counter(), env_steps

    def update(self, env_steps: int, scalars: dict[str, float] | None = None) -> None:
        """Shows how far the run is.

        Args:
            env_steps: so far.
            scalars: the newest point of the curves, where there is a new one.
        """
        now = time.perf_counter()
        if scalars is not None:
            self._figures = describe(scalars)
        if self._live is not None:
            if now - self._last_refresh >= REFRESH_EVERY_S or env_steps >= self._total:
                self._last_refresh = now
                self._bar.update(self._task, completed=env_steps, description=self._progress(env_steps, now))
                figures = Text(self._figures, no_wrap=True, overflow="ellipsis")
                self._draw(partial(self._live.update, Group(self._bar, figures), refresh=True))
        elif env_steps >= self._total or (scalars and now - self._last_line >= PLAIN_LINE_EVERY_S):
            self._last_line = now
            say(f"{self._progress(env_steps, now)}  {self._figures}")

    def _draw(self, change: Callable[[], None]) -> None:
        """Changes what the terminal shows; one that is gone is not written to again."""
        try:
            change()
        except OSError:
            self._live = None

    def _progress(self, env_steps: int, now: float) -> str:
        done = max(env_steps - self._start_steps, 1)
        left_s = (now - self._started) / done * max(self._total - env_steps, 0)
        percent = min(100, int(100 * env_steps / self._total))
        return f"{percent:3d} %  {short(env_steps)}/{short(self._total)} steps  left {clock(left_s)}"

    def close(self) -> None:
        """Leaves the last state on the screen."""
        if self._live is not None:
            self._draw(self._live.stop)


def describe(scalars: dict[str, float]) -> str:
    """Speed, success, return and where the time goes, in one line; what matters less comes last."""
    parts = [f"{short(scalars['speed/env_steps_per_s'])} steps/s"]
    for name in ("success", "return"):
        value = scalars.get(f"episode/{name}", float("nan"))
        parts.append(f"{name} {value:.2f}" if np.isfinite(value) else f"{name} -")
    shares = {name.removeprefix("speed/share_"): value for name, value in scalars.items() if "share_" in name}
    parts.append(" ".join(f"{name} {100 * value:.0f}%" for name, value in shares.items()))
    return "  ".join(parts)


def short(number: float) -> str:
    """A count in four or five characters: 950, 12.3k, 1.25M."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.{2 if unit > 1e3 else 1}f}{letter}"
    return f"{number:.0f}"


def clock(seconds: float) -> str:
    """A duration as 42s, 3m07s or 2h05m."""
    seconds = int(seconds + 0.5)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
