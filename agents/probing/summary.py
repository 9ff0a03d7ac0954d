"""The table and the plot of a sweep."""

from pathlib import Path
from typing import Any

import numpy as np

from agents.probing.records import Record
from agents.probing.task import Task
from agents.reporting.statistics import bootstrap_interval, pooled_mean
from agents.reporting.styles import styles_of

NUM_GRID_POINTS = 200
NUM_COLUMNS = 3
MOST_BANDS = 6
"""Cores in a panel whose intervals are still told apart; of more, the table has them."""

Groups = dict[str, dict[str, list[Record]]]
"""Runs by setting, then by core."""


def grouped(found: list[Record], tasks: list[Task]) -> Groups:
    """The runs of each setting in the order of the tasks, of each core the best first."""
    groups: Groups = {}
    for task in tasks:
        by_core: dict[str, list[Record]] = {}
        for record in sorted((r for r in found if r.setting == task.setting), key=lambda r: int(r.seed)):
            by_core.setdefault(record.core, []).append(record)
        sign = -1 if task.judged_by == "accuracy" else 1
        order = sorted(by_core, key=lambda core: sign * finals(by_core[core], task).mean())
        groups[task.setting] = {core: by_core[core] for core in order}
    return groups


def finals(group: list[Record], task: Task) -> np.ndarray:
    """[S]: what each run came to, in the measure that the task is judged by."""
    return np.array([getattr(record.curve[-1], task.judged_by) for record in group])


def make_table(groups: Groups, tasks: list[Task]) -> str:
    """One row for each setting and core, in Markdown."""
    lines = [f"| setting | core | {measure(tasks[0])}, mean of seeds | 95 % interval | each seed | solved |"]
    lines[0] += " updates to solve, median |"
    lines.append("|---|---|---|---|---|---|---|")
    for task in tasks:
        for core, group in groups[task.setting].items():
            values = finals(group, task)
            each = " ".join(f"{value:.3f}" for value in values)
            solved = [record.solved_at for record in group if record.solved_at is not None]
            median = f"{np.median(solved):,.0f}" if solved else ""
            lines.append(
                f"| {task.setting} | {core} | {values.mean():.3f} | {interval(values)} | {each} "
                f"| {len(solved)}/{len(group)} | {median} |"
            )
        lines.append(f"| {task.setting} | *has not read the sequence* | {task.chance:.3f} | | | | |")
    return "\n".join(lines) + "\n"


def interval(values: np.ndarray) -> str:
    """The 95 % interval of a mean over seeds in words; none of one seed."""
    if len(values) < 2:
        return "–"
    low, high = bootstrap_interval([values], pooled_mean)
    return f"{low:.3f} … {high:.3f}"


def measure(task: Task) -> str:
    """What the numbers are, in words."""
    if task.judged_by == "accuracy":
        return "accuracy"
    return "cross entropy (nats a symbol)" if task.num_classes else "mean squared error"


def plot(groups: Groups, tasks: list[Task], path: Path, subtitle: str) -> None:
    """A panel for each setting: mean over seeds and its interval against updates, for each core.

    Args:
        groups: the runs.
        tasks: one for each setting, all of one name.
        path: where the picture goes.
        subtitle: what all runs share.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(NUM_COLUMNS, len(tasks))
    rows = -(-len(tasks) // columns)
    size = (2 + 4.6 * columns, 0.6 + 3.4 * rows)
    figure, panels = pyplot.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    styles = styles_of(list(dict.fromkeys(core for by_core in groups.values() for core in by_core)))
    for panel, task in zip(panels.flat, tasks, strict=False):
        by_core = groups[task.setting]
        end = max(record.curve[-1].updates for group in by_core.values() for record in group)
        for core, group in by_core.items():
            draw(panel, group, task, end, len(by_core) <= MOST_BANDS, {"label": core, **styles[core]})
        panel.axhline(task.chance, color="grey", linestyle=":", label="has not read")
        panel.set(title=task.setting, xlabel="updates", ylabel=measure(task))
        if task.judged_by == "accuracy":
            panel.set_ylim(-0.02, 1.02)
        else:
            panel.set_ylim(0, 1.3 * task.chance)
        panel.grid(alpha=0.3)
    for panel in list(panels.flat)[len(tasks) :]:
        panel.set_axis_off()
    handles = {
        name: handle
        for panel in panels.flat
        for handle, name in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles, loc="outside right center", frameon=False)
    figure.suptitle(f"{tasks[0].name}, {subtitle}", fontsize="medium")
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def draw(
    panel: Any, group: list[Record], task: Task, end: int, with_band: bool, style: dict[str, str]
) -> None:
    """One core's curve up to `end` updates; a run that was solved keeps its last value."""
    grid = np.linspace(0, end, NUM_GRID_POINTS)
    curves = np.stack(
        [
            np.interp(
                grid,
                [point.updates for point in record.curve],
                [getattr(point, task.judged_by) for point in record.curve],
            )
            for record in group
        ]
    )
    panel.plot(grid, curves.mean(0), **style)
    if with_band:
        low, high = bootstrap_interval([curves], pooled_mean)
        panel.fill_between(grid, low, high, color=style["color"], alpha=0.2, linewidth=0)
