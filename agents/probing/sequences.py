"""The copy and the adding problem: a lag that is one number, and nothing else to learn.

Sources: Hochreiter & Schmidhuber 1997 (adding); Arjovsky et al. 2016, "Unitary evolution recurrent neural
networks", section 5 (both in this form); Gu et al. 2020, "Improving the gating mechanism of recurrent neural
networks", section 5.1 (copy at length 500, adding at length 2000).
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from agents.config import stream_seed
from agents.probing.task import Batch

NUM_SYMBOLS = 8
NUM_COPIED = 10
BLANK, DELIMITER = NUM_SYMBOLS, NUM_SYMBOLS + 1
NUM_CODES = NUM_SYMBOLS + 2
SHORTEST_COPY = 2 * NUM_COPIED + 1
SHORTEST_ADDING = 2
ADDING_BASELINE = 1 / 6
"""Variance of the sum of two uniform numbers: what the answer 1 costs."""


def copy(generator: np.random.Generator, length: int, batch_size: int) -> Batch:
    """Ten symbols, a long blank, and the question for all ten in their order.

    The steps are: 10 symbols, length - 21 blanks, the delimiter, 10 blanks. The label of the k-th of these
    last 10 steps is the k-th symbol, length - 10 steps before it.

    Args:
        generator: source of the symbols.
        length: T, at least 21.
        batch_size: B.

    Returns:
        Observations [T, B] int64: 0 … 7 symbols, 8 blank, 9 delimiter; labels [10, B] int64.
    """
    symbols = torch.from_numpy(generator.integers(NUM_SYMBOLS, size=(NUM_COPIED, batch_size)))
    observations = torch.full((length, batch_size), BLANK)
    observations[:NUM_COPIED] = symbols
    observations[-NUM_COPIED - 1] = DELIMITER
    return Batch(observations, symbols)


def adding(generator: np.random.Generator, length: int, batch_size: int) -> Batch:
    """Numbers, two of them marked: the label of the last step is the sum of the two.

    Args:
        generator: source of the numbers and of the marks.
        length: T, at least 2.
        batch_size: B.

    Returns:
        Observations [T, B, 2] float32: a number uniform in 0 … 1, and a mark that is 1 once in the steps
        below length // 2 and once from there on, else 0; labels [1, B] float32.
    """
    observations = np.zeros((length, batch_size, 2), np.float32)
    observations[..., 0] = generator.random((length, batch_size), np.float32)
    rows = np.arange(batch_size)
    first = generator.integers(length // 2, size=batch_size)
    second = generator.integers(length // 2, length, size=batch_size)
    observations[first, rows, 1] = observations[second, rows, 1] = 1
    labels = observations[first, rows, 0] + observations[second, rows, 0]
    return Batch(torch.from_numpy(observations), torch.from_numpy(labels[None]))


def stream(
    make: Callable[[np.random.Generator, int, int], Batch],
    length: int,
    seed: int,
    batch_size: int,
    held_out: bool,
) -> Iterator[Batch]:
    """Batches of `copy` or `adding` without end; the held-out ones come from another generator."""
    generator = np.random.default_rng(stream_seed(seed, "evaluation" if held_out else "environments"))
    while True:
        yield make(generator, length, batch_size)
