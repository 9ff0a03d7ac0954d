"""Where each value of a configuration came from: defaults < the task's preset < a file < flags.

The preset of a task was in force when a run wrote its record, so a record is followed without it.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from agents.config import Config, flag
from agents.config_checks import FieldError
from agents.config_files import RECORD, read_values
from agents.presets import preset

FLAG = "command line"
Origins = dict[str, str]
"""By field: who gave it its value; fields that nobody gave one have their default."""


class Settings(NamedTuple):
    """A configuration, and how it came about."""

    config: Config
    origins: Origins
    notes: list[str]
    """What the user should know, a line each."""


def settle(said: dict[str, Any], file: Path | None) -> Settings:
    """Puts a configuration together; a field is replaced as a whole.

    Args:
        said: the fields that flags gave.
        file: what `--config` named.

    Raises:
        ValueError: one line; the file can't be used.
    """
    values = {} if file is None else read_values(file)
    chosen = {"env": Config.env, **values, **said}
    is_record = file is not None and file.name == RECORD
    asked = {} if is_record else preset(chosen["env"], chosen.get("env_opt"))
    origins = dict.fromkeys(asked, f"preset of {chosen['env']}")
    origins |= dict.fromkeys(values, str(file))
    origins |= dict.fromkeys(said, FLAG)
    notes = []
    if file is not None and is_record:
        missing = [field.name for field in dataclasses.fields(Config) if field.name not in values | said]
        notes = missing_note(file, missing)
    return Settings(Config(**{**asked, **values, **said}), origins, notes)


def missing_note(file: Path, missing: list[str]) -> list[str]:
    """Says which fields a run's record lacks, if any."""
    if not missing:
        return []
    return [f"{file} lacks {', '.join(missing)}, being of an older Longhold: defaults are taken"]


@contextmanager
def blame(origins: Origins) -> Iterator[None]:
    """Makes an error about a field name where its value came from: a flag, or a file and its field.

    Raises:
        ValueError: in place of a FieldError.
    """
    try:
        yield
    except FieldError as error:
        origin = origins.get(error.field, FLAG)
        if origin == FLAG:
            raise
        raise ValueError(f"{origin}: {error.field}{error.complaint}") from None


def described(config: Config, origins: Origins) -> list[str]:
    """Every value that is not a default, by whom it came from, a line each."""
    defaults = dataclasses.asdict(Config())
    by_origin: dict[str, list[str]] = {}
    for field, value in dataclasses.asdict(config).items():
        origin = origins.get(field, "")
        if origin and (origin == FLAG or value != defaults[field]):
            text = " ".join(value) if isinstance(value, tuple) else str(value)
            name = flag(field) if origin == FLAG else field.strip("_")
            by_origin.setdefault(origin, []).append(f"{name} {text}".strip())
    return [f"{origin}: {', '.join(values)}" for origin, values in by_origin.items()]
