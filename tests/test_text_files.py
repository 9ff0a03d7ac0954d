"""Files from strangers: what is too large, too deep or no text is refused before it costs anything."""

import os

import pytest

from agents.text_files import check_depth, parse_json, read_text


def test_text(tmp_path):
    """A mark of the byte order is none of the text; a file of just the limit is read.

    Mutations: utf-8 in place of utf-8-sig; the limit taken for the first size that is refused.
    """
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffä".encode())
    assert read_text(path, 5) == "ä"
    with pytest.raises(ValueError, match=r"^larger than 4 bytes$"):
        read_text(path, 4)


def test_what_is_no_text(tmp_path):
    """Mutation: a pipe opened, which waits for ever."""
    path = tmp_path / "a"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"^no text in UTF-8$"):
        read_text(path, 9)
    os.mkfifo(tmp_path / "pipe")
    for special in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(ValueError, match=r"^no regular file$"):
            read_text(tmp_path / special, 9)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "missing", 9)


def test_depth():
    """Brackets in strings don't count, nor do those that were closed; a string may have no end.

    Mutations: an escaped quote that ends a string; closed brackets that still count.
    """
    assert parse_json('{"a": [[[]], [[]]], "b": "[[[[\\"[[["}', 4) == {"a": [[[]], [[]]], "b": '[[[["[[['}
    for text in ("[" * 5, '{"a":' * 5, '"\\"" [[[[[', "[[[[{}]]]]", "[" * 10**6):
        with pytest.raises(ValueError, match=r"^nested deeper than 4$"):
            parse_json(text, 4)
    check_depth('"' + '\\"' * 10**6 + "[" * 9, 4)  # quadratic, were the string tried again from each quote
    check_depth("]" * 10**5, 4)


def test_json():
    """Mutation: the last of two equal names taken in silence."""
    assert parse_json('{"a": 1, "b": {"a": 2}}') == {"a": 1, "b": {"a": 2}}
    with pytest.raises(ValueError, match=r"^'a' stands there twice$"):
        parse_json('{"a": 1, "a": 1}')
    for text in ("", "{", "[1,]", "nil"):
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            parse_json(text)
