"""Environments in shares of rows, stepped by threads while their caller does something else.

Compiled kernels release the GIL, so that shares run at once, each on a processor core. What a row does
depends on its seed and its actions alone, so neither groups nor threads change anything.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

Take = Callable[[slice, tuple[Any, ...]], Any]
"""Is given the rows of a share and what its `step` returned, in the thread that stepped it."""


def split_rows(rows: slice, num_parts: int) -> list[slice]:
    """Cut rows into parts on end whose sizes differ by one at most; none is empty."""
    count = rows.stop - rows.start
    num_parts = min(num_parts, count)
    ends = [rows.start + count * k // num_parts for k in range(num_parts + 1)]
    return [slice(first, last) for first, last in itertools.pairwise(ends)]


class Shares:
    """N environments in groups that are stepped in turns, each group in shares that are stepped at once.

    Attributes:
        num_envs: N.
        groups: the rows of each group.
        parts: each share's environments, by group.
    """

    def __init__(
        self,
        make: Callable[[int, int], VectorEnv],
        num_envs: int,
        *,
        num_groups: int = 2,
        num_threads: int = 1,
    ) -> None:
        """Build the environments and start the threads.

        Args:
            make: index of the first row and number of rows -> their environments.
            num_envs: N.
            num_groups: groups; fewer where there are fewer environments.
            num_threads: threads, and shares of a group.
        """
        self.num_envs = num_envs
        self.groups = split_rows(slice(0, num_envs), num_groups)
        self._rows = [split_rows(group, num_threads) for group in self.groups]
        self.parts = [[make(rows.start, rows.stop - rows.start) for rows in shares] for shares in self._rows]
        first: Any = self.parts[0][0]
        self.single_observation_space = first.single_observation_space
        self.single_action_space = first.single_action_space
        self.has_state = getattr(first, "has_state", False)
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix="envs")
        self._pending: list[list[Future[Any]]] = [[] for _ in self.groups]

    def _each(self) -> list[tuple[slice, Any]]:
        """Return every share's rows and environments."""
        return [
            pair
            for rows, parts in zip(self._rows, self.parts, strict=True)
            for pair in zip(rows, parts, strict=True)
        ]

    def reset(self) -> np.ndarray:
        """Begin an episode in every environment; return the first observations, [N, ...]."""
        return np.concatenate([np.asarray(part.reset()[0]) for _, part in self._each()])

    def begin(self, group: int, actions: np.ndarray, take: Take) -> None:
        """Let the threads step a group.

        Args:
            group: its number.
            actions: [N] of all environments; only those of the group are looked at.
            take: see ``Take``.
        """
        shares = zip(self._rows[group], self.parts[group], strict=True)
        self._pending[group] = [
            self._pool.submit(_step, part, rows, actions[rows], take) for rows, part in shares
        ]

    def end(self, group: int) -> list[Any]:
        """Wait for a group; return what ``take`` did for each of its shares, in the order of rows.

        Raises:
            Exception: whatever an environment raised; all threads are done with the group then.
        """
        pending, self._pending[group] = self._pending[group], []
        wait(pending)
        return [future.result() for future in pending]

    def wrap(self, wrapper: Callable[[VectorEnv], VectorEnv]) -> None:
        """Put a wrapper around every share's environments, from the next step on."""
        self.parts = [[wrapper(part) for part in parts] for parts in self.parts]

    def close(self) -> None:
        """Release the threads and the environments."""
        self._pool.shutdown()
        for _, part in self._each():
            part.close()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the state of all environments, as if they were one batch."""
        states = [part.state_dict() for _, part in self._each()]
        return {name: np.concatenate([state[name] for state in states]) for name in states[0]}

    def load_state_dict(self, state_dict: dict[str, np.ndarray]) -> None:
        """Continue bit for bit from where ``state_dict`` was taken.

        Raises:
            ValueError: as ``NativeVectorEnv.load_state_dict``, or it is of another number of environments.
        """
        if any(len(array) != self.num_envs for array in state_dict.values()):
            raise ValueError(f"the state must be that of {self.num_envs} environments")
        for rows, part in self._each():
            part.load_state_dict({name: array[rows] for name, array in state_dict.items()})


def _step(part: Any, rows: slice, actions: np.ndarray, take: Take) -> Any:
    return take(rows, part.step(actions))
