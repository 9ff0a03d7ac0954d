"""What every program owes its user when the words are wrong."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS_IN_PATH = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
"""Environment of a program among the tests: it imports from the project and from beside it."""


def tree(folder):
    """All that lies below a folder, with sizes."""
    return sorted((str(path), path.stat().st_size) for path in folder.rglob("*"))


def assert_one_line(main, words, code, folder, capsys, part=""):
    """The program ends with this code, one line on standard error and nothing else said or written."""
    capsys.readouterr()
    before = tree(folder)
    with pytest.raises(SystemExit) as caught:
        main(list(map(str, words)))
    said = capsys.readouterr()
    assert caught.value.code == code, said.err
    assert said.out == ""
    assert said.err.count("\n") == 1, said.err
    assert "Traceback" not in said.err
    assert said.err.startswith(f"{main.__module__.split('.')[-1]}: ")
    assert part in said.err, said.err
    assert tree(folder) == before
