"""Environments: batches of partially observed tasks, native or any of Gymnasium's, behind one contract."""

import inspect
from typing import Any

from gymnasium import registry

from envs.card import TaskCard
from envs.checks import check_options, nearest
from envs.engine import NativeVectorEnv
from envs.gym_vector import GymVectorEnv, is_registered
from envs.tasks.match import ActiveMatch, KeyToDoor, PassiveMatch
from envs.tasks.memory_len import MemoryLen
from envs.tasks.tmaze import TMaze

__all__ = ["ENVS", "GymVectorEnv", "NativeVectorEnv", "TaskCard", "make_vector_env", "task_card"]

ENVS: dict[str, type[NativeVectorEnv]] = {
    "tmaze": TMaze,
    "memory-len": MemoryLen,
    "passive-match": PassiveMatch,
    "active-match": ActiveMatch,
    "key-to-door": KeyToDoor,
}
"""The native tasks by id."""


def make_vector_env(
    env_id: str,
    num_envs: int,
    *,
    seed: int = 0,
    first_index: int = 0,
    **options: Any,
) -> NativeVectorEnv | GymVectorEnv:
    """Build N environments of one task as a vector environment; the contract is NativeVectorEnv's.

    Args:
        env_id: a native task's id in ENVS, else any id of Gymnasium or MiniGrid.
        num_envs: N.
        seed: the run's seed.
        first_index: index of environment 0 in the whole run: environment i depends on
            (seed, first_index + i) alone.
        **options: the task's own; ``copy`` (True: fresh arrays; False: buffers that the next call
            overwrites); ``render_mode`` ("rgb_array": ``render`` gives frames); and ``tile_size`` (pixels
            of a tile: RGB observations) where a native task observes a grid of codes.

    Returns:
        A NativeVectorEnv (``has_state`` is True) or a GymVectorEnv (False).

    Raises:
        ValueError: an unknown id or option (the message gives the nearest names), or a value out of range.
    """
    _check_id(env_id)
    if env_id not in ENVS:
        return GymVectorEnv(env_id, num_envs, seed=seed, first_index=first_index, **options)
    # Typed as Any: each task takes its own options, checked here by name and there by value.
    task: Any = ENVS[env_id]
    check_options(env_id, options, _options(task) | {"copy", "render_mode"})
    return task(num_envs, seed=seed, first_index=first_index, **options)


def task_card(env_id: str, **options: Any) -> TaskCard | None:
    """Return a native task's card for the options given, or None for one of Gymnasium's.

    Raises:
        ValueError: as ``make_vector_env``.
    """
    _check_id(env_id)
    if env_id not in ENVS:
        return None
    task: Any = ENVS[env_id]
    check_options(env_id, options, _options(task))
    return task.card(**{name: value for name, value in options.items() if name != "tile_size"})


def _check_id(env_id: str) -> None:
    if env_id not in ENVS and not is_registered(env_id):
        natives = f"; native ones are {', '.join(ENVS)}"
        raise ValueError(f"unknown environment {env_id!r}{nearest(env_id, [*ENVS, *registry], natives)}")


def _options(task: type[NativeVectorEnv]) -> set[str]:
    """Return the names of the options that are the user's."""
    return set(inspect.signature(task.card).parameters) | ({"tile_size"} if task.palette else set())
