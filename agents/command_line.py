"""From the command line to a dataclass, and from errors to one line and an exit code."""

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from agents.checkpoint_format import CheckpointError
from agents.distributed import ALONE, Group
from agents.options import parse_count

FAILED, USAGE, NON_FINITE, ACTORS_FAILED, NO_CHECKPOINT = 1, 2, 3, 4, 5
"""Exit codes beside 0 (done), 130 and 143 (interrupted, terminated)."""

RULE = re.compile("[^:]*(─|-{9,})")
"""A line across a frame, with its title if it has one; in ASCII, of dashes."""

OF_NEITHER = re.compile(r"no type matching \{None\}\|\S+ could be instantiated .* - <class '[^']+'>: ")
"""What stands before the reason why a value that may be left out is none."""
TEMPORARY = re.compile(r"\.(.+?)[.-](?:new|old)")
"""Names of files that are not yet whole."""
MAX_SHOWN = 1000
"""Characters of a path in a message."""

_registry = ConstructorRegistry()

Arguments = TypeVar("Arguments")


@_registry.primitive_rule
def _count_rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[int] | None:
    """Whole numbers may be written 1e6, 2M or 500k."""
    if info.type is not int:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=lambda args: parse_count(args[0]),
        is_instance=lambda value: isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    )


@_registry.primitive_rule
def _path_rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Path] | None:
    """No file or folder has an empty name, which Python takes for the folder one is in."""
    if info.type is not Path:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda args: named_path(args[0]),
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda value: [str(value)],
    )


def named_path(name: str) -> Path:
    """A path that has a name.

    Raises:
        ValueError: it has none.
    """
    if not name:
        raise ValueError("an empty name is none of a file or folder")
    return Path(name)


def parse(kind: type[Arguments], program: str, argv: Sequence[str]) -> Arguments:
    """Reads a dataclass from the command line.

    Args:
        kind: the dataclass; its fields are the flags.
        program: name to show in the help: a module of `scripts`, or a module's full name.
        argv: sys.argv[1:].

    Raises:
        ValueError: a flag that is unknown, has a bad value, or is given twice; in one line.
        SystemExit: the help was asked for.
    """
    if "--" in argv:
        raise ValueError("'--' stands for nothing here: values come after their flags")
    flags = flags_said(argv)
    for flag in flags:
        if flags.count(flag) > 1:
            raise ValueError(f"{flag} is given twice; all its values stand after one")
    said = io.StringIO()
    module = program if "." in program else f"scripts.{program}"
    try:
        with contextlib.redirect_stderr(said), _registry:
            return tyro.cli(kind, prog=f"python -m {module}", args=list(argv))
    except SystemExit as exit_:
        if exit_.code in (0, None):
            raise
        raise ValueError(one_line(said.getvalue())) from None


def flags_said(argv: Sequence[str]) -> list[str]:
    """The flags of a command line, as the help writes them."""
    said = [word.partition("=")[0] for word in argv if word.startswith("--")]
    return [word.replace("_", "-") for word in said]


def one_line(boxed: str) -> str:
    """The message of a framed error text: what is wrong, and the flags that come nearest."""
    lines = [line.strip("╭╮╰╯│ ") for line in boxed.splitlines()]
    lines = [line for line in lines if line and not RULE.fullmatch(line)]
    message: list[str] = []
    for line in lines:
        if line.startswith(("Argument helptext", "For full helptext", "Perhaps you meant")):
            break
        message.append(line)
    near = [line.split()[0] for line in lines[len(message) :] if line.startswith("--")]
    near = [name for name in near if name not in " ".join(message)]
    hint = f"; did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""
    return OF_NEITHER.sub("", " ".join(message)).rstrip(".") + hint


@contextlib.contextmanager
def usage_errors(program: str, group: Group = ALONE) -> Iterator[None]:
    """Wraps what a program does before its work starts: an error that its user can mend becomes one line.

    ValueError (bad input) and OSError (a path that cannot be read or written) leave with exit code 2,
    CheckpointError with 5. Errors of the work itself pass: they deserve their traceback. What one rank of a
    group can't do ends all of them, and the first rank says it.
    """
    code, line = 0, ""
    try:
        yield
    except (ValueError, OSError, CheckpointError) as error:
        code, line = NO_CHECKPOINT if isinstance(error, CheckpointError) else USAGE, flat(error)
    code, line = group.first_failure(code, line)
    if code:
        if group.leads:
            complain(f"{program}: {line}")
        group.exchange([0])  # torchrun ends all ranks with the first one: not before this is said
        raise SystemExit(code)


def complain(line: str) -> None:
    """Prints a line on standard error, if that is open and somebody reads it."""
    if sys.stderr is not None:  # print would take standard output in its place
        with contextlib.suppress(OSError):
            print(line, file=sys.stderr, flush=True)


def flat(error: Exception) -> str:
    """An error's message in one line; what the system could not do to a file, by the file's name."""
    if isinstance(error, OSError) and error.strerror:
        reason = " ".join(error.strerror.split())
        return (
            reason if error.filename is None else f"{shown_path(error)} can't be read or written ({reason})"
        )
    return " ".join(str(error).split()) or type(error).__name__


def shown_path(error: OSError) -> str:
    """The file that an error is about; for one under a temporary name, the name that it was to have."""
    path = Path(
        os.fsdecode(error.filename if isinstance(error.filename, str | bytes) else str(error.filename))
    )
    temporary = TEMPORARY.fullmatch(path.name)
    shown = " ".join(str(path.with_name(temporary[1]) if temporary else path).split())
    return shown if len(shown) <= MAX_SHOWN else f"{shown[:60]}..."
