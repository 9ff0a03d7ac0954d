"""Configurations that were kept in files."""

import dataclasses
from typing import Any

from agents.config import Config
from agents.config_checks import check


def config_from_dict(values: dict[str, Any]) -> Config:
    """A configuration from what `dataclasses.asdict` gave and JSON kept.

    Raises:
        ValueError: an unknown field, or a value that no run can have.
    """
    names = {field.name for field in dataclasses.fields(Config)}
    if unknown := sorted(set(values) - names):
        raise ValueError(f"the configuration has unknown fields: {', '.join(unknown)}")
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    config = Config(**values)
    check(config)
    return config
