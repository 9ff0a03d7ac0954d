"""Writes the checkpoints of a run beside the training, which waits for a copy in memory alone."""

import sys
import threading
from pathlib import Path

from torch import Tensor

from agents.checkpoint import list_checkpoints, publish
from agents.checkpoint_format import Snapshot, State, take_snapshot
from agents.console import Seldom, say


class SaveError(Exception):
    """The last checkpoint of a run was not written; the message says why, and which one stands."""


class CheckpointWriter:
    """One checkpoint at a time, in a thread: hashing and the disk do not hold the interpreter's lock."""

    def __init__(self, folder: Path, *, keep: int):
        """Writes nothing yet.

        Args:
            folder: the run's folder of checkpoints; made where missing.
            keep: how many of the newest stay.
        """
        self._folder, self._keep = folder, keep
        self._memory: dict[str, Tensor] = {}
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._failing = False
        self._warn = Seldom()

    def prepare(self, state: State) -> None:
        """Makes room for copies of such a state, so that the first one takes no longer than the others."""
        take_snapshot(state, 0, {}, self._memory)

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written: the next one is better taken later, of a newer state."""
        return self._thread is not None and self._thread.is_alive()

    def save(self, state: State, env_steps: int, figures: dict[str, float]) -> None:
        """Copies a state and has it written; a disk that can't take it is told to the user, no more.

        Waits for the one before, if that is still being written.
        """
        self._wait()
        snapshot = take_snapshot(state, env_steps, figures, self._memory)
        self._thread = threading.Thread(target=self._write, args=(snapshot,), name="checkpoint", daemon=True)
        self._thread.start()

    def finish(self, state: State, env_steps: int, figures: dict[str, float]) -> None:
        """Writes the last one, and waits until it is on the disk.

        Raises:
            SaveError: it is not.
        """
        self._wait()
        try:
            publish(self._folder, take_snapshot(state, env_steps, figures, self._memory), keep=self._keep)
        except OSError as error:
            raise SaveError(
                f"the last checkpoint, of {env_steps:,} env steps, was NOT written "
                f"({reason(error)}); {self._standing()}"
            ) from None

    def close(self) -> None:
        """Lets the one that is being written end, but for a user who wants to leave at once."""
        if self._thread is not None and not isinstance(sys.exception(), KeyboardInterrupt):
            self._thread.join()

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error

    def _write(self, snapshot: Snapshot) -> None:
        try:
            publish(self._folder, snapshot, keep=self._keep)
        except OSError as error:
            self._failing = True
            self._warn(
                f"warning: the checkpoint of {snapshot.env_steps:,} env steps was not written "
                f"({reason(error)}); training goes on, {self._standing()}"
            )
        except BaseException as error:  # ours: raised where the run can end by it
            self._error = error
        else:
            if self._failing:
                say(f"checkpoints are written again, the newest at {snapshot.env_steps:,} env steps")
            self._failing = False

    def _standing(self) -> str:
        paths = list_checkpoints(self._folder)
        return f"the newest one is {paths[0]}" if paths else f"there is none in {self._folder}"


def reason(error: OSError) -> str:
    """Why the disk did not take it, in one line."""
    return " ".join((error.strerror or str(error)).split())
