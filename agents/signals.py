"""What the user's signals do to a program."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_on_signal() -> None:
    """From now on SIGINT and SIGTERM end this process at once, without a word, by exit code 130 or 143.

    That is for a program with nothing to save: what it has started ends with it. No exception: one that is
    raised wherever a program happens to be is sometimes swallowed, and sometimes printed.
    """

    def end(number: int, frame: FrameType | None) -> None:
        if os.isatty(1):
            os.write(1, b"\x1b[?25h")  # the cursor, which a progress bar may have hidden
        os._exit(128 + number)

    for number in SIGNALS:
        signal.signal(number, end)


def signal_with_parent(number: int) -> None:
    """Asks Linux for a signal to this process when its parent ends, killed perhaps; else does nothing."""
    if sys.platform == "linux":
        set_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(set_death_signal, number, 0, 0, 0)


@contextmanager
def leave_on_signal(ask: Callable[[signal.Signals], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM asks the work to save and leave; a second one acts as before.

    Args:
        ask: is given the signal, and does little, since it runs between any two instructions.
    """

    def first(number: int, frame: FrameType | None) -> None:
        restore()
        ask(signal.Signals(number))

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, first) for number in SIGNALS}
    try:
        yield
    finally:
        restore()


@contextmanager
def last_words(words: Callable[[], str]) -> Iterator[None]:
    """SIGINT and SIGTERM act as before, after something was said.

    Args:
        words: gives a line, or nothing.
    """

    def end(number: signal.Signals) -> None:
        if line := words():
            with suppress(OSError):  # not by print, which the signal may have interrupted
                below = "\n" if os.isatty(1) else ""  # a progress bar, or ^C
                os.write(1, f"{below}{line}\n".encode())
        signal.raise_signal(number)

    with leave_on_signal(end):
        yield
