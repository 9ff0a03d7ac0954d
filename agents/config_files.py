"""Configurations in files: what a user wrote in TOML or JSON, and the record that every run keeps."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any, get_type_hints

from agents.config import Config
from agents.config_checks import FieldError, check, shown
from agents.files import check_depth, parse_json, read_text
from agents.options import parse_count
from envs import ENVS
from envs.checks import nearest

RECORD = "config.json"
"""Name of the file that a run keeps its configuration in; it holds every field."""
MAX_BYTES = 2**16
"""A file with every field has two thousand."""
MAX_DOTS = 16
"""In a key of TOML, whose reader takes minutes over thousands."""
OPTIONS = ("env_opt", "core_opt")

_HINTS = get_type_hints(Config)
_NAMES = [field.name for field in dataclasses.fields(Config)]


def read_values(path: Path) -> dict[str, Any]:
    """The fields that a file gives, by their names in `Config`.

    Args:
        path: FILE.toml or FILE.json.

    Raises:
        ValueError: one line with the path; no such file, not of its kind, or a field that there is not.
    """
    if path.is_dir():
        raise ValueError(f"--config {path} is a folder{nearest_file(path / RECORD)}")
    if path.name in ENVS:
        raise ValueError(f"--config takes a file; a task's preset comes with the task: --env {path.name}")
    if path.suffix not in (".toml", ".json"):
        raise ValueError(f"--config takes a file .toml or .json, got {path.name!r}{nearest_file(path)}")
    if not path.exists():
        raise ValueError(f"--config {path}: no such file{nearest_file(path)}")
    try:
        text = read_text(path, MAX_BYTES)
        values = parse_json(text, allow_nan=True) if path.suffix == ".json" else parse_toml(text)
        if not isinstance(values, dict):
            raise ValueError("not a table of fields")
        return canonical(values)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from None


def nearest_file(path: Path) -> str:
    """The words that end a message about a file that can't be used."""
    try:
        others = [other for other in path.parent.iterdir() if other.suffix in (".toml", ".json")]
    except OSError:
        return ""
    if path in others:
        return f"; did you mean {path}?"
    return nearest(path.name[:60], [other.name for other in others[:1000]])


def parse_toml(text: str) -> dict[str, Any]:
    """What a TOML text stands for.

    Raises:
        ValueError: no TOML, or nested too deeply.
    """
    check_depth(text)
    for line in text.splitlines():
        keys = line if line.lstrip().startswith("[") else line.rpartition("=")[0]
        if keys.count(".") > MAX_DOTS:
            raise ValueError(f"a key of more than {MAX_DOTS} parts")
    return tomllib.loads(text)


def canonical(values: dict[str, Any]) -> dict[str, Any]:
    """Fields by their names in `Config`, with values of its types where they can be.

    Names may have dashes, and `lambda` is `lambda_`. Whole numbers may be written 1e6 or "2M"; options are a
    list of "name=value" or a table.

    Raises:
        ValueError: one line; an unknown field, or one that is given twice.
    """
    fields: dict[str, Any] = {}
    for given, value in values.items():
        name = given.replace("-", "_")
        name = "lambda_" if name == "lambda" else name
        if name not in _NAMES:
            every = "; the fields are those of config.json in any run"
            raise ValueError(f"unknown field {shown(given)}{nearest(name[:60], _NAMES, every)}")
        if name in fields:
            raise ValueError(f"{name} stands there twice")
        fields[name] = typed(name, value)
    return fields


def typed(name: str, value: Any) -> Any:
    """A value in the type of its field, where it says the same; else as it is, for `check` to refuse."""
    if name in OPTIONS:
        if isinstance(value, dict):
            return tuple(option(name, key, inner) for key, inner in value.items())
        return tuple(value) if isinstance(value, list) else value
    if _HINTS[name] is int and isinstance(value, float) and abs(value) < 2**53 and value == int(value):
        return int(value)
    if _HINTS[name] is int and isinstance(value, str):
        try:
            return parse_count(value)
        except ValueError:
            return value
    if _HINTS[name] is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    return value


def option(name: str, key: str, value: Any) -> str:
    """An entry of a table of options as name=value.

    Raises:
        ValueError: it is no number, truth value or text.
    """
    if not isinstance(value, bool | int | float | str):
        raise ValueError(f"{name}.{shown(key)} must be a number, true, false or text, got {shown(value)}")
    return f"{key}={str(value).lower() if isinstance(value, bool) else value}"


def read_record(path: Path) -> tuple[Config, list[str]]:
    """The configuration that a run kept.

    Returns:
        The configuration, and the fields that the file lacks, as it is of an older Longhold: they have their
        defaults.

    Raises:
        ValueError: one line with the path; the file can't be used.
    """
    values = read_values(path)
    config = Config(**values)
    try:
        check(config)
    except FieldError as error:
        raise ValueError(f"{path}: {error.field}{error.complaint}") from None
    return config, [name for name in _NAMES if name not in values]
