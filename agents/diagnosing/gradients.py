"""What a choice hangs on: the gradient of its log-probability with respect to each input before it.

Source: Hochreiter 1991 and Bengio, Simard & Frasconi 1994, "Learning long-term dependencies with gradient
descent is difficult": how this gradient fades with the lag is how hard a dependency is to learn.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.diagnosing.play import Tape
from agents.network import Network

MOST_EPISODES = 64


def gradient_by_lag(
    network: Network, tape: Tape, choices: np.ndarray, last: np.ndarray | None
) -> dict[str, Any]:
    """How strongly the choices of some episodes hang on each input of the core.

    Args:
        network: the policy.
        tape: of N episodes.
        choices: [N] the decision in question; -1: the episode did not come to it, and is left out.
        last: [N] row of the last sight of the cue, -1 where it was not seen; None without a cue.

    Returns:
        The part "gradient" of `agents.diagnosing.record`, without "choice".
    """
    index = np.flatnonzero(choices >= 0)[:MOST_EPISODES]
    rows = int(choices[index].max()) + 1
    columns = torch.from_numpy(index)
    inputs = torch.stack([row[columns] for row in tape.inputs[:rows]])  # [T, M, I]
    actions = torch.stack([row[columns] for row in tape.actions[:rows]])  # [T, M]
    norms = gradient_norms(network, inputs, actions, choices[index])  # [T, M]
    lags = choices[index] - np.arange(rows)[:, None]  # [T, M]
    counts = np.bincount(lags[lags >= 0])
    sums = np.bincount(lags[lags >= 0], norms[lags >= 0])
    return {
        "lag": list(range(rows)),
        "norm": (sums / counts).tolist(),
        "episodes": counts.tolist(),
        **at_cue(norms, np.full(len(index), -1) if last is None else last[index], choices[index]),
    }


def at_cue(norms: np.ndarray, last: np.ndarray, choices: np.ndarray) -> dict[str, float | None]:
    """How far back the cue lies, and the norm there over that at the choice; None where that is unknown.

    Args:
        norms: [T, M].
        last: [M] row of the last sight of the cue; -1: not seen.
        choices: [M] row of the choice.
    """
    (seen,) = np.nonzero((last >= 0) & (last <= choices))
    at_choice = norms[choices[seen], seen].sum()
    return {
        "cue_lag": float(np.median(choices[seen] - last[seen])) if len(seen) else None,
        "cue_share": float(norms[last[seen], seen].sum() / at_choice) if at_choice > 0 else None,
    }


def gradient_norms(network: Network, inputs: Tensor, actions: Tensor, choices: np.ndarray) -> np.ndarray:
    """Norms of d log pi(action at the choice) / d input, [T, M] float64.

    Args:
        network: the policy.
        inputs: [T, M, I] what the core reads; row 0 begins an episode in each column.
        actions: [T, M] what was done.
        choices: [M] the row of the choice in each column.
    """
    T, M, _ = inputs.shape
    inputs = inputs.detach().clone().requires_grad_()
    reset = torch.zeros(T, M, dtype=torch.bool, device=inputs.device)
    reset[0] = True
    out, _ = network.core(inputs, network.initial_state(M), reset)
    rows, columns = torch.from_numpy(choices).to(out.device), torch.arange(M, device=out.device)
    chosen = actions.to(out.device)[rows, columns]
    logits = network.logits(out[rows, columns], inputs[rows, columns])
    logs = logits.log_softmax(-1)[columns, chosen]  # [M]
    # Columns don't meet: the gradient of the sum holds that of each.
    (gradient,) = torch.autograd.grad(logs.sum(), inputs)
    return gradient.double().norm(dim=-1).cpu().numpy()
