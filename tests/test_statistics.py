"""The statistics of reports, against literal ones: loops over seeds, values repeated and cut off."""

import math

import numpy as np
import pytest

from agents.reporting.statistics import (
    bootstrap_interval,
    improvement,
    improvement_interval,
    iqm,
    iqm_weights,
    pooled_iqm,
    pooled_mean,
)


def literal_iqm(values):
    """Each value four times over; then exactly a quarter of them all is cut off at either end."""
    many = sorted(value for value in values for _ in range(4))
    kept = many[len(values) : -len(values)]
    return sum(kept) / len(kept)


@pytest.mark.parametrize("num_seeds", [1, 2, 3, 4, 5, 6, 7, 10, 23])
def test_the_iqm_cuts_exactly_a_quarter(num_seeds):
    """Mutations: whole values cut off (n // 4 of them); the edges at 0.2 and 0.8; values not sorted."""
    rng = np.random.default_rng(num_seeds)
    values = rng.integers(0, 4, (num_seeds, 6)) / 3  # with ties
    expected = [literal_iqm(column) for column in values.T]
    np.testing.assert_allclose(iqm(values), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(iqm(values.T, -1), expected, rtol=0, atol=1e-12)
    assert math.isclose(iqm_weights(num_seeds).sum(), 1)


def test_the_iqm_over_tasks_is_that_of_all_seeds():
    """Tasks of two and of three seeds. Mutation: a mean of each task's IQM."""
    strata = [np.array([[0.0, 1.0]]), np.array([[0.2, 0.9, 0.4]])]
    assert math.isclose(pooled_iqm(strata)[0], literal_iqm([0.0, 1.0, 0.2, 0.9, 0.4]))
    assert math.isclose(pooled_mean(strata)[0], 0.5)


def literal_improvement(xs, ys):
    shares = []
    for x, y in zip(xs, ys, strict=True):
        wins = sum(1.0 if one > other else 0.5 if one == other else 0.0 for one in x for other in y)
        shares.append(wins / (len(x) * len(y)))
    return sum(shares) / len(shares)


def test_improvement_is_a_double_loop():
    """Ties count half; tasks count alike, whatever their seeds. Mutations: ties lost; all pairs pooled."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        xs = [rng.integers(0, 3, size) / 2 for size in (3, 5)]
        ys = [rng.integers(0, 3, size) / 2 for size in (4, 2)]
        assert math.isclose(improvement(xs, ys), literal_improvement(xs, ys), abs_tol=1e-12)
        assert math.isclose(improvement(xs, ys) + improvement(ys, xs), 1)


def test_seeds_are_drawn_within_their_task():
    """Seeds that agree within each task leave no doubt. Mutation: seeds drawn from all tasks together."""
    strata = [np.full(3, 0.2), np.full(5, 0.9)]
    low, high = bootstrap_interval(strata, pooled_mean, 50)
    assert low == high == pytest.approx((3 * 0.2 + 5 * 0.9) / 8)
    assert improvement_interval([np.full(3, 0.2)], [np.full(5, 0.9)]) == (0, 0)


def literal_interval(strata, statistic, num_resamples):
    """Resample by resample, value by value."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(num_resamples):
        drawn = [[stratum[rng.integers(len(stratum))] for _ in stratum] for stratum in strata]
        found.append(statistic([value for stratum in drawn for value in stratum]))
    return np.percentile(found, [2.5, 97.5])


@pytest.mark.parametrize(("ours", "literal"), [(pooled_mean, np.mean), (pooled_iqm, literal_iqm)])
def test_the_interval_is_that_of_a_plain_bootstrap(ours, literal):
    """Other random numbers, the same interval to a few hundredths of its width.

    Mutations: half of the seeds drawn; each seed drawn once; 90 % in place of 95 %.
    """
    strata = [np.random.default_rng(5).random(7), np.random.default_rng(6).random(9) + 1]
    expected = literal_interval(strata, literal, 4_000)
    low, high = bootstrap_interval(strata, ours)
    assert abs(low - expected[0]) < 0.05 * (expected[1] - expected[0])
    assert abs(high - expected[1]) < 0.05 * (expected[1] - expected[0])


def test_both_sides_of_a_comparison_are_drawn_anew():
    """Mutations: the seeds of X kept as they are; those of Y."""
    fixed, spread = [np.full(5, 0.5)], [np.array([0.0, 0.2, 0.4, 0.6, 1.0])]
    for xs, ys in ((fixed, spread), (spread, fixed)):
        low, high = improvement_interval(xs, ys)
        assert high - low > 0.3


def test_the_interval_of_the_mean_holds_it():
    """Of 20 seeds of a normal distribution, in about 95 % of 300 experiments (a bootstrap's, a bit fewer).

    Mutation: the square root of the number of seeds forgotten, as by drawing one value each.
    """
    rng = np.random.default_rng(8)
    held = 0
    for _ in range(300):
        low, high = bootstrap_interval([rng.normal(size=20)], pooled_mean, 500)
        held += low <= 0 <= high
    assert 0.90 < held / 300 < 0.98


def test_chunks_and_shapes(monkeypatch):
    """Curves [S, P] give an interval at each point, whatever is resampled at once.

    Mutations: one chunk alone kept; the last one, which is smaller, forgotten.
    """
    count = iter(range(1000))

    def numbered(strata):
        return np.array([next(count) for _ in strata[0]])

    curves = np.random.default_rng(2).random((5, 3))
    whole = bootstrap_interval([curves], pooled_iqm, 1000)
    monkeypatch.setattr("agents.reporting.statistics.CHUNK", 15 * 70)
    sizes = []

    def counted(strata):
        sizes.append(len(strata[0]))
        return pooled_iqm(strata)

    parts = bootstrap_interval([curves], counted, 1000)
    assert sum(sizes) == 1000
    assert len(sizes) == 15
    assert bootstrap_interval([curves], numbered, 1000) == pytest.approx((24.975, 974.025))
    for one, other in zip(whole, parts, strict=True):
        assert one.shape == (3,)
        np.testing.assert_allclose(one, other, atol=0.1)
