"""The LSTM grid's unroll, forward and backward: in each step a product, then a pointwise half.

Source: the equations of `cores.lstm.GatedLSTM` and `cores.gates`; the backward pass is derived from them.

One pair of functions serves the whole grid: which place of it is meant is decided once per row, which costs
nothing beside the row. Names of rows, each [H]: f, beside (i or r), o and u are what the gates buffer holds;
forget and write are the effective gates, so that c_new = forget * c + write * u; d_x is the gradient by x.
"""

from typing import Any

from cores.kernels.activations import (
    cumax_backward,
    cumulate,
    sigmoid_backward,
    sigmoid_row,
    softmax_row,
    tanh_row,
)
from cores.kernels.compiled import compiled, part
from cores.kernels.products import add_matrix_product
from cores.kernels.rows import ONE, TWO, ZERO, add, complement, copy_row, fill_zero, negate, product, subtract

NONE, REFINE, MASTER = 0, 1, 2


@compiled
def forward(
    first: int, last: int, packed: Any, gates: Any, cells: Any, entered: Any, out: Any, reset: Any, work: Any,
    cumax: bool, help: int, chunk: int,
) -> None:  # fmt: skip
    """Takes all steps of some environments.

    Args:
        first: the first of these environments.
        last: the one behind the last of them.
        packed: the recurrent weights' transpose, [H, G], by `cores.kernels.products.panels`.
        gates: [T, B, G]: the inputs' share of the pre-activations; left as by `step`.
        cells: [T + 1, B, H]: as in `step`.
        entered: [T, B, H]: as in `step`; row 0 is h before the unroll, reset.
        out: [T, B, H]: as in `step`.
        reset: [T, B] bool: as in `step`.
        work: as in `step`.
        cumax: as in `step`.
        help: as in `step`.
        chunk: as in `step`.
    """
    for t in range(out.shape[0]):
        add_matrix_product(entered[t, first:last], packed, gates[t, first:last])
        step(t, first, last, gates, cells, entered, out, reset, work, cumax, help, chunk)


@compiled
def backward(
    first: int, last: int, packed: Any, gates: Any, cells: Any, reset: Any, d_out: Any, d_h: Any, d_c: Any,
    d_gates: Any, work: Any, cumax: bool, help: int, chunk: int,
) -> None:  # fmt: skip
    """Takes all steps of some environments backward.

    Args:
        first: the first of these environments.
        last: the one behind the last of them.
        packed: the recurrent weights, [G, H], by `cores.kernels.products.panels`.
        gates: [T, B, G]: as in `step_backward`.
        cells: [T + 1, B, H]: as in `step_backward`.
        reset: [T, B] bool: as in `step_backward`.
        d_out: [T, B, H]: as in `step_backward`.
        d_h: [B, H]: gradient by h after the unroll; becomes the one by h before it.
        d_c: [B, H]: gradient by c after the unroll; becomes the one by c before it.
        d_gates: [T, B, G]: as in `step_backward`.
        work: as in `step`.
        cumax: as in `step`.
        help: as in `step`.
        chunk: as in `step`.
    """
    for t in range(d_out.shape[0] - 1, -1, -1):
        step_backward(t, first, last, gates, cells, reset, d_out, d_h, d_c, d_gates, work, cumax, help, chunk)
        add_matrix_product(d_gates[t, first:last], packed, d_h[first:last])
    for b in range(first, last):
        if reset[0, b]:
            fill_zero(d_h[b])
            fill_zero(d_c[b])


@compiled
def step(
    t: int, first: int, last: int, gates: Any, cells: Any, entered: Any, out: Any, reset: Any, work: Any,
    cumax: bool, help: int, chunk: int,
) -> None:  # fmt: skip
    """Takes the pointwise half of step t, with its resets.

    c is reset on the way in. h was needed before, in the product, so that the step before has reset it.

    Args:
        t: the step, in [0, T).
        first: the first environment.
        last: the one behind the last environment.
        gates: [T, B, G]: row t holds pre-activations, and is left with activations (of cumax: the softmax).
        cells: [T + 1, B, H]: row t is c before the step, and is reset; row t + 1 becomes c after it.
        entered: [T, B, H]: row t + 1, if there is one, becomes h after the step, reset for step t + 1.
        out: [T, B, H]: row t becomes h after the step.
        reset: [T, B] bool: where row t is set, c and h enter step t as zeros.
        work: [B, 6, H]: scratch; row `first` is used.
        cumax: the forget gate is cumax(P_f), and not sigma(P_f).
        help: NONE, REFINE or MASTER.
        chunk: C, units that share one entry of a master gate.
    """
    T, _, H = out.shape
    mine = work[first]
    for b in range(first, last):
        row, c, c_new, h = gates[t, b], cells[t, b], cells[t + 1, b], out[t, b]
        if reset[t, b]:
            fill_zero(c)
        activate(row, H, cumax, help)
        effective_gates(row, H, cumax, help, chunk, mine)
        new_cell(mine[1], mine[2], row[3 * H : 4 * H], c, c_new)
        new_output(row[2 * H : 3 * H], c_new, h)
        if t + 1 < T:
            if reset[t + 1, b]:
                fill_zero(entered[t + 1, b])
            else:
                copy_row(h, entered[t + 1, b])


@part
def step_backward(
    t: int, first: int, last: int, gates: Any, cells: Any, reset: Any, d_out: Any, d_h: Any, d_c: Any,
    d_gates: Any, work: Any, cumax: bool, help: int, chunk: int,
) -> None:  # fmt: skip
    """Takes the pointwise half of step t backward.

    Args:
        t: the step, in [0, T).
        first: the first environment.
        last: the one behind the last environment.
        gates: [T, B, G]: activations, as `step` leaves them.
        cells: [T + 1, B, H]: as `step` leaves them.
        reset: [T, B] bool: where row t + 1 is set, nothing comes back from step t + 1.
        d_out: [T, B, H]: gradient by the outputs.
        d_h: [B, H]: gradient by the h that enters step t + 1; left at zero, for the product to add to.
        d_c: [B, H]: gradient by the c that enters step t + 1; becomes the one by the c that enters step t.
        d_gates: [T, B, G]: row t becomes the gradient by the pre-activations.
        work: as in `step`.
        cumax: as in `step`.
        help: as in `step`.
        chunk: as in `step`.
    """
    T, _, H = d_out.shape
    mine = work[first]
    forget, write, tanh_c = mine[1], mine[2], mine[5]
    for b in range(first, last):
        row, d_row, c, dh, dc = gates[t, b], d_gates[t, b], cells[t, b], d_h[b], d_c[b]
        o, u = row[2 * H : 3 * H], row[3 * H : 4 * H]
        effective_gates(row, H, cumax, help, chunk, mine)
        new_cell(forget, write, u, c, tanh_c)  # not from cells: a reset may have replaced it
        tanh_row(tanh_c)
        if t + 1 < T and reset[t + 1, b]:
            fill_zero(dh)
            fill_zero(dc)
        add(d_out[t, b], dh)
        d_output_gate(o, tanh_c, dh, d_row[2 * H : 3 * H])
        d_new_cell(o, tanh_c, dh, dc)
        fill_zero(dh)
        d_candidate(write, u, dc, d_row[3 * H : 4 * H])
        product(dc, c, d_row[:H])
        product(dc, u, d_row[H : 2 * H])
        product(dc, forget, dc)
        help_backward(row, H, help, chunk, mine, d_row)
        sigmoid_backward(row[H : 2 * H], d_row[H : 2 * H])
        if cumax:
            cumax_backward(row[:H], d_row[:H])
        else:
            sigmoid_backward(row[:H], d_row[:H])


@part
def activate(row: Any, H: int, cumax: bool, help: int) -> None:
    """Replaces the pre-activations of one environment by activations."""
    if cumax:
        softmax_row(row[:H])
        sigmoid_row(row[H : 3 * H])
    else:
        sigmoid_row(row[: 3 * H])
    tanh_row(row[3 * H : 4 * H])
    if help == MASTER:
        middle = (4 * H + row.size) // 2
        softmax_row(row[4 * H : middle])
        softmax_row(row[middle:])


@part
def effective_gates(row: Any, H: int, cumax: bool, help: int, chunk: int, work: Any) -> None:
    """Writes into work, [6, H]: f, forget, write, and with MASTER F and I, one entry a unit."""
    f, forget, write, beside = work[0], work[1], work[2], row[H : 2 * H]
    if cumax:
        cumulate(row[:H], f)
    else:
        copy_row(row[:H], f)
    if help == NONE:
        copy_row(f, forget)
        copy_row(beside, write)
    elif help == REFINE:
        refine(f, beside, forget)
        complement(forget, write)
    else:
        middle = (4 * H + row.size) // 2
        spread(row[4 * H : middle], chunk, work[3])
        spread(row[middle:], chunk, work[4])
        complement(work[4], work[4])
        mastered(work[3], work[4], f, forget)
        mastered(work[4], work[3], beside, write)


@part
def help_backward(row: Any, H: int, help: int, chunk: int, work: Any, d_row: Any) -> None:
    """Turns the gradients by forget and write, in d_row's first 2 H, into those by f and the gates beside it.

    With MASTER the rest of d_row becomes the gradient by P_F and P_I.
    """
    f, beside = work[0], row[H : 2 * H]
    d_f, d_beside = d_row[:H], d_row[H : 2 * H]
    if help == REFINE:
        subtract(d_f, d_beside)
        d_refining(f, d_f, d_beside)
        d_refined(f, beside, d_f)
    elif help == MASTER:
        F, I = work[3], work[4]  # noqa: E741
        middle = (4 * H + row.size) // 2
        d_F, d_I = d_row[4 * H : middle], d_row[middle:]
        d_master(F, I, f, beside, d_f, d_beside, chunk, d_F)
        d_master(I, F, beside, f, d_beside, d_f, chunk, d_I)
        negate(d_I)
        cumax_backward(row[4 * H : middle], d_F)
        cumax_backward(row[middle:], d_I)
        scale_by_overlap(F, I, d_f)
        scale_by_overlap(F, I, d_beside)


@part
def new_cell(forget: Any, write: Any, u: Any, c: Any, c_new: Any) -> None:
    """Writes forget * c + write * u."""
    for j in range(c_new.size):
        c_new[j] = forget[j] * c[j] + write[j] * u[j]


@part
def new_output(o: Any, c_new: Any, h: Any) -> None:
    """Writes o * tanh(c_new)."""
    copy_row(c_new, h)
    tanh_row(h)
    product(h, o, h)


@part
def d_output_gate(o: Any, tanh_c: Any, d_h: Any, d: Any) -> None:
    """Gradient by P_o."""
    for j in range(d.size):
        d[j] = d_h[j] * tanh_c[j] * o[j] * (ONE - o[j])


@part
def d_new_cell(o: Any, tanh_c: Any, d_h: Any, d_c: Any) -> None:
    """Adds to the gradient by c_new what comes through h."""
    for j in range(d_c.size):
        d_c[j] += d_h[j] * o[j] * (ONE - tanh_c[j] * tanh_c[j])


@part
def d_candidate(write: Any, u: Any, d_c: Any, d: Any) -> None:
    """Gradient by P_u."""
    for j in range(d.size):
        d[j] = d_c[j] * write[j] * (ONE - u[j] * u[j])


@part
def refine(f: Any, r: Any, g: Any) -> None:
    """Writes g = f^2 + 2 r (f - f^2), as `cores.gates.refine`."""
    for j in range(g.size):
        g[j] = f[j] * f[j] + TWO * r[j] * (f[j] - f[j] * f[j])


@part
def d_refining(f: Any, d_g: Any, d_r: Any) -> None:
    """Gradient by r."""
    for j in range(d_r.size):
        d_r[j] = d_g[j] * TWO * (f[j] - f[j] * f[j])


@part
def d_refined(f: Any, r: Any, d: Any) -> None:
    """Turns the gradient by g into the one by f: g' = 2 f + 2 r (1 - 2 f)."""
    for j in range(d.size):
        d[j] *= TWO * (f[j] + r[j] * (ONE - TWO * f[j]))


@part
def spread(shares: Any, chunk: int, gate: Any) -> None:
    """Writes the running sums of a softmax, each for C units."""
    if chunk == 1:
        cumulate(shares, gate)
    else:
        total = ZERO * shares[0]
        for k in range(shares.size):
            total += shares[k]
            for j in range(k * chunk, (k + 1) * chunk):
                gate[j] = total


@part
def mastered(master: Any, other: Any, gate: Any, effective: Any) -> None:
    """Writes f_hat = F - F I (1 - f), and with the masters exchanged i_hat, as `cores.gates.master`."""
    for j in range(effective.size):
        effective[j] = master[j] - master[j] * other[j] * (ONE - gate[j])


@part
def d_master(
    master: Any, other: Any, gate: Any, other_gate: Any, d: Any, d_other: Any, chunk: int, d_shared: Any
) -> None:
    """Gradient by a master gate, by the effective gates d and d_other: the sum over the C units it rules."""
    for k in range(d_shared.size):
        total = ZERO * d[0]
        for j in range(k * chunk, (k + 1) * chunk):
            through = other[j] * (d[j] * (ONE - gate[j]) + d_other[j] * (ONE - other_gate[j]))
            total += d[j] - through
        d_shared[k] = total


@part
def scale_by_overlap(F: Any, I: Any, d: Any) -> None:  # noqa: E741
    """Turns the gradient by f_hat or i_hat into the one by f or i."""
    for j in range(d.size):
        d[j] *= F[j] * I[j]
