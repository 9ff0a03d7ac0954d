"""What the pictures of a report show: curves, memory horizons, how long a cue can be read."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.reporting.diagnoses import CueCurve
from agents.reporting.groups import Task
from agents.reporting.horizon import HELD, Horizon, points
from agents.reporting.runs import Run
from agents.reporting.statistics import bootstrap_interval, iqm, pooled_iqm
from agents.reporting.styles import GREY, Style

DOTS = (0, (2, 3))
"""Of what a task allows."""
NEAR = 0.05
"""Success; lines no further apart have their names in one place, one above the other."""
NEAR_TICKS = 0.07
"""Share of an axis that a tick's text takes."""
NUM_GRID_POINTS = 120
NUM_RESAMPLES = 1_000
"""Of a curve's band; a drawing shows no more."""
UNITS = ((7200.0, 3600.0, "hours"), (180.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))
"""Of times: from how many seconds on, how many seconds, name."""


def draw_curves(axes: Any, task: Task, x: str, styles: dict[str, Style]) -> None:
    """Success, or return, against env steps or seconds: IQM over seeds with its band for each group.

    Finished runs make the curve; unfinished ones are thin lines of their own.
    """
    ends = [run.points[x][-1] for group in task.groups.values() for run in group if len(run.points[x])]
    scale, unit = unit_of(max(ends, default=0.0)) if x == "seconds" else (1.0, "env steps")
    for label, group in task.groups.items():
        style = styles[label]
        for run in group:
            if not run.finished:
                at, values = run.curve(x, task.measure)
                axes.plot(at / scale, values, linewidth=0.6, alpha=0.8, **style)
        drawn = band_of(task.finished(label), x, task.measure)
        if drawn is not None:
            grid, middle, low, high = drawn
            axes.plot(grid / scale, middle, linewidth=1.6, **style)
            if len(task.finished(label)) > 1:
                axes.fill_between(grid / scale, low, high, color=style["color"], alpha=0.18, linewidth=0)
    if task.card is not None and task.measure == "success":
        lines_of_card(axes, task)
        axes.set_ylim(-0.03, 1.03)
    axes.set(xlabel=f"{unit} of training" if x == "seconds" else unit, ylabel=task.measure)
    axes.set_xlim(left=0)
    if x == "env_steps":
        axes.xaxis.set_major_formatter(lambda value, _: count(value))


def draw_nothing(axes: Any) -> None:
    """Words in place of curves, where no run has a point."""
    axes.text(0.5, 0.5, "no run has told anything yet", ha="center", va="center", color=GREY)
    axes.set_axis_off()


def lines_of_card(axes: Any, task: Task) -> None:
    """What the task allows: chance, the best policy without memory, the oracle; near ones share a place."""
    card = task.card
    assert card is not None
    heights = {"chance": card.chance, "best memoryless": card.memoryless, "oracle": card.oracle}
    places: list[list[str]] = []
    for name in sorted(heights, key=heights.__getitem__):
        if not places or heights[name] - heights[places[-1][-1]] > NEAR:
            places.append([])
        places[-1].append(name)
    for names in places:
        for name in names:
            line(axes, heights[name])
        told = "\n".join(reversed(names))  # the highest on top
        beside(axes, sum(heights[name] for name in names) / len(names), told)


def line(axes: Any, height: float) -> None:
    """A dotted line at a height."""
    axes.axhline(height, color=GREY, linewidth=0.8, linestyle=DOTS)


def beside(axes: Any, height: float, text: str) -> None:
    """Words to the right of the axes."""
    place = {"transform": axes.get_yaxis_transform(), "fontsize": "small", "color": GREY}
    axes.text(1.01, height, text, va="center", **place)


def band_of(
    runs: Sequence[Run], x: str, measure: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Grid, IQM over seeds, and the low and high end of its interval, [P] each; None without a curve.

    Against env steps the grid ends where the shortest run does. Against seconds, where one run may be over
    before another has told anything, each run has its first value before it and its last one after it.
    """
    curves = [run.curve(x, measure) for run in runs]
    if not curves or not all(len(at) for at, _ in curves):
        return None
    starts, ends = [at[0] for at, _ in curves], [at[-1] for at, _ in curves]
    timed = x == "seconds"
    start, end = (min(starts), max(ends)) if timed else (max(starts), min(ends))
    grid = np.linspace(start, max(start, end), NUM_GRID_POINTS)
    values = np.stack([np.interp(grid, at, value) for at, value in curves])  # [S, P]
    low, high = bootstrap_interval([values], pooled_iqm, NUM_RESAMPLES)
    return grid, iqm(values), low, high


def unit_of(seconds: float) -> tuple[float, str]:
    """Seconds in a unit that suits a duration, and its name."""
    return next((scale, name) for least, scale, name in UNITS if seconds >= least)


def count(value: float) -> str:
    """A number of env steps on an axis."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def draw_horizon(axes: Any, horizon: Horizon, labels: Sequence[str], styles: dict[str, Style]) -> None:
    """Success against the delay: IQM and its interval for each group."""
    delays = list(horizon.tasks)
    wide = delays[0] > 0 and delays[-1] >= 8 * delays[0]
    if wide:
        axes.set_xscale("log")
    shown = [label for label in labels if points(horizon, label)]
    for k, label in enumerate(shown):
        found = points(horizon, label)
        shift = (k - (len(shown) - 1) / 2) / max(len(shown), 1)  # so that bars do not hide each other
        at = [p.delay * 1.03**shift if wide else p.delay + 0.02 * shift * delays[-1] for p in found]
        errors = [[max(p.iqm - p.low, 0) for p in found], [max(p.high - p.iqm, 0) for p in found]]
        middle = [p.iqm for p in found]
        axes.errorbar(
            at, middle, errors, marker="o", markersize=3.5, linewidth=1.4, capsize=2, **styles[label]
        )
    line(axes, HELD)
    beside(axes, HELD, f"{HELD:g}")
    chances = [(d, task.card.chance) for d, task in horizon.tasks.items() if task.card is not None]
    axes.plot(*zip(*chances, strict=True), color=GREY, linewidth=0.8, linestyle=DOTS)
    beside(axes, chances[-1][1], "chance")
    axes.set_xticks(delays, tick_labels(delays, wide))
    axes.minorticks_off()
    axes.set(xlabel=horizon.option, ylabel="success", ylim=(-0.03, 1.03))


def tick_labels(delays: Sequence[float], wide: bool) -> list[str]:
    """A text for each delay, shortest first; none where it would run into that of a longer one."""
    places = np.log(delays) if wide else np.asarray(delays, float)
    nearest = NEAR_TICKS * (places[-1] - places[0])
    labels, taken = [""] * len(delays), np.inf
    for k in reversed(range(len(delays))):
        if taken - places[k] >= nearest:
            labels[k], taken = f"{delays[k]:g}", places[k]
    return labels


def draw_cue(axes: Any, cues: dict[str, CueCurve], styles: dict[str, Style]) -> None:
    """How often a probe reads the cue from the core state; dotted, from what is seen at that step alone."""
    for label, cue in cues.items():
        style = styles[label]
        axes.plot(cue.lag, cue.state, linewidth=1.6, **style)
        axes.fill_between(cue.lag, cue.low, cue.high, color=style["color"], alpha=0.18, linewidth=0)
        axes.plot(cue.lag, cue.observation, linewidth=0.9, color=style["color"], linestyle=":")
        chance = cue.chance
    line(axes, chance)
    beside(axes, chance, "chance")
    axes.set(xlabel="steps since the cue", ylabel="cue read by a linear probe", ylim=(-0.03, 1.03))
