"""One runner a rank: all ranks learn from the next unroll, or none does."""

import signal
import time
from collections.abc import Callable

from agents.distributed import Group
from agents.runners import Runner, Stopped
from agents.runners.supervision import ActorFailure
from agents.trajectory import Trajectory

FILLED, STOPPED, FAILED = range(3)
"""What became of a rank's unroll."""


def next_together(
    runner: Runner, group: Group, asked_by: Callable[[], signal.Signals | None]
) -> tuple[Trajectory | None, signal.Signals | None]:
    """The next unroll of this rank, where every rank has one.

    Args:
        runner: this rank's.
        group: the ranks.
        asked_by: tells the signal by which somebody asked this rank to leave, which may come meanwhile.

    Returns:
        The unroll, or None where some rank was stopped while it waited for its own; and the signal by which
        all ranks leave after this.

    Raises:
        ActorFailure: on all ranks; actors of one of them failed too often.
    """
    trajectory, outcome, num_steps = None, FILLED, 0
    failure: ActorFailure | None = None
    try:
        trajectory = runner.next()
        num_steps = trajectory.num_steps
    except Stopped:
        outcome = STOPPED
    except ActorFailure as error:
        outcome, failure = FAILED, error
    start = time.perf_counter()
    everybody = group.exchange([num_steps, outcome, asked_by() or 0])
    group.waited_s += time.perf_counter() - start
    outcomes = [row[1] for row in everybody]
    if FAILED in outcomes:
        raise failure or ActorFailure(f"actors of rank {outcomes.index(FAILED)} failed too often")
    number = max(row[2] for row in everybody)
    leave_by = signal.Signals(number) if number else None
    if trajectory is None or STOPPED in outcomes:
        return None, leave_by
    trajectory.num_steps_elsewhere = sum(row[0] for row in everybody) - num_steps
    return trajectory, leave_by
