"""Each rival's own virtual environment: its pins and Longhold's agree on little."""

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.rivals.contestants import Contestant
from benchmarks.rivals.race import Fallen

NEEDED_GIB = 4
"""The largest of them takes half of that."""


def python_of(contestant: Contestant, folder: Path) -> Path:
    """The interpreter that runs a contestant; what it needs is installed if it is not yet.

    Raises:
        Fallen: it can't be installed.
    """
    if contestant.requirements is None:
        return Path(sys.executable)
    venv = (folder / str(contestant.package)).absolute()
    python, ready = venv / "bin" / "python", venv / "ready"
    pins = contestant.requirements.read_text()
    if ready.exists() and ready.read_text() == pins:
        return python
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < NEEDED_GIB * 2**30:
        raise Fallen(f"not installed: less than {NEEDED_GIB} GiB are free in {folder}")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", venv],
        [*install, "--requirement", contestant.requirements],
    ):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            said = [line.strip() for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise Fallen(f"not installed: {said[0][:200] if said else 'pip failed'}")
    ready.write_text(pins)
    return python
