"""Recurrences without matrix product in Triton: all steps in one launch, forward and backward.

Sources: the equations of `cores.mingru.MinGRU` and `cores.lru.LRU`; the backward passes are derived.

No unit asks another one: a lane owns a unit of an environment, and keeps its state in a register from the
first step to the last. Names: p is the state that enters a step; d_x is the gradient by x.
"""

import triton
import triton.language as tl

from cores.kernels.triton_parts import sigmoid


@triton.jit(do_not_specialize=["T", "B"])
def mingru_forward(gates, before, reset, out, T, B, H: tl.constexpr, BLOCK: tl.constexpr):
    """Takes all steps of a minGRU.

    Args:
        gates: [T, B, 2 H]: pre-activations of z and the candidates u; z's part becomes z.
        before: [B, H]: the output before step 0.
        reset: [T, B] uint8: where it is set, zeros enter the step.
        out: [T, B, H]: becomes h after each step.
        T: steps.
        B: environments.
        H: units.
        BLOCK: lanes of a program.
    """
    lane = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    width = B.to(tl.int64)
    b, j, inside = lane // H, lane % H, lane < width * H
    h = tl.load(before + lane, mask=inside, other=0.0)
    for t in range(T):
        place = gates + (t * width + b) * (2 * H) + j
        begins = tl.load(reset + t * width + b, mask=inside, other=0) != 0
        p = tl.where(begins, 0.0, h)
        z = sigmoid(tl.load(place, mask=inside, other=0.0))
        h = p + z * (tl.load(place + H, mask=inside, other=0.0) - p)
        tl.debug_barrier()  # several threads may load what one of them replaces
        tl.store(place, z, mask=inside)
        tl.store(out + t * width * H + lane, h, mask=inside)


@triton.jit(do_not_specialize=["T", "B"])
def mingru_backward(
    gates, before, reset, out, d_out, d_last, d_before, d_gates, T, B, H: tl.constexpr, BLOCK: tl.constexpr
):
    """Takes all steps of a minGRU backward.

    Args:
        gates: [T, B, 2 H]: as `mingru_forward` leaves them.
        before: [B, H]: the output before step 0.
        reset: [T, B] uint8: where it is set, nothing goes back beyond the step.
        out: [T, B, H]: as `mingru_forward` leaves it.
        d_out: [T, B, H]: gradient by the outputs.
        d_last: [B, H]: gradient by the last output, as a state.
        d_before: [B, H]: becomes the gradient by `before`.
        d_gates: [T, B, 2 H]: becomes the gradient by the pre-activations and candidates.
        T: steps.
        B: environments.
        H: units.
        BLOCK: lanes of a program.
    """
    lane = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    width = B.to(tl.int64)
    b, j, inside = lane // H, lane % H, lane < width * H
    dh = tl.load(d_last + lane, mask=inside, other=0.0)
    for step in range(T):
        t = T - 1 - step
        place = (t * width + b) * (2 * H) + j
        begins = tl.load(reset + t * width + b, mask=inside, other=0) != 0
        enters = inside & (begins == 0)
        p = tl.load(before + lane, mask=enters & (t == 0), other=0.0)
        p += tl.load(out + (t - 1) * width * H + lane, mask=enters & (t > 0), other=0.0)
        z = tl.load(gates + place, mask=inside, other=0.0)
        u = tl.load(gates + place + H, mask=inside, other=0.0)
        dh += tl.load(d_out + t * width * H + lane, mask=inside, other=0.0)
        tl.store(d_gates + place, dh * (u - p) * z * (1.0 - z), mask=inside)
        tl.store(d_gates + place + H, dh * z, mask=inside)
        dh = tl.where(begins, 0.0, dh * (1.0 - z))
    tl.store(d_before + lane, dh, mask=inside)


@triton.jit(do_not_specialize=["T", "B"])
def lru_forward(driven, before, eigenvalues, reset, states, T, B, H: tl.constexpr, BLOCK: tl.constexpr):
    """Takes all steps of x_t = lambda * x_{t-1} + driven_t, complex; real parts first, then imaginary ones.

    Args:
        driven: [T, B, 2 H]: what the inputs add.
        before: [B, 2 H]: the state before step 0.
        eigenvalues: [2 H]: lambda.
        reset: [T, B] uint8: where it is set, zeros enter the step.
        states: [T, B, 2 H]: becomes the state after each step.
        T: steps.
        B: environments.
        H: complex units.
        BLOCK: lanes of a program.
    """
    lane = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    width = B.to(tl.int64)
    b, j, inside = lane // H, lane % H, lane < width * H
    here = b * (2 * H) + j
    re = tl.load(eigenvalues + j, mask=inside, other=0.0)
    im = tl.load(eigenvalues + H + j, mask=inside, other=0.0)
    x_re = tl.load(before + here, mask=inside, other=0.0)
    x_im = tl.load(before + here + H, mask=inside, other=0.0)
    for t in range(T):
        place = t * width * (2 * H) + here
        begins = tl.load(reset + t * width + b, mask=inside, other=0) != 0
        p_re, p_im = tl.where(begins, 0.0, x_re), tl.where(begins, 0.0, x_im)
        x_re = tl.load(driven + place, mask=inside, other=0.0) + re * p_re - im * p_im
        x_im = tl.load(driven + place + H, mask=inside, other=0.0) + re * p_im + im * p_re
        tl.store(states + place, x_re, mask=inside)
        tl.store(states + place + H, x_im, mask=inside)


@triton.jit(do_not_specialize=["T", "B"])
def lru_backward(
    before, eigenvalues, reset, states, d_states, d_last, d_before, d_driven, d_by, T, B,
    H: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Takes all steps of `lru_forward` backward.

    Args:
        before: [B, 2 H]: the state before step 0.
        eigenvalues: [2 H]: lambda.
        reset: [T, B] uint8: where it is set, nothing goes back beyond the step.
        states: [T, B, 2 H]: as `lru_forward` leaves them.
        d_states: [T, B, 2 H]: gradient by them.
        d_last: [B, 2 H]: gradient by the last state, handed on.
        d_before: [B, 2 H]: becomes the gradient by `before`.
        d_driven: [T, B, 2 H]: becomes the gradient by `driven`.
        d_by: [B, 2 H]: becomes each environment's share of the gradient by lambda.
        T: steps.
        B: environments.
        H: complex units.
        BLOCK: lanes of a program.
    """
    lane = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    width = B.to(tl.int64)
    b, j, inside = lane // H, lane % H, lane < width * H
    here = b * (2 * H) + j
    re = tl.load(eigenvalues + j, mask=inside, other=0.0)
    im = tl.load(eigenvalues + H + j, mask=inside, other=0.0)
    d_re = tl.load(d_last + here, mask=inside, other=0.0)
    d_im = tl.load(d_last + here + H, mask=inside, other=0.0)
    by_re, by_im = tl.zeros_like(re), tl.zeros_like(im)
    for step in range(T):
        t = T - 1 - step
        place = t * width * (2 * H) + here
        begins = tl.load(reset + t * width + b, mask=inside, other=0) != 0
        enters = inside & (begins == 0)
        first, later = enters & (t == 0), enters & (t > 0)
        earlier = states + (t - 1) * width * (2 * H) + here
        p_re = tl.load(before + here, mask=first, other=0.0) + tl.load(earlier, mask=later, other=0.0)
        p_im = tl.load(before + here + H, mask=first, other=0.0) + tl.load(earlier + H, mask=later, other=0.0)
        d_re += tl.load(d_states + place, mask=inside, other=0.0)
        d_im += tl.load(d_states + place + H, mask=inside, other=0.0)
        tl.store(d_driven + place, d_re, mask=inside)
        tl.store(d_driven + place + H, d_im, mask=inside)
        by_re += d_re * p_re + d_im * p_im
        by_im += d_im * p_re - d_re * p_im
        back_re, back_im = d_re * re + d_im * im, d_im * re - d_re * im
        d_re, d_im = tl.where(begins, 0.0, back_re), tl.where(begins, 0.0, back_im)
    tl.store(d_before + here, d_re, mask=inside)
    tl.store(d_before + here + H, d_im, mask=inside)
    tl.store(d_by + here, by_re, mask=inside)
    tl.store(d_by + here + H, by_im, mask=inside)
