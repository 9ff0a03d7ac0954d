"""The pointwise half of the GRU's step, forward and backward; the matrix products are `gru_unroll.py`'s.

Source: the equations of `cores.gru.GatedGRU`; the backward pass is derived from them.

The candidate waits for the reset gate, so that a step is two matrix products with a pointwise function after
each. Names of rows, each [H]: z, r (with refine), s and u are what the gates buffer holds; g is the effective
update gate, so that h_new = h + g * (u - h); d_x is the gradient by x.
"""

from typing import Any

import numpy as np

from cores.kernels.activations import sigmoid_backward, sigmoid_row, tanh_row
from cores.kernels.compiled import compiled, part
from cores.kernels.gated_lstm import d_refined, d_refining, refine
from cores.kernels.rows import ONE, copy_row, fill_zero, product


@compiled
def activate_gates(t: int, gates: Any, entered: Any, scaled: Any, refined: bool) -> None:
    """Activates the gates of step t, and scales h by the reset gate.

    Args:
        t: the step, in [0, T).
        gates: [T, B, G]: row t holds the gates' pre-activations, and is left with the gates.
        entered: [T, B, H]: row t is h before the step, reset.
        scaled: [T, B, H]: row t becomes s * h.
        refined: whether there is a refine gate.
    """
    _, B, H = entered.shape
    width = (3 if refined else 2) * H
    for b in range(B):
        row = gates[t, b]
        sigmoid_row(row[:width])
        product(row[width - H : width], entered[t, b], scaled[t, b])


@compiled
def update(t: int, gates: Any, entered: Any, out: Any, reset: Any, refined: bool) -> None:
    """Activates the candidate of step t, and updates h.

    Args:
        t: the step, in [0, T).
        gates: [T, B, G]: row t holds gates and the candidate's pre-activation, and is left with activations.
        entered: [T, B, H]: row t is h before the step; row t + 1, if there is one, becomes h after it, reset.
        out: [T, B, H]: row t becomes h after the step.
        reset: [T, B] bool: where row t + 1 is set, h enters step t + 1 as zeros.
        refined: whether there is a refine gate.
    """
    T, B, H = out.shape
    work = np.empty(H, gates.dtype)
    for b in range(B):
        row, h_new = gates[t, b], out[t, b]
        u = row[row.size - H :]
        tanh_row(u)
        effective_update(row, H, refined, work)
        interpolate(work, u, entered[t, b], h_new)
        if t + 1 < T:
            if reset[t + 1, b]:
                fill_zero(entered[t + 1, b])
            else:
                copy_row(h_new, entered[t + 1, b])


@compiled
def update_backward(
    t: int, gates: Any, entered: Any, reset: Any, d_out: Any, d_h: Any, d_gates: Any, refined: bool
) -> None:
    """Takes `update` of step t backward.

    Args:
        t: the step, in [0, T).
        gates: [T, B, G]: activations, as `update` leaves them.
        entered: [T, B, H]: as `update` leaves it.
        reset: [T, B] bool: where row t + 1 is set, nothing comes back from step t + 1.
        d_out: [T, B, H]: gradient by the outputs.
        d_h: [B, H]: gradient by the h that enters step t + 1; becomes what comes straight to the h that
            enters step t, gates and candidate left out.
        d_gates: [T, B, G]: of row t, the gradients by the pre-activations of z, (r) and u are written.
        refined: whether there is a refine gate.
    """
    T, B, H = d_out.shape
    work = np.empty(H, gates.dtype)
    for b in range(B):
        row, d_row, dh = gates[t, b], d_gates[t, b], d_h[b]
        u, d_u, d_z = row[row.size - H :], d_row[row.size - H :], d_row[:H]
        effective_update(row, H, refined, work)
        if t + 1 < T and reset[t + 1, b]:
            fill_zero(dh)
        add(d_out[t, b], dh)
        d_update(dh, u, entered[t, b], d_z)
        d_candidate(dh, work, u, d_u)
        keep(work, dh)
        if refined:
            z, r, d_r = row[:H], row[H : 2 * H], d_row[H : 2 * H]
            d_refining(z, d_z, d_r)
            d_refined(z, r, d_z)
            sigmoid_backward(r, d_r)
        sigmoid_backward(row[:H], d_z)


@compiled
def gates_backward(
    t: int, gates: Any, entered: Any, d_scaled: Any, d_h: Any, d_gates: Any, refined: bool
) -> None:
    """Takes `activate_gates` of step t backward.

    Args:
        t: the step, in [0, T).
        gates: [T, B, G]: activations.
        entered: [T, B, H]: row t is h before the step.
        d_scaled: [B, H]: gradient by s * h.
        d_h: [B, H]: gradient by the h that enters step t; what comes through s * h is added.
        d_gates: [T, B, G]: of row t, the gradient by the pre-activation of s is written.
        refined: whether there is a refine gate.
    """
    _, B, H = entered.shape
    width = (3 if refined else 2) * H
    for b in range(B):
        s, d_s = gates[t, b, width - H : width], d_gates[t, b, width - H : width]
        product(d_scaled[b], entered[t, b], d_s)
        sigmoid_backward(s, d_s)
        add_product(d_scaled[b], s, d_h[b])


@part
def effective_update(row: Any, H: int, refined: bool, g: Any) -> None:
    """Writes the effective update gate."""
    if refined:
        refine(row[:H], row[H : 2 * H], g)
    else:
        copy_row(row[:H], g)


@part
def interpolate(g: Any, u: Any, h: Any, h_new: Any) -> None:
    """Writes h + g * (u - h): nothing is lost to 1 - g where g is small."""
    for j in range(h_new.size):
        h_new[j] = h[j] + g[j] * (u[j] - h[j])


@part
def add(row: Any, total: Any) -> None:
    """Adds a row."""
    for j in range(total.size):
        total[j] += row[j]


@part
def add_product(a: Any, b: Any, total: Any) -> None:
    """Adds the product of two rows."""
    for j in range(total.size):
        total[j] += a[j] * b[j]


@part
def d_update(d_new: Any, u: Any, h: Any, d: Any) -> None:
    """Gradient by g."""
    for j in range(d.size):
        d[j] = d_new[j] * (u[j] - h[j])


@part
def d_candidate(d_new: Any, g: Any, u: Any, d: Any) -> None:
    """Gradient by P_u."""
    for j in range(d.size):
        d[j] = d_new[j] * g[j] * (ONE - u[j] * u[j])


@part
def keep(g: Any, d: Any) -> None:
    """Turns the gradient by h_new into what comes straight to h."""
    for j in range(d.size):
        d[j] *= ONE - g[j]
