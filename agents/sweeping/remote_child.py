"""A run as an actor of a Ray cluster, which starts the run's process on its machine."""

from collections.abc import Sequence
from typing import Any

from agents.command_line import FAILED
from agents.runners.member import essence
from agents.sweeping.child import Child

ANSWER_S = 10.0
"""How long an actor is asked for its last lines."""


class RemoteChild:
    """A run that is started as soon as the cluster has room; where its machine is lost it has failed."""

    def __init__(self, argv: Sequence[str], folder: str, *, cores: int, gpus: int):
        """Asks for a place.

        Args:
            argv: of scripts.train.
            folder: the run's, on a file system that all machines share.
            cores: processor cores that the run takes.
            gpus: CUDA devices that it takes.
        """
        import ray

        place: Any = ray.remote(Child)
        place = place.options(num_cpus=cores, num_gpus=gpus, max_restarts=0)
        self._actor: Any = place.remote(argv, folder)
        self._answer = self._actor.poll.remote()
        self._there = False
        self._code: int | None = None
        self._lost = ""

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        import ray

        if self._code is not None or not ray.wait([self._answer], timeout=0)[0]:
            return self._code
        try:
            self._code = ray.get(self._answer)
        except ray.exceptions.RayError as error:
            self._code, self._lost = FAILED, essence(error)
        self._there = True
        if self._code is None:
            self._answer = self._actor.poll.remote()
        return self._code

    def signal(self, number: int) -> None:
        """Sends it a signal; one that has no place yet is given up."""
        import ray

        if self._there:
            self._actor.signal.remote(number)
        else:
            ray.kill(self._actor)
            self._code = 128 + number

    def last_lines(self, count: int) -> list[str]:
        """What it said last, or how it was lost."""
        import ray

        if self._lost:
            return [self._lost]
        try:
            return ray.get(self._actor.last_lines.remote(count), timeout=ANSWER_S)
        except ray.exceptions.RayError as error:
            return [essence(error)]
