"""The curves of a run on the disk: TensorBoard's events and JSON lines, point by point.

Every point is in the files as soon as it is written, so a run that is killed loses none; one that the disk
can't take, since it is full perhaps, is kept and written later.
"""

import json
import os
import socket
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import summary

from agents.console import Seldom
from agents.files import open_plainly, parse_json

MAX_WAITING = 10_000
"""Points that are kept while the disk can't take them; then the oldest go."""
MAX_LINE_BYTES = 2**20

_POSITIVE = 1e-12 * 1.1 ** np.arange(774)
HISTOGRAM_EDGES = [*-_POSITIVE[::-1], 0.0, *_POSITIVE]
"""TensorBoard's own: each 10 % wider than the last, up to 1e20."""


class CurveWriter:
    """Writes points of curves to TensorBoard and to `metrics.jsonl`."""

    def __init__(self, folder: Path, resume_at: int | None = None):
        """Opens both.

        Args:
            folder: the run folder.
            resume_at: env steps of the last point that stands in a run that goes on: later ones are taken
                back.

        Raises:
            OSError: the folder can't be written.
        """
        lines = folder / "metrics.jsonl"
        if resume_at is not None:
            drop_points_after(lines, resume_at)
        self._lines = GrowingFile(lines)
        self._events = GrowingFile(next_events_file(folder))
        self._add([Event(file_version="brain.Event:2")])
        if resume_at is not None:  # TensorBoard forgets what lies behind the start of a session
            start = SessionLog(status=SessionLog.SessionStatus.START)
            self._add([Event(step=resume_at + 1, session_log=start)])

    def write_config(self, config: dict[str, Any]) -> None:
        """The run's configuration, as a table of text and as TensorBoard's hyper-parameters."""
        rows = "\n".join(f"| `{name}` | `{value}` |" for name, value in config.items())
        table = summary.text("config", f"| field | value |\n| --- | --- |\n{rows}")
        numbers = {name: v if isinstance(v, int | float | str) else str(v) for name, v in config.items()}
        shown = summary.hparams(numbers, {"episode/success": None, "episode/return": None})
        self._add([Event(summary=part) for part in (table, *shown)])

    def write(self, env_steps: int, scalars: dict[str, float], histograms: dict[str, np.ndarray]) -> None:
        """One point of every curve; a value that is not a number is left out."""
        finite = {name: float(value) for name, value in scalars.items() if np.isfinite(value)}
        parts: list[Summary] = [summary.scalar(name, value) for name, value in finite.items()]
        for name, values in histograms.items():
            if np.isfinite(values).all():
                parts.append(summary.histogram(name, values, HISTOGRAM_EDGES))
        self._add([Event(step=env_steps, summary=part) for part in parts])
        self._lines.append(json.dumps({"env_steps": env_steps, **finite}).encode() + b"\n")

    def _add(self, events: list[Event]) -> None:
        records = Records()
        writer = RecordWriter(records)
        for event in events:
            event.wall_time = time.time()
            writer.write(event.SerializeToString())
        self._events.append(b"".join(records))

    def close(self) -> None:
        """Closes both."""
        self._events.close()
        self._lines.close()


class Records(list[bytes]):
    """What a writer of records wrote."""

    def write(self, record: bytes) -> None:
        """Takes one."""
        self.append(record)


class GrowingFile:
    """A file that grows by whole records; what the disk can't take now is kept, and tried again."""

    def __init__(self, path: Path):
        """Opens the file, or makes it.

        Raises:
            OSError: neither can be done.
        """
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        self._size = os.fstat(self._descriptor).st_size  # of the whole records
        self._waiting: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._warn = Seldom()

    def append(self, record: bytes) -> None:
        """Adds a record to the file, after those that wait; or to those that wait."""
        self._waiting.append(record)
        try:
            while self._waiting:
                self._write(self._waiting[0])
                self._waiting.popleft()
        except OSError as error:
            self._warn(f"warning: {self._path} can't be written ({error.strerror}); its points are kept")

    def _write(self, record: bytes) -> None:
        if os.fstat(self._descriptor).st_size > self._size:  # half a record, of the last time
            os.ftruncate(self._descriptor, self._size)
        rest = memoryview(record)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._size += len(record)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)


def next_events_file(folder: Path) -> Path:
    """A name that TensorBoard, which reads by name, takes for later than all that are there."""
    there = [path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*.*")]
    second = max([int(time.time()), *(int(text) + 1 for text in there if text.isdecimal())])
    return folder / f"events.out.tfevents.{second:010d}.{socket.gethostname()}.{os.getpid()}"


def drop_points_after(path: Path, env_steps: int) -> None:
    """Removes the lines of a metrics file that lie after env_steps, and what is no line of it."""
    if not path.exists():
        return
    temporary = path.with_name(f".{path.name}-new")
    with open_plainly(path) as file, open(temporary, "wb") as kept:
        while line := file.readline(MAX_LINE_BYTES):
            try:
                if parse_json(line)["env_steps"] <= env_steps and line.endswith(b"\n"):
                    kept.write(line)
            except (ValueError, KeyError, TypeError):
                continue
    os.replace(temporary, path)
