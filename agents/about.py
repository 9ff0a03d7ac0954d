"""What a run was made on: about.json in its folder, a list with an entry for each time it was started.

An entry has `env_steps` (where it began), `parameters`, `device`, `threads`, `ranks` and what
`agents.speed.machine` tells of the machine, the versions, the command and the time.
"""

from pathlib import Path
from typing import Any

from agents.files import parse_json, read_bounded, write_json
from agents.speed.machine import machine_facts
from agents.training import Training

ABOUT = "about.json"
MAX_BYTES = 2**22


def add_start(training: Training) -> None:
    """Adds an entry to the file of a run that is about to begin or to go on; a damaged file starts anew.

    Raises:
        OSError: it can't be written.
    """
    try:
        entries = read_about(training.folder)
    except ValueError:  # no reason not to train
        entries = []
    entry = {
        "env_steps": training.learner.env_steps,
        "parameters": sum(parameter.numel() for parameter in training.network.parameters()),
        "device": str(training.device),
        "threads": training.config.num_threads,
        "ranks": training.group.size,
        **machine_facts(),
    }
    write_json(training.folder / ABOUT, [*entries, entry])


def read_about(folder: Path) -> list[dict[str, Any]]:
    """The entries of a run, oldest first; none for a run of an older Longhold.

    Raises:
        ValueError: one line; the file can't be used.
    """
    path = folder / ABOUT
    if not path.exists():
        return []
    try:
        entries = parse_json(read_bounded(path, MAX_BYTES))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path}: not a list of tables")
    return entries
