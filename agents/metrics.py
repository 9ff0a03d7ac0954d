"""What a run tells: the figures of a point of its curves, and the console.

Every curve's x axis is env steps. The README explains each curve in one line.
"""

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column
from rich.text import Text
from torch import Tensor

from agents.trajectory import Episodes

PLAIN_LINE_EVERY_S, REFRESH_EVERY_S, WARN_EVERY_S = 10.0, 0.25, 60.0
"""Seconds between lines where there is no terminal, changes where there is one, and warnings."""


class Stopwatch:
    """Seconds spent in each named part of a loop."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Adds the time of the with block to a part."""
        start = time.perf_counter()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start

    def lap(self) -> tuple[float, dict[str, float]]:
        """Seconds since the last lap, and each part's share of them; starts a new lap."""
        now = time.perf_counter()
        elapsed = max(now - self._started, 1e-9)
        shares = {part: seconds / elapsed for part, seconds in self.seconds.items()}
        self.seconds, self._started = {}, now
        return elapsed, shares


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


def mean_metrics(updates: list[dict[str, Any]]) -> dict[str, float]:
    """The mean of each metric over updates, but for values that are not finite; this waits for the device."""
    on_device = [name for name, value in updates[0].items() if isinstance(value, Tensor)]
    rows = torch.stack([torch.stack([update[name] for name in on_device]) for update in updates])  # [U, M]
    rows = torch.where(rows.isfinite(), rows, torch.nan)  # an update that was skipped blots out no curve
    means = dict(zip(on_device, rows.nanmean(0).tolist(), strict=True))
    for name in updates[0]:
        if name not in means:
            means[name] = sum(update[name] for update in updates) / len(updates)
    return means


def mean_figures(ranks: list[dict[str, float]]) -> dict[str, float]:
    """One figure for all ranks: the most of what is named a maximum, the sum of counts, else the mean."""
    whole = {}
    for name in ranks[0]:
        values = [figures[name] for figures in ranks if name in figures]
        total = max(values) if name.endswith("_max") else sum(values)
        whole[name] = total if name.endswith("_max") or name.startswith("actors/") else total / len(values)
    return whole


def episode_metrics(episodes: Episodes) -> dict[str, float]:
    """Means over the episodes that ended, but for returns that are not finite; none if none did."""
    if not len(episodes.returns):
        return {}
    known = episodes.successes[~np.isnan(episodes.successes)]
    metrics = {"episode/success": float(known.mean())} if len(known) else {}
    returns = episodes.returns[np.isfinite(episodes.returns)]
    if len(returns):
        metrics["episode/return"] = float(returns.mean())
    metrics["episode/length"] = float(episodes.lengths.mean())
    return metrics
