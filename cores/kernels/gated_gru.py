"""The GRU's unroll, forward and backward: in each step two products, a pointwise half after each.

Source: the equations of `cores.gru.GatedGRU`; the backward pass is derived from them.

The candidate waits for the reset gate, so that a step is two matrix products with a pointwise function after
each. Names of rows, each [H]: z, r (with refine), s and u are what the gates buffer holds; g is the effective
update gate, so that h_new = h + g * (u - h); d_x is the gradient by x.
"""

from typing import Any

from cores.kernels.activations import sigmoid_backward, sigmoid_row, tanh_row
from cores.kernels.compiled import compiled, part
from cores.kernels.lstm_gates import d_refined, d_refining, refine
from cores.kernels.products import add_matrix_product
from cores.kernels.rows import ONE, add, add_product, add_to_rows, copy_row, drop_faint, fill_zero, product


@compiled
def forward(
    first: int, last: int, packed_gates: Any, packed_u: Any, bias: Any, gates: Any, entered: Any, scaled: Any,
    out: Any, reset: Any, work: Any, refined: bool,
) -> None:  # fmt: skip
    """Takes all steps of some environments.

    Args:
        first: the first of these environments.
        last: the one behind the last of them.
        packed_gates: the gates' recurrent weights' transpose, [H, G - H], by `cores.kernels.products.panels`.
        packed_u: the candidate's, [H, H].
        bias: [G]: biases.
        gates: [T, B, G]: the inputs' products; left with the activations.
        entered: [T, B, H]: row 0 is h before the unroll, reset; the others become h before each step, reset.
        scaled: [T, B, H]: becomes s * h.
        out: [T, B, H]: becomes h after each step.
        reset: [T, B] bool: where it is set, h enters the step as zeros.
        work: [B, H]: scratch.
        refined: whether there is a refine gate.
    """
    T, _, H = out.shape
    width = gates.shape[2] - H
    for t in range(T):
        add_to_rows(bias, gates[t, first:last])
        add_matrix_product(entered[t, first:last], packed_gates, gates[t, first:last, :width])
        activate_gates(t, first, last, gates, entered, scaled, refined)
        add_matrix_product(scaled[t, first:last], packed_u, gates[t, first:last, width:])
        update(t, first, last, gates, entered, out, reset, work, refined)


@compiled
def act(
    first: int, last: int, inputs: Any, packed_ih: Any, packed_gates: Any, packed_u: Any, bias: Any,
    gates: Any, entered: Any, scaled: Any, out: Any, reset: Any, work: Any, refined: bool,
) -> None:  # fmt: skip
    """Takes one step of some environments, in the buffers of the step before.

    Args:
        first: the first of these environments.
        last: the one behind the last of them.
        inputs: [B, I]: inputs.
        packed_ih: the input weights' transpose, [I, G], by `cores.kernels.products.panels`.
        packed_gates: as in `forward`.
        packed_u: as in `forward`.
        bias: as in `forward`.
        gates: [1, B, G]: overwritten.
        entered: [1, B, H]: overwritten.
        scaled: [1, B, H]: overwritten.
        out: [1, B, H]: h before the step; becomes h after it.
        reset: [1, B] bool: where it is set, h enters the step as zeros.
        work: as in `forward`.
        refined: as in `forward`.
    """
    for b in range(first, last):
        fill_zero(gates[0, b])
        if reset[0, b]:
            fill_zero(entered[0, b])
        else:
            copy_row(out[0, b], entered[0, b])
    add_matrix_product(inputs[first:last], packed_ih, gates[0, first:last])
    forward(first, last, packed_gates, packed_u, bias, gates, entered, scaled, out, reset, work, refined)


@part
def activate_gates(
    t: int, first: int, last: int, gates: Any, entered: Any, scaled: Any, refined: bool
) -> None:
    """Activates the gates of step t, and scales h by the reset gate.

    Args:
        t: the step, in [0, T).
        first: the first environment.
        last: the one behind the last environment.
        gates: [T, B, G]: row t holds the gates' pre-activations, and is left with the gates.
        entered: [T, B, H]: row t is h before the step, reset.
        scaled: [T, B, H]: row t becomes s * h.
        refined: whether there is a refine gate.
    """
    H = entered.shape[2]
    width = (3 if refined else 2) * H
    for b in range(first, last):
        row = gates[t, b]
        sigmoid_row(row[:width])
        product(row[width - H : width], entered[t, b], scaled[t, b])


@part
def update(
    t: int, first: int, last: int, gates: Any, entered: Any, out: Any, reset: Any, work: Any, refined: bool
) -> None:
    """Activates the candidate of step t, and updates h.

    Args:
        t: the step, in [0, T).
        first: the first environment.
        last: the one behind the last environment.
        gates: [T, B, G]: row t holds gates and the candidate's pre-activation, and is left with activations.
        entered: [T, B, H]: row t is h before the step; row t + 1, if there is one, becomes h after it, reset.
        out: [T, B, H]: row t becomes h after the step.
        reset: [T, B] bool: where row t + 1 is set, h enters step t + 1 as zeros.
        work: [B, H]: scratch.
        refined: whether there is a refine gate.
    """
    T, _, H = out.shape
    mine = work[first]
    for b in range(first, last):
        row, h_new = gates[t, b], out[t, b]
        u = row[row.size - H :]
        tanh_row(u)
        effective_update(row, H, refined, mine)
        interpolate(mine, u, entered[t, b], h_new)
        if t + 1 < T:
            if reset[t + 1, b]:
                fill_zero(entered[t + 1, b])
            else:
                copy_row(h_new, entered[t + 1, b])


@compiled
def backward(
    first: int, last: int, packed_gates: Any, packed_u: Any, gates: Any, entered: Any, reset: Any,
    d_out: Any, d_h: Any, d_gates: Any, d_scaled: Any, work: Any, refined: bool,
) -> None:  # fmt: skip
    """Takes all steps of some environments backward.

    Args:
        first: the first of these environments.
        last: the one behind the last of them.
        packed_gates: the gates' recurrent weights, [G - H, H], by `cores.kernels.products.panels`.
        packed_u: the candidate's, [H, H].
        gates: [T, B, G]: activations, as `forward` leaves them.
        entered: [T, B, H]: as `forward` leaves it.
        reset: [T, B] bool: where it is set, nothing goes back beyond the step.
        d_out: [T, B, H]: gradient by the outputs.
        d_h: [B, H]: gradient by h after the unroll; becomes the one by h before it.
        d_gates: [T, B, G]: becomes the gradient by the pre-activations.
        d_scaled: [B, H]: scratch.
        work: [B, H]: scratch.
        refined: whether there is a refine gate.
    """
    T, _, H = d_out.shape
    width = gates.shape[2] - H
    mine = work[first]
    for t in range(T - 1, -1, -1):
        for b in range(first, last):
            add(d_out[t, b], d_h[b])
            drop_faint(d_h[b])
            update_backward(gates[t, b], entered[t, b], d_h[b], d_gates[t, b], refined, mine)
            fill_zero(d_scaled[b])
        add_matrix_product(d_gates[t, first:last, width:], packed_u, d_scaled[first:last])
        for b in range(first, last):
            s, d_s = gates[t, b, width - H : width], d_gates[t, b, width - H : width]
            product(d_scaled[b], entered[t, b], d_s)
            sigmoid_backward(s, d_s)
            add_product(d_scaled[b], s, d_h[b])
        add_matrix_product(d_gates[t, first:last, :width], packed_gates, d_h[first:last])
        for b in range(first, last):
            if reset[t, b]:
                fill_zero(d_h[b])


@part
def update_backward(row: Any, h: Any, d_h: Any, d_row: Any, refined: bool, work: Any) -> None:
    """Takes the update of one environment's h backward.

    Args:
        row: [G]: activations.
        h: [H]: h before the step.
        d_h: [H]: gradient by h after the step; becomes what comes straight to h before it.
        d_row: [G]: the gradients by the pre-activations of z, (r) and u are written.
        refined: whether there is a refine gate.
        work: [H]: becomes the effective update gate.
    """
    H = h.size
    u, d_u, z, d_z = row[row.size - H :], d_row[row.size - H :], row[:H], d_row[:H]
    effective_update(row, H, refined, work)
    d_update(d_h, u, h, d_z)
    d_candidate(d_h, work, u, d_u)
    keep(work, d_h)
    if refined:
        r, d_r = row[H : 2 * H], d_row[H : 2 * H]
        d_refining(z, d_z, d_r)
        d_refined(z, r, d_z)
        sigmoid_backward(r, d_r)
    sigmoid_backward(z, d_z)


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
