"""Arithmetic on rows, for the pointwise functions.

Source: none. A row is contiguous. A short loop that writes one row is vectorised; one that writes several is
not, which is why there are so many of them.
"""

from typing import Any

import numpy as np

from cores.kernels.compiled import part

# Of float32, so that a product with float32 stays float32. All three are exact, so float64 loses nothing.
ZERO, ONE, TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)

FAINT = np.float32(1e-25)
"""What is smaller counts as zero on its way back through time."""


@part
def product(a: Any, b: Any, result: Any) -> None:
    """Multiplies two rows."""
    for j in range(result.size):
        result[j] = a[j] * b[j]


@part
def complement(gate: Any, result: Any) -> None:
    """One minus a row."""
    for j in range(result.size):
        result[j] = ONE - gate[j]


@part
def subtract(row: Any, other: Any) -> None:
    """Takes the other row off the first, in place."""
    for j in range(row.size):
        row[j] -= other[j]


@part
def negate(row: Any) -> None:
    """Changes a row's sign."""
    for j in range(row.size):
        row[j] = -row[j]


@part
def copy_row(source: Any, target: Any) -> None:
    """Copies a row."""
    for j in range(target.size):
        target[j] = source[j]


@part
def fill_zero(row: Any) -> None:
    """Selects zero, whatever the row held."""
    for j in range(row.size):
        row[j] = ZERO


@part
def drop_faint(row: Any) -> None:
    """Replaces what is fainter than FAINT by zero.

    A gradient that vanishes step by step ends among the subnormal numbers, on which a processor takes a
    hundred times as long: the last output's gradient alone made an unroll of 500 steps ten times as slow.
    The bound leaves room for the products on the way to them.
    """
    for j in range(row.size):
        row[j] = ZERO if abs(row[j]) < FAINT else row[j]  # NaN is not less: it stays


@part
def add(row: Any, total: Any) -> None:
    """Adds a row."""
    for j in range(total.size):
        total[j] += row[j]


@part
def add_product(a: Any, b: Any, total: Any) -> None:
    """Adds the product of two rows."""
    for j in range(total.size):
        total[j] += a[j] * b[j]


@part
def add_to_rows(row: Any, totals: Any) -> None:
    """Adds a row to each row of a matrix."""
    for b in range(totals.shape[0]):
        add(row, totals[b])
