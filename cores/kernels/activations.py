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
    largest = greatest(row)
    for j in range(row.size):
        row[j] = exp(row[j] - largest)
    factor = ONE / row_total(row)
    for j in range(row.size):
        row[j] *= factor


@part
def greatest(row: Any) -> Any:
    """The greatest entry. Four chains of comparisons wait less for each other than one."""
    quarter = row.size // 4
    a = b = c = d = row[row.size - 1]
    for j in range(quarter):
        a = row[j] if row[j] > a else a
        b = row[quarter + j] if row[quarter + j] > b else b
        c = row[2 * quarter + j] if row[2 * quarter + j] > c else c
        d = row[3 * quarter + j] if row[3 * quarter + j] > d else d
    for j in range(4 * quarter, row.size):
        a = row[j] if row[j] > a else a
    a, c = b if b > a else a, d if d > c else c
    return c if c > a else a


@part
def row_total(row: Any) -> Any:
    """The sum, in four chains."""
    quarter = row.size // 4
    a = b = c = d = ZERO * row[0]
    for j in range(quarter):
        a += row[j]
        b += row[quarter + j]
        c += row[2 * quarter + j]
        d += row[3 * quarter + j]
    for j in range(4 * quarter, row.size):
        d += row[j]
    return (a + b) + (c + d)


@part
def cumulate(shares: Any, gate: Any) -> None:
    """Writes the running sums of a softmax: the cumax gate. Each quarter first runs from zero."""
    quarter = shares.size // 4
    a = b = c = d = ZERO * shares[0]
    for j in range(quarter):
        a += shares[j]
        b += shares[quarter + j]
        c += shares[2 * quarter + j]
        d += shares[3 * quarter + j]
        gate[j] = a
        gate[quarter + j] = b
        gate[2 * quarter + j] = c
        gate[3 * quarter + j] = d
    for j in range(4 * quarter, shares.size):
        d += shares[j]
        gate[j] = d
    shift(gate[quarter : 2 * quarter], a)
    shift(gate[2 * quarter : 3 * quarter], a + b)
    shift(gate[3 * quarter :], a + b + c)


@part
def shift(row: Any, amount: Any) -> None:
    """Adds a number to every entry."""
    for j in range(row.size):
        row[j] += amount


@part
def cumax_backward(shares: Any, d_gate: Any) -> None:
    """Turns the gradient by a cumax gate into the one by its pre-activations, in place.

    The running sums' transpose runs from the right; then comes the softmax's: s_k (d_k - sum_j s_j d_j).
    """
    cumulate(d_gate[::-1], d_gate[::-1])
    mean = total_of_products(shares, d_gate)
    for j in range(shares.size):
        d_gate[j] = shares[j] * (d_gate[j] - mean)


@part
def total_of_products(a: Any, b: Any) -> Any:
    """The inner product, in four chains."""
    quarter = a.size // 4
    p = q = r = s = ZERO * a[0]
    for j in range(quarter):
        p += a[j] * b[j]
        q += a[quarter + j] * b[quarter + j]
        r += a[2 * quarter + j] * b[2 * quarter + j]
        s += a[3 * quarter + j] * b[3 * quarter + j]
    for j in range(4 * quarter, a.size):
        s += a[j] * b[j]
    return (p + q) + (r + s)
