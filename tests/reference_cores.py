"""The cores written out literally: one environment, one unit and one sum at a time, in float64.

Sources: Gu et al. 2020 (arXiv 1910.09890), equations 9 to 11; Shen et al. 2019 (arXiv 1810.09536), equations
9 to 14; Hochreiter & Schmidhuber 1997; Cho et al. 2014 (arXiv 1406.1078), equations 5 to 8; Feng et al.
2024 (arXiv 2410.01201), section 3.1; Orvieto et al. 2023 (arXiv 2303.06349). Nothing here is taken from
`cores`, and nothing is clever.
"""

import cmath
import math

import numpy as np

# name -> (activation of f, what helps it). How f's bias starts does not show in the equations.
LSTMS = {
    "lstm": ("sigmoid", "none"),
    "chrono": ("sigmoid", "none"),
    "o-lstm": ("cumax", "none"),
    "u-lstm": ("sigmoid", "none"),
    "r-lstm": ("sigmoid", "refine"),
    "cr-lstm": ("sigmoid", "refine"),
    "or-lstm": ("cumax", "refine"),
    "ur-lstm": ("sigmoid", "refine"),
    "m-lstm": ("sigmoid", "master"),
    "cm-lstm": ("sigmoid", "master"),
    "om-lstm": ("cumax", "master"),
    "um-lstm": ("sigmoid", "master"),
    "on-lstm": ("sigmoid", "master"),
}


def sigmoid(x):
    """Returns 1 / (1 + exp(-x)) of a number."""
    return 1.0 / (1.0 + math.exp(-x))


def cumax(pre_activations):
    """Returns the running sums of the softmax of a list."""
    exponentials = [math.exp(x) for x in pre_activations]
    return [sum(exponentials[: k + 1]) / sum(exponentials) for k in range(len(exponentials))]


def lstm_step(name, weights, x, h, c, chunk):
    """Runs one LSTM of the grid for one environment and one step.

    Args:
        name: key of LSTMS.
        weights: "weight_ih" [G, I], "weight_hh" [G, H] and "bias" [G].
        x: [I]: the input.
        h: [H]: the output before.
        c: [H]: the cell before.
        chunk: C, units that share an entry of a master gate.

    Returns:
        h, c, the effective forget gate and the effective input gate, all lists of H.
    """
    activation, aid = LSTMS[name]
    H = len(h)
    P = []
    for row in range(len(weights["bias"])):
        total = weights["bias"][row]
        for j in range(len(x)):
            total += weights["weight_ih"][row][j] * x[j]
        for j in range(H):
            total += weights["weight_hh"][row][j] * h[j]
        P.append(total)
    P_f, P_beside, P_o, P_u, P_master = P[:H], P[H : 2 * H], P[2 * H : 3 * H], P[3 * H : 4 * H], P[4 * H :]
    cumulative_f = cumax(P_f)
    if aid == "master":
        master_forget = cumax(P_master[: H // chunk])
        master_input = [1.0 - value for value in cumax(P_master[H // chunk :])]
    h_new, c_new, forget, write = [], [], [], []
    for k in range(H):
        f = cumulative_f[k] if activation == "cumax" else sigmoid(P_f[k])
        if aid == "refine":
            r = sigmoid(P_beside[k])
            g = r * (1.0 - (1.0 - f) ** 2) + (1.0 - r) * f**2
            i = 1.0 - g
        elif aid == "master":
            F, I = master_forget[k // chunk], master_input[k // chunk]  # noqa: E741
            w = F * I
            g = f * w + (F - w)
            i = sigmoid(P_beside[k]) * w + (I - w)
        else:
            g, i = f, sigmoid(P_beside[k])
        c_new.append(g * c[k] + i * math.tanh(P_u[k]))
        h_new.append(sigmoid(P_o[k]) * math.tanh(c_new[k]))
        forget.append(g)
        write.append(i)
    return h_new, c_new, forget, write


def lstm_unroll(name, weights, inputs, h, c, reset, chunk=1):
    """Runs one LSTM of the grid for every environment, from zeros where an episode begins.

    Args:
        name: key of LSTMS.
        weights: "weight_ih" [G, I], "weight_hh" [G, H] and "bias" [G].
        inputs: [T, B, I]: inputs.
        h: [B, H]: outputs before inputs[0].
        c: [B, H]: cells before inputs[0].
        reset: [T, B] bool: the input is the first of an episode.
        chunk: C, units that share an entry of a master gate.

    Returns:
        out [T, B, H], h [B, H], c [B, H], forget gates [T, B, H], input gates [T, B, H].
    """
    T, B, H = len(inputs), len(h), len(h[0])
    out, forget, write = np.zeros((T, B, H)), np.zeros((T, B, H)), np.zeros((T, B, H))
    h_last, c_last = np.zeros((B, H)), np.zeros((B, H))
    for b in range(B):
        h_b, c_b = list(h[b]), list(c[b])
        for t in range(T):
            if reset[t][b]:
                h_b, c_b = [0.0] * H, [0.0] * H
            h_b, c_b, forget[t, b], write[t, b] = lstm_step(name, weights, inputs[t][b], h_b, c_b, chunk)
            out[t, b] = h_b
        h_last[b], c_last[b] = h_b, c_b
    return out, h_last, c_last, forget, write


def affine(row, x, h, weights):
    """Returns one pre-activation: a row of the weights times x and h, plus its bias."""
    total = weights["bias"][row]
    for j in range(len(x)):
        total += weights["weight_ih"][row][j] * x[j]
    for j in range(len(h)):
        total += weights["weight_hh"][row][j] * h[j]
    return total


def gru_unroll(refined, weights, inputs, h, reset):
    """Runs a GRU for every environment, from zeros where an episode begins.

    Args:
        refined: whether the update gate is refined.
        weights: "weight_ih" [G, I], "weight_hh" [G, H] and "bias" [G]: rows z, r (if refined), s, u.
        inputs: [T, B, I]: inputs.
        h: [B, H]: outputs before inputs[0].
        reset: [T, B] bool: the input is the first of an episode.

    Returns:
        out [T, B, H], update gates [T, B, H], reset gates [T, B, H].
    """
    T, B, H = len(inputs), len(h), len(h[0])
    out, update, reset_gates = np.zeros((T, B, H)), np.zeros((T, B, H)), np.zeros((T, B, H))
    first_s = 2 * H if refined else H
    for b in range(B):
        before = list(h[b])
        for t in range(T):
            if reset[t][b]:
                before = [0.0] * H
            s = [sigmoid(affine(first_s + k, inputs[t][b], before, weights)) for k in range(H)]
            scaled = [s[k] * before[k] for k in range(H)]
            for k in range(H):
                g = sigmoid(affine(k, inputs[t][b], before, weights))
                if refined:
                    r = sigmoid(affine(H + k, inputs[t][b], before, weights))
                    g = r * (1.0 - (1.0 - g) ** 2) + (1.0 - r) * g**2
                u = math.tanh(affine(first_s + H + k, inputs[t][b], scaled, weights))
                out[t, b, k] = (1.0 - g) * before[k] + g * u
                update[t, b, k], reset_gates[t, b, k] = g, s[k]
            before = list(out[t, b])
    return out, update, reset_gates


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
                z = sigmoid(affine(k, inputs[t][b], [], weights))
                u = affine(H + k, inputs[t][b], [], weights)
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


def frame_stack_unroll(weights, inputs, past, reset):
    """Runs the frame-stack control.

    Args:
        weights: "weight_ih" [4 H, F I], "bias" [4 H] and "weight_out" [H, 4 H].
        inputs: [T, B, I]: inputs.
        past: [B, F - 1, I]: the inputs before inputs[0], the last one first.
        reset: [T, B] bool: the input is the first of an episode.

    Returns:
        out [T, B, H].
    """
    windows = np.zeros((*inputs.shape[:2], weights["weight_ih"].shape[1]))
    for b in range(inputs.shape[1]):
        seen = [list(frame) for frame in past[b]]
        for t in range(inputs.shape[0]):
            if reset[t][b]:
                seen = [[0.0] * inputs.shape[2] for _ in seen]
            seen = [list(inputs[t, b]), *seen]
            windows[t, b] = [number for frame in seen for number in frame]
            seen = seen[:-1]
    return memoryless_unroll(weights, windows)


def memoryless_unroll(weights, inputs):
    """Runs the memoryless control.

    Args:
        weights: "weight_ih" [4 H, I], "bias" [4 H] and "weight_out" [H, 4 H].
        inputs: [T, B, I]: inputs.

    Returns:
        out [T, B, H].
    """
    H, width = weights["weight_out"].shape
    out = np.zeros((*inputs.shape[:2], H))
    for t in range(inputs.shape[0]):
        for b in range(inputs.shape[1]):
            between = []
            for row in range(width):
                total = weights["bias"][row]
                for j in range(inputs.shape[2]):
                    total += weights["weight_ih"][row, j] * inputs[t, b, j]
                between.append(math.tanh(total))
            for k in range(H):
                out[t, b, k] = math.tanh(
                    sum(weights["weight_out"][k, row] * between[row] for row in range(width))
                )
    return out
