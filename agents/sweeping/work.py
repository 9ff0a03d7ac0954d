"""The work of a sweep, as its pool of runs asks for it: a list of runs; a search is another kind."""

from typing import Protocol

from agents.sweeping.run import Run


class Work(Protocol):
    """Hands out runs, and is told what became of them."""

    num_runs: int
    total_steps: int
    """Env steps of all runs."""

    @property
    def done(self) -> list[Run]:
        """The runs that are done."""

    @property
    def begun(self) -> dict[Run, int]:
        """Env steps of the runs that are to be gone on with."""

    def next_run(self) -> Run | None:
        """The next run to start; None: none for now."""

    def ended(self, run: Run, done: bool) -> None:
        """Is told of a run that ended, and whether it was done."""


class Listed:
    """Runs one after another."""

    def __init__(self, runs: list[Run]):
        """Looks for what is done.

        Raises:
            ValueError: a folder holds another run than that which is to be done in it.
        """
        self.runs = runs
        self.num_runs, self.total_steps = len(runs), sum(run.config.total_steps for run in runs)
        self.done = [run for run in runs if run.result() is not None]
        todo = [run for run in runs if run not in self.done]
        for run in todo:
            run.argv()
        self.begun = {run: point.env_steps for run in todo if (point := run.point()) is not None}
        self._todo = iter(todo)

    def next_run(self) -> Run | None:
        """The next run to start."""
        return next(self._todo, None)

    def ended(self, run: Run, done: bool) -> None:
        """Nothing follows from it."""
