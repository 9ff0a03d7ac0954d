"""How far the gates stand open, and how long the units hold, along one episode."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.diagnosing.play import Outcome, Tape
from agents.network import Network
from cores.gates import time_scale

QUANTILES = {"low": 0.1, "median": 0.5, "high": 0.9}


def median_episode(outcome: Outcome) -> int:
    """An episode of median length; one that succeeded, where there is one of that length."""
    median = np.quantile(outcome.lengths, 0.5, method="lower")
    (index,) = np.nonzero(outcome.lengths == median)
    return int(index[np.argmax(np.nan_to_num(outcome.successes[index]))])


@torch.no_grad()
def gates_of_episode(network: Network, tape: Tape, episode: int, length: int) -> dict[str, Any] | None:
    """The gates of one episode.

    Args:
        network: the policy.
        tape: of N episodes.
        episode: which of them.
        length: its actions.

    Returns:
        The part "gates" of `agents.diagnosing.record`; None for a core without gates.
    """
    inputs = torch.stack([row[episode : episode + 1] for row in tape.inputs[:length]])  # [T, 1, I]
    reset = torch.zeros(length, 1, dtype=torch.bool, device=inputs.device)
    reset[0] = True
    gates = network.core.unroll_gates(inputs, network.initial_state(1), reset)
    if "forget" not in gates:
        return None
    names = ["forget", "input"]
    units = {name: gates[name][:, 0] for name in names if name in gates}
    units["time_scale"] = time_scale(gates["forget"][:, 0])
    found: dict[str, Any] = {"step": list(range(length))}
    found |= {name: spread(values) for name, values in units.items()}
    for name in ("forget", "input"):
        if name in gates:
            found[name]["mean"] = units[name].double().mean(-1).tolist()
    return found


def spread(values: Tensor) -> dict[str, list[float]]:
    """Quantiles over the units of values [T, H], by name."""
    units = values.double().cpu().numpy()
    return {name: np.quantile(units, q, axis=-1).tolist() for name, q in QUANTILES.items()}
