"""The files of a sweep: a row for each finished run, and the curves; several processes may append."""

import csv
import fcntl
import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agents.probing.fitting import Fit, Point

KEY = ("task", "setting", "core", "seed", "hidden_size", "batch_size", "steps", "learning_rate")
"""What a run is: two runs that agree in all of these are one."""
FIGURES = ("updates", "sequences", "loss", "accuracy", "solved_at", "seconds")
CURVE = ("updates", "loss", "accuracy")


@dataclass(frozen=True)
class Record:
    """A finished run: what it was, and what it came to."""

    key: tuple[str, ...]
    """The values of KEY."""
    curve: list[Point]
    solved_at: int | None

    def __getattr__(self, name: str) -> str:
        """A value of the key by its name."""
        if name in KEY:
            return self.key[KEY.index(name)]
        raise AttributeError(name)


def curves_path(path: Path) -> Path:
    """Where the curves of the runs in OUT.csv lie: OUT-curves.csv."""
    return path.with_name(f"{path.stem}-curves.csv")


def append(path: Path, key: Sequence[object], fit: Fit, *, batch_size: int, seconds: float) -> None:
    """Adds a finished run: its curve first, so that a run that is there has one.

    Args:
        path: OUT.csv; other processes may append to it at the same time.
        key: the values of KEY.
        fit: what the run came to.
        batch_size: sequences of an update.
        seconds: what the run took.
    """
    last = fit.points[-1]
    figures = [last.updates, last.updates * batch_size, f"{last.loss:.6g}", f"{last.accuracy:.4f}"]
    figures += ["" if fit.solved_at is None else fit.solved_at, f"{seconds:.1f}"]
    with locked(path):
        curve = [[*key, point.updates, f"{point.loss:.6g}", f"{point.accuracy:.4f}"] for point in fit.points]
        append_rows(curves_path(path), (*KEY, *CURVE), curve)
        append_rows(path, (*KEY, *FIGURES), [[*key, *figures]])


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes that do the same from writing."""
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed, or the process dies
        yield


def append_rows(path: Path, header: Sequence[str], rows: list[list[object]]) -> None:
    """Adds rows at a file's end in one write, below a header where the file is new."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if not path.exists() or not path.stat().st_size:
        writer.writerow(header)
    writer.writerows(rows)
    with open(path, "a", newline="") as file:
        file.write(text.getvalue())


def read(path: Path) -> dict[tuple[str, ...], Record]:
    """The finished runs of a sweep by their keys; none where there is no file yet.

    Raises:
        ValueError: a file with other columns, or a row that cannot be read.
    """
    curves: dict[tuple[str, ...], dict[int, Point]] = {}
    for key, (updates, loss, accuracy) in rows(curves_path(path), CURVE):
        # A dict: a run that was cut off between its two files is there twice.
        curves.setdefault(key, {})[int(updates)] = Point(int(updates), float(loss), float(accuracy))
    records = {}
    for key, figures in rows(path, FIGURES):
        solved_at = figures[FIGURES.index("solved_at")]
        if key not in curves:
            raise ValueError(f"{curves_path(path)} lacks the curve of {' '.join(key)}, which {path} lists")
        curve = [curves[key][updates] for updates in sorted(curves[key])]
        records[key] = Record(key, curve, int(solved_at) if solved_at else None)
    return records


def rows(path: Path, figures: Sequence[str]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """The key and the figures of each row.

    Raises:
        ValueError: one line with the path and the row.
    """
    if not path.exists() or not path.stat().st_size:
        return
    with open(path, newline="") as file:
        reader = csv.reader(file)
        if tuple(next(reader)) != (*KEY, *figures):
            raise ValueError(f"{path} is no table of a probe, or of another version; choose another --out")
        for row in reader:
            try:
                numbers = [float(word) for word in row[len(KEY) :] if word]
                if len(row) != len(KEY) + len(figures) or any(map(math.isinf, numbers)):
                    raise ValueError
            except ValueError:
                raise ValueError(f"{path}, line {reader.line_num}: damaged; take the line out") from None
            yield tuple(row[: len(KEY)]), row[len(KEY) :]
