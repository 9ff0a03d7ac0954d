"""How far a few seeds can be trusted: the interquartile mean, bootstrap intervals, who is better than whom.

Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice". Seeds are drawn
anew within each stratum, which is a task: [S_k, ...] values of its S_k seeds.
"""

from collections.abc import Callable, Sequence

import numpy as np

NUM_RESAMPLES = 10_000
CHUNK = 2**24
"""Numbers that are resampled at once."""

Statistic = Callable[[list[np.ndarray]], np.ndarray]
"""From strata [R, S_k, ...], each of R resamples, to one value of each resample, [R, ...]."""


def iqm_weights(num_values: int) -> np.ndarray:
    """[S]: weight of each of S sorted values in their interquartile mean.

    Each value stands for a mass of 1/S; exactly a quarter of the mass is cut off at either end, and where the
    cut goes through a value, its rest counts.
    """
    edges = np.clip(np.arange(num_values + 1) / num_values, 0.25, 0.75)
    return np.diff(edges) / 0.5


def iqm(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Interquartile mean over an axis: the mean of the middle half of the mass."""
    ordered = np.moveaxis(np.sort(values, axis), axis, -1)
    return ordered @ iqm_weights(values.shape[axis])


def pooled_iqm(strata: list[np.ndarray]) -> np.ndarray:
    """[R, ...]: interquartile mean over all seeds of all tasks together."""
    return iqm(np.concatenate(strata, 1), 1)


def pooled_mean(strata: list[np.ndarray]) -> np.ndarray:
    """[R, ...]: mean over all seeds of all tasks together."""
    return np.concatenate(strata, 1).mean(1)


def bootstrap_interval(
    strata: Sequence[np.ndarray], statistic: Statistic, num_resamples: int = NUM_RESAMPLES
) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile interval of a statistic, by a bootstrap within each stratum.

    Args:
        strata: [S_k, ...] each.
        statistic: of resampled strata.
        num_resamples: R.

    Returns:
        Low and high, each [...].
    """
    rng = np.random.default_rng(0)
    size = max(1, CHUNK // sum(stratum.size for stratum in strata))
    found = []
    for start in range(0, num_resamples, size):
        number = min(size, num_resamples - start)
        draws = [rng.integers(len(stratum), size=(number, len(stratum))) for stratum in strata]
        found.append(statistic([stratum[draw] for stratum, draw in zip(strata, draws, strict=True)]))
    low, high = np.percentile(np.concatenate(found), [2.5, 97.5], axis=0)
    return low, high


def improvement(xs: Sequence[np.ndarray], ys: Sequence[np.ndarray]) -> np.ndarray:
    """How probably a run of X beats one of Y: P(X > Y) + P(X = Y) / 2, averaged over tasks.

    Args:
        xs: [..., S_k] values of X's seeds in each task.
        ys: [..., S_k'] those of Y's.

    Returns:
        [...].
    """
    shares = []
    for x, y in zip(xs, ys, strict=True):
        difference = np.sign(x[..., :, None] - y[..., None, :])  # 1, 0 or -1
        shares.append((difference.mean((-2, -1)) + 1) / 2)
    return np.mean(shares, 0)


def improvement_interval(
    xs: Sequence[np.ndarray], ys: Sequence[np.ndarray], num_resamples: int = 2_000
) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of `improvement`: the seeds of X and of Y are drawn anew within each task."""
    return bootstrap_interval(
        [*xs, *ys], lambda drawn: improvement(drawn[: len(xs)], drawn[len(xs) :]), num_resamples
    )
