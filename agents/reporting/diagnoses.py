"""What `scripts.diagnose` left in the folders of runs, brought together for a task and a group."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.diagnosing.record import FOLDER, NAME
from agents.files import read_bounded
from agents.reporting.groups import Task
from agents.reporting.runs import Run
from agents.reporting.statistics import bootstrap_interval, iqm, pooled_iqm

NUM_RESAMPLES = 1_000
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
    """Steps since the cue was last in view, ascending: those that all runs have."""
    state: np.ndarray
    """IQM over runs of the share that is right from the core state."""
    low: np.ndarray
    high: np.ndarray
    observation: np.ndarray
    """IQM of the share that is right from what is seen at that step alone."""
    chance: float


def cue_curves(task: Task) -> dict[str, CueCurve]:
    """The groups of a task whose runs were probed for the cue.

    Raises:
        ValueError: one line; a diagnosis is not whole.
    """
    curves = {}
    for label in task.groups:
        cues = [cue for run in task.finished(label) if (cue := cue_of(run)) is not None]
        lags = sorted(set.intersection(*(set(cue.lag) for cue in cues))) if cues else []
        if lags:
            lag, rows = np.array(lags), [np.searchsorted(cue.lag, lags) for cue in cues]
            state = np.stack([cue.state[row] for cue, row in zip(cues, rows, strict=True)])
            seen = np.stack([cue.observation[row] for cue, row in zip(cues, rows, strict=True)])
            low, high = cues[0].low[rows[0]], cues[0].high[rows[0]]
            if len(cues) > 1:
                low, high = bootstrap_interval([state], pooled_iqm, NUM_RESAMPLES)
            curves[label] = CueCurve(lag, iqm(state), low, high, iqm(seen), cues[0].chance)
    return curves


def cue_of(run: Run) -> CueCurve | None:
    """How often the cue can be read in one run; None where that was not probed.

    Raises:
        ValueError: one line; its diagnosis is not whole.
    """
    cue = (run.diagnosis or {}).get("cue")
    if cue is None:
        return None
    try:
        names = ("lag", "state", "state_low", "state_high", "observation")
        figures = [np.array(cue[name], float) for name in names]
        if any(figure.shape != figures[0].shape or figure.ndim != 1 for figure in figures):
            raise ValueError("its figures are not of one length")
        lag, state, low, high, seen = figures
        return CueCurve(lag, state, low, high, seen, float(cue["chance"]))
    except (ValueError, KeyError, TypeError) as error:
        reason = f"its cue lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{run.folder / FOLDER / NAME}: {reason}") from None


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
