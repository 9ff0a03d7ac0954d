"""A run as a process: scripts.train in a group of its own, which no signal reaches but through the sweep."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from agents.signals import SIGNALS, signal_with_parent

CONSOLE = "console.txt"
"""In a run's folder: what it said."""
SET_DEATH_SIGNAL = 1
"""Of Linux's prctl."""
TAIL_BYTES = 2**12


class Child:
    """A run that was started."""

    def __init__(self, argv: Sequence[str], folder: str):
        """Starts it.

        Args:
            argv: of scripts.train.
            folder: the run's.

        Raises:
            OSError: the folder can't be written, or no process be started.
        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        with open(Path(folder) / CONSOLE, "ab") as console:
            self._console, self._begin = Path(console.name), console.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scripts.train", *argv],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                process_group=0,
                preexec_fn=obey_and_end_with_parent,
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


def obey_and_end_with_parent() -> None:
    """Between fork and exec: signals count, whatever a parent of Ray's has blocked.

    And the kernel is asked for SIGTERM when the parent ends, killed perhaps: the run saves then.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal_with_parent(signal.SIGTERM)
