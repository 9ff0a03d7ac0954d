"""Recurrences without matrix product, all steps in one call, forward and backward.

Sources: the equations of `cores.mingru.MinGRU` and `cores.lru.LRU`; the backward passes are derived.

The papers scan in parallel, in log T passes. On one core T steps one after the other are the least work.
Names of rows: p is the state that enters a step; d_x is the gradient by x.
"""

from typing import Any

from cores.kernels.activations import sigmoid_backward, sigmoid_row
from cores.kernels.compiled import compiled, inlined, part
from cores.kernels.gated_gru import d_update, interpolate, keep
from cores.kernels.rows import add, copy_row, drop_faint, fill_zero, product


@compiled
def mingru_forward(first: int, last: int, gates: Any, h: Any, reset: Any, out: Any, zeros: Any) -> None:
    """Takes all steps of a minGRU in some environments.

    Args:
        first: the first of these environments.
        last: the one behind the last of them.
        gates: [T, B, 2 H]: pre-activations of z and the candidates u; z's part becomes z.
        h: [B, H]: the output before step 0.
        reset: [T, B] bool: where it is set, zeros enter the step.
        out: [T, B, H]: becomes h after each step.
        zeros: [H]: zeros.
    """
    T, _, H = out.shape
    for t in range(T):
        for b in range(first, last):
            z, u = gates[t, b, :H], gates[t, b, H:]
            sigmoid_row(z)
            interpolate(z, u, entering(t, b, h, reset, out, zeros), out[t, b])


@compiled
def mingru_backward(
    first: int, last: int, gates: Any, h: Any, reset: Any, out: Any, d_out: Any, d_h: Any, d_gates: Any,
    zeros: Any,
) -> None:  # fmt: skip
    """Takes all steps of a minGRU backward in some environments.

    Args:
        first: the first of these environments.
        last: the one behind the last of them.
        gates: [T, B, 2 H]: as `mingru_forward` leaves them.
        h: [B, H]: the output before step 0.
        reset: [T, B] bool: where it is set, nothing goes back beyond the step.
        out: [T, B, H]: as `mingru_forward` leaves it.
        d_out: [T, B, H]: gradient by the outputs.
        d_h: [B, H]: gradient by the last output, as a state; becomes the one by h.
        d_gates: [T, B, 2 H]: becomes the gradient by the pre-activations and candidates.
        zeros: [H]: zeros.
    """
    T, _, H = out.shape
    for t in range(T - 1, -1, -1):
        for b in range(first, last):
            z, u, d_z, dh = gates[t, b, :H], gates[t, b, H:], d_gates[t, b, :H], d_h[b]
            add(d_out[t, b], dh)
            drop_faint(dh)
            d_update(dh, u, entering(t, b, h, reset, out, zeros), d_z)
            sigmoid_backward(z, d_z)
            product(dh, z, d_gates[t, b, H:])
            keep(z, dh)
            if reset[t, b]:
                fill_zero(dh)


@compiled
def lru_forward(
    first: int, last: int, driven: Any, before: Any, eigenvalues: Any, reset: Any, states: Any, zeros: Any
) -> None:
    """Takes all steps of x_t = lambda * x_{t-1} + driven_t in some environments.

    Numbers are complex: the last axis holds the real parts, then the imaginary ones.

    Args:
        first: the first of these environments.
        last: the one behind the last of them.
        driven: [T, B, 2 H]: what the inputs add.
        before: [B, 2 H]: the state before step 0.
        eigenvalues: [2 H]: lambda.
        reset: [T, B] bool: where it is set, zeros enter the step.
        states: [T, B, 2 H]: becomes the state after each step.
        zeros: [2 H]: zeros.
    """
    T, _, width = states.shape
    H = width // 2
    re, im = eigenvalues[:H], eigenvalues[H:]
    for t in range(T):
        for b in range(first, last):
            p = entering(t, b, before, reset, states, zeros)
            real_part(re, im, p[:H], p[H:], driven[t, b, :H], states[t, b, :H])
            imaginary_part(re, im, p[:H], p[H:], driven[t, b, H:], states[t, b, H:])


@compiled
def lru_backward(
    first: int, last: int, before: Any, eigenvalues: Any, reset: Any, states: Any, d_states: Any, d_x: Any,
    d_driven: Any, d_by: Any, zeros: Any,
) -> None:  # fmt: skip
    """Takes all steps of `lru_forward` backward in some environments.

    Args:
        first: the first of these environments.
        last: the one behind the last of them.
        before: [B, 2 H]: the state before step 0.
        eigenvalues: [2 H]: lambda.
        reset: [T, B] bool: where it is set, nothing goes back beyond the step.
        states: [T, B, 2 H]: as `lru_forward` leaves them.
        d_states: [T, B, 2 H]: gradient by them.
        d_x: [B, 2 H]: gradient by the last state, handed on; becomes the one by `before`.
        d_driven: [T, B, 2 H]: becomes the gradient by `driven`.
        d_by: [B, 2 H]: zeros; becomes each environment's share of the gradient by lambda.
        zeros: [2 H]: zeros.
    """
    T, _, width = states.shape
    H = width // 2
    re, im = eigenvalues[:H], eigenvalues[H:]
    for t in range(T - 1, -1, -1):
        for b in range(first, last):
            p, d, dx = entering(t, b, before, reset, states, zeros), d_driven[t, b], d_x[b]
            add(d_states[t, b], dx)
            drop_faint(dx)
            copy_row(dx, d)
            add_conjugate_real(d[:H], d[H:], p[:H], p[H:], d_by[b, :H])
            add_conjugate_imaginary(d[:H], d[H:], p[:H], p[H:], d_by[b, H:])
            if reset[t, b]:
                fill_zero(dx)
            else:
                conjugate_real(d[:H], d[H:], re, im, dx[:H])
                conjugate_imaginary(d[:H], d[H:], re, im, dx[H:])


@inlined
def entering(t: int, b: int, first: Any, reset: Any, after: Any, zeros: Any) -> Any:
    """Finds the state that enters a step, without copying it."""
    if reset[t, b]:
        return zeros
    return first[b] if t == 0 else after[t - 1, b]


@part
def real_part(a_re: Any, a_im: Any, b_re: Any, b_im: Any, more: Any, result: Any) -> None:
    """Real part of a * b + more."""
    for j in range(result.size):
        result[j] = more[j] + a_re[j] * b_re[j] - a_im[j] * b_im[j]


@part
def imaginary_part(a_re: Any, a_im: Any, b_re: Any, b_im: Any, more: Any, result: Any) -> None:
    """Imaginary part of a * b + more."""
    for j in range(result.size):
        result[j] = more[j] + a_re[j] * b_im[j] + a_im[j] * b_re[j]


@part
def conjugate_real(a_re: Any, a_im: Any, b_re: Any, b_im: Any, result: Any) -> None:
    """Real part of a * conj(b)."""
    for j in range(result.size):
        result[j] = a_re[j] * b_re[j] + a_im[j] * b_im[j]


@part
def conjugate_imaginary(a_re: Any, a_im: Any, b_re: Any, b_im: Any, result: Any) -> None:
    """Imaginary part of a * conj(b)."""
    for j in range(result.size):
        result[j] = a_im[j] * b_re[j] - a_re[j] * b_im[j]


@part
def add_conjugate_real(a_re: Any, a_im: Any, b_re: Any, b_im: Any, total: Any) -> None:
    """Adds the real part of a * conj(b)."""
    for j in range(total.size):
        total[j] += a_re[j] * b_re[j] + a_im[j] * b_im[j]


@part
def add_conjugate_imaginary(a_re: Any, a_im: Any, b_re: Any, b_im: Any, total: Any) -> None:
    """Adds the imaginary part of a * conj(b)."""
    for j in range(total.size):
        total[j] += a_im[j] * b_re[j] - a_re[j] * b_im[j]
