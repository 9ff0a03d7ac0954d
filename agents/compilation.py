"""Says that kernels are being compiled, where that keeps a user waiting: once after an update of Longhold."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core.event import Event, Listener, install_listener

from agents.console import say

PATIENCE_S, LOOK_EVERY_S = 2.0, 0.25
"""Seconds of compiling before it is told, and between looks."""


class CompilationClock(Listener):
    """How long numba has compiled so far; it tells of its lock, which it takes again within itself."""

    def __init__(self) -> None:
        """Begins at zero."""
        self._total_s, self._begun_at, self._depth = 0.0, 0.0, 0

    def on_start(self, event: Event) -> None:
        """Numba begins."""
        if not self._depth:
            self._begun_at = time.monotonic()
        self._depth += 1

    def on_end(self, event: Event) -> None:
        """Numba has come to an end."""
        self._depth -= 1
        if not self._depth:
            self._total_s += time.monotonic() - self._begun_at

    def seconds(self) -> float:
        """Seconds, those of a compilation that is under way included."""
        return self._total_s + (time.monotonic() - self._begun_at if self._depth else 0.0)


@contextmanager
def saying_of_compilation() -> Iterator[None]:
    """Says it, if numba compiles for more than two seconds meanwhile."""
    over, clock = threading.Event(), CompilationClock()

    def watch() -> None:
        while not over.wait(LOOK_EVERY_S):
            if clock.seconds() >= PATIENCE_S:
                say("compiling kernels, once")
                return

    watcher = threading.Thread(target=watch, name="compilation", daemon=True)
    watcher.start()
    listening: Any = install_listener("numba:compiler_lock", clock)
    try:
        with listening:
            yield
    finally:
        over.set()
        watcher.join()
