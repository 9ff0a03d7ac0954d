"""The compiled loop over environments: one kernel per task, from its three short functions."""

import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from envs.compiled import SOURCES, compiled, part
from envs.pcg64 import RNG_FIELD

EPISODE_FIELDS = [
    RNG_FIELD,
    ("ended", np.bool_),  # the next step only resets
    ("episode_return", np.float64),
    ("episode_length", np.int32),  # actions taken
    ("success", np.float32),  # 0 … 1: 0 or 1, or the share of the right answers
]
"""What every record holds, whatever its task, at its end: numba takes a record that begins as another does
for one of the same kind."""


@part
def start_episode(s, i, results):
    """Clear what the last episode left in record ``s`` and row ``i`` of the results; the task does the rest.

    ``results`` is the tuple (rewards [N], terminated [N], truncated [N]).
    """
    s.ended = False
    s.episode_return = 0.0
    s.episode_length = 0
    s.success = 0.0
    rewards, terminated, truncated = results
    rewards[i] = 0.0
    terminated[i] = False
    truncated[i] = False


@part
def record_step(s, i, results, reward, is_terminated, is_truncated):
    """Account for one action in record ``s``, write row ``i`` of the results; return 1 if it ended."""
    s.ended = is_terminated or is_truncated
    s.episode_return += reward
    s.episode_length += 1
    rewards, terminated, truncated = results
    rewards[i] = reward
    terminated[i] = is_terminated
    truncated[i] = is_truncated
    return 1 if s.ended else 0


def step_kernel(begin: Callable[..., Any], act: Callable[..., Any], observe: Callable[..., Any]) -> Any:
    """Compile a task's step over all its environments.

    Args:
        begin: ``begin(s, rules)`` starts an episode in record ``s``, whose EPISODE_FIELDS are cleared.
        act: ``act(s, action, rules)`` takes an action and returns (reward, terminated, truncated); it
            sets ``s.success``. ``s.episode_length`` counts the actions before this one.
        observe: ``observe(s, rules, row)`` writes all of the observation, flattened, into ``row`` [K],
            which holds what it wrote there last.

        All three are decorated with ``part`` and defined in the task's module; ``rules`` is the record
        of its options.

    Returns:
        ``kernel(state, actions [N] int64, num_actions, rows [N, K], rewards, terminated, truncated,
        rules)``, which returns the number of episodes that ended, or -1 and has done nothing where an
        action is not in 0 … num_actions - 1. Where ``ended`` is set it begins an episode, elsewhere it
        takes the action.
    """
    parts = {"begin": begin, "act": act, "observe": observe}
    scope = {**parts, "start_episode": start_episode, "record_step": record_step}
    # The same code in a namespace of its own: numba finds a kernel's cache by its file and its name, and
    # takes a closure over functions for a new one in every process.
    kernel = types.FunctionType(_step_all.__code__, scope, "step_all")
    kernel.__module__ = begin.__module__
    names = (f"{function.__module__}.{function.__name__}" for function in parts.values())
    kernel.__qualname__ = "-".join(names)
    return compiled(kernel, cached=all(_is_hashed(function) for function in parts.values()))


def _step_all(state, actions, num_actions, rows, rewards, terminated, truncated, rules):
    """Step every environment; ``step_kernel`` says what the names stand for."""
    for i in range(actions.shape[0]):
        if actions[i] < 0 or actions[i] >= num_actions:
            return -1
    results = (rewards, terminated, truncated)
    num_ended = 0
    for i in range(state.shape[0]):
        s = state[i]
        if s.ended:
            start_episode(s, i, results)
            begin(s, rules[0])  # type: ignore[name-defined]  # noqa: F821
        else:
            reward, is_terminated, is_truncated = act(s, actions[i], rules[0])  # type: ignore[name-defined]  # noqa: F821
            num_ended += record_step(s, i, results, reward, is_terminated, is_truncated)
        observe(s, rules[0], rows[i])  # type: ignore[name-defined]  # noqa: F821
    return num_ended


def _is_hashed(function: Any) -> bool:
    """Tell whether a function's file decides the name of the cache: another task compiles anew each time."""
    return Path(inspect.getfile(function.py_func)).is_relative_to(SOURCES)


_DTYPES: dict[np.dtype, np.dtype] = {}


def record_dtype(fields: Any, align: bool = False) -> np.dtype:
    """Return the layout of a record, one object for all equal layouts, which lives as long as the program.

    numba tells structured arrays apart by the address of their dtype. It keeps alive the first of several
    equal ones only: when another is freed and a new layout takes its address, numba runs the code that it
    compiled for the old one.
    """
    dtype = np.dtype(fields, align=align)
    return _DTYPES.setdefault(dtype, dtype)


def episode_infos(state: np.ndarray) -> dict[str, Any]:
    """Return return, length and success of the episodes that have just ended, as ``infos`` hold them."""
    ended = state["ended"].copy()
    episode = {
        "r": np.where(ended, state["episode_return"], 0).astype(np.float32),
        "l": np.where(ended, state["episode_length"], 0).astype(np.int32),
        "success": np.where(ended, state["success"], np.float32(0)),
    }
    return {"episode": episode, "_episode": ended}


def rules_record(rules: dict[str, bool | int | float]) -> np.ndarray:
    """Return a task's options as the kernel takes them, an array of one record.

    Whole numbers and truth values become int64, others float64. One record, since numba finds the
    compiled code for arrays in 1 µs, but for tuples of numbers sometimes in 100 µs.
    """
    dtype = [(name, np.float64 if isinstance(value, float) else np.int64) for name, value in rules.items()]
    return np.array([tuple(rules.values())], record_dtype(dtype))
