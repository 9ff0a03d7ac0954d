"""The figures of a point of the curves, which docs/analysis.md explains. Their x axis is env steps."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.trajectory import Episodes


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

    @property
    def elapsed(self) -> float:
        """Seconds since the last lap."""
        return max(time.perf_counter() - self._started, 1e-9)

    def lap(self) -> tuple[float, dict[str, float]]:
        """Seconds since the last lap, and each part's share of them; starts a new lap."""
        elapsed = self.elapsed
        shares = {part: seconds / elapsed for part, seconds in self.seconds.items()}
        self.seconds, self._started = {}, self._started + elapsed
        return elapsed, shares


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
