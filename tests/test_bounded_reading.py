"""Reading what a stranger may have made: bounds of size and depth, and nothing but ordinary files."""

import json
import os

import pytest

from agents.bounded_reading import MAX_DEPTH, parse_json, read_bounded


@pytest.mark.parametrize(
    "value",
    [
        {"a[": "]", "b": '\\"[[', "c": [1, -2.5e3, True, None, "σ"]},
        "[" * 1000,
        ['"' * 500, "\\" * 501],
        json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH),
    ],
)
def test_what_json_can_say(value):
    """Brackets within strings are none, whatever is escaped there. Mutation: every bracket counted."""
    for ascii_ in (True, False):
        assert parse_json(json.dumps(value, ensure_ascii=ascii_).encode()) == value


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"[" * 10**6, "deeper"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "deeper"),
        (b'"[" ' + b'{"a":' * 10**6, "deeper"),
        (b'["' + b'\\"' * 10**6, "Unterminated"),
        (b'"' * 10**6, "Extra"),
        (b"NaN", "NaN is no number"),
        (b"[Infinity]", "Infinity is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b"\xff", "decode"),
        ("[1]".encode("utf-16"), "decode"),
        (b"", "Expecting"),
        (b"9" * 10_000, "digits"),
    ],
    ids=lambda part: part[:12],
)
def test_what_it_can_not(data, part):
    """Mutations: no bound of the depth; NaN taken; a scan that begins again at each quote (minutes)."""
    with pytest.raises(ValueError, match=part):
        parse_json(data)


def test_files(tmp_path):
    """Mutations: a size that is only known after reading; links followed; a pipe waited for."""
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(ValueError, match="holds 5 bytes, and may hold 4"):
        read_bounded(path, 4)
    with open(tmp_path / "huge", "wb") as huge:
        huge.truncate(2**40)
    with pytest.raises(ValueError, match="1,099,511,627,776"):
        read_bounded(tmp_path / "huge", 2**20)
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    for name, part in (("link", "link"), ("pipe", "no ordinary"), (".", "no ordinary")):
        with pytest.raises(ValueError, match=part):
            read_bounded(tmp_path / name, 100)
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "none", 100)
