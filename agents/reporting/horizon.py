"""The memory horizon: how success falls as the delay grows, and the longest delay that a core holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from agents.reporting.groups import Task
from agents.reporting.statistics import bootstrap_interval, iqm, pooled_iqm

HELD = 0.95
"""Success at which a delay counts as held."""


@dataclass(frozen=True)
class Horizon:
    """One task at several delays."""

    label: str
    """The task without the option that is the delay."""
    option: str
    tasks: dict[float, Task]
    """By the option's value, shortest first."""


@dataclass(frozen=True)
class Point:
    """A group at one delay."""

    delay: float
    iqm: float
    low: float
    high: float
    """95 % interval; of a single seed its own success."""
    worst: float


def find_horizons(tasks: Sequence[Task]) -> list[Horizon]:
    """Tasks that differ by one option alone, where the span of their cards rises with its value.

    A task without a card has no span, and is left out. An option with which the span falls is no delay: by
    its value the shortest span would stand last. Nor is there a horizon before a run is finished.
    """
    horizons = []
    families = {(option, family(task, option)): label for task in tasks for option, label in ways(task)}
    for (option, rest), label in families.items():
        alike = [task for task in tasks if option in task.options and family(task, option) == rest]
        by_value = {value: task for task in alike if (value := number(task.options[option])) is not None}
        known = [(value, task) for value, task in sorted(by_value.items()) if task.card is not None]
        spans = [task.card.span for _, task in known if task.card is not None]
        rises = len(spans) > 1 and all(one < other for one, other in pairwise(spans))
        if rises and any(is_told(task) for _, task in known):
            horizons.append(Horizon(label, option, dict(known)))
    return horizons


def ways(task: Task) -> list[tuple[str, str]]:
    """Each option of a task, and the task's label without it."""
    words = task.label.split(" ")
    return [(option, " ".join(w for w in words if not w.startswith(f"{option}="))) for option in task.options]


def family(task: Task, option: str) -> tuple[object, ...]:
    """What tasks have in common that differ by one option alone."""
    rest = sorted(f"{name}={value}" for name, value in task.options.items() if name != option)
    return task.env, task.backend, *rest


def number(value: object) -> float | None:
    """A value as a number; None for truth values and texts."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def is_told(task: Task) -> bool:
    """Whether the success of any finished run is known."""
    return task.measure == "success" and any(task.finished(label) for label in task.groups)


def points(horizon: Horizon, label: str) -> list[Point]:
    """A group at each delay at which it has finished runs of a task that tells success."""
    found = []
    for delay, task in horizon.tasks.items():
        scores = task.scores(label)
        if is_told(task) and len(scores):
            low, high = bootstrap_interval([scores], pooled_iqm)
            found.append(Point(delay, float(iqm(scores)), float(low), float(high), float(scores.min())))
    return found


def longest_held(found: Sequence[Point], figure: Callable[[Point], float]) -> float | None:
    """The longest delay at which a figure is at least 0.95, and at every shorter one that was tried.

    Returns:
        The delay; None where the shortest is not held.
    """
    held = np.array([figure(point) >= HELD for point in found], bool)
    count = len(held) if held.all() else int(held.argmin())
    return found[count - 1].delay if count else None


def held_in_words(found: Sequence[Point], figure: Callable[[Point], float]) -> str:
    """The longest delay held, and whether longer ones were tried."""
    if not found:
        return "–"
    longest = longest_held(found, figure)
    if longest is None:
        return f"below {found[0].delay:g}"
    return f"{longest:g}" if longest < found[-1].delay else f"{longest:g} or more"
