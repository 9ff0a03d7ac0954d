"""From words to a dataclass, and from any error of the user to one line and an exit code."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from agents.checkpoint_format import CheckpointError
from agents.command_line import flat, one_line, parse, usage_errors


@dataclass(frozen=True)
class Arguments:
    """A program's flags."""

    num_steps: int = 5
    """Steps."""
    rate: float = 0.5
    """Rate."""
    names: tuple[str, ...] = ()
    """Names."""
    core: str = "lstm"
    """Core."""
    folder: Path | None = None
    """Folder."""


def error_of(*words):
    """The message of the ValueError that the words end in, which must be one line."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse(Arguments, "test", words)
    message = str(caught.value)
    assert "\n" not in message
    assert not set("╭╮╰╯│─") & set(message)
    return message


def test_words():
    """Counts may be written as people write them; several values of one flag stand side by side.

    Mutation: the rule for counts left out (1e3 is no whole number to Python).
    """
    words = ["--num-steps", "1e3", "--rate", "1e-2", "--names", "a=1", "b=2", "--core", "ur-lstm"]
    assert parse(Arguments, "test", words) == Arguments(1000, 0.01, ("a=1", "b=2"), "ur-lstm")
    assert parse(Arguments, "test", ["--num-steps", "2M"]).num_steps == 2_000_000
    assert parse(Arguments, "test", []) == Arguments()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--num-stps", "3"], ["--num-stps", "did you mean --num-steps?"]),
        (["--num-steps", "1.5"], ["--num-steps", "'1.5' is no whole number"]),
        (["--num-steps", "many"], ["--num-steps", "'many' is no whole number"]),
        (["--rate", "fast"], ["--rate", "fast"]),
        (["--num-steps"], ["--num-steps"]),
        (["stray"], ["stray"]),
        (["--entirely-different"], ["--entirely-different"]),
        (["--rate", "1", "--num-steps", "3", "--rate=2"], ["--rate is given twice"]),
        (["--num_steps", "1", "--num-steps", "3"], ["--num-steps is given twice"]),
        (["--names", "--", "--rate", "2"], ["'--' stands for nothing here"]),
        (["--folder", ""], ["Error parsing --folder: an empty name is none of a file or folder"]),
    ],
)
def test_wrong_words(words, parts):
    """One line that names the flag, what is wrong, and the nearest flag; nothing is printed beside it.

    Mutations: tyro's frame left in; its exit let through; the flag itself given as the nearest; an empty
    name taken for the folder one is in.
    """
    message = error_of(*words)
    for part in parts:
        assert part in message
    assert ("did you mean" in message) == (words[0] == "--num-stps")


def test_nothing_is_printed_for_wrong_words(capsys):
    """Mutation: standard error not caught."""
    error_of("--num-stps", "3")
    assert capsys.readouterr() == ("", "")


def test_help(capsys):
    """It goes to standard output, with each flag's text, and leaves with 0.

    Mutation: taken for an error.
    """
    with pytest.raises(SystemExit) as caught:
        parse(Arguments, "test", ["--help"])
    assert caught.value.code == 0
    said = capsys.readouterr()
    assert "python -m scripts.test" in said.out
    assert "--num-steps INT" in said.out
    assert "Rate." in said.out
    assert said.err == ""


def test_the_line_of_a_boxed_text():
    """Mutation: hints that stand in the message already given again; the rest of the help taken along."""
    boxed = """
╭─ Unrecognized options ──────────────╮
│ Unrecognized options: --cor         │
│ ─────────────────────────────────── │
│ Perhaps you meant:                  │
│     --core STR                      │
│         Core. (default: lstm)       │
│     --core-opt STR                  │
│         Options.                    │
│ ─────────────────────────────────── │
│ For full helptext, see test --help  │
╰─────────────────────────────────────╯"""
    assert one_line(boxed) == "Unrecognized options: --cor; did you mean --core or --core-opt?"
    assert one_line("│ Invalid --core. │") == "Invalid --core"
    ascii_ = "Unrecognized options ---------\nUnrecognized options: ---------\n---------\nFor full helptext"
    assert one_line(ascii_) == "Unrecognized options: ---------"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("bad\n  input"), 2),
        (FileNotFoundError(2, "No such file or directory", "x"), 2),
        (PermissionError(13, "Permission denied", "x"), 2),
        (CheckpointError("bad\ninput"), 5),
    ],
)
def test_errors_that_the_user_can_mend(error, code, capsys):
    """One line on standard error with the program's name, and the exit code of its kind.

    Mutations: the message as it is, in two lines; 1 in place of 2; 2 in place of 5.
    """
    with pytest.raises(SystemExit) as caught, usage_errors("train"):
        raise error
    assert caught.value.code == code
    out, line = capsys.readouterr()
    assert out == ""
    assert line == f"train: {flat(error)}\n"
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    "error", [RuntimeError("broken"), KeyError("x"), AssertionError(), KeyboardInterrupt()]
)
def test_errors_of_the_work_pass(error):
    """Mutation: everything caught (a bug would look like bad input)."""
    with pytest.raises(type(error)), usage_errors("train"):
        raise error


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("/a/b.txt", "/a/b.txt can't be read or written (Permission denied)"),
        (b"/a/b", "/a/b can't be read or written (Permission denied)"),
        ("/a/.config.json.new", "/a/config.json can't be read or written (Permission denied)"),
        ("/a/.metrics.jsonl-new", "/a/metrics.jsonl can't be read or written (Permission denied)"),
        ("/a/.hidden", "/a/.hidden can't be read or written (Permission denied)"),
        ("/a\n/b", "/a /b can't be read or written (Permission denied)"),
        (None, "Permission denied"),
    ],
)
def test_what_the_system_can_not_do(file, line):
    """The file that the user knows, and why. Mutations: the number of the error; a temporary name."""
    assert flat(OSError(13, "Permission denied", file)) == line
    assert flat(OSError("no number")) == "no number"


def test_an_error_without_a_message_has_a_name():
    """Mutation: an empty line."""
    assert flat(ValueError()) == "ValueError"
    assert flat(ValueError(" a\n b\t c ")) == "a b c"
