"""What a configuration must be before anything starts: each field by itself, and all of them together."""

from typing import get_args, get_type_hints

from agents.config import RANGES, Config, flag
from agents.machine import resolve_device
from agents.options import parse_options


def check(config: Config) -> None:
    """Checks every field by itself, before anything starts.

    Raises:
        ValueError: one line that names the flag and what it takes.
    """
    hints = get_type_hints(Config)
    for field, (low, high) in RANGES.items():
        value = getattr(config, field)
        whole = hints[field] is int
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise ValueError(f"{flag(field)} must be a {'whole ' if whole else ''}number, got {value!r}")
        if not low <= value <= high:  # a NaN fails too
            raise ValueError(f"{flag(field)} must lie in {low:g} … {high:g}, got {value}")
    for field in ("env", "core", "device", "log_dir"):
        if not isinstance(getattr(config, field), str) or not getattr(config, field):
            raise ValueError(f"{flag(field)} must be a name, got {getattr(config, field)!r}")
    for field in ("env_backend", "optimizer", "runner"):
        choices, value = get_args(hints[field]), getattr(config, field)
        if value not in choices:
            raise ValueError(f"{flag(field)} must be {' or '.join(choices)}, got {value!r}")
    resolve_device(config.device)
    for options in (("env-opt", config.env_opt), ("core-opt", config.core_opt)):
        parse_options(*options)
