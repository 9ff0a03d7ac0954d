"""Checks of what a caller passes in: each raises ValueError with one clear line."""

import difflib
import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def nearest(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the words that end a message about an unknown name.

    Args:
        name: what was asked for; case does not count.
        known: the names that exist.
        otherwise: what to say when none is near.

    Returns:
        "; did you mean a, b, c?" with up to three names, the nearest first.
    """
    by_lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3)
    return f"; did you mean {', '.join(by_lower[c] for c in close)}?" if close else otherwise


def check_options(env_id: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Make sure that an environment knows every option.

    Raises:
        ValueError: it does not know one; the message gives the nearest name, or all of them.
    """
    names = sorted(known)
    for name in options:
        if name not in names:
            every = f"; its options are {', '.join(names)}"
            raise ValueError(f"{env_id} has no option {name!r}{nearest(name, names, every)}")


def whole_number(name: str, value: Any, minimum: int) -> int:
    """Return an option that must be a whole number of at least ``minimum``, or raise ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {value!r}") from None
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {number}")
    return number


def finite_number(name: str, value: Any) -> float:
    """Return an option that must be a finite number, or raise ValueError in one line."""
    if isinstance(value, str) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return float(value)


def checked_actions(actions: Any, num_envs: int, num_actions: int) -> np.ndarray:
    """Return actions as [N] int64: a kernel has no bounds checks, and compiles anew for every other dtype.

    Raises:
        ValueError: no integers, another shape than (num_envs,), or outside 0 … num_actions - 1.
    """
    array = np.asarray(actions)
    if array.shape != (num_envs,) or array.dtype.kind not in "iu":
        raise ValueError(
            f"actions must be integers of shape ({num_envs},), got {array.dtype} of shape {array.shape}"
        )
    array = np.ascontiguousarray(array, np.int64)
    if array.view(np.uint64).max() >= num_actions:  # one pass: as unsigned, a negative number is huge
        raise ValueError(f"actions must lie in 0 … {num_actions - 1}, got {array.min()} … {array.max()}")
    return array


def checked_reset_mask(options: Mapping[str, Any] | None, num_envs: int) -> np.ndarray:
    """Return where ``reset`` is to begin an episode, [N] bool: everywhere unless the options say otherwise.

    Raises:
        ValueError: another option than ``reset_mask``, or a mask of another shape or dtype.
    """
    options = dict(options or {})
    mask = np.asarray(options.pop("reset_mask", np.ones(num_envs, np.bool_)))
    if options:
        raise ValueError(f"reset knows no options but reset_mask, got {', '.join(map(repr, options))}")
    if mask.shape != (num_envs,) or mask.dtype != np.bool_:
        got = f"{mask.dtype} of shape {mask.shape}"
        raise ValueError(f"reset_mask must be bool of shape ({num_envs},), got {got}")
    return mask
