"""Where actors live: a runner gives the learner its next unroll and hands weights to the actors."""

from typing import Any, Protocol

from torch import Tensor

from agents.trajectory import Trajectory


class Stopped(Exception):  # noqa: N818  (no error: it was asked for)
    """Somebody asked the runner to stop while it waited for an unroll."""


class Runner(Protocol):
    """What training needs of a runner, wherever its actors live."""

    anew: str
    """Why episodes start anew in a resumed run, where they do."""

    def next(self) -> Trajectory:
        """The next unroll, in buffers that a later call overwrites; the next call at the earliest.

        Raises:
            Stopped: `stop` was called, and waiting may take long.
        """
        ...

    def publish(self, weights: dict[str, Tensor], version: int) -> None:
        """Acts with these weights (a network's state_dict) from now on."""
        ...

    def stop(self) -> None:
        """Asks a `next` that waits to give up; called from a signal handler."""
        ...

    def figures(self, elapsed_s: float, next_share: float) -> dict[str, float]:
        """Curves that the runner alone can tell, since the last call.

        Args:
            elapsed_s: seconds since then.
            next_share: share of them that was spent in `next`.
        """
        ...

    def close(self) -> None:
        """Releases the environments, and whatever they live in."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What the next unroll depends on beside the weights, as far as it can be kept."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Goes on from a state; False if the environments had to start new episodes."""
        ...
