"""How far the mean of a few seeds can be trusted."""

import numpy as np

NUM_RESAMPLES = 10_000


def bootstrap_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of the mean over the first axis of values [S, ...]: low and high, each [...]."""
    draws = np.random.default_rng(0).integers(len(values), size=(NUM_RESAMPLES, len(values)))
    weights = np.stack([np.bincount(draw, minlength=len(values)) for draw in draws]) / len(values)
    low, high = np.percentile(np.tensordot(weights, values, 1), [2.5, 97.5], axis=0)
    return low, high
