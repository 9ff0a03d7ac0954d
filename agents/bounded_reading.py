"""Reads what a stranger may have made: ordinary files alone, of bounded size; JSON of bounded depth."""

import io
import json
import os
import stat
from pathlib import Path
from typing import Any

from agents.text_files import check_depth

MAX_DEPTH = 64
"""Of brackets in brackets; Python's parser calls itself for each."""


def open_plainly(path: Path) -> io.BufferedReader:
    """Opens a file for reading.

    Raises:
        OSError: it isn't there or can't be read.
        ValueError: it is a link, a folder, a device or a pipe, which would keep the reader waiting.
    """
    if path.is_symlink():
        raise ValueError("is a link")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("is no ordinary file")
    return os.fdopen(descriptor, "rb")


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """All of a file.

    Raises:
        OSError, ValueError: as `open_plainly`; or it is too large, which is found out before it is read.
    """
    with open_plainly(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = b"" if size > max_bytes else file.read(max_bytes + 1)
    if max(size, len(data)) > max_bytes:
        raise ValueError(f"holds {size:,} bytes, and may hold {max_bytes:,}")
    return data


def parse_json(data: bytes) -> Any:
    """The value of a JSON text in UTF-8; NaN and Infinity, which Python takes for numbers, are none.

    Raises:
        ValueError: it is no JSON, or nested too deep.
    """
    text = data.decode()
    check_depth(text, MAX_DEPTH)
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")
