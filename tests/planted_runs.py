"""Folders of runs that nobody trained: what a report reads, with any outcome."""

import dataclasses
import json
from pathlib import Path

from agents.config import Config


def plant(folder: Path, success: float | None, *, points=None, origins=(), about=None, **fields) -> Path:
    """Makes the folder of a run.

    Args:
        folder: its place.
        success: over the episodes of its evaluation; None for a run that is not finished.
        points: env steps, success and steps/s of each point of its curves.
        origins: the fields that the command line gave.
        about: the entries of about.json.
        fields: of its configuration; 200 steps if nothing else is said, evaluated after the last one.
    """
    config = Config(**{"total_steps": 200, **fields})
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    (folder / "origins.json").write_text(json.dumps(dict.fromkeys(origins, "command line")))
    if about is not None:
        (folder / "about.json").write_text(json.dumps(about))
    points = [(100, 0.5, 50.0), (200, success or 0.5, 25.0)] if points is None else points
    rows = [
        {"env_steps": steps, "episode/success": share, "episode/return": share, "speed/env_steps_per_s": rate}
        for steps, share, rate in points
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if success is not None:
        plant_evaluation(folder, config.total_steps, success, success)
    return folder


def plant_evaluation(folder, env_steps, success, returns):
    """Makes a run one that was evaluated."""
    success, returns = ({"mean": x, "low": x - 0.01, "high": x + 0.01} for x in (success, returns))
    found = {
        "episodes": 1000,
        "env_steps": env_steps,
        "success": success,
        "returns": returns,
        "length": returns,
    }
    (folder / "evaluation.json").write_text(json.dumps(found))


def plant_all(folder: Path, successes: dict[str, list[float]], **fields) -> Path:
    """Makes runs of some cores, a seed for each outcome, from seed 1 on."""
    for core, outcomes in successes.items():
        for seed, success in enumerate(outcomes, 1):
            plant(folder / core / f"seed{seed}", success, core=core, seed=seed, **fields)
    return folder
