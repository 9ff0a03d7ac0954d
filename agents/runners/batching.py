"""Which unrolls make the next batch, where actors are many, and come and go.

First come, first served: nobody waits for an actor that has yet to be placed, or that was lost. That alone
would have two faults. The learner would see most of the environments, and the moments, that are quick to
step; and an unroll that takes long would be overtaken by so many others that the weights which made it are
too old when its turn comes. So those that come first have to wait where otherwise one that is still being
made could not have its turn in time (bounded staleness; Ho et al. 2013, "More effective distributed ML via a
stale synchronous parallel parameter server"). No unroll is thrown away for its age, and the slowest actor has
a part in about one of `max_lag` + 1 batches.
"""

from collections.abc import Sequence


def choose(
    ready: Sequence[int], under_way: Sequence[int], *, size: int, version: int, max_lag: int
) -> list[int] | None:
    """Chooses the next batch.

    Where no more than (max_lag + 1) * size unrolls are ever ready, under way or allowed to begin, and the
    version grows by one from batch to batch, there is always a choice when all that are under way have come.

    Args:
        ready: version of the weights of each unroll that has come, in the order in which they came.
        under_way: the same of those that are being made.
        size: unrolls in a batch (k).
        version: of the weights that are about to learn.
        max_lag: by how much it may exceed that of an unroll.

    Returns:
        The positions of k of those that are ready, the oldest weights first; None: wait for more.
    """
    order = sorted(range(len(ready)), key=ready.__getitem__)
    if len(order) < size:
        return None
    rest = [ready[position] for position in order[size:]]
    for later in range(max_lag + 1):  # batches from now
        oldest = version + later - max_lag  # whose last turn it then is
        slow = sum(begun <= oldest for begun in under_way)
        if slow and slow + sum(begun <= oldest for begun in rest) > later * size:
            return None
    return order[:size]
