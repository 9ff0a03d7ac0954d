"""The folder of a run: its name, and the configuration in it."""

import dataclasses
import json
import os
from datetime import datetime
from pathlib import Path

from agents.bounded_reading import parse_json, read_bounded
from agents.config import Config, config_from_dict

MAX_CONFIG_BYTES = 2**20


def make_run_folder(config: Config) -> Path:
    """Makes the folder of a new run, and writes its configuration into it.

    Raises:
        ValueError: it can't be written.
    """
    parent = Path(config.log_dir) / safe_name(config.env) / safe_name(config.core)
    name = f"seed{config.seed}-{datetime.now():%Y%m%d-%H%M%S}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = make_unique(parent, name)
    except OSError as error:
        raise ValueError(f"--log-dir: {parent} can't be written ({error.strerror})") from None
    (folder / "config.json").write_text(json.dumps(dataclasses.asdict(config), indent=1) + "\n")
    return folder


def safe_name(name: str) -> str:
    """A name as one part of a path."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".") or "-"


def make_unique(parent: Path, name: str) -> Path:
    """Makes a new folder of this name, or name-2, name-3, ... where it is taken."""
    for number in range(1, 10_000):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{parent / name} and 10 000 like it are taken")


def read_config(folder: Path) -> Config:
    """The configuration of a run.

    Raises:
        ValueError: the folder is no run, or its configuration can't be used.
    """
    path = folder / "config.json"
    if not os.path.lexists(path):
        raise ValueError(f"{folder} is no run folder: it holds no config.json")
    try:
        values = parse_json(read_bounded(path, MAX_CONFIG_BYTES))
        if not isinstance(values, dict):
            raise ValueError("not a table of fields")
        return config_from_dict(values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None
