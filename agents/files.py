"""Files: reads those of strangers, bounded in size and in depth; writes JSON that a reader finds whole."""

import io
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

MAX_DEPTH = 64
"""Of brackets in brackets; Python's parsers call themselves for each."""

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
# A string without end reaches to the end of the text, and is not tried again from each quote in it.


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


def read_text(path: Path, max_bytes: int) -> str:
    """The text of a file that the user names, perhaps by a link.

    Raises:
        OSError, ValueError: as `read_bounded`; or it is no UTF-8.
    """
    try:
        return read_bounded(path.resolve(), max_bytes).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("no text in UTF-8") from None


def parse_json(text: str | bytes, *, allow_nan: bool = False) -> Any:
    """The value of a JSON text.

    Args:
        text: in UTF-8 where it is bytes.
        allow_nan: whether NaN and Infinity, which JSON does not know, are numbers.

    Raises:
        ValueError: one line; no UTF-8 or no JSON, nested too deep, or a name that an object has twice.
    """
    text = text if isinstance(text, str) else text.decode()
    check_depth(text)
    refuse = None if allow_nan else _refuse_constant
    return json.loads(text, parse_constant=refuse, object_pairs_hook=_unique)


def check_depth(text: str) -> None:
    """Counts brackets outside of strings, without recursion.

    Raises:
        ValueError: more than `MAX_DEPTH` of them are open at once.
    """
    depth = 0
    for token in _TOKENS.finditer(text):
        if (character := text[token.start()]) != '"':
            depth += 1 if character in "[{" else -1
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")


def write_json(path: Path, value: Any) -> None:
    """Writes a file that a reader finds whole at any time.

    Raises:
        OSError: it can't be written.
        ValueError: a number is not finite.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")
    temporary.replace(path)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"{name[:60]!r} stands there twice")
        values[name] = value
    return values
