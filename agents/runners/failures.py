"""What runners with actors of their own do about those that fail: how they are named, and counted."""

import time
from collections import deque
from dataclasses import dataclass

from agents.runners.worker import IN_RESET, IN_STEP, OUTSIDE

START_S = 120.0
"""What an actor may take, at least, to start: imports, environments, the compilation of its core."""

WINDOW_S = 3600.0
"""Failures longer ago than this count no more."""

NUM_FALSE_STARTS = 3
"""So many failures before anybody has handed over an unroll: there is no use in going on."""

CALLS = {
    OUTSIDE: "",
    IN_RESET: "in reset() of its environments, ",
    IN_STEP: "in step() of its environments, ",
}
"""Where an actor is, as a part of a sentence."""


class ActorFailure(RuntimeError):  # noqa: N818  (the name that its readers look for)
    """Actors failed too often."""


@dataclass(frozen=True)
class Limits:
    """What is too long and what is too often."""

    deadline_s: float
    """Seconds that a step of an actor's environments may take."""
    max_failures: int
    """Failures within WINDOW_S that the run bears."""


class Failures:
    """Counts the failures of a run's actors, up to the one that is too many."""

    def __init__(self, max_failures: int):
        """Counts to `max_failures` within WINDOW_S."""
        self._max_failures = max_failures
        self._failed_at: deque[float] = deque()

    def count(self, line: str, *, fruitless: bool) -> str:
        """Counts one more.

        Args:
            line: who failed, and how.
            fruitless: nobody has handed over an unroll so far.

        Returns:
            How many that makes.

        Raises:
            ActorFailure: too many; the message is the line and why it was the last.
        """
        now, most = time.monotonic(), self._max_failures
        self._failed_at.append(now)
        while now - self._failed_at[0] > WINDOW_S:
            self._failed_at.popleft()
        count = len(self._failed_at)
        if count > most:
            raise ActorFailure(f"{line}; more than {most} failures within an hour (--max-actor-failures)")
        if fruitless and count >= NUM_FALSE_STARTS:
            raise ActorFailure(f"{line}; no actor gets to the end of its first unroll")
        return f"failure {count} of {most} in an hour"


def patience_s(deadline_s: float, where: int, has_handed: bool) -> float:
    """Seconds without a sign of life after which an actor is taken for hung.

    Args:
        deadline_s: what a step of its environments may take.
        where: in its own code, or in that of its environments.
        has_handed: it has handed over an unroll; before that it may be starting.
    """
    return deadline_s if has_handed or where != OUTSIDE else max(deadline_s, START_S)


def actor_name(index: int, task: str, columns: slice, seed: int) -> str:
    """An actor and what it works on, for the user."""
    return f"actor {index} ({task}, environments {columns.start} … {columns.stop - 1} of seed {seed})"
