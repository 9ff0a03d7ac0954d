"""What the gates of a core tell about its memory, as curves and histograms.

Source: Gu et al. 2020 (arXiv 1910.09890), whose figures show the same; time scales as in Tallec & Ollivier
2018 (arXiv 1804.11188).
"""

import numpy as np
import torch
from torch import Tensor

from agents.network import Network
from agents.trajectory import Inputs, Trajectory
from cores.gates import saturation_share, time_scale

NUM_DIAGNOSED_ENVS = 8
"""Environments whose gates are recorded: the gates are much alike in all of them."""


@torch.no_grad()
def gates_along(trajectory: Trajectory, network: Network) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Runs the first environments of an unroll again, and tells what `gate_metrics` does of their gates."""
    envs, device = slice(NUM_DIAGNOSED_ENVS), next(network.parameters()).device
    inputs = Inputs(*(field[:, envs] for field in trajectory.inputs)).to(device)
    state = tuple(tensor[envs] for tensor in trajectory.core_state)
    return gate_metrics(network.core.unroll_gates(network.core_inputs(inputs), state, inputs.resets))


@torch.no_grad()
def gate_metrics(gates: dict[str, Tensor]) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Summarises the gates of an unroll.

    Args:
        gates: [T, B, H] by name, as `RecurrentCore.unroll_gates` gives them.

    Returns:
        Scalars, and histograms over the units of what each does on average, by the names of their curves;
        none for a core without a forget gate.
    """
    if "forget" not in gates:
        return {}, {}
    scalars, histograms = {}, {}
    for name in ("forget", "primary", "input"):
        if name in gates:
            units = gates[name].mean((0, 1))  # [H]
            scalars[f"memory/{name}_gate_mean"] = units.mean().item()
            histograms[f"memory/{name}_gate"] = units
    scalars["memory/forget_gate_saturated_share"] = saturation_share(gates["forget"]).item()
    scales = time_scale(gates["forget"].mean((0, 1))).log10()  # [H]
    scalars["memory/time_scale_median_steps"] = 10 ** scales.median().item()
    scalars["memory/time_scale_longest_steps"] = 10 ** scales.max().item()
    histograms["memory/time_scale_log10_steps"] = scales
    return scalars, {name: values.cpu().numpy() for name, values in histograms.items()}
