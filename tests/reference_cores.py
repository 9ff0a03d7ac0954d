"""The cores written out literally: one environment, one unit and one sum at a time, in float64.

Sources: Gu et al. 2020 (arXiv 1910.09890), equations 9 to 11; Shen et al. 2019 (arXiv 1810.09536), equations
9 to 14; Hochreiter & Schmidhuber 1997; Cho et al. 2014 (arXiv 1406.1078), equations 5 to 8; Ba et al.
2016 (arXiv 1607.06450), equation 4. Nothing here is taken from `cores`, and nothing is clever.
"""

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


def normalised(P, widths, gain, bias):
    """Returns a list of pre-activations with each gate's normalised, times the gain, plus the bias."""
    result, begin = [], 0
    for width in widths:
        gate = P[begin : begin + width]
        mean = sum(gate) / width
        variance = sum((value - mean) ** 2 for value in gate) / width
        for k in range(width):
            standard = (gate[k] - mean) / math.sqrt(variance + 1e-5)
            result.append(standard * gain[begin + k] + bias[begin + k])
        begin += width
    return result


def lstm_step(name, weights, x, h, c, chunk):
    """Runs one LSTM of the grid for one environment and one step.

    Args:
        name: key of LSTMS.
        weights: "weight_ih" [G, I], "weight_hh" [G, H] and "bias" [G], with layer norm also "gain" [G].
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
        total = 0.0 if "gain" in weights else weights["bias"][row]
        for j in range(len(x)):
            total += weights["weight_ih"][row][j] * x[j]
        for j in range(H):
            total += weights["weight_hh"][row][j] * h[j]
        P.append(total)
    if "gain" in weights:
        master_widths = [H // chunk] * 2 if aid == "master" else []
        P = normalised(P, [H] * 4 + master_widths, weights["gain"], weights["bias"])
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


def affine(rows, x, h, weights):
    """Returns the pre-activations of one gate: its rows of the weights times x and h, plus its biases."""
    P = []
    for row in rows:
        total = 0.0 if "gain" in weights else weights["bias"][row]
        for j in range(len(x)):
            total += weights["weight_ih"][row][j] * x[j]
        for j in range(len(h)):
            total += weights["weight_hh"][row][j] * h[j]
        P.append(total)
    if "gain" in weights:
        P = normalised(P, [len(P)], weights["gain"][rows], weights["bias"][rows])
    return P


def gru_unroll(refined, weights, inputs, h, reset):
    """Runs a GRU for every environment, from zeros where an episode begins.

    Args:
        refined: whether the update gate is refined.
        weights: "weight_ih" [G, I], "weight_hh" [G, H] and "bias" [G]: rows z, r (if refined), s, u. With
            layer norm also "gain" [G].
        inputs: [T, B, I]: inputs.
        h: [B, H]: outputs before inputs[0].
        reset: [T, B] bool: the input is the first of an episode.

    Returns:
        out [T, B, H], update gates [T, B, H], reset gates [T, B, H].
    """
    T, B, H = len(inputs), len(h), len(h[0])
    out, update, reset_gates = np.zeros((T, B, H)), np.zeros((T, B, H)), np.zeros((T, B, H))
    rows = [list(range(first, first + H)) for first in range(0, (4 if refined else 3) * H, H)]
    for b in range(B):
        before = list(h[b])
        for t in range(T):
            if reset[t][b]:
                before = [0.0] * H
            P_z, *P_r, P_s = (affine(gate, inputs[t][b], before, weights) for gate in rows[:-1])
            scaled = [sigmoid(P_s[k]) * before[k] for k in range(H)]
            P_u = affine(rows[-1], inputs[t][b], scaled, weights)
            for k in range(H):
                g = sigmoid(P_z[k])
                if refined:
                    r = sigmoid(P_r[0][k])
                    g = r * (1.0 - (1.0 - g) ** 2) + (1.0 - r) * g**2
                out[t, b, k] = (1.0 - g) * before[k] + g * math.tanh(P_u[k])
                update[t, b, k], reset_gates[t, b, k] = g, sigmoid(P_s[k])
            before = list(out[t, b])
    return out, update, reset_gates


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
