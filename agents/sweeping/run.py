"""One run of a sweep: its folder, the arguments that start or resume it, and how far it is."""

import dataclasses
import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from agents.checkpoint import list_checkpoints
from agents.config import MAY_CHANGE, NOT_LEARNT_FROM, Config, flag
from agents.files import open_plainly, parse_json
from agents.origins import settle
from agents.run_folder import place_of, read_config, read_evaluation
from agents.sweeping.sweep_file import Fields

TAIL_BYTES = 2**14


class Point(NamedTuple):
    """How far a run is."""

    env_steps: int
    steps_per_s: float
    success: float
    """Of training; NaN where the task doesn't tell."""


@dataclass(frozen=True)
class Run:
    """A configuration with a folder of its own."""

    config: Config
    said: tuple[tuple[str, Any], ...]
    """Field and value, of those that are no defaults of the task."""
    varied: tuple[str, ...] = ()
    """The fields, beside core and task, that differ between the runs of a task."""

    @property
    def folder(self) -> Path:
        """The same for the same configuration: LOG_DIR/env/core/seedN-digest."""
        return place_of(self.config) / f"seed{self.config.seed}-{digest(self.config)}"

    @property
    def title(self) -> str:
        """The run in a few words."""
        return f"{self.task}  {self.kind}  seed {self.config.seed}"

    @property
    def task(self) -> str:
        """The task with its options."""
        return " ".join([self.config.env, *self.config.env_opt])

    @property
    def kind(self) -> str:
        """The core with its options, and what else is tried."""
        values = {name: getattr(self.config, name) for name in self.varied}
        short = {name: f"{v:.4g}" if isinstance(v, float) else v for name, v in values.items()}
        others = [f"{flag(name)[2:]}={value}" for name, value in short.items()]
        return " ".join([self.config.core, *self.config.core_opt, *others])

    def argv(self) -> list[str]:
        """What scripts.train is told: to begin, or to go on from a checkpoint.

        Raises:
            ValueError: one line; the folder holds another run.
        """
        if not list_checkpoints(self.folder / "checkpoints"):
            return [*flags(dict(self.said)), "--folder", str(self.folder)]
        before = read_config(self.folder)
        changed = {name: getattr(self.config, name) for name in fields_that_differ(before, self.config)}
        if other := sorted(changed.keys() - MAY_CHANGE):
            raise ValueError(
                f"{self.folder} holds another run: {other[0]} is {getattr(before, other[0])!r} there, "
                f"{changed[other[0]]!r} here; move it away"
            )
        return ["--resume", str(self.folder), *flags(changed)]

    def result(self) -> dict[str, Any] | None:
        """Its evaluation, if it is done."""
        try:
            found = read_evaluation(self.folder)
        except (OSError, ValueError):
            return None
        return found if found and found["env_steps"] >= self.config.total_steps else None

    def point(self) -> Point | None:
        """The newest point of its curves."""
        try:
            with open_plainly(self.folder / "metrics.jsonl") as file:
                file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
                lines = file.read().split(b"\n")[:-1]
            found = parse_json(lines[-1])
            success = float(found.get("episode/success", "nan"))
            return Point(int(found["env_steps"]), float(found["speed/env_steps_per_s"]), success)
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
            return None


def make_run(fields: Fields, log_dir: str) -> Run:
    """A run from the fields that were said, over the task's preset and the defaults."""
    said = {**fields, "log_dir": log_dir}
    return Run(settle(said, None).config, tuple(said.items()))


def varied_fields(runs: Collection[Run]) -> tuple[str, ...]:
    """The fields, beside core and task, that differ between runs of a task."""
    known = {"env", "env_opt", "core", "core_opt", "seed", *NOT_LEARNT_FROM}
    names = dict.fromkeys(name for run in runs for name, _ in run.said if name not in known)
    values: dict[tuple[str, str], set[Any]] = {}
    for run in runs:
        for name in names:
            values.setdefault((run.task, name), set()).add(getattr(run.config, name))
    return tuple(name for name in names if any(len(v) > 1 for (_, n), v in values.items() if n == name))


def digest(config: Config) -> str:
    """Eight digits that tell configurations apart, however they were said, but for their seeds."""
    defaults = dataclasses.asdict(Config())
    values = dataclasses.asdict(config).items()
    own = {
        name: value
        for name, value in values
        if name not in {"seed", *NOT_LEARNT_FROM} and value != defaults[name]
    }
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:8]


def fields_that_differ(one: Config, other: Config) -> list[str]:
    """Names of the fields whose values differ, but for the folder of all runs."""
    names = [field.name for field in dataclasses.fields(Config) if field.name != "log_dir"]
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def flags(fields: Fields) -> list[str]:
    """Fields as arguments of a command line."""
    argv = []
    for name, value in fields.items():
        argv += [flag(name), *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    return argv
