"""Checks of what a caller passes in: each raises ValueError with one clear line."""

import difflib
import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode


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


def check_options(
    env_id: str, options: Mapping[str, Any], known: Iterable[str], internal: Iterable[str] = ()
) -> None:
    """Make sure that an environment knows every option.

    Args:
        env_id: the environment.
        options: what it is given.
        known: the names of its options.
        internal: names that it takes, too, but not from a user.

    Raises:
        ValueError: it does not know one; the message gives the nearest name, or all of them.
    """
    names, taken = sorted(known), {*internal}
    for name in options:
        if name not in names and name not in taken:
            every = f"; its options are {', '.join(names)}" if names else "; it has none"
            raise ValueError(f"{env_id} has no option {name!r}{nearest(name, names, every)}")


LARGEST = 10**15
"""Of the numbers that tasks count with: 64 bits hold what is added to them, and nobody waits so long."""


def whole_number(name: str, value: Any, minimum: int, maximum: int | None = LARGEST) -> int:
    """Return an option that must be a whole number in ``minimum`` … ``maximum``, or raise ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {value!r}") from None
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {number}")
    if maximum is not None and number > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {number}")
    return number


def finite_number(name: str, value: Any) -> float:
    """Return an option that must be a finite number, or raise ValueError in one line."""
    try:
        finite = not isinstance(value, str) and math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        raise ValueError(f"{name} must be a finite number, got one of {len(str(value))} digits") from None
    if not finite:
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return float(value)


def action_array(actions: Any, num_envs: int) -> np.ndarray:
    """Return actions as a contiguous [N] int64: a kernel compiles anew for every other layout.

    Raises:
        ValueError: no integers, or another shape than (num_envs,).
    """
    array = np.asarray(actions)
    if array.shape != (num_envs,) or array.dtype.kind not in "iu":
        raise ValueError(
            f"actions must be integers of shape ({num_envs},), got {array.dtype} of shape {array.shape}"
        )
    return np.ascontiguousarray(array, np.int64)


def check_range(actions: np.ndarray, num_actions: int) -> None:
    """Make sure that actions [N] int64 lie in 0 … num_actions - 1.

    Raises:
        ValueError: they do not; the message tells the least and the greatest.
    """
    least, greatest = int(actions.min()), int(actions.max())
    if least < 0 or greatest >= num_actions:
        raise ValueError(f"actions must lie in 0 … {num_actions - 1}, got {least} … {greatest}")


def checked_actions(actions: Any, num_envs: int, num_actions: int) -> np.ndarray:
    """Return actions as [N] int64 in 0 … num_actions - 1, or raise as the two above."""
    array = action_array(actions, num_envs)
    check_range(array, num_actions)
    return array


def checked_autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """Return Gymnasium's autoreset mode, given as such or by its value, or raise ValueError."""
    try:
        return AutoresetMode(mode)
    except ValueError:
        values = ", ".join(known.value for known in AutoresetMode)
        raise ValueError(f"autoreset_mode must be one of {values}, got {mode!r}") from None


def checked_reset_mask(options: Mapping[str, Any] | None, num_envs: int) -> np.ndarray:
    """Return where ``reset`` is to begin an episode, [N] bool: everywhere unless the options say otherwise.

    Raises:
        ValueError: another option than ``reset_mask``, or as ``checked_mask``.
    """
    options = dict(options or {})
    mask = options.pop("reset_mask", None)
    if options:
        raise ValueError(f"reset knows no options but reset_mask, got {', '.join(map(repr, options))}")
    return checked_mask(mask, num_envs)


def checked_mask(mask: Any, num_envs: int) -> np.ndarray:
    """Return a ``reset_mask`` as an array, [N] bool; None stands for everywhere.

    Raises:
        ValueError: another shape or dtype, or True nowhere.
    """
    mask = np.ones(num_envs, np.bool_) if mask is None else np.asarray(mask)
    if mask.shape != (num_envs,) or mask.dtype != np.bool_:
        got = f"{mask.dtype} of shape {mask.shape}"
        raise ValueError(f"reset_mask must be bool of shape ({num_envs},), got {got}")
    if not mask.any():
        raise ValueError("reset_mask must be True somewhere")
    return mask
