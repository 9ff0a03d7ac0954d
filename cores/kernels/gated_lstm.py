"""The LSTM grid's unroll, forward and backward: in each step a product, then a pointwise half.

Source: the equations of `cores.lstm.GatedLSTM` and `cores.gates`; the backward pass is derived from them.

Names of rows, each [H]: o and u are what the gates buffer holds; forget and write are the effective gates of
`lstm_gates`, so that c_new = forget * c + write * u; d_x is the gradient by x.
"""

from typing import Any

from cores.kernels.activations import cumax_backward, sigmoid_backward, tanh_row
from cores.kernels.compiled import compiled, part
from cores.kernels.lstm_gates import activate, effective_gates, help_backward
from cores.kernels.products import add_matrix_product
from cores.kernels.rows import ONE, add, add_to_rows, copy_row, drop_faint, fill_zero, product


@compiled
def forward(
    first: int, last: int, packed: Any, bias: Any, gates: Any, cells: Any, entered: Any, out: Any, reset: Any,
    work: Any, cumax: bool, help: int, chunk: int,
) -> None:  # fmt: skip
    """Takes all steps of some environments.

    Args:
        first: the first of these environments.
        last: the one behind the last of them.
        packed: the recurrent weights' transpose, [H, G], by `cores.kernels.products.panels`.
        bias: [G]: biases.
        gates: [T, B, G]: the inputs' products; left as by `step`.
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
        add_to_rows(bias, gates[t, first:last])  # here, where they are in the cache
        add_matrix_product(entered[t, first:last], packed, gates[t, first:last])
        step(t, first, last, gates, cells, entered, out, reset, work, cumax, help, chunk)


@compiled
def act(
    first: int, last: int, inputs: Any, packed_ih: Any, packed: Any, bias: Any, gates: Any, cells: Any,
    entered: Any, out: Any, reset: Any, work: Any, cumax: bool, help: int, chunk: int,
) -> None:  # fmt: skip
    """Takes one step of some environments, in the buffers of the step before.

    Args:
        first: the first of these environments.
        last: the one behind the last of them.
        inputs: [B, I]: inputs.
        packed_ih: the input weights' transpose, [I, G], by `cores.kernels.products.panels`.
        packed: as in `forward`.
        bias: as in `forward`.
        gates: [1, B, G]: overwritten.
        cells: [2, B, H]: row 1 is c before the step, and becomes c after it; row 0 is overwritten.
        entered: [1, B, H]: overwritten.
        out: [1, B, H]: h before the step; becomes h after it.
        reset: [1, B] bool: where it is set, c and h enter the step as zeros.
        work: as in `step`.
        cumax: as in `step`.
        help: as in `step`.
        chunk: as in `step`.
    """
    for b in range(first, last):
        fill_zero(gates[0, b])
        copy_row(cells[1, b], cells[0, b])
        if reset[0, b]:
            fill_zero(entered[0, b])
        else:
            copy_row(out[0, b], entered[0, b])
    add_matrix_product(inputs[first:last], packed_ih, gates[0, first:last])
    forward(first, last, packed, bias, gates, cells, entered, out, reset, work, cumax, help, chunk)


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


@part
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
        help: `cores.kernels.lstm_gates.NONE`, REFINE or MASTER.
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
        drop_faint(dh)
        drop_faint(dc)
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
