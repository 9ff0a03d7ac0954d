"""Sharing a batch among threads: those that torch's own products run on.

Source: none. Each thread takes some environments through all steps, so that they wait for each other once an
unroll, and not at each step.

The threads are OpenMP's, and not Python's: after each of torch's products OpenMP's go on spinning for
milliseconds, waiting for the next, and would keep other threads from the cores meanwhile.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from threading import Thread
from typing import Any

import torch

MIN_PART = 4
"""Environments for which a thread of their own pays: fewer rows make slow tiles of a product."""

CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def split_batch(work: Callable[..., None], batch_size: int, *arguments: object) -> None:
    """Does work on all environments, in as many threads as torch is given.

    What comes out does not depend on how many there are.

    Args:
        work: a compiled function of the first environment, the one behind the last, and the arguments.
        batch_size: B, number of environments.
        *arguments: what it takes after them.
    """
    num_parts = min(torch.get_num_threads(), -(-batch_size // MIN_PART))
    if num_parts == 1:
        work(0, batch_size, *arguments)
        return
    bounds = [batch_size * part // num_parts for part in range(num_parts + 1)]
    parts = pairwise(bounds)
    errors: list[BaseException] = []

    def take_parts(_: object = None) -> None:
        """Takes what nobody has taken yet: there may be fewer threads than parts."""
        try:
            for first, last in parts:
                work(first, last, *arguments)
        except BaseException as error:  # it can't be raised through OpenMP
            errors.append(error)

    run_in_threads(take_parts, num_parts)
    if errors:
        raise errors[0]


def run_in_threads(body: Callable[[], None], num_threads: int) -> None:
    """Calls a function in this thread and in others at once, and waits for all of them.

    Args:
        body: what to call; it raises nothing.
        num_threads: threads, this one among them.
    """
    openmp = _openmp()
    if openmp is not None:
        openmp.GOMP_parallel(CALLBACK(body), None, num_threads, 0)
        return
    threads = [Thread(target=body) for _ in range(num_threads - 1)]
    for thread in threads:
        thread.start()
    body()
    for thread in threads:
        thread.join()


@cache
def _openmp() -> Any:
    """Finds the OpenMP library that torch has loaded; None where it is not GNU's."""
    try:
        library = ctypes.CDLL(None)
        library.GOMP_parallel.argtypes = [CALLBACK, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        library.GOMP_parallel.restype = None
    except (AttributeError, OSError, TypeError):  # another library, none, or another system
        return None
    return library
