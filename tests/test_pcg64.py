"""The compiled random generator against NumPy's."""

import numpy as np
import pytest

from envs.pcg64 import environment_seeds, integers, seeded_streams


def test_integers_are_numpys():
    """A stream draws what NumPy's generator draws, through halves, rejections and ranges of one value.

    Mutations: no half waits (line ``rng[4] = (draw >> _32) | _WAITING`` removed); surplus products kept
    (``while`` removed); the carry dropped.
    """
    seeds = [0, 7, 2**31 - 1]
    highs = [2, 3, 1, 10, 2**31 + 12345, 26, 3_000_000_000, 2**32 - 1, 5] * 40
    for stream, seed in zip(seeded_streams(seeds), seeds, strict=True):
        generator = np.random.default_rng(seed)
        assert [integers(stream, high) for high in highs] == [generator.integers(high) for high in highs]


def test_environment_seeds_depend_on_the_index_alone():
    """Environment 3 has one seed, whether it is the fourth of a batch or the first of another.

    Mutation: ``first_index`` left out of the sum.
    """
    assert environment_seeds(5, 3, 4) == environment_seeds(5, 0, 7)[3:]


def test_environment_seeds_are_distinct():
    """No two environments of a run share a seed, nor do neighbouring runs.

    Mutation: ``start = seed``, the usual rule.
    """
    runs = [environment_seeds(seed, 0, 1000) for seed in range(5)]
    assert len({seed for run in runs for seed in run}) == 5000
    assert all(0 <= seed < 2**31 for run in runs for seed in run)


def test_negative_seed():
    """A negative seed is refused."""
    with pytest.raises(ValueError, match=r"^seed must not be negative, got -1$"):
        environment_seeds(-1, 0, 2)
