"""How well the cue can be read from the core state, step by step after it was seen: linear probes.

Source: Alain & Bengio 2016, "Understanding intermediate layers using linear classifier probes" (arXiv
1610.01644).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from agents.diagnosing.play import Tape
from agents.evaluation import wilson_interval
from agents.network import Network

MOST_LAGS = 64
FEWEST = 20
"""Episodes below which a lag is left out."""
PENALTY = 1e-2
"""Of half the squared weights, on features of unit variance; beside a mean loss in nats."""
MOST_ITERATIONS = 100


def probe_cue(network: Network, tape: Tape, lengths: np.ndarray, num_cues: int) -> dict[str, Any]:
    """Fits probes to half of the episodes and tries them on the others.

    Args:
        network: the policy.
        tape: of N episodes, with cues.
        lengths: [N] actions of each.
        num_cues: C.

    Returns:
        The part "cue" of `agents.diagnosing.record`.
    """
    last = last_sight(np.stack(tape.shown), lengths)  # [N]
    cues = np.stack(tape.cues)[np.maximum(last, 0), np.arange(len(last))]  # [N]
    spans = np.where(last >= 0, lengths - 1 - last, -1)  # [N] the last decision, in steps since the cue
    lags = choose_lags(spans)
    result: dict[str, Any] = {"num_cues": num_cues, "chance": 1 / num_cues, "lag": lags}
    names = ("state", "state_low", "state_high", "observation", "episodes")
    result |= {name: [] for name in names}
    for lag, (state, observation) in zip(lags, rows_after(network, tape, last, lags), strict=True):
        there = torch.from_numpy(np.flatnonzero(spans >= lag))
        labels = torch.from_numpy(cues)[there]
        right, tried = held_out(state[there], labels, num_cues)
        control, _ = held_out(observation[there], labels, num_cues)
        interval = wilson_interval(right, tried)
        figures = (*interval, control / tried, len(there))
        for name, figure in zip(names, figures, strict=True):
            result[name].append(figure)
    return result | {"holds": holds(lags, result["state"], 1 / num_cues)}


def holds(lags: list[int], accuracy: list[float], chance: float) -> int | None:
    """The longest lag up to which more than half of what chance leaves is read; None if not even at once."""
    found = None
    for lag, share in zip(lags, accuracy, strict=True):
        if share <= (1 + chance) / 2:
            break
        found = lag
    return found


def last_sight(shown: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The last decision of each episode that sees the cue, [N]; -1 where none does.

    Args:
        shown: [T, N] bool: the row shows the cue.
        lengths: [N] actions of each episode.
    """
    steps = np.arange(len(shown))[:, None]
    return np.where(shown & (steps < lengths), steps, -1).max(0)


def choose_lags(spans: np.ndarray) -> list[int]:
    """Lags that enough episodes reach, evenly over all of them.

    Args:
        spans: [N] steps from the cue to the last decision; -1 where it was not seen.
    """
    if len(spans) < FEWEST:
        return []
    longest = int(np.sort(spans)[-FEWEST])
    if longest < 0:
        return []
    return sorted({round(lag) for lag in np.linspace(0, longest, min(MOST_LAGS, longest + 1))})


@torch.no_grad()
def rows_after(
    network: Network, tape: Tape, last: np.ndarray, lags: list[int]
) -> list[tuple[Tensor, Tensor]]:
    """The core state and the encoded observation so many steps after the cue.

    Args:
        network: the policy.
        tape: of N episodes.
        last: [N] row of the last sight of the cue; -1: the episode is left out.
        lags: K of them.

    Returns:
        K times, float64: states after that row [N, D], observations [N, E]; zeros where the tape ends before.
    """
    N = len(last)
    state = network.initial_state(N)
    E = tape.inputs[0].shape[1] - network.num_actions - 1
    nothing = torch.zeros(N, 1, dtype=torch.float64)  # a core without state has that much
    D = 1 + sum(tensor[0].numel() for tensor in state)
    found = [(torch.zeros(N, D, dtype=torch.float64), torch.zeros(N, E, dtype=torch.float64)) for _ in lags]
    places = {lag: place for place, lag in enumerate(lags)}
    for t, row in enumerate(tape.inputs):
        _, state = network.core(row[None], state, torch.full((1, N), t == 0, device=row.device))
        flat = torch.cat([nothing, *(tensor.flatten(1).double().cpu() for tensor in state)], 1)  # [N, D]
        for lag in np.unique(t - last[last >= 0]):
            if lag in places:
                index = np.flatnonzero((last >= 0) & (t - last == lag))
                states, observations = found[places[lag]]
                states[index], observations[index] = flat[index], row[index, :E].double().cpu()
    return found


def held_out(features: Tensor, labels: Tensor, num_classes: int) -> tuple[int, int]:
    """Fits a probe to the first half and counts what it gets right in the second: right, tried."""
    half = len(labels) // 2
    mean, spread = features[:half].mean(0), features[:half].std(0, correction=0)
    features = (features - mean) / torch.where(spread > 1e-9, spread, 1.0)
    features = torch.nan_to_num(features, 0.0, 0.0, 0.0)  # an agent's state may be anything
    weights, bias = fit(features[:half], labels[:half], num_classes)
    guesses = (features[half:] @ weights.T + bias).argmax(1)
    return int((guesses == labels[half:]).sum()), len(labels) - half


def fit(features: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression, by L-BFGS from zero.

    Args:
        features: [M, D] float64.
        labels: [M] int64 in 0 … C - 1.
        num_classes: C.

    Returns:
        Weights [C, D] and bias [C] with the least mean cross-entropy and penalty.
    """
    weights = features.new_zeros(num_classes, features.shape[1], requires_grad=True)
    bias = features.new_zeros(num_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=MOST_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = objective(features, labels, weights, bias)
        value.backward()
        return value

    optimizer.step(loss)
    return weights.detach(), bias.detach()


def objective(features: Tensor, labels: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """What a probe minimises: mean cross-entropy in nats, and the penalty."""
    return cross_entropy(features @ weights.T + bias, labels) + PENALTY / 2 * weights.square().sum()
