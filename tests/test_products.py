"""Products inside compiled functions against numpy's, in double precision."""

import numpy as np
import pytest

from cores.kernels.compiled import compiled
from cores.kernels.products import MAX_ROWS, PANEL_BYTES, add_matrix_product, panels

TOLERANCE = {np.float64: 1e-13, np.float32: 1e-6}
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@compiled
def run(rows, packed, result):
    """Calls the function as compiled code does."""
    add_matrix_product(rows, packed, result)


def drawn(*shape, dtype):
    return np.random.default_rng(0).uniform(-1.0, 1.0, shape).astype(dtype)


@dtypes
@pytest.mark.parametrize(("K", "N"), [(1, 1), (5, 24), (17, 6), (39, 156), (156, 39)])
def test_equals_numpy(K, N, dtype):
    """Any number of rows, from one to two tiles and a rest; columns in whole panels, parts, or both.

    Mutations: rows advanced by 4 after a tile of 2; ``next_k`` compared with K - 1; the old result left out.
    """
    matrix = drawn(K, N, dtype=dtype)
    for B in range(1, 2 * MAX_ROWS + 2):
        rows, before = drawn(B, K, dtype=dtype), drawn(B, N, dtype=dtype)
        result = before.copy()
        run(rows, panels(matrix), result)
        exact = before.astype(float) + rows.astype(float) @ matrix.astype(float)
        assert np.abs(result - exact).max() <= TOLERANCE[dtype] * K**0.5


@dtypes
def test_panels(dtype):
    """By rows and by columns the layout is the same, and ends in zeros.

    Mutations: the columns beyond N left as they come; the columns' blocks of 16 one short.
    """
    matrix = drawn(37, 45, dtype=dtype)
    packed = panels(matrix)
    width = PANEL_BYTES // matrix.itemsize
    assert packed.shape == (-(-45 // width), 37, width)
    flat = packed.transpose(1, 0, 2).reshape(37, -1)
    assert np.array_equal(flat[:, :45], matrix)
    assert not flat[:, 45:].any()
    assert np.array_equal(panels(np.asfortranarray(matrix)), packed)


@dtypes
def test_stays_within_its_place(dtype):
    """Rows and results may be parts of larger arrays, and what lies around them is not even written to.

    Columns beyond the last would have zero added, which leaves all numbers but minus zero as they were.

    Mutations: ``num_columns`` of the whole panel; the masks of both vectors alike; the stride of the rows
    taken for that of the result.
    """
    large, place = drawn(9, 40, dtype=dtype), np.full((9, 70), -0.0, dtype)
    matrix = drawn(30, 41, dtype=dtype)
    rows, result = large[1:8, 3:33], place[1:8, 5:46]
    run(rows, panels(matrix), result)
    assert np.allclose(result, rows @ matrix, rtol=0, atol=1e-5)
    result[...] = -0.0
    assert not place.any()
    assert np.signbit(place).all()


@dtypes
def test_a_row_does_not_depend_on_the_others(dtype):
    """Mutation: a tile of one row that sums in another order, or multiplies and adds with two roundings."""
    rows, packed = drawn(15, 50, dtype=dtype), panels(drawn(50, 33, dtype=dtype))
    together = np.zeros((15, 33), dtype)
    run(rows, packed, together)
    for size in (1, 2, 5):
        apart = np.zeros((15, 33), dtype)
        for first in range(0, 15, size):
            run(rows[first : first + size], packed, apart[first : first + size])
        assert np.array_equal(apart, together)
