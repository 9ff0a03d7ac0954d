"""The GRU and the UR-GRU in Triton: all steps of an unroll in one launch forward and one backward.

Source: the equations of `cores.gru.GatedGRU`; the backward pass is derived from them. The plan of the kernels
is `triton_parts`'s, the shape arguments are `triton_lstm`'s; who launches them is `cuda_unroll`.

The candidate waits for the reset gate, so that a step is two products with a pointwise phase after each.
Names: z, r (with refine), s and u are what the gates buffer holds; g is the effective update gate, so that
h_new = h + g * (u - h); d_x is the gradient by x.
"""

import triton
import triton.language as tl

from cores.kernels.triton_parts import d_refined, meet, product, refine, sigmoid, tanh


@triton.jit(do_not_specialize=["T", "B"])
def forward(
    gates, entered, scaled, out, reset, weight, counters, T, B,
    H: tl.constexpr, G: tl.constexpr, REFINED: tl.constexpr,
    PRECISION: tl.constexpr, SHARING: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_K: tl.constexpr,
    ROWS: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """Takes all steps.

    Args:
        gates: [T, B, G]: the inputs' share of the pre-activations; becomes activations.
        entered: [T, B, H]: row 0 is h before step 0, reset; row t becomes h before step t, reset.
        scaled: [T, B, H]: becomes the same times the reset gate.
        out: [T, B, H]: becomes h after each step.
        reset: [T, B] uint8: where it is set, zeros enter the step.
        weight: [G, H]: recurrent weights.
        counters: [blocks] int32: zeros.
        T: steps.
        B: environments.
        H: units.
        G: width of the gates buffer.
        REFINED: whether there is a refine gate.
        PRECISION: as in `triton_parts.product`.
        SHARING: as in `triton_lstm`, as all that follow.
        BLOCK_B: blocks.
        BLOCK_K: terms.
        ROWS: rows.
        BLOCK_H: lanes.
    """
    block, share = tl.program_id(0) // SHARING, tl.program_id(0) % SHARING
    first, counter, width = block * BLOCK_B, counters + block, B.to(tl.int64)
    for t in range(T):
        row = gates + t * width * G
        product(
            row, G, entered + t * width * H, H, weight, first, B, share,
            H, G - H, 1, H, True, PRECISION, SHARING, BLOCK_B, BLOCK_K,
        )  # fmt: skip
        meet(counter, 4 * t + 1, SHARING)
        for r in range(share * ROWS, BLOCK_B, SHARING * ROWS):
            activate_rows(gates, entered, scaled, first + r, t, width, H, G, REFINED, ROWS, BLOCK_H)
        meet(counter, 4 * t + 2, SHARING)
        product(
            row + (G - H), G, scaled + t * width * H, H, weight + (G - H) * H, first, B, share,
            H, H, 1, H, True, PRECISION, SHARING, BLOCK_B, BLOCK_K,
        )  # fmt: skip
        meet(counter, 4 * t + 3, SHARING)
        for r in range(share * ROWS, BLOCK_B, SHARING * ROWS):
            update_rows(gates, entered, out, reset, first + r, t, T, width, H, G, REFINED, ROWS, BLOCK_H)
        meet(counter, 4 * t + 4, SHARING)


@triton.jit(do_not_specialize=["T", "B"])
def backward(
    gates, entered, reset, weight, d_out, d_h, d_scaled, d_gates, counters, T, B,
    H: tl.constexpr, G: tl.constexpr, REFINED: tl.constexpr,
    PRECISION: tl.constexpr, SHARING: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_K: tl.constexpr,
    ROWS: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """Takes all steps backward.

    Args:
        gates: [T, B, G]: as `forward` leaves them.
        entered: [T, B, H]: as `forward` leaves it.
        reset: [T, B] uint8: where it is set, nothing goes back beyond the step.
        weight: [G, H]: recurrent weights.
        d_out: [T, B, H]: gradient by the outputs.
        d_h: [B, H]: gradient by the last h, as a state; becomes the one by the h that enters step 0.
        d_scaled: [B, H]: room for the gradient by s * h.
        d_gates: [T, B, G]: becomes the gradient by the pre-activations.
        counters: [blocks] int32: zeros.
        T: as in `forward`, as all that follow.
        B: environments.
        H: units.
        G: width.
        REFINED: whether there is a refine gate.
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
        row = d_gates + t * width * G
        for r in range(share * ROWS, BLOCK_B, SHARING * ROWS):
            update_rows_backward(
                gates, entered, reset, d_out, d_h, d_gates, first + r, t, T, width,
                H, G, REFINED, ROWS, BLOCK_H,
            )  # fmt: skip
        meet(counter, 4 * step + 1, SHARING)
        product(
            d_scaled, H, row + (G - H), G, weight + (G - H) * H, first, B, share,
            H, H, H, 1, False, PRECISION, SHARING, BLOCK_B, BLOCK_K,
        )  # fmt: skip
        meet(counter, 4 * step + 2, SHARING)
        for r in range(share * ROWS, BLOCK_B, SHARING * ROWS):
            activate_rows_backward(
                gates, entered, d_scaled, d_h, d_gates, first + r, t, width, H, G, ROWS, BLOCK_H
            )
        meet(counter, 4 * step + 3, SHARING)
        product(
            d_h, H, row, G, weight, first, B, share,
            G - H, H, H, 1, True, PRECISION, SHARING, BLOCK_B, BLOCK_K,
        )  # fmt: skip
        meet(counter, 4 * step + 4, SHARING)


@triton.jit
def activate_rows(
    gates, entered, scaled, first, t, width,
    H: tl.constexpr, G: tl.constexpr, REFINED: tl.constexpr, ROWS: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """Activates the gates of step t, and scales h by the reset gate."""
    b = first + tl.arange(0, ROWS)[:, None]
    j = tl.arange(0, BLOCK_H)[None, :]
    inside, row, here = (b < width) & (j < H), gates + (t * width + b) * G + j, (t * width + b) * H + j
    z = sigmoid(tl.load(row, mask=inside, other=0.0))
    s = sigmoid(tl.load(row + (G - 2 * H), mask=inside, other=0.0))
    h = tl.load(entered + here, mask=inside, other=0.0)
    if REFINED:
        r = sigmoid(tl.load(row + H, mask=inside, other=0.0))
        tl.debug_barrier()
        tl.store(row + H, r, mask=inside)
    else:
        tl.debug_barrier()
    tl.store(row, z, mask=inside)
    tl.store(row + (G - 2 * H), s, mask=inside)
    tl.store(scaled + here, s * h, mask=inside)


@triton.jit
def update_rows(
    gates, entered, out, reset, first, t, T, width,
    H: tl.constexpr, G: tl.constexpr, REFINED: tl.constexpr, ROWS: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """Activates the candidate of step t, and updates h."""
    b = first + tl.arange(0, ROWS)[:, None]
    j = tl.arange(0, BLOCK_H)[None, :]
    inside, row, here = (b < width) & (j < H), gates + (t * width + b) * G + j, (t * width + b) * H + j
    begins_next = tl.load(reset + (t + 1) * width + b, mask=(b < width) & (t + 1 < T), other=0) != 0
    g = tl.load(row, mask=inside, other=0.0)
    if REFINED:
        g = refine(g, tl.load(row + H, mask=inside, other=0.0))
    u = tanh(tl.load(row + (G - H), mask=inside, other=0.0))
    h = tl.load(entered + here, mask=inside, other=0.0)
    h = h + g * (u - h)
    tl.debug_barrier()
    tl.store(row + (G - H), u, mask=inside)
    tl.store(out + here, h, mask=inside)
    tl.store(entered + here + width * H, tl.where(begins_next, 0.0, h), mask=inside & (t + 1 < T))


@triton.jit
def update_rows_backward(
    gates, entered, reset, d_out, d_h, d_gates, first, t, T, width,
    H: tl.constexpr, G: tl.constexpr, REFINED: tl.constexpr, ROWS: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """Takes `update_rows` back; in d_h stays what comes straight to the h that enters step t."""
    b = first + tl.arange(0, ROWS)[:, None]
    j = tl.arange(0, BLOCK_H)[None, :]
    inside, row, here = (b < width) & (j < H), (t * width + b) * G + j, (t * width + b) * H + j
    begins_next = tl.load(reset + (t + 1) * width + b, mask=(b < width) & (t + 1 < T), other=0) != 0
    after = inside & (begins_next == 0)  # what the next step's reset drops is not even loaded
    dh = tl.load(d_out + here, mask=inside, other=0.0) + tl.load(d_h + b * H + j, mask=after, other=0.0)
    z = tl.load(gates + row, mask=inside, other=0.0)
    u = tl.load(gates + row + (G - H), mask=inside, other=0.0)
    d_z = dh * (u - tl.load(entered + here, mask=inside, other=0.0))
    g = z
    if REFINED:
        r = tl.load(gates + row + H, mask=inside, other=0.0)
        g = refine(z, r)
        tl.store(d_gates + row + H, d_z * 2.0 * (z - z * z) * r * (1.0 - r), mask=inside)
        d_z = d_z * d_refined(z, r)
    tl.debug_barrier()
    tl.store(d_gates + row, d_z * z * (1.0 - z), mask=inside)
    tl.store(d_gates + row + (G - H), dh * g * (1.0 - u * u), mask=inside)
    tl.store(d_h + b * H + j, dh * (1.0 - g), mask=inside)


@triton.jit
def activate_rows_backward(
    gates, entered, d_scaled, d_h, d_gates, first, t, width,
    H: tl.constexpr, G: tl.constexpr, ROWS: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """Takes `activate_rows` back as far as the reset gate; d_h grows by what comes through s * h."""
    b = first + tl.arange(0, ROWS)[:, None]
    j = tl.arange(0, BLOCK_H)[None, :]
    inside, row = (b < width) & (j < H), (t * width + b) * G + (G - 2 * H) + j
    s = tl.load(gates + row, mask=inside, other=0.0)
    h = tl.load(entered + (t * width + b) * H + j, mask=inside, other=0.0)
    by_scaled = tl.load(d_scaled + b * H + j, mask=inside, other=0.0)
    dh = tl.load(d_h + b * H + j, mask=inside, other=0.0) + by_scaled * s
    tl.debug_barrier()
    tl.store(d_gates + row, by_scaled * h * s * (1.0 - s), mask=inside)
    tl.store(d_h + b * H + j, dh, mask=inside)
