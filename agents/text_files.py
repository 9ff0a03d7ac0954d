"""Text files that anybody may have written: bounded in size and in nesting before they are read."""

import json
import re
import stat
from pathlib import Path
from typing import Any

MAX_DEPTH = 32
"""Brackets within brackets, in JSON and TOML."""

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
# A string without end reaches to the end of the text, and is not tried again from each quote in it.


def read_text(path: Path, max_bytes: int) -> str:
    """A file's text.

    Args:
        path: the file.
        max_bytes: more are not read.

    Raises:
        ValueError: one line without the path; no regular file, too large, or not UTF-8.
        OSError: it can't be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe might never end, a device neither
        raise ValueError("no regular file")
    with open(path, "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"larger than {max_bytes:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("no text in UTF-8") from None


def parse_json(text: str, max_depth: int = MAX_DEPTH) -> Any:
    """What a JSON text stands for; NaN and infinities are numbers.

    Raises:
        ValueError: one line; no JSON, nested too deeply, or a name that stands twice in one object.
    """
    check_depth(text, max_depth)
    return json.loads(text, object_pairs_hook=_unique)


def check_depth(text: str, max_depth: int = MAX_DEPTH) -> None:
    """Counts brackets outside of strings, without recursion.

    Raises:
        ValueError: more than max_depth of them are open at once.
    """
    depth = 0
    for token in _TOKENS.finditer(text):
        if (character := text[token.start()]) != '"':
            depth += 1 if character in "[{" else -1
        if depth > max_depth:
            raise ValueError(f"nested deeper than {max_depth}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"{name[:60]!r} stands there twice")
        values[name] = value
    return values
