"""What the user's signals do to a run."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def leave_on_signal(ask: Callable[[signal.Signals], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM asks the work to save and leave; a second one acts as ever.

    Args:
        ask: is given the signal; sets a flag and does no more, since it runs between any two instructions.
    """

    def first(number: int, frame: FrameType | None) -> None:
        restore()
        ask(signal.Signals(number))

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, first) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        restore()
