"""Files: what a stranger may have made is refused before it costs anything; what is written is whole."""

import json
import os

import pytest

from agents.files import MAX_DEPTH, check_depth, parse_json, read_bounded, read_text, write_json


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


def test_text(tmp_path):
    """A mark of the byte order is none of the text; a file of just the limit is read, by a link as well.

    Mutations: utf-8 in place of utf-8-sig; the limit taken for the first size that is refused; links refused.
    """
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffä".encode())
    (tmp_path / "link").symlink_to(path)
    assert read_text(path, 5) == read_text(tmp_path / "link", 5) == "ä"
    with pytest.raises(ValueError, match=r"^holds 5 bytes, and may hold 4$"):
        read_text(path, 4)


def test_what_is_no_text(tmp_path):
    """Mutation: a pipe opened, which waits for ever."""
    path = tmp_path / "a"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"^no text in UTF-8$"):
        read_text(path, 9)
    os.mkfifo(tmp_path / "pipe")
    for special in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(ValueError, match=r"^is no ordinary file$"):
            read_text(tmp_path / special, 9)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "missing", 9)


def test_depth():
    """Brackets that were closed don't count; a string may have no end.

    Mutations: an escaped quote that ends a string; closed brackets that still count.
    """
    deep = "[" * MAX_DEPTH
    for text in (f"[{deep}", f'{deep}{{"a":', f'"\\"" [{deep}', f"[[{deep}]]"):
        with pytest.raises(ValueError, match=rf"^nested deeper than {MAX_DEPTH}$"):
            check_depth(text)
    check_depth("[]" * 10 * MAX_DEPTH)
    check_depth('"' + '\\"' * 10**6 + deep * 2)  # quadratic, were the string tried again from each quote
    check_depth("]" * 10**5)


def test_names_that_stand_twice():
    """Mutation: the last of two equal names taken in silence."""
    assert parse_json('{"a": 1, "b": {"a": 2}}') == {"a": 1, "b": {"a": 2}}
    with pytest.raises(ValueError, match=r"^'a' stands there twice$"):
        parse_json('{"a": 1, "a": 1}')


def test_writing_is_all_or_nothing(tmp_path):
    """Mutation: the file itself opened for writing."""
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, None]})
    assert parse_json(path.read_text()) == {"a": [1, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert parse_json(path.read_text()) == {"a": [1, None]}
    assert list(tmp_path.iterdir()) == [path]
