"""What `scripts.diagnose` left in the folders of runs, brought together for a task and a group."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.bounded_reading import read_bounded
from agents.diagnosing.record import FOLDER
from agents.reporting.groups import Task
from agents.reporting.runs import Run
from agents.reporting.statistics import bootstrap_interval, iqm, pooled_iqm

PICTURE = "diagnosis.png"
MAX_PICTURE_BYTES = 2**24
MAX_WIDTH = 1200
"""Pixels of a picture in the page."""
NUM_COLOURS = 64
"""Of a chart; it takes a third of the bytes then."""


@dataclass(frozen=True)
class CueCurve:
    """How often a linear probe reads the cue, over the runs of a group, [L] each."""

    lag: np.ndarray
    """Steps since the cue was last in view: those that all runs have."""
    state: np.ndarray
    """IQM over runs of the share that is right from the core state."""
    low: np.ndarray
    high: np.ndarray
    observation: np.ndarray
    """IQM of the share that is right from what is seen at that step alone."""


def cue_curves(task: Task) -> tuple[dict[str, CueCurve], float]:
    """The groups of a task whose runs were probed for the cue, and what guessing gets."""
    curves, chance = {}, 0.0
    for label in task.groups:
        cues = [
            run.diagnosis["cue"] for run in task.finished(label) if run.diagnosis and run.diagnosis["cue"]
        ]
        lags = sorted(set.intersection(*(set(cue["lag"]) for cue in cues))) if cues else []
        if lags:
            chance = float(cues[0]["chance"])
            state, observation = (
                np.stack([at(cue, name, lags) for cue in cues]) for name in ("state", "observation")
            )
            if len(cues) > 1:
                low, high = bootstrap_interval([state], pooled_iqm, 1_000)
            else:
                low, high = at(cues[0], "state_low", lags), at(cues[0], "state_high", lags)
            curves[label] = CueCurve(np.array(lags), iqm(state), low, high, iqm(observation))
    return curves, chance


def at(cue: dict[str, list[float]], name: str, lags: Sequence[float]) -> np.ndarray:
    """A figure at some lags."""
    figures = dict(zip(cue["lag"], cue[name], strict=True))
    return np.array([figures[lag] for lag in lags], float)


def representative(task: Task, label: str) -> Run | None:
    """The run of a group that stands in the middle, of those with a picture; None without any."""
    pictured = [run for run in task.finished(label) if (run.folder / FOLDER / PICTURE).is_file()]
    pictured.sort(key=lambda run: run.score(task.measure))
    return pictured[(len(pictured) - 1) // 2] if pictured else None


def picture_of(run: Run) -> bytes:
    """A run's picture as a PNG that is small enough for a page.

    Raises:
        ValueError: one line; it is no picture.
    """
    from PIL import Image

    path = run.folder / FOLDER / PICTURE
    try:
        with Image.open(io.BytesIO(read_bounded(path, MAX_PICTURE_BYTES)), formats=["PNG"]) as found:
            picture = found.convert("RGB")
    except (ValueError, OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: no picture ({error})") from None
    if picture.width > MAX_WIDTH:
        height = round(picture.height * MAX_WIDTH / picture.width)
        picture = picture.resize((MAX_WIDTH, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.quantize(NUM_COLOURS).save(file, "PNG", optimize=True)
    return file.getvalue()


def place_of_picture(run: Run) -> Path:
    """Where a run's own picture lies."""
    return run.folder / FOLDER / PICTURE
