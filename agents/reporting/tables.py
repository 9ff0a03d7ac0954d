"""The tables of a report, and its file with a row a run."""

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from agents.console import clock
from agents.reporting.blocks import Table
from agents.reporting.groups import Task, all_labels
from agents.reporting.horizon import Horizon, held_in_words, points
from agents.reporting.runs import Run
from agents.reporting.statistics import (
    bootstrap_interval,
    improvement,
    improvement_interval,
    iqm,
    pooled_iqm,
)
from agents.run_folder import MEASURES

NONE = "–"


def interval(strata: Sequence[np.ndarray]) -> str:
    """The 95 % interval of the IQM in words; none where no task has two seeds."""
    if all(len(stratum) < 2 for stratum in strata):
        return NONE
    low, high = bootstrap_interval(strata, pooled_iqm)
    return f"{low:.3f} … {high:.3f}"


def results(task: Task) -> Table:
    """One row for each group that has finished runs, and what the task allows."""
    head = ["core", f"{task.measure}, IQM", "95 % interval", "mean", "worst seed", "each seed", "env steps"]
    rows = []
    for label in task.groups:
        scores = task.scores(label)
        if len(scores):
            each = " ".join(f"{score:.3f}" for score in np.sort(scores))
            figures = [
                f"{iqm(scores):.3f}",
                interval([scores]),
                f"{scores.mean():.3f}",
                f"{scores.min():.3f}",
            ]
            steps = {run.evaluation["env_steps"] for run in task.finished(label) if run.evaluation}
            told = f"{min(steps):,}" if len(steps) == 1 else f"{min(steps):,} … {max(steps):,}"
            rows.append([label, *figures, each, told])
    if task.card is None or task.measure != "success":
        return Table(head, rows)
    known = {"oracle": task.card.oracle, "best memoryless policy": task.card.memoryless}
    known["chance"] = task.card.chance
    rows += [[name, f"{value:.3f}", *[""] * 5] for name, value in known.items()]
    return Table(head, rows, faint=len(known))


def costs(task: Task) -> Table:
    """What each group costs: parameters, steps per second, time; and on what it was measured."""
    rows = []
    for label in task.groups:
        runs = task.finished(label)
        if runs:
            speeds = [run.steps_per_s for run in runs if math.isfinite(run.steps_per_s)]
            times = [run.points["seconds"][-1] for run in runs if len(run.points["seconds"])]
            speed = f"{np.median(speeds):,.0f}" if speeds else NONE
            known = [t for t in times if math.isfinite(t)]
            time = clock(float(np.median(known))) if known else NONE
            rows.append([label, told(runs, "parameters"), speed, time, *where(runs)])
    return Table(["core", "parameters", "env steps/s", "training", "device", "threads", "machine"], rows)


def told(runs: Sequence[Run], name: str) -> str:
    """An entry of what the runs were made on; every value where they differ."""
    values = dict.fromkeys(run.about[-1][name] for run in runs if run.about and name in run.about[-1])
    return ", ".join(f"{value:,}" if type(value) is int else str(value) for value in values) or NONE


def where(runs: Sequence[Run]) -> list[str]:
    """Device, threads and machine of some runs."""
    machine = ", ".join(
        text for text in (told(runs, "cpu"), f"torch {told(runs, 'torch')}") if NONE not in text
    )
    return [told(runs, "device"), told(runs, "threads"), machine or NONE]


def overall(tasks: Sequence[Task]) -> Table:
    """IQM over all seeds of all tasks, of groups that have finished runs in each."""
    rows = []
    for label in all_labels(tasks):
        strata = [task.scores(label) for task in tasks]
        if all(len(stratum) for stratum in strata):
            pooled = np.concatenate(strata)
            figures = [f"{iqm(pooled):.3f}", interval(strata), f"{pooled.mean():.3f}", f"{pooled.min():.3f}"]
            rows.append([label, *figures, str(len(pooled))])
    return Table(["core", "success, IQM", "95 % interval", "mean", "worst run", "runs"], rows)


def improvements(tasks: Sequence[Task], values: Callable[[Task, str], np.ndarray], head: str) -> Table:
    """How probably a run of the row's group beats one of the column's, over the tasks that both have.

    Args:
        tasks: with their runs.
        values: [S] of a task and a group, of what is compared.
        head: of the first column.
    """
    labels = [label for label in all_labels(tasks) if any(task.finished(label) for task in tasks)]
    known = {label: [values(task, label) for task in tasks] for label in labels}
    rows: list[list[str]] = []
    shades: list[list[float | None]] = []
    for one in labels:
        row: list[str] = [one]
        shade: list[float | None] = [None]
        for other in labels:
            pairs = [(x, y) for x, y in zip(known[one], known[other], strict=True) if len(x) and len(y)]
            if one == other or not pairs:
                row, shade = [*row, "" if one == other else NONE], [*shade, None]
                continue
            xs, ys = zip(*pairs, strict=True)
            share = float(improvement(xs, ys))
            row, shade = [*row, f"{share:.2f}{in_brackets(xs, ys)}"], [*shade, share]
        rows.append(row)
        shades.append(shade)
    return Table([head, *labels], rows, shades)


def in_brackets(xs: Sequence[np.ndarray], ys: Sequence[np.ndarray]) -> str:
    """The interval of an improvement, after its share; nothing where no side has two seeds anywhere."""
    if all(len(stratum) < 2 for stratum in (*xs, *ys)):
        return ""
    low, high = improvement_interval(xs, ys)
    return f" ({low:.2f} … {high:.2f})"


def held(horizon: Horizon) -> Table:
    """The longest delay that each group holds, by three measures, and its IQM at each delay."""
    rows = []
    for label in all_labels(list(horizon.tasks.values())):
        found = points(horizon, label)
        if found:
            by = [
                held_in_words(found, figure)
                for figure in (lambda p: p.iqm, lambda p: p.low, lambda p: p.worst)
            ]
            iqms = {point.delay: f"{point.iqm:.3f}" for point in found}
            rows.append([label, *by, " ".join(iqms.get(delay, NONE) for delay in horizon.tasks)])
    at = " ".join(f"{delay:g}" for delay in horizon.tasks)
    return Table(["core", "by IQM", "by the interval's low end", "by the worst seed", f"IQM at {at}"], rows)


def write_csv(tasks: Sequence[Task], path: Path) -> None:
    """One row for each run; what an unfinished one has not, is empty."""
    names = ["env", "core", "runner", "seed", "env_steps", "episodes", "success", "low", "high", "return"]
    names += ["group", "finished", "parameters", "env_steps_per_s", "training_s", "folder"]
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for task in tasks:
            for label, group in task.groups.items():
                for run in group:
                    writer.writerow([*row_of(task, run), label, run.finished, *cost_of(run), run.folder])


def row_of(task: Task, run: Run) -> list[object]:
    """What a run was and what came out."""
    config, found = run.config, run.evaluation
    row = [task.label, " ".join((config.core, *config.core_opt)), config.runner, config.seed]
    if found is None:
        steps = run.points["env_steps"]
        return [*row, int(steps[-1]) if len(steps) else 0, *[""] * 5]
    success = [number(found["success"][name]) for name in ("mean", "low", "high")]
    return [*row, found["env_steps"], found["episodes"], *success, number(found[MEASURES["return"]]["mean"])]


def cost_of(run: Run) -> list[str]:
    """Parameters, env steps per second, seconds of training."""
    seconds = run.points["seconds"]
    parameters = told([run], "parameters").replace(",", "")
    return [
        "" if parameters == NONE else parameters,
        f"{run.steps_per_s:.1f}" if math.isfinite(run.steps_per_s) else "",
        f"{seconds[-1]:.1f}" if len(seconds) and math.isfinite(seconds[-1]) else "",
    ]


def number(value: float | None) -> str:
    """A figure of a run, empty where the task does not tell it."""
    return "" if value is None else f"{value:.4f}"
