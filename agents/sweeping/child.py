"""A run as a process: scripts.train in a group of its own, which no signal reaches but through the sweep."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

CONSOLE = "console.txt"
"""In a run's folder: what it said."""
SET_DEATH_SIGNAL = 1
"""Of Linux's prctl."""
TAIL_BYTES = 2**12


class Child:
    """A run that was started."""

    def __init__(self, words: Sequence[str], folder: str):
        """Starts it.

        Args:
            words: of scripts.train.
            folder: the run's.

        Raises:
            OSError: the folder can't be written, or no process be started.
        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        with open(Path(folder) / CONSOLE, "ab") as console:
            self._console, self._begin = Path(console.name), console.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scripts.train", *words],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                process_group=0,
                preexec_fn=end_with_parent if sys.platform == "linux" else None,
            )

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        return self._process.poll()

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)

    def last_lines(self, count: int) -> list[str]:
        """What it said last."""
        with open(self._console, "rb") as file:
            file.seek(max(self._begin, file.seek(0, 2) - TAIL_BYTES))
            text = file.read().decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()][-count:]


def end_with_parent() -> None:
    """Asks the kernel to send SIGTERM to this process when its parent ends, killed perhaps: it saves then."""
    ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGTERM)
