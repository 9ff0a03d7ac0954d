"""Environments: batches of partially observed tasks, native or any of Gymnasium's, behind one contract."""

import importlib
from typing import Any, Literal, get_args

from gymnasium import registry

from envs.card import TaskCard
from envs.checks import check_options, nearest
from envs.engine import NativeVectorEnv
from envs.gym_vector import GymVectorEnv
from envs.gym_views import classes_of, is_id_without_version, is_registered, where_to_start
from envs.registered import NAMESPACE, register
from envs.tasks import minigrid
from envs.tasks.autoencode import Autoencode
from envs.tasks.concentration import Concentration
from envs.tasks.match import ActiveMatch, KeyToDoor, PassiveMatch
from envs.tasks.memory_len import MemoryLen
from envs.tasks.memory_size import MemorySize
from envs.tasks.repeat import RepeatFirst, RepeatPrevious
from envs.tasks.tmaze import TMaze
from envs.tasks.tmaze_active import TMazeActive

__all__ = [
    "ENVS",
    "GymVectorEnv",
    "NativeVectorEnv",
    "TaskCard",
    "find_task",
    "make_vector_env",
    "task_card",
]

ENVS: dict[str, type[NativeVectorEnv]] = {
    "tmaze": TMaze,
    "tmaze-active": TMazeActive,
    "memory-len": MemoryLen,
    "memory-size": MemorySize,
    "passive-match": PassiveMatch,
    "active-match": ActiveMatch,
    "key-to-door": KeyToDoor,
    "repeat-previous": RepeatPrevious,
    "repeat-first": RepeatFirst,
    "autoencode": Autoencode,
    "concentration": Concentration,
    **minigrid.TASKS,
}
"""The native tasks by id; those of MiniGrid have its own ids, and are proven equal to it."""

register(ENVS)  # with Gymnasium

Backend = Literal["auto", "gymnasium"]
"""Whose version of a task: "auto": the native one where there is one; "gymnasium": always the original."""


def make_vector_env(
    env_id: str,
    num_envs: int,
    *,
    seed: int = 0,
    first_index: int = 0,
    backend: Backend = "auto",
    **options: Any,
) -> NativeVectorEnv | GymVectorEnv:
    """Build N environments of one task as a vector environment; the contract is NativeVectorEnv's.

    Args:
        env_id: a native task's id in ENVS or its class as "module:Class", else any id of Gymnasium or
            MiniGrid.
        num_envs: N.
        seed: the run's seed.
        first_index: index of environment 0 in the whole run: environment i depends on
            (seed, first_index + i) alone.
        backend: "auto" or "gymnasium", see Backend.
        **options: the task's own; ``copy`` (True: fresh arrays; False: buffers that the next call
            overwrites); ``render_mode`` ("rgb_array": ``render`` gives frames); and ``tile_size`` (pixels
            of a tile: RGB observations) where a native task observes a grid of codes.

    Returns:
        A NativeVectorEnv (``has_state`` is True) or a GymVectorEnv (False).

    Raises:
        ValueError: an unknown id or option (the message gives the nearest names), a value out of range, or
            a task without an original where that is asked for.
    """
    # Typed as Any: each task takes its own options, checked here by name and there by value.
    task: Any = find_task(env_id, backend)
    if task is None or backend == "gymnasium":
        return GymVectorEnv(env_id, num_envs, seed=seed, first_index=first_index, **options)
    check_options(env_id, options, task.option_defaults(), ("copy", "render_mode"))
    return task(num_envs, seed=seed, first_index=first_index, **options)


def task_card(env_id: str, *, backend: Backend = "auto", **options: Any) -> TaskCard | None:
    """Return a native task's card for the options given, or None for one of Gymnasium's.

    The original of a native task has its rules, and so its card, unless it is given options of its own.

    Raises:
        ValueError: as ``make_vector_env``.
    """
    task = find_task(env_id, backend)
    if task is None:
        return None
    if backend == "gymnasium" and not options.keys() <= task.option_defaults().keys():
        return None
    check_options(env_id, options, task.option_defaults())
    return task.card(**{name: value for name, value in options.items() if name != "tile_size"})


def find_task(env_id: str, backend: Backend = "auto") -> type[NativeVectorEnv] | None:
    """Return a native task's class by its id, or by "module:Class"; None for one of Gymnasium's.

    Raises:
        ValueError: as ``make_vector_env``.
    """
    if backend not in get_args(Backend):
        raise ValueError(f"backend must be auto or gymnasium, got {backend!r}")
    task = ENVS.get(env_id) or _users_task(env_id)
    if backend == "gymnasium" and task and (env_id not in ENVS or not is_registered(env_id)):
        raise ValueError(f"{env_id} is a native task: the backend gymnasium has no original of it")
    if task is None and not is_registered(env_id):
        own = [name for name in ENVS if name not in minigrid.TASKS]
        others = (name for name in registry if not name.startswith(NAMESPACE))
        natives = f"; Longhold's own are {', '.join(own)}"
        raise ValueError(f"unknown environment {env_id!r}{nearest(env_id, [*ENVS, *others], natives)}")
    return task


def _users_task(env_id: str) -> type[NativeVectorEnv] | None:
    """Return the class that "module:Class" names, if that is a native task: Gymnasium has such ids, too."""
    module, _, name = env_id.partition(":")
    if not name.isidentifier():
        return None
    try:
        found = importlib.import_module(module)
    except Exception as error:  # whatever a stranger's module raises while it is imported
        reason = " ".join(str(error).split())
        hint = where_to_start(error, module)
        raise ValueError(f"{env_id!r} cannot be imported: {type(error).__name__}: {reason}{hint}") from error
    task = getattr(found, name, None)
    if task is None and not is_id_without_version(name):
        near = nearest(name, classes_of(found), f": {module} has no such class, and registers no such id")
        raise ValueError(f"unknown environment {env_id!r}{near.replace('mean ', f'mean {module}:')}")
    return task if isinstance(task, type) and issubclass(task, NativeVectorEnv) else None
