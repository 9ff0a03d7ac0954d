"""Sorts runs by task and by what is compared: cores, and whatever else differs within a task but the seed."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from agents.actor import card_of
from agents.config import NOT_LEARNT_FROM, Config, flag
from agents.presets import preset
from agents.reporting.runs import Run
from envs import TaskCard, find_task

CONTROL = "memoryless"
IDENTITY = ("env", "env_opt", "env_backend", "core", "core_opt", "seed")
"""Fields that say which task, which core and which seed."""


@dataclass(frozen=True)
class Task:
    """A task with its options, and all runs of it."""

    env: str
    backend: str
    options: dict[str, object]
    """Every option, defaults too where the task is a native one."""
    label: str
    card: TaskCard | None
    measure: str
    """"success", or "return" where the task does not tell success."""
    groups: dict[str, list[Run]] = field(default_factory=dict)
    """By label of what is compared; the best first, the control last."""

    def finished(self, label: str) -> list[Run]:
        """The runs of a group that are evaluated, by seed; of a seed that stands there twice the newest."""
        by_seed = {run.config.seed: run for run in self.groups.get(label, ()) if run.finished}
        return [by_seed[seed] for seed in sorted(by_seed)]

    def scores(self, label: str) -> np.ndarray:
        """[S]: what each finished run of a group came to."""
        return np.array([run.score(self.measure) for run in self.finished(label)], float)

    def areas(self, label: str) -> np.ndarray:
        """[S]: the mean of each finished run's curve, over the env steps that all of the task's have trained.

        Runs without a curve are left out.
        """
        curves = [
            run.curve("env_steps", self.measure)[0] for one in self.groups for run in self.finished(one)
        ]
        end = min((at[-1] for at in curves if len(at)), default=0.0)
        means = np.array([run.over_training(self.measure, end) for run in self.finished(label)], float)
        return means[np.isfinite(means)]


def sort_runs(runs: Sequence[Run]) -> list[Task]:
    """The tasks of some runs, each with its groups.

    Raises:
        ValueError: one line; a run's task can't be found.
    """
    by_task: dict[tuple[object, ...], list[Run]] = {}
    for run in runs:
        options = options_of(run)
        key = (run.config.env, run.config.env_backend, *sorted(map(str, options.items())))
        by_task.setdefault(key, []).append(run)
    labels = labels_of(list(by_task.values()))
    tasks = [make_task(members, labels) for members in by_task.values()]
    return sorted(tasks, key=lambda task: (task.env, task.card.span if task.card else 0, task.label))


def options_of(run: Run) -> dict[str, object]:
    """All options of a run's task by name, with the defaults of a native one.

    Raises:
        ValueError: one line; there is no such task.
    """
    try:
        native = find_task(run.config.env, run.config.env_backend)
        return {**(native.option_defaults() if native else {}), **run.config.env_options}
    except ValueError as error:
        raise ValueError(f"{run.folder}: {error}") from None


def make_task(runs: list[Run], labels: dict[str, str]) -> Task:
    """A task from all runs of it.

    Args:
        runs: at least one.
        labels: what each is compared as, by folder.

    Raises:
        ValueError: one line; its card can't be had.
    """
    config = runs[0].config
    try:
        card = card_of(config)
    except ValueError as error:
        raise ValueError(f"{runs[0].folder}: {error}") from None
    told = [run for run in runs if run.finished and not math.isnan(run.score("success"))]
    curved = [run for run in runs if len(run.curve("env_steps", "success")[0])]
    measure = "success" if told or (curved and not any(run.finished for run in runs)) else "return"
    backend = () if config.env_backend == "auto" else (config.env_backend,)
    label = " ".join((config.env, *sorted(config.env_opt), *backend))
    task = Task(config.env, config.env_backend, options_of(runs[0]), label, card, measure)
    for run in sorted(runs, key=lambda run: (run.config.seed, run.folder.name)):
        task.groups.setdefault(labels[str(run.folder)], []).append(run)
    order = sorted(task.groups, key=lambda name: rank(task, name))
    return dataclasses.replace(task, groups={name: task.groups[name] for name in order})


def rank(task: Task, label: str) -> tuple[bool, bool, float]:
    """Sorts groups: finished ones before others, the best first, the control last."""
    scores = task.scores(label)
    return is_control(label), not len(scores), -float(scores.mean()) if len(scores) else 0.0


def is_control(label: str) -> bool:
    """Whether a group is that of the core which can't remember."""
    return label == CONTROL or label.startswith((CONTROL + ",", CONTROL + " "))


def labels_of(tasks: list[list[Run]]) -> dict[str, str]:
    """What each run is compared as, by folder: its core, and whatever differs between runs of some task.

    What differs in one task is told in all, so that a group has one name in all of them; what differs between
    tasks alone is not.
    """
    names = [f.name for f in dataclasses.fields(Config) if f.name not in {*IDENTITY, *NOT_LEARNT_FROM}]
    differ = [
        name for name in names if any(len({getattr(run.config, name) for run in runs}) > 1 for runs in tasks)
    ]
    optional = {
        run.config.core
        for runs in tasks
        for run in runs
        if len({other.config.core_opt for other in runs if other.config.core == run.config.core}) > 1
    }
    return {str(run.folder): label_of(run.config, differ, optional) for runs in tasks for run in runs}


def label_of(config: Config, differ: Sequence[str], optional: set[str]) -> str:
    """A core, its options where they differ, and of the fields that differ those with no usual value."""
    core = config.core
    if core in optional:
        core += f" ({' '.join(config.core_opt) or 'no options'})"
    usual = Config(**{"env": config.env, **preset(config.env, config.env_opt)})
    told = [name for name in differ if name == "runner" or getattr(config, name) != getattr(usual, name)]
    return ", ".join([core, *(described(config, name) for name in told)])


def described(config: Config, name: str) -> str:
    """A field and its value in a label."""
    value = getattr(config, name)
    if isinstance(value, str):
        return value if name == "runner" else f"{flag(name)[2:]} {value}"
    return f"{flag(name)[2:]} {value:,}" if isinstance(value, int) else f"{flag(name)[2:]} {value:g}"


def all_labels(tasks: Sequence[Task]) -> list[str]:
    """Every group of a report: the one with the fewest above it in its tasks first, the control last."""
    above: dict[str, list[float]] = {}
    for task in tasks:
        means = dict.fromkeys(task.groups, -math.inf)
        means |= {label: float(task.scores(label).mean()) for label in means if task.finished(label)}
        for label, mean in means.items():
            above.setdefault(label, []).append(sum(other > mean for other in means.values()) / len(means))
    return sorted(above, key=lambda label: (is_control(label), float(np.mean(above[label])), label))


def notes(tasks: Sequence[Task]) -> list[str]:
    """What a reader must know, a line each: unfinished runs, seeds twice, no control, one seed."""
    lines = []
    runs = [(task, label, run) for task in tasks for label, group in task.groups.items() for run in group]
    if silent := [str(run.folder) for _, _, run in runs if run.silent]:
        have = "run has" if len(silent) == 1 else "runs have"
        lines.append(f"{len(silent)} {have} neither a point nor an evaluation yet: {some_of(silent)}")
    if unfinished := [str(run.folder) for _, _, run in runs if not run.finished and not run.silent]:
        are = "run is" if len(unfinished) == 1 else "runs are"
        lines.append(
            f"{len(unfinished)} {are} not finished, shown in curves and not in tables: {some_of(unfinished)}"
        )
    for task in tasks:
        for label, group in task.groups.items():
            finished = [run.config.seed for run in group if run.finished]
            for seed in sorted({seed for seed in finished if finished.count(seed) > 1}):
                times = finished.count(seed)
                lines.append(f"{task.label}, {label}: seed {seed} is there {times} times; the newest counts")
        if single := [label for label in task.groups if len(task.finished(label)) == 1]:
            lines.append(f"{task.label}: one seed, and so no interval: {'; '.join(single)}")
    if alone := [task.label for task in tasks if not has_control(task)]:
        lines.append(f"no control was run (--core {CONTROL}): {some_of(alone)}")
    return lines


def has_control(task: Task) -> bool:
    """Whether a control was run to its end."""
    return any(is_control(label) and task.finished(label) for label in task.groups)


def some_of(names: Sequence[str]) -> str:
    """The first eight names, which may hold commas, and how many more there are."""
    return "; ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
