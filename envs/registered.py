"""The native tasks under Gymnasium's roof: ``gymnasium.make`` and ``gymnasium.make_vec`` know them by id."""

import re
from collections.abc import Iterable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from envs.checks import check_options, whole_number
from envs.engine import NativeVectorEnv
from envs.visible import RENDERING

NAMESPACE = "longhold/"
"""What the ids begin with."""

ENGINE_OPTIONS = {"seed", "first_index", "copy", "autoreset_mode", "render_mode"}
"""What ``gymnasium.make_vec`` takes beside a task's own options; see NativeVectorEnv."""


def registered_id(task: str) -> str:
    """Return a native task's id in Gymnasium: ``longhold/MemoryLen-v0`` for ``memory-len``.

    A task that bears one of MiniGrid's ids keeps it: ``longhold/MiniGrid-MemoryS7-v0``.
    """
    if re.search(r"-v\d+$", task):
        return NAMESPACE + task
    words = ("TMaze" if word == "tmaze" else word.capitalize() for word in task.split("-"))
    return f"{NAMESPACE}{''.join(words)}-v0"


def register(tasks: Iterable[str]) -> None:
    """Make native tasks known to Gymnasium."""
    for task in tasks:
        gymnasium.register(
            registered_id(task),
            entry_point="envs.registered:SingleEnv",
            vector_entry_point="envs.registered:make_batch",
            kwargs={"task": task},
        )


class SingleEnv(gymnasium.Env[np.ndarray, np.integer]):
    """One environment of a native task, as ``gymnasium.make`` gives it: a batch of one.

    ``reset(seed=s)`` draws the episodes that NumPy's default generator with seed s would, those of
    environment i of a vector environment whose ``seed[i]`` is s. Nothing is drawn from ``np_random``
    later: the stream runs on within the task's state. At an episode's end info holds "success", 0 … 1.

    Attributes:
        batch: the vector environment, with the oracle, the cue and the state.
    """

    metadata = RENDERING

    def __init__(self, task: str, **options: Any) -> None:
        """Build the environment.

        Args:
            task: id of a native task.
            **options: the task's own.

        Raises:
            ValueError: an unknown option, or a value out of range.
        """
        kind = native_task(task)
        check_options(task, options, {*kind.option_defaults(), "render_mode"})
        self.batch = kind(1, copy=False, autoreset_mode=AutoresetMode.DISABLED, **options)
        self.observation_space = self.batch.single_observation_space
        self.action_space = self.batch.single_action_space
        self.render_mode = self.batch.render_mode
        self._is_seeded = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; without a seed the stream runs on, or, at the first reset, begins at random.

        Raises:
            ValueError: a negative seed, or an option: there are none.
        """
        super().reset(seed=None if seed is None else whole_number("seed", seed, 0, None))
        if seed is None and not self._is_seeded:
            seed = int(self.np_random.integers(2**63))
        self._is_seeded = True
        observations, infos = self.batch.reset(seed=None if seed is None else [seed], options=options)
        return observations[0].copy(), infos

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take one action.

        Raises:
            ValueError: no action of the space.
            gymnasium.error.ResetNeeded: the episode has ended, or none has begun.
        """
        observations, rewards, terminated, truncated, infos = self.batch.step(np.asarray([action]))
        info = {"success": float(infos["episode"]["success"][0])} if infos else {}
        return observations[0].copy(), float(rewards[0]), bool(terminated[0]), bool(truncated[0]), info

    def render(self) -> Any:
        """Return a frame, [H, W, 3] uint8, or None without a render mode."""
        frames = self.batch.render()
        return None if frames is None else frames[0]


def make_batch(task: str, num_envs: int, **options: Any) -> NativeVectorEnv:
    """Build the vector environment that ``gymnasium.make_vec`` gives: the native one itself.

    Args:
        task: id of a native task.
        num_envs: N.
        **options: the task's own and ENGINE_OPTIONS. Without ``seed`` a fresh one is drawn, as users of
            Gymnasium expect.

    Raises:
        ValueError: an unknown option, or a value out of range.
    """
    kind = native_task(task)
    check_options(task, options, {*kind.option_defaults(), *ENGINE_OPTIONS})
    if "seed" not in options:
        options["seed"] = int(np.random.SeedSequence().generate_state(1)[0])
    return kind(num_envs, **options)


def native_task(task: str) -> Any:
    """Return a native task's class, typed as Any: each takes options of its own.

    Raises:
        ValueError: there is none of this id.
    """
    from envs import ENVS  # which imports this module

    if task not in ENVS:
        raise ValueError(f"unknown native task {task!r}; there are {', '.join(ENVS)}")
    return ENVS[task]
