"""Finds runs and reads what each left behind: configuration, evaluation, curves, machine, diagnosis."""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from agents.about import read_about
from agents.config import Config
from agents.curves import MAX_LINE_BYTES
from agents.diagnosing import record as diagnosis_record
from agents.files import open_plainly, parse_json
from agents.origins import Origins
from agents.run_folder import MEASURES, find_runs, read_config, read_evaluation, read_origins

METRICS = "metrics.jsonl"
NUM_GRID_POINTS = 1_001
"""Of a mean over training."""


@dataclass(frozen=True)
class Run:
    """A run as its folder tells it."""

    folder: Path
    config: Config
    origins: Origins
    about: list[dict[str, Any]]
    evaluation: dict[str, Any] | None
    """None while the run is not finished: not evaluated, or told to go on since."""
    points: dict[str, np.ndarray]
    """[P] each: env steps, seconds of training so far, success and return, NaN where no episode ended."""
    diagnosis: dict[str, Any] | None

    @property
    def finished(self) -> bool:
        """Whether it was trained and evaluated to the end."""
        return self.evaluation is not None

    def score(self, measure: str) -> float:
        """Mean over the evaluation's episodes; NaN where the task does not tell."""
        assert self.evaluation is not None
        mean = self.evaluation[MEASURES[measure]]["mean"]
        return math.nan if mean is None else float(mean)

    @property
    def silent(self) -> bool:
        """Whether it has told nothing yet, neither by a point of its curves nor by its evaluation."""
        return not self.finished and not len(self.points["env_steps"])

    @cached_property
    def steps_per_s(self) -> float:
        """Env steps per second of training, over the whole run."""
        steps, seconds = self.points["env_steps"], self.points["seconds"]
        return float(steps[-1] / seconds[-1]) if len(steps) and seconds[-1] > 0 else math.nan

    def curve(self, x: str, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """[P'] each: env steps or seconds, and success or return, of the points that have it."""
        known = np.isfinite(self.points[measure]) & np.isfinite(self.points[x])
        return self.points[x][known], self.points[measure][known]

    def over_training(self, measure: str, end: float) -> float:
        """Mean success or return over the env steps up to `end`; NaN without a curve.

        Its first point stands for the steps before it, too.
        """
        at, value = self.curve("env_steps", measure)
        return (
            float(np.interp(np.linspace(0, end, NUM_GRID_POINTS), at, value).mean()) if len(at) else math.nan
        )


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """All runs in some folders, at any depth; one that two of them hold counts once.

    Raises:
        ValueError: one line; no run in a folder, or a file of a run that can't be used.
    """
    places = {place.resolve(): place for place in find_runs(folders)}
    return [read_run(place) for place in places.values()]


def read_run(folder: Path) -> Run:
    """Everything of one run.

    Raises:
        ValueError: one line; a file can't be used.
    """
    config = read_config(folder)
    return Run(
        folder=folder,
        config=config,
        origins=read_origins(folder),
        about=read_about(folder),
        evaluation=last_evaluation(folder, config),
        points=read_points(folder / METRICS),
        diagnosis=diagnosis_record.read(folder),
    )


def last_evaluation(folder: Path, config: Config) -> dict[str, Any] | None:
    """What the evaluation at the end of a run found; None of one that was made before it was told to go on.

    Raises:
        ValueError: one line; the file can't be used.
    """
    found = read_evaluation(folder)
    return found if found and found["env_steps"] >= config.total_steps else None


def read_points(path: Path) -> dict[str, np.ndarray]:
    """The points of the curves, [P] each.

    A point's speed is that since the last point, so that the time of training, over all that resumed it, is
    the sum of steps over speed; what is outside of training does not count.

    Raises:
        ValueError: one line; a line of the file is no point.
    """
    rows = list(lines_of(path)) if path.exists() else []
    names = {"env_steps": "env_steps", "success": "episode/success", "return": "episode/return"}
    points = {
        ours: np.array([row.get(name, math.nan) for row in rows], float) for ours, name in names.items()
    }
    speeds = np.array([row.get("speed/env_steps_per_s", math.nan) for row in rows], float)
    speeds[speeds <= 0] = math.nan
    points["seconds"] = np.cumsum(np.diff(points["env_steps"], prepend=0) / speeds)
    return points


def lines_of(path: Path) -> Iterator[dict[str, float]]:
    """The points of a file one by one; the last may be half a line, of a run that is under way.

    Raises:
        ValueError: one line with the path and the line's number.
    """
    with open_plainly(path) as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            try:
                row = parse_json(line)
                if not isinstance(row, dict) or not all(map(is_figure, row.values())):
                    raise ValueError("no table of numbers")
                row["env_steps"]
            except (ValueError, KeyError) as error:
                if not line.endswith(b"\n") and len(line) < MAX_LINE_BYTES:
                    return
                raise ValueError(f"{path}, line {number}: {reason_of(error)}") from None
            yield row


def is_figure(value: object) -> bool:
    """Whether a value is a finite number that an array can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def reason_of(error: ValueError | KeyError) -> str:
    """Why a line is no point, without the parser's own count of lines, which is not the file's."""
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON ({error.msg}, at character {error.pos + 1})"
    return f"lacks {error}" if isinstance(error, KeyError) else str(error)
