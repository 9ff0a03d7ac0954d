"""The folder of a run: its name, the configuration in it, and who trains there."""

import dataclasses
import fcntl
import json
import os
import socket
from datetime import datetime
from pathlib import Path
from typing import TextIO

from agents.config import Config, config_from_dict


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


def lock_run(folder: Path) -> TextIO:
    """Takes a run for this process, until what it returns is closed or the process ends, killed perhaps.

    Raises:
        ValueError: another process has it.
    """
    file = open(folder / "lock", "a+")  # noqa: SIM115  (open as long as the run)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise ValueError(f"{folder} is being trained by {holder}; wait for its end, or stop it") from None
    except OSError:
        pass  # a file system that knows no locks
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    return file


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
    if not path.is_file():
        raise ValueError(f"{folder} is no run folder: it holds no config.json")
    try:
        values = json.loads(path.read_text())
        if not isinstance(values, dict):
            raise ValueError("not a table of fields")
        return config_from_dict(values)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from None
