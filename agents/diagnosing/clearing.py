"""When the memory is needed: how episodes go whose core state is cleared once, step by step."""

from collections.abc import Callable
from typing import Any

import numpy as np

from agents.config import Config
from agents.diagnosing.play import Outcome, Plan, play
from agents.evaluation import Interval, normal_interval, wilson_interval
from agents.network import Network

NUM_STEPS = 13


def clear_at_steps(
    config: Config, network: Network, plan: Plan, never: Outcome, tick: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Plays the same episodes again and again, each time with the state cleared at another step.

    Until then they are the same to the last bit of chance, so that what differs is the clearing's doing.

    Args:
        config: the run's.
        network: the policy.
        plan: the episodes.
        never: how they went uncleared.
        tick: called after every step of all environments.

    Returns:
        The part "clearing" of `agents.diagnosing.record`.
    """
    result: dict[str, Any] = {"never": interval(never, measure(never))._asdict()}
    names = ("step", "mean", "low", "high", "cleared")
    result |= {name: [] for name in names}
    for step in choose_steps(never.lengths):
        cleared = play(config, network, plan, clear_at=step, tick=tick)
        figures = (step, *interval(cleared, measure(never)), int((never.lengths > step).sum()))
        for name, figure in zip(names, figures, strict=True):
            result[name].append(figure)
    return result


def choose_steps(lengths: np.ndarray) -> list[int]:
    """Steps at which to clear, evenly up to the last decision that one in ten episodes comes to.

    Not the first: there is nothing to clear yet.
    """
    last = int(np.quantile(lengths, 0.9, method="higher")) - 1
    if last < 1:
        return []
    return sorted({round(step) for step in np.linspace(1, last, min(NUM_STEPS, last))})


def measure(outcome: Outcome) -> str:
    """What tells how episodes went: success, or return where no success is told, or all fail."""
    return "success" if (outcome.successes > 0).any() else "return"


def interval(outcome: Outcome, name: str) -> Interval:
    """The mean of the measure, with its 95 % interval; of one return, its own value."""
    if name == "success":
        known = outcome.successes[~np.isnan(outcome.successes)]
        return wilson_interval(float(known.sum()), len(known))
    found = normal_interval(outcome.returns[np.isfinite(outcome.returns)])
    return found if len(outcome.returns) > 1 else Interval(found.mean, found.mean, found.mean)
