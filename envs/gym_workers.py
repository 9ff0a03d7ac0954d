"""Gymnasium environments in worker processes, a share of them in each."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from functools import partial
from typing import Any, NoReturn

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.spaces import MultiDiscrete
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.vector.utils import batch_space

from envs.gym_steppers import Results, Together, num_workers

PATIENCE_S = 5.0
"""What a worker process has to end by itself before it is ended."""


class _Share(gymnasium.Env[np.ndarray, np.ndarray]):
    """A worker's environments as one, whose arrays have a row for each; rows without environment are 0.

    What fails in an environment is told in info: sent as an exception, it might not survive the way.
    """

    def __init__(
        self,
        spec: EnvSpec | None,
        env_id: str,
        options: dict[str, Any],
        rows: int,
        first: int,
        num_envs: int,
        spaces: tuple[gymnasium.Space[Any], Any],
    ) -> None:
        """Hold what is needed to build the environments, which the first reset does: in the worker alone.

        Args:
            spec: how the parent's registry has the id, which a worker's may not have.
            env_id: a registered id, or "module:id".
            options: for the environments' constructor.
            rows: environments of the largest share, R.
            first: number of this share's first environment.
            num_envs: of all shares.
            spaces: an environment's observation and action space.
        """
        self.observation_space = batch_space(spaces[0], rows)
        self.action_space = MultiDiscrete(np.full(rows, spaces[1].n))
        self._spec, self._env_id, self._options = spec, env_id, options
        self._part = slice(first, min(first + rows, num_envs))
        self._size = self._part.stop - first
        self._together: Together | None = None
        shape: Any = self.observation_space.shape
        self._observations = np.zeros(shape, self.observation_space.dtype)
        self._nothing = np.zeros((3, rows))

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin episodes; ``seed`` [N] and the mask [N] in ``options`` are for all shares."""
        assert options is not None
        try:
            if self._together is None:
                live_with_parent()
                if self._spec is not None:
                    register_here(self._spec)
                self._together = Together(self._env_id, self._options, self._size, copy=False)
            mask = options["mask"][self._part]
            if mask.any():
                first = self._together.reset(seed[self._part], mask, options["options"])
                self._observations[: self._size] = first
            return self._observations, {}
        except Exception as error:
            return self._observations, self._failure(error)

    def step(self, action: np.ndarray) -> Any:
        """Take one action in each environment: arrays [R], and info with "success" [R] where it is told."""
        assert self._together is not None
        rewards, terminated, truncated = self._nothing.copy()
        try:
            results = self._together.step(action[: self._size])
        except Exception as error:
            return self._observations, rewards, terminated, truncated, self._failure(error)
        success = np.full(len(rewards), np.nan)
        own = (self._observations, rewards, terminated, truncated, success)
        for array, result in zip(own, results, strict=True):
            array[: self._size] = result
        infos = {} if np.isnan(success).all() else {"success": success}
        return self._observations, rewards, terminated, truncated, infos

    def _failure(self, error: Exception) -> dict[str, Any]:
        reason = " ".join(str(error).split())
        return {"failure": f"{type(error).__name__}: {reason}", "trace": traceback.format_exc()}

    def render(self) -> Any:
        """Return the environments' frames."""
        return self._together.render() if self._together else ()

    def close(self) -> None:
        """Close the environments."""
        if self._together is not None:
            self._together.close()


class Workers:
    """Environments stepped in worker processes, a share in each, by Gymnasium's AsyncVectorEnv.

    To it a share is one environment, and one that never ends: each begins its environments' next episodes
    itself. Observations come through shared memory.
    """

    def __init__(
        self,
        env_id: str,
        options: dict[str, Any],
        num_envs: int,
        copy: bool,
        spaces: tuple[gymnasium.Space[Any], Any],
    ) -> None:
        """Start the processes; ``spaces`` are an environment's observation and action space.

        Raises:
            RuntimeError: they do not start.
        """
        rows = -(-num_envs // num_workers(num_envs))
        spec = gymnasium.registry.get(env_id.rpartition(":")[2])
        self._env_id, self._num_envs, self._copy = env_id, num_envs, copy
        starts = range(0, num_envs, rows)
        self._actions = np.zeros((len(starts), rows), np.int64)
        try:
            self._vector = AsyncVectorEnv(
                [partial(_Share, spec, env_id, options, rows, first, num_envs, spaces) for first in starts],
                copy=False,
                context="spawn",  # threads of torch and numba do not survive a fork
                autoreset_mode=AutoresetMode.DISABLED,
            )
        except (EOFError, OSError):
            raise RuntimeError(
                f"no worker process of {env_id} starts: a program of your own must do its work below "
                "`if __name__ == '__main__':`, or say processes=False"
            ) from None
        shared: Any = self._vector.observations
        self._observations = shared.reshape(-1, *shared.shape[2:])[:num_envs]

    def reset(self, seeds: list[int | None], mask: np.ndarray, options: dict[str, Any] | None) -> np.ndarray:
        """As Together."""
        everyone: Any = [seeds] * len(self._actions)
        try:
            _, infos = self._vector.reset(seed=everyone, options={"mask": mask, "options": options})
        except (EOFError, OSError):
            self._tell_death()
        self._tell_failure(infos)
        return self._observations.copy() if self._copy else self._observations

    def step(self, actions: np.ndarray) -> Results:
        """As Together."""
        self._actions.reshape(-1)[: self._num_envs] = actions
        try:
            _, *arrays, infos = self._vector.step(self._actions)
        except (EOFError, OSError):
            self._tell_death()
        self._tell_failure(infos)
        told = np.full(self._actions.shape, np.nan)
        if "success" in infos:
            told[infos["_success"]] = infos["success"][infos["_success"]]
        observations = self._observations.copy() if self._copy else self._observations
        rewards, terminated, truncated, told = (
            array.reshape(-1)[: self._num_envs] for array in (*arrays, told)
        )
        return observations, rewards, terminated, truncated, told

    def render(self) -> tuple[Any, ...]:
        """Return the environments' frames."""
        frames: Any = self._vector.render()
        return tuple(frame for share in frames for frame in share)

    def _tell_failure(self, infos: dict[str, Any]) -> None:
        """Raise what failed in an environment, with the traceback as a note, and end the processes."""
        if "failure" in infos:
            worker = np.flatnonzero(infos["_failure"])[0]
            error = RuntimeError(f"{self._env_id} failed in a worker process: {infos['failure'][worker]}")
            error.add_note(infos["trace"][worker])
            self.close()
            raise error

    def _tell_death(self) -> NoReturn:
        """Raise that a process is gone, and end the others."""
        time.sleep(0.1)  # its exit code may come after the end of its pipe
        codes = [process.exitcode for process in self._vector.processes if process.exitcode is not None]
        self.close()
        raise RuntimeError(f"a worker process of {self._env_id} died, exit code {codes}") from None

    def close(self) -> None:
        """Let the processes close their environments and end; end those that do not, or hang."""
        if self._vector.closed:
            return
        for pipe in self._vector.parent_pipes:
            with contextlib.suppress(OSError):  # where that process is gone
                pipe.send(("close", None))
        until = time.monotonic() + PATIENCE_S
        for process in self._vector.processes:
            process.join(max(0.0, until - time.monotonic()))
        for process, pipe in zip(self._vector.processes, self._vector.parent_pipes, strict=True):
            process.kill()
            process.join()
            pipe.close()
        self._vector.closed = True  # nothing is left for Gymnasium's own way, which may wait for ever


def register_here(spec: EnvSpec) -> None:
    """Make known what the parent's registry knows: its program, which registered it, does not run here."""
    if isinstance(spec.entry_point, str):
        load_env_creator(spec.entry_point)  # the package may register it itself, once it is imported
    gymnasium.registry.setdefault(spec.id, spec)


def live_with_parent() -> None:
    """Leave Ctrl-C, which reaches every process of a terminal, to the parent; end when that is gone."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
