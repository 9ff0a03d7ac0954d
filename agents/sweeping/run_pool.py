"""Does runs, so many at once, until none is left or a signal comes."""

import signal
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from agents.command_line import flat
from agents.console import say
from agents.signals import leave_on_signal
from agents.sweeping.display import Display
from agents.sweeping.run import Run

POLL_S = 0.25
NUM_LINES = 5
"""Of what a run said before it failed."""


class Process(Protocol):
    """A run that was started, wherever."""

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""

    def signal(self, number: int) -> None:
        """Sends it a signal."""

    def last_lines(self, count: int) -> list[str]:
        """What it said last."""


class Failure(NamedTuple):
    """A run that did not come to its end."""

    run: Run
    why: str


class RunPool:
    """The runs that are under way, and what became of the others."""

    def __init__(
        self, start: Callable[[Run], Process], next_run: Callable[[], Run | None], jobs: int, display: Display
    ):
        """Takes what is to be done.

        Args:
            start: starts a run.
            next_run: the next one to start; None: none for now, as long as others are under way.
            jobs: runs at once.
            display: is told of each change.
        """
        self._start, self._next_run, self._jobs, self._display = start, next_run, jobs, display
        self._running: dict[Run, Process] = {}
        self.failures: list[Failure] = []
        self.stopped_by: signal.Signals | None = None

    def work(self, ended: Callable[[Run, bool], None] = lambda run, done: None) -> None:
        """Does all runs; after a signal, waits until those under way have saved.

        Args:
            ended: is told of each run that ended by itself, and whether it was done.
        """
        try:
            with leave_on_signal(self._leave):
                while True:
                    for run in list(self._running):
                        self._look_after(run, ended)
                    while self.stopped_by is None and len(self._running) < self._jobs:
                        following = self._next_run()
                        if following is None:
                            break
                        self._begin(following, ended)
                    if not self._running:
                        return
                    self._display.update(list(self._running))
                    time.sleep(POLL_S)
        finally:
            self._display.close()
            for process in self._running.values():  # a second signal: at once
                process.signal(signal.SIGTERM)

    def _leave(self, number: signal.Signals) -> None:
        self.stopped_by = number
        for process in self._running.values():
            process.signal(number)

    def _begin(self, run: Run, ended: Callable[[Run, bool], None]) -> None:
        try:
            self._running[run] = self._start(run)
        except (OSError, ValueError) as error:
            self._fail(run, [flat(error)], ended)
        if self.stopped_by is not None and run in self._running:  # the signal came in between
            self._running[run].signal(self.stopped_by)

    def _look_after(self, run: Run, ended: Callable[[Run, bool], None]) -> None:
        code = self._running[run].poll()
        if code is None:
            return
        process = self._running.pop(run)
        result = run.result()
        if self.stopped_by is not None and code != 0:
            return
        if code == 0 and result is not None:
            self._display.done(run, result)
            ended(run, True)
            return
        why = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        if code == 0:
            why = f"no evaluation of {run.config.total_steps:,} steps in {run.folder}"
        self._fail(run, [why, *process.last_lines(NUM_LINES)], ended)

    def _fail(self, run: Run, lines: list[str], ended: Callable[[Run, bool], None]) -> None:
        self.failures.append(Failure(run, lines[0]))
        self._display.failed()
        say(f"failed: {run.title}: {lines[0]} ({run.folder})")
        for line in lines[1:]:
            say(f"  | {line}")
        ended(run, False)
