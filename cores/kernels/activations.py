"""Activations of one row of gates, forward and backward, in loops that numba turns into vector instructions.

Source: the range reduction of exp is Cody & Waite 1980, "Software Manual for the Elementary Functions"; its
polynomial is Taylor's; tanh's rational function was fitted for the least relative error on [-9, 9], which is
2e-8. In float32 both are within 3e-7 of the truth. In float64 they are the C library's: exact, but slow.
"""

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from cores.kernels.compiled import FAST, part
from cores.kernels.rows import ONE, ZERO

EXP_MAX = np.float32(87.0)  # exp of it is still finite, and of its negative still a normal number
LOG2_E = np.float32(1.4426950408889634)
ROUNDER = np.float32(
    1.5 * 2**23
)  # added to a small float32, it leaves its nearest integer in the lowest bits
LN2_HIGH = np.float32(0.693359375)  # few bits: its product with an integer is exact
LN2_LOW = np.float32(math.log(2.0) - 0.693359375)
E7, E6, E5, E4, E3, E2 = (np.float32(1.0 / math.factorial(n)) for n in (7, 6, 5, 4, 3, 2))
ROUNDER_BITS = np.int32(ROUNDER.view(np.int32))
EXPONENT_SHIFT, EXPONENT_BIAS = np.int32(23), np.int32(127)

TANH_MAX = np.float32(9.0)  # beyond it float32 knows tanh only as 1
P0, P2, P4, P6, P8 = (
    np.float32(p) for p in (0.9999999796, 0.1338103348, 3.495597176e-3, 2.060922157e-5, 1.335483630e-8)
)
Q2, Q4, Q6, Q8 = (np.float32(q) for q in (0.4671434910, 2.587701729e-2, 3.285649196e-4, 7.776633711e-7))


def exp(x: Any) -> Any:
    """Stands for the exponential inside compiled functions; the implementation follows the dtype."""
    raise NotImplementedError("exp is for compiled functions")


def tanh(x: Any) -> Any:
    """Stands for the hyperbolic tangent inside compiled functions; the implementation follows the dtype."""
    raise NotImplementedError("tanh is for compiled functions")


def _exp64(x: Any) -> Any:
    return math.exp(x)


def _tanh64(x: Any) -> Any:
    return math.tanh(x)


def _exp32(x: Any) -> Any:
    """Computes 2^n e^r, where x = n ln 2 + r. Comparisons are written so that NaN passes through."""
    x = EXP_MAX if x > EXP_MAX else x
    x = -EXP_MAX if x < -EXP_MAX else x
    rounded = x * LOG2_E + ROUNDER
    n = rounded - ROUNDER
    r = x - n * LN2_HIGH - n * LN2_LOW
    series = ((((((E7 * r + E6) * r + E5) * r + E4) * r + E3) * r + E2) * r + ONE) * r + ONE
    exponent = np.int32(np.float32(rounded).view(np.int32) - ROUNDER_BITS + EXPONENT_BIAS)
    return series * np.int32(exponent << EXPONENT_SHIFT).view(np.float32)


def _tanh32(x: Any) -> Any:
    """Computes x p(x^2) / q(x^2). Comparisons are written so that NaN passes through."""
    x = TANH_MAX if x > TANH_MAX else x
    x = -TANH_MAX if x < -TANH_MAX else x
    square = x * x
    p = (((P8 * square + P6) * square + P4) * square + P2) * square + P0
    q = (((Q8 * square + Q6) * square + Q4) * square + Q2) * square + ONE
    y = x * p / q
    y = ONE if y > ONE else y
    return -ONE if y < -ONE else y


@overload(exp, jit_options=FAST)
def _choose_exp(x: Any) -> Any:
    return _exp32 if x == types.float32 else _exp64


@overload(tanh, jit_options=FAST)
def _choose_tanh(x: Any) -> Any:
    return _tanh32 if x == types.float32 else _tanh64


@part
def sigmoid_row(row: Any) -> None:
    """Replaces pre-activations by their sigmoids."""
    for j in range(row.size):
        row[j] = ONE / (ONE + exp(-row[j]))


@part
def tanh_row(row: Any) -> None:
    """Replaces pre-activations by their hyperbolic tangents."""
    for j in range(row.size):
        row[j] = tanh(row[j])


@part
def sigmoid_backward(gate: Any, d_gate: Any) -> None:
    """Turns the gradient by sigmoid gates into the one by their pre-activations, in place."""
    for j in range(gate.size):
        d_gate[j] *= gate[j] * (ONE - gate[j])


@part
def softmax_row(row: Any) -> None:
    """Replaces pre-activations by their softmax."""
    largest = row[0]
    for j in range(row.size):
        largest = row[j] if row[j] > largest else largest
    for j in range(row.size):
        row[j] = exp(row[j] - largest)
    total = ZERO * largest
    for j in range(row.size):
        total += row[j]
    for j in range(row.size):
        row[j] /= total


@part
def cumulate(shares: Any, gate: Any) -> None:
    """Writes the running sums of a softmax: the cumax gate."""
    total = ZERO * shares[0]
    for j in range(shares.size):
        total += shares[j]
        gate[j] = total


@part
def cumax_backward(shares: Any, d_gate: Any) -> None:
    """Turns the gradient by a cumax gate into the one by its pre-activations, in place.

    The running sums' transpose runs from the right; then comes the softmax's: s_k (d_k - sum_j s_j d_j).
    """
    total = ZERO * d_gate[0]
    mean = ZERO * d_gate[0]
    for j in range(shares.size - 1, -1, -1):
        total += d_gate[j]
        d_gate[j] = total
        mean += shares[j] * total
    for j in range(shares.size):
        d_gate[j] = shares[j] * (d_gate[j] - mean)
