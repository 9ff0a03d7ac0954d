"""Layer normalisation of the gates of a core.

Source: Ba, Kiros, Hinton 2016, "Layer Normalization" (arXiv 1607.06450).
"""

import torch
from torch.nn.functional import layer_norm

from cores.gates import GATE_GAIN


def normalise(
    pre_activation: torch.Tensor, widths: list[int], gain: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """Normalises the pre-activation of each gate over its units, then scales it, and adds the bias last.

    Ba et al. 2016, equation 4, of each gate apart: taken together, one gate's size would depend on another's
    weights.

    Args:
        pre_activation: [B, G]: W x + U h, without bias.
        widths: entries of each gate, G in all, each at least 2.
        gain: [G]: a factor for each entry.
        bias: [G]: after the norm, which would take the mean off it, and with it what a start has set.

    Returns:
        [B, G]: pre-activations.
    """
    gates = [layer_norm(gate, gate.shape[1:]) for gate in pre_activation.split(widths, dim=1)]
    return torch.addcmul(bias, gain, torch.cat(gates, dim=1))


def initial_gain(widths: list[int], candidate: int) -> torch.Tensor:
    """Starts the gain of `normalise`: 1 for the candidate, GATE_GAIN for the gates, as their weights do.

    Args:
        widths: entries of each gate.
        candidate: which of them is the candidate.

    Returns:
        [G] float32: the gain.

    Raises:
        ValueError: if a gate has a single entry, which a norm would turn into zero.
    """
    if min(widths) < 2:
        raise ValueError("layer_norm needs at least 2 entries a gate")
    gains = [torch.full((width,), 1.0 if k == candidate else GATE_GAIN) for k, width in enumerate(widths)]
    return torch.cat(gains)
