"""The elementwise recurrences written out literally: one environment and one unit at a time, in float64.

Sources: Feng et al. 2024 (arXiv 2410.01201), section 3.1; Orvieto et al. 2023 (arXiv 2303.06349), section 3
and appendix A. Nothing here is taken from `cores`, and nothing is clever.
"""

import cmath
import math

import numpy as np
from reference_cores import affine, sigmoid


def mingru_unroll(weights, inputs, h, reset):
    """Runs a minGRU for every environment, from zeros where an episode begins.

    Args:
        weights: "weight_ih" [2 H, I] and "bias" [2 H]: rows z, u.
        inputs: [T, B, I]: inputs.
        h: [B, H]: outputs before inputs[0].
        reset: [T, B] bool: the input is the first of an episode.

    Returns:
        out [T, B, H], gates z [T, B, H].
    """
    T, B, H = len(inputs), len(h), len(h[0])
    out, gates = np.zeros((T, B, H)), np.zeros((T, B, H))
    for b in range(B):
        for k in range(H):
            before = h[b][k]
            for t in range(T):
                P_z, u = affine([k, H + k], inputs[t][b], [], weights)
                z = sigmoid(P_z)
                before = (1.0 - z) * (0.0 if reset[t][b] else before) + z * u
                out[t, b, k], gates[t, b, k] = before, z
    return out, gates


def lru_unroll(weights, inputs, x, reset):
    """Runs an LRU for every environment, from zeros where an episode begins.

    Args:
        weights: the core's parameters by name.
        inputs: [T, B, I]: inputs.
        x: [B, H] complex: states before inputs[0].
        reset: [T, B] bool: the input is the first of an episode.

    Returns:
        out [T, B, H], states [T, B, H] complex.
    """
    (T, B, I), H = inputs.shape, x.shape[1]  # noqa: E741
    out, states = np.zeros((T, B, H)), np.zeros((T, B, H), complex)
    B_in = weights["weight_ih"][:H] + 1j * weights["weight_ih"][H : 2 * H]
    D, C = weights["weight_ih"][2 * H :], weights["weight_y"][:, :H] - 1j * weights["weight_y"][:, H:]
    for b in range(B):
        before = list(x[b])
        for t in range(T):
            if reset[t][b]:
                before = [0.0] * H
            for k in range(H):
                eigenvalue = cmath.exp(
                    -math.exp(weights["nu_log"][k]) + 1j * math.exp(weights["theta_log"][k])
                )
                gamma = math.exp(weights["gamma_log"][k])
                driven = sum(B_in[k, j] * inputs[t, b, j] for j in range(I))
                states[t, b, k] = eigenvalue * before[k] + gamma * driven
            before = list(states[t, b])
            activated = []
            for k in range(H):
                y = sum(C[k, j] * before[j] for j in range(H)).real
                y += sum(D[k, j] * inputs[t, b, j] for j in range(I))
                activated.append(0.5 * y * (1.0 + math.erf(y / math.sqrt(2.0))))
            for k in range(H):
                a, gate = (
                    sum(weights["weight_out"][row, j] * activated[j] for j in range(H)) + weights["bias"][row]
                    for row in (k, H + k)
                )
                out[t, b, k] = a * sigmoid(gate)
    return out, states
