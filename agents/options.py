"""Options and numbers as people write them: name=value, 1e6, 2M."""

import math
from decimal import Decimal
from typing import Any

RESERVED = {
    "env-opt": ("env_id", "num_envs", "seed", "first_index", "backend", "copy"),
    "core-opt": ("name", "input_size", "hidden_size"),
}
"""Options that aren't the user's."""


def parse_options(name: str, items: tuple[str, ...]) -> dict[str, Any]:
    """Reads options such as "length=100": whole numbers, numbers, true and false, else text.

    Raises:
        ValueError: one line; an item is not name=value, or a name stands twice or isn't the user's.
    """
    options: dict[str, Any] = {}
    for item in items:
        key, equals, text = str(item).partition("=")
        if not equals or not key.isidentifier():
            raise ValueError(f"--{name} takes name=value, got {item!r}")
        if key in options:
            raise ValueError(f"--{name} gives {key!r} twice")
        if key in RESERVED.get(name, ()):
            raise ValueError(f"--{name} can't set {key!r}: the run decides it")
        options[key] = parse_value(text)
    return options


def parse_value(text: str) -> int | float | bool | str:
    """The value that a text stands for."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return parse_count(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def parse_count(text: str) -> int:
    """A whole number, also as 1e6, 2M, 500k, 1_000.

    Raises:
        ValueError: the text is no whole number.
    """
    exponents = {"k": 3, "m": 6, "g": 9, "b": 9}
    try:
        return int(text)
    except ValueError:
        exponent = exponents.get(text[-1:].lower(), 0)
    try:
        # Decimal, since 2.3 * 1e6 is no whole number in binary.
        number = Decimal(text[:-1] if exponent else text).scaleb(exponent)
        if math.isfinite(number) and number.adjusted() < 30 and number == number.to_integral_value():
            return int(number)
    except ArithmeticError:  # no number, or one far out of reach
        pass
    raise ValueError(f"{text!r} is no whole number")
