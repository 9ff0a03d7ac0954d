"""What the speed of native tasks is measured by: their own steps, and those of the originals."""

import time
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from envs import make_vector_env
from envs.gym_views import is_registered

ORIGINAL, SYNC, ENVPOOL = "one original", "SyncVectorEnv of 16", "EnvPool of 64"
"""Whom a native task is held against: Gymnasium's own of that id, alone and 16 in one process, and
EnvPool's in C++ on one thread, 64 at a time, where it is installed."""

Contestant = Callable[[], int]
"""Plays on for some milliseconds, with random actions and all resets; returns the steps taken."""

CHUNK = 64
"""Steps of a batch between two looks at the clock."""


def contestants(env_id: str, num_envs: int) -> dict[str, Contestant]:
    """Return a task's own batch under the name "native", and whom it is held against."""
    found = {"native": native(env_id, num_envs)}
    if is_registered(env_id):
        found |= {ORIGINAL: original(env_id), SYNC: sync_vector(env_id, 16), **envpool_batch(env_id, 64)}
    return found


def native(env_id: str, num_envs: int) -> Contestant:
    """Return a batch of a native task, without copies."""
    envs: Any = make_vector_env(env_id, num_envs, copy=False)
    actions = np.random.default_rng(0).integers(envs.single_action_space.n, size=(CHUNK, num_envs))
    envs.reset()
    envs.step(actions[0])

    def play() -> int:
        for row in actions:
            envs.step(row)
        return actions.size

    return play


def make_original(env_id: str) -> gymnasium.Env[Any, Any]:
    """Build Gymnasium's own environment, without its checks of every step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # some ids have a later version
        return gymnasium.make(env_id, disable_env_checker=True).unwrapped


def original(env_id: str) -> Contestant:
    """Return one of the originals."""
    env: Any = make_original(env_id)
    actions = np.random.default_rng(0).integers(env.action_space.n, size=CHUNK).tolist()
    env.reset(seed=0)

    def play() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return CHUNK

    return play


def sync_vector(env_id: str, num_envs: int) -> Contestant:
    """Return the originals in Gymnasium's vector environment for one process."""
    envs: Any = gymnasium.vector.SyncVectorEnv([lambda: make_original(env_id)] * num_envs)
    actions = np.random.default_rng(0).integers(envs.single_action_space.n, size=(CHUNK, num_envs))
    envs.reset(seed=0)

    def play() -> int:
        for row in actions[:8]:
            envs.step(row)
        return 8 * num_envs

    return play


def envpool_batch(env_id: str, num_envs: int) -> dict[str, Contestant]:
    """Return EnvPool's batch of that id on one thread by name, or nothing where there is none."""
    try:
        import envpool
    except ImportError:
        return {}
    if env_id not in envpool.list_all_envs():
        return {}
    envs = envpool.make(env_id, "gymnasium", num_envs=num_envs, num_threads=1, seed=0)
    rng = np.random.default_rng(0)
    actions = rng.integers(envs.action_space.n, size=(CHUNK, num_envs), dtype=np.int32)
    envs.reset()

    def play() -> int:
        for row in actions:
            envs.step(row)
        return actions.size

    return {ENVPOOL: play}


def rates(players: dict[str, Contestant], seconds: float, repeats: int) -> dict[str, list[float]]:
    """Let contestants play in turn.

    Args:
        players: by name.
        seconds: of each turn.
        repeats: turns.

    Returns:
        Steps per second of each turn, by name.
    """
    found: dict[str, list[float]] = {name: [] for name in players}
    for _ in range(repeats):
        for name, play in players.items():
            start, steps = time.perf_counter(), 0
            while (elapsed := time.perf_counter() - start) < seconds:
                steps += play()
            found[name].append(steps / elapsed)
    return found


def seconds_a_call(env_id: str, calls: int = 2000) -> float:
    """Return the time of a step of a batch of one."""
    envs: Any = make_vector_env(env_id, 1, copy=False)
    envs.reset()
    actions = np.zeros(1, np.int64)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(calls):
            envs.step(actions)
        times.append((time.perf_counter() - start) / calls)
    return min(times)


def bytes_each(env_id: str) -> int:
    """Return the memory of one environment of a native task, its observation included."""
    envs: Any = make_vector_env(env_id, 1)
    return envs.state.itemsize + envs.observations.nbytes


FIRST_STEP = """
import sys, time
import numpy as np
from envs import make_vector_env
start = time.perf_counter()
envs = make_vector_env(sys.argv[1], 64)
envs.reset()
envs.step(np.zeros(64, np.int64))
print(time.perf_counter() - start)
"""
"""A program that prints how long a task takes from the import to its first step."""
