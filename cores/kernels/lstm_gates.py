"""The gates of the LSTM grid: activations, what helps the forget gate, and the way back through both.

Source: the equations of `cores.gates`; the backward pass is derived from them.

One row serves the whole grid: which place of it is meant is decided once per row, which costs nothing beside
the row. Names of rows, each [H]: f, beside (i or r), o and u are what the gates buffer holds; forget and
write are the effective gates; d_x is the gradient by x.
"""

from typing import Any

from cores.kernels.activations import (
    cumax_backward,
    cumulate,
    sigmoid_row,
    softmax_row,
    tanh_row,
)
from cores.kernels.compiled import part
from cores.kernels.rows import ONE, TWO, ZERO, complement, copy_row, negate, subtract

NONE, REFINE, MASTER = 0, 1, 2


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
