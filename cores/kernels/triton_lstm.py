"""The LSTM grid in Triton: all steps of an unroll in one launch forward and one backward.

Source: the equations of `cores.lstm.GatedLSTM` and `cores.gates`; the backward pass is derived from them. The
plan of the kernels is `triton_parts`'s; who launches them is `cuda_unroll`.

A step forward is a product into the gates buffer, then everything else row by row, where a row is an
environment: cumax and master gates sum over its units. A step backward is the rows, then the product that
gives the gradient by h. Names: f, beside (i or r), o and u are what the gates buffer holds, of cumax and of
the master gates F and I the softmax; forget and write are the effective gates, so that
c_new = forget * c + write * u; d_x is the gradient by x.

The shape arguments of all kernels: a program is one of SHARING that own BLOCK_B environments; it takes ROWS
of them at once, each with BLOCK_H >= H lanes, and products by BLOCK_K terms.
"""

import triton
import triton.language as tl

from cores.kernels.triton_parts import (
    cumax_backward,
    d_refined,
    meet,
    product,
    refine,
    sigmoid,
    softmax,
    tanh,
)


@triton.jit(do_not_specialize=["T", "B"])
def forward(
    gates, cells, entered, out, reset, weight, counters, T, B,
    H: tl.constexpr, G: tl.constexpr, CUMAX: tl.constexpr, HELP: tl.constexpr, C: tl.constexpr,
    PRECISION: tl.constexpr, SHARING: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_K: tl.constexpr,
    ROWS: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """Takes all steps.

    Args:
        gates: [T, B, G]: the inputs' share of the pre-activations; becomes activations.
        cells: [T + 1, B, H]: row 0 is c before step 0; row t + 1 becomes c after step t, before any reset.
        entered: [T, B, H]: row 0 is h before step 0, reset; row t becomes h before step t, reset.
        out: [T, B, H]: becomes h after each step.
        reset: [T, B] uint8: where it is set, zeros enter the step.
        weight: [G, H]: recurrent weights.
        counters: [blocks] int32: zeros.
        T: steps.
        B: environments.
        H: units.
        G: width of the gates buffer.
        CUMAX: whether the forget gate is cumax, and not sigma, of its pre-activation.
        HELP: "none", "refine" or "master".
        C: units that share one entry of a master gate.
        PRECISION: as in `triton_parts.product`.
        SHARING: as in the module, as all that follow.
        BLOCK_B: blocks.
        BLOCK_K: terms.
        ROWS: rows.
        BLOCK_H: lanes.
    """
    block, share = tl.program_id(0) // SHARING, tl.program_id(0) % SHARING
    first, counter, width = block * BLOCK_B, counters + block, B.to(tl.int64)
    for t in range(T):
        product(
            gates + t * width * G, G, entered + t * width * H, H, weight, first, B, share,
            H, G, 1, H, True, PRECISION, SHARING, BLOCK_B, BLOCK_K,
        )  # fmt: skip
        meet(counter, 2 * t + 1, SHARING)
        for r in range(share * ROWS, BLOCK_B, SHARING * ROWS):
            forward_rows(
                gates, cells, entered, out, reset, first + r, t, T, width,
                H, G, CUMAX, HELP, C, ROWS, BLOCK_H,
            )  # fmt: skip
        meet(counter, 2 * t + 2, SHARING)


@triton.jit(do_not_specialize=["T", "B"])
def backward(
    gates, cells, reset, weight, d_out, d_h, d_c, d_gates, counters, T, B,
    H: tl.constexpr, G: tl.constexpr, CUMAX: tl.constexpr, HELP: tl.constexpr, C: tl.constexpr,
    PRECISION: tl.constexpr, SHARING: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_K: tl.constexpr,
    ROWS: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """Takes all steps backward.

    Args:
        gates: [T, B, G]: as `forward` leaves them.
        cells: [T + 1, B, H]: as `forward` leaves them.
        reset: [T, B] uint8: where it is set, nothing goes back beyond the step.
        weight: [G, H]: recurrent weights.
        d_out: [T, B, H]: gradient by the outputs.
        d_h: [B, H]: gradient by the last h, as a state; becomes the one by the h that enters step 0.
        d_c: [B, H]: gradient by the last c; becomes the one by the c that enters step 0.
        d_gates: [T, B, G]: becomes the gradient by the pre-activations.
        counters: [blocks] int32: zeros.
        T: as in `forward`, as all that follow.
        B: environments.
        H: units.
        G: width.
        CUMAX: forget gate.
        HELP: help.
        C: chunk.
        PRECISION: precision.
        SHARING: programs.
        BLOCK_B: blocks.
        BLOCK_K: terms.
        ROWS: rows.
        BLOCK_H: lanes.
    """
    block, share = tl.program_id(0) // SHARING, tl.program_id(0) % SHARING
    first, counter, width = block * BLOCK_B, counters + block, B.to(tl.int64)
    for step in range(T):
        t = T - 1 - step
        for r in range(share * ROWS, BLOCK_B, SHARING * ROWS):
            backward_rows(
                gates, cells, reset, d_out, d_h, d_c, d_gates, first + r, t, T, width,
                H, G, CUMAX, HELP, C, ROWS, BLOCK_H,
            )  # fmt: skip
        meet(counter, 2 * step + 1, SHARING)
        product(
            d_h, H, d_gates + t * width * G, G, weight, first, B, share,
            G, H, H, 1, False, PRECISION, SHARING, BLOCK_B, BLOCK_K,
        )  # fmt: skip
        meet(counter, 2 * step + 2, SHARING)


@triton.jit
def forward_rows(
    gates, cells, entered, out, reset, first, t, T, width,
    H: tl.constexpr, G: tl.constexpr, CUMAX: tl.constexpr, HELP: tl.constexpr, C: tl.constexpr,
    ROWS: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """Takes step t of the environments from `first` on, when their pre-activations are complete."""
    b = first + tl.arange(0, ROWS)[:, None]
    j = tl.arange(0, BLOCK_H)[None, :]
    counts, inside = (j < H) & (j % C == 0), (b < width) & (j < H)
    row, shared = gates + (t * width + b) * G + j, gates + (t * width + b) * G + 4 * H + j // C
    here = (t * width + b) * H + j
    begins = tl.load(reset + t * width + b, mask=b < width, other=0) != 0
    begins_next = tl.load(reset + (t + 1) * width + b, mask=(b < width) & (t + 1 < T), other=0) != 0
    c = tl.where(begins, 0.0, tl.load(cells + here, mask=inside, other=0.0))
    f = tl.load(row, mask=inside, other=0.0)
    f = softmax(f, j < H) if CUMAX else sigmoid(f)
    beside = sigmoid(tl.load(row + H, mask=inside, other=0.0))
    o = sigmoid(tl.load(row + 2 * H, mask=inside, other=0.0))
    u = tanh(tl.load(row + 3 * H, mask=inside, other=0.0))
    share_f, share_i = f, f
    if HELP == "master":
        share_f = softmax(tl.load(shared, mask=inside & counts, other=0.0), counts)
        share_i = softmax(tl.load(shared + H // C, mask=inside & counts, other=0.0), counts)
    _, forget, write, _, _ = effective_gates(f, beside, share_f, share_i, CUMAX, HELP)
    c = forget * c + write * u
    h = o * tanh(c)
    tl.debug_barrier()
    tl.store(row, f, mask=inside)
    tl.store(row + H, beside, mask=inside)
    tl.store(row + 2 * H, o, mask=inside)
    tl.store(row + 3 * H, u, mask=inside)
    if HELP == "master":
        tl.store(shared, share_f, mask=inside & counts)
        tl.store(shared + H // C, share_i, mask=inside & counts)
    tl.store(cells + here + width * H, c, mask=inside)
    tl.store(out + here, h, mask=inside)
    tl.store(entered + here + width * H, tl.where(begins_next, 0.0, h), mask=inside & (t + 1 < T))


@triton.jit
def effective_gates(f, beside, share_f, share_i, CUMAX: tl.constexpr, HELP: tl.constexpr):
    """Returns f, forget, write, and with "master" F and I, of what the gates buffer holds."""
    if CUMAX:
        f = tl.cumsum(f, axis=1)
    forget, write, F, I = f, beside, f, f  # noqa: E741
    if HELP == "refine":
        forget = refine(f, beside)
        write = 1.0 - forget
    elif HELP == "master":
        F, I = tl.cumsum(share_f, axis=1), 1.0 - tl.cumsum(share_i, axis=1)  # noqa: E741
        forget, write = F - F * I * (1.0 - f), I - F * I * (1.0 - beside)
    return f, forget, write, F, I


@triton.jit
def backward_rows(
    gates, cells, reset, d_out, d_h, d_c, d_gates, first, t, T, width,
    H: tl.constexpr, G: tl.constexpr, CUMAX: tl.constexpr, HELP: tl.constexpr, C: tl.constexpr,
    ROWS: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """Takes step t backward for the environments from `first` on, all but the product with the weights."""
    b = first + tl.arange(0, ROWS)[:, None]
    j = tl.arange(0, BLOCK_H)[None, :]
    counts, inside = (j < H) & (j % C == 0), (b < width) & (j < H)
    row, here = (t * width + b) * G + j, (t * width + b) * H + j
    shared = (t * width + b) * G + 4 * H + j // C
    begins = tl.load(reset + t * width + b, mask=b < width, other=0) != 0
    begins_next = tl.load(reset + (t + 1) * width + b, mask=(b < width) & (t + 1 < T), other=0) != 0
    f = tl.load(gates + row, mask=inside, other=0.0)
    share, share_f, share_i = f, f, f  # share: of the forget gate, if it is cumax
    beside = tl.load(gates + row + H, mask=inside, other=0.0)
    o = tl.load(gates + row + 2 * H, mask=inside, other=0.0)
    u = tl.load(gates + row + 3 * H, mask=inside, other=0.0)
    if HELP == "master":
        share_f = tl.load(gates + shared, mask=inside & counts, other=0.0)
        share_i = tl.load(gates + shared + H // C, mask=inside & counts, other=0.0)
    f, forget, write, F, I = effective_gates(f, beside, share_f, share_i, CUMAX, HELP)  # noqa: E741
    c = tl.where(begins, 0.0, tl.load(cells + here, mask=inside, other=0.0))
    tanh_c = tanh(tl.load(cells + here + width * H, mask=inside, other=0.0))
    after = inside & (begins_next == 0)  # what the next step's reset drops is not even loaded
    dh = tl.load(d_out + here, mask=inside, other=0.0) + tl.load(d_h + b * H + j, mask=after, other=0.0)
    dc = tl.load(d_c + b * H + j, mask=after, other=0.0) + dh * o * (1.0 - tanh_c * tanh_c)
    d_forget, d_write = dc * c, dc * u
    if HELP == "master":
        through = d_forget * (1.0 - f) + d_write * (1.0 - beside)
        d_share_f = cumax_backward(share_f, tl.where(inside, d_forget - I * through, 0.0), counts)
        d_share_i = cumax_backward(share_i, tl.where(inside, F * through - d_write, 0.0), counts)
        tl.store(d_gates + shared, d_share_f, mask=inside & counts)
        tl.store(d_gates + shared + H // C, d_share_i, mask=inside & counts)
        d_f, d_beside = d_forget * F * I, d_write * F * I
    elif HELP == "refine":
        d_g = d_forget - d_write
        d_f, d_beside = d_g * d_refined(f, beside), d_g * 2.0 * (f - f * f)
    else:
        d_f, d_beside = d_forget, d_write
    d_f = cumax_backward(share, tl.where(inside, d_f, 0.0), j < H) if CUMAX else d_f * f * (1.0 - f)
    tl.debug_barrier()
    tl.store(d_gates + row, d_f, mask=inside)
    tl.store(d_gates + row + H, d_beside * beside * (1.0 - beside), mask=inside)
    tl.store(d_gates + row + 2 * H, dh * tanh_c * o * (1.0 - o), mask=inside)
    tl.store(d_gates + row + 3 * H, dc * write * (1.0 - u * u), mask=inside)
    tl.store(d_c + b * H + j, dc * forget, mask=inside)
