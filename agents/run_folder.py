"""The folder of a run: its name, the configuration in it, and who trains there."""

import dataclasses
import fcntl
import os
import socket
from collections.abc import Iterable
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TextIO

from agents.checkpoint import list_checkpoints
from agents.config import Config
from agents.config_files import MAX_BYTES, RECORD, read_record
from agents.files import parse_json, read_bounded, read_text, write_json
from agents.origins import Origins

ORIGINS = "origins.json"
"""Name of the file that says who gave the values that are no defaults."""
EVALUATION = "evaluation.json"
MAX_EVALUATION_BYTES = 2**16
MAX_NAME = 255
"""Bytes in the name of a file or folder."""
BEFORE_RECORD = ("lock", "console.txt")
"""What may lie in a run's folder without its record: the lock, and what a sweep's run said."""
BESIDE_RECORD = (
    RECORD,
    ORIGINS,
    EVALUATION,
    "about.json",
    "checkpoints",
    "diagnosis",
    "events.out.tfevents.*",
    "metrics.jsonl",
    "non-finite.safetensors",
)
"""What may lie beside it, and it itself."""
MEASURES = {"success": "success", "return": "returns"}
"""What a task is judged by, and its name in an evaluation."""


def make_run_folder(config: Config, folder: Path | None = None) -> tuple[Path, TextIO]:
    """Makes the folder of a new run, takes it for this process, and writes the configuration into it.

    Args:
        config: the run's.
        folder: its name; by default one that no other run has.

    Returns:
        The folder, and what holds it, as `lock_run` says.

    Raises:
        ValueError: it can't be written, is being trained in, or is not one for a new run.
    """
    parent, name = place_of(config), f"seed{config.seed}-{datetime.now():%Y%m%d-%H%M%S}"
    said = f"--log-dir: {parent}" if folder is None else f"--folder {folder}"
    try:
        if folder is None:
            parent.mkdir(parents=True, exist_ok=True)
            folder = make_unique(parent, name)
        else:
            check_new_folder(folder)
            folder.mkdir(parents=True, exist_ok=True)
        lock = lock_run(folder)
    except OSError as error:
        raise ValueError(f"{said} can't be written ({error.strerror})") from None
    try:
        check_new_folder(folder)  # nobody else begins there any more
        write_json(folder / RECORD, dataclasses.asdict(config))
    except BaseException:
        lock.close()
        raise
    return folder, lock


def check_new_folder(folder: Path) -> None:
    """Checks that a run can begin in a folder that the user names; makes and changes nothing.

    Raises:
        ValueError: it can't be written, holds a run that can be gone on with, or what is no run's.
    """
    if reason := why_unwritable(folder):
        raise ValueError(f"--folder {str(folder)[:MAX_NAME]} can't be written ({reason})")
    if not folder.exists():
        return
    if list_checkpoints(folder / "checkpoints"):
        raise ValueError(f"--folder {folder} holds a run; go on with it by --resume {folder}")
    if strange := strange_file(folder):
        raise ValueError(f"--folder {folder} holds {strange}, which is no run's; name another folder")


def strange_file(folder: Path) -> str | None:
    """A file that a run would not have left there, if there is one: its record is looked into."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    for name in names:
        if not any(fnmatchcase(name, own) for own in (*BEFORE_RECORD, *BESIDE_RECORD)):
            return name
    if RECORD not in names:
        return next((name for name in names if name not in BEFORE_RECORD), None)
    try:
        lacks = read_record(folder / RECORD)[1]
    except ValueError:
        return f"a {RECORD}"
    # A record gives all fields that there were; a file of the user's, those that they care for.
    return f"a {RECORD}" if 2 * len(lacks) > len(dataclasses.fields(Config)) else None


def why_unwritable(folder: Path) -> str | None:
    """Why a folder can't be made, or nothing be written into it, as far as can be told; makes none."""
    if any(len(os.fsencode(part)) > MAX_NAME for part in folder.parts):
        return "a name too long"
    there = next(parent for parent in (folder, *folder.absolute().parents) if os.path.lexists(parent))
    if not there.is_dir():
        return f"{there} is no folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"no right to write in {there}"
    return None


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


def place_of(config: Config) -> Path:
    """The folder of all runs of a task and a core."""
    return Path(config.log_dir) / safe_name(config.env) / safe_name(config.core)


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


def record(folder: Path, config: Config, origins: Origins) -> None:
    """Writes down what a run is made of, and who gave each value; a reader finds whole files at any time."""
    write_json(folder / RECORD, dataclasses.asdict(config))
    write_json(folder / ORIGINS, origins)


def read_origins(folder: Path) -> Origins:
    """Who gave a run's values; nobody is known for a run of an older Longhold.

    Raises:
        ValueError: the file can't be used.
    """
    path = folder / ORIGINS
    if not path.exists():
        return {}
    try:
        origins = parse_json(read_text(path, MAX_BYTES))
        if not isinstance(origins, dict) or not all(isinstance(origin, str) for origin in origins.values()):
            raise ValueError("not a table of texts")
        return origins
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_evaluation(folder: Path) -> dict[str, Any] | None:
    """What the evaluation of a run found; None where there was none yet.

    Raises:
        ValueError: one line; the file can't be used.
    """
    path = folder / EVALUATION
    if not path.exists():
        return None
    try:
        found = parse_json(read_bounded(path, MAX_EVALUATION_BYTES))
        for name in MEASURES.values():
            for part in ("mean", "low", "high"):
                if found[name][part] is not None:
                    found[name][part] = float(found[name][part])
        found["env_steps"], found["episodes"] = int(found["env_steps"]), int(found["episodes"])
    except (ValueError, KeyError, TypeError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path}: no evaluation ({reason})") from None
    return found


def find_runs(places: Iterable[Path]) -> list[Path]:
    """The folders of runs among some folders and below them, each once, in the order of their names.

    Raises:
        ValueError: there is none in one of them.
    """
    runs: dict[Path, None] = {}
    for place in places:
        found = [place] if (place / RECORD).is_file() else sorted(path.parent for path in place.rglob(RECORD))
        if not found:
            raise ValueError(f"no run in {place}: neither it nor a folder below holds a {RECORD}")
        runs |= dict.fromkeys(found)
    return list(runs)


def read_config(folder: Path) -> Config:
    """The configuration of a run.

    Raises:
        ValueError: the folder is no run, or its configuration can't be used.
    """
    return read_config_and_lacks(folder)[0]


def read_config_and_lacks(folder: Path) -> tuple[Config, list[str]]:
    """The same, and the fields that it lacks, as it is of an older Longhold; they have their defaults."""
    if not (folder / RECORD).is_file():
        raise ValueError(f"{folder} is no run folder: it holds no {RECORD}")
    return read_record(folder / RECORD)
