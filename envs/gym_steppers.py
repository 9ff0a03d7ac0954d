"""A batch of Gymnasium environments stepped in this process, and whether another way would pay."""

import os
import statistics
import time
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from envs.gym_views import make_viewed

SLOW_STEP_S = 1e-3
"""Environments whose step takes longer are worth processes: a message there and back takes 0.1 ms or two."""

Results = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Observations, rewards, terminated and truncated, and success as the environments tell it: NaN if not."""


def num_workers(num_envs: int) -> int:
    """Return how many processes are of use: one for each processor core, while there are environments."""
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return min(num_envs, cores)


def steps_slowly(env: gymnasium.Env[Any, Any]) -> bool:
    """Tell whether the median random step of an environment takes longer than SLOW_STEP_S."""
    env.action_space.seed(0)
    env.reset(seed=0)
    times: list[float] = []
    while len(times) < 5 or (len(times) < 50 and sum(times) < 0.1):
        action = env.action_space.sample()
        start = time.perf_counter()
        _, _, terminated, truncated, _ = env.step(action)
        times.append(time.perf_counter() - start)
        if terminated or truncated:
            env.reset()
    return statistics.median(times) > SLOW_STEP_S


class Together:
    """Environments stepped one after the other in this process, by Gymnasium's SyncVectorEnv."""

    def __init__(self, env_id: str, options: dict[str, Any], num_envs: int, copy: bool) -> None:
        """Build N environments; with ``copy`` observations are fresh arrays."""
        make = partial(make_viewed, env_id, options)
        self._vector = SyncVectorEnv([make] * num_envs, copy=copy, autoreset_mode=AutoresetMode.NEXT_STEP)
        self.envs = self._vector.envs
        self.render, self.close = self._vector.render, self._vector.close

    def reset(self, seeds: list[int | None], mask: np.ndarray, options: dict[str, Any] | None) -> np.ndarray:
        """Begin episodes where ``mask`` [N] says, with these seeds and options; return the observations."""
        # Gymnasium takes the mask out of the options, and then hands empty ones on.
        masked = None if mask.all() else (options or {}) | {"reset_mask": mask}
        return self._vector.reset(seed=seeds, options=masked or options)[0]

    def step(self, actions: np.ndarray) -> Results:
        """Take one action [N] in every environment, or begin its next episode."""
        *arrays, infos = self._vector.step(actions)
        success = np.full(len(actions), np.nan)
        if "success" in infos:
            success[infos["_success"]] = infos["success"][infos["_success"]]
        observations, rewards, terminated, truncated = arrays
        return observations, rewards, terminated, truncated, success
