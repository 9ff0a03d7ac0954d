"""Which unrolls make a batch: first come within the bound on their age, and nobody waits for ever."""

import numpy as np
import pytest

from agents.runners.batching import choose


@pytest.mark.parametrize(
    ("ready", "under_way", "expected"),
    [
        ([5], [], None),  # too few
        ([7, 5, 6], [], [1, 2]),  # the oldest first
        ([7, 7, 7], [7], [0, 1]),  # then the first
        ([7, 7], [5], None),  # it has to be in this batch
        ([7, 5], [5], None),  # so have both
        ([7, 7], [6, 6], [0, 1]),  # there is room for both in the next
        ([7, 7], [6, 6, 6], None),  # for three there is not
        ([6, 7, 7], [6, 6], [0, 1]),
    ],
)
def test_by_hand(ready, under_way, expected):
    """Batches of two, weights of version 7 learn, and may be two ahead of those that act.

    Mutations: the newest first; those under way looked at for this batch alone; one more batch of room.
    """
    assert choose(ready, under_way, size=2, version=7, max_lag=2) == expected


@pytest.mark.parametrize(
    ("size", "num_actors", "max_lag"), [(1, 1, 0), (3, 3, 0), (3, 3, 2), (2, 7, 4), (5, 4, 1)]
)
def test_nobody_grows_too_old_and_nobody_is_dropped(size, num_actors, max_lag):
    """Actors of very different speeds, whose unrolls take as long as chance has it; one dies now and then.

    A learner takes a batch whenever there is one. No unroll is older than allowed, there is always a batch
    when all that are under way have come, and the slowest actor has a part.

    Mutations: no look at those under way; grants beyond (max_lag + 1) * size.
    """
    rng = np.random.default_rng(size * 100 + num_actors)
    speeds = 1.0 / 4.0 ** np.arange(num_actors)
    grants, version, ready, under_way, parts = (max_lag + 1) * size, 0, [], {}, np.zeros(num_actors, int)
    while version < 400:
        for actor in rng.permutation(num_actors):
            if actor in under_way:
                if rng.random() < 0.001:  # lost, with its unroll
                    del under_way[actor]
                    grants += 1
                elif rng.random() < speeds[actor]:
                    ready.append((under_way.pop(actor), actor))
            elif grants:
                grants -= 1
                under_way[actor] = version
        versions = [begun for begun, _ in ready]
        chosen = choose(versions, list(under_way.values()), size=size, version=version, max_lag=max_lag)
        if not under_way and not grants:
            assert chosen is not None
        if chosen is None or rng.random() < 0.3:  # or the learner is not there yet
            continue
        assert len(chosen) == len(set(chosen)) == size
        assert all(version - max_lag <= versions[position] <= version for position in chosen)
        for position in sorted(chosen, reverse=True):
            parts[ready.pop(position)[1]] += 1
        version, grants = version + 1, grants + size
    assert parts.sum() == 400 * size
    if num_actors <= size:  # each is always at work
        assert parts.min() >= 400 // (max_lag + 1) * 0.8
