"""Products of a few rows with weights that stay the same for a whole unroll, inside compiled functions.

Source: the scheme is that of Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication":
weights are laid out once in panels of a few vectors' width, and a tile of the result stays in registers
while it runs down a panel. What a BLAS spends on every call, on layout, on choices and on the way there, is
as much as the product itself at the sizes of a step; here it is spent once an unroll.

Every entry of a result is one chain of multiply-adds in the order of k, whatever the batch: so it does not
depend on which other rows are there, nor on how they are shared among threads.
"""

from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from cores.kernels.compiled import compiled, part
from cores.kernels.rows import copy_row, fill_zero


def _has_avx512() -> bool:
    try:
        return bool(llvmlite.binding.get_host_cpu_features().get("avx512f", False))
    except RuntimeError:  # what LLVM cannot tell on some systems
        return False


AVX512 = _has_avx512()
VECTOR_BYTES = 64 if AVX512 else 32
"""Where vectors are shorter the compiler takes several for one."""
PANEL_BYTES = 2 * VECTOR_BYTES
"""Width of a panel: two vectors for each row of a tile."""
MAX_ROWS = 8 if AVX512 else 4
"""Rows of a tile. With two vectors each they fill half of the registers: 32 with AVX-512, 16 with AVX2."""


def panels(matrix: np.ndarray) -> np.ndarray:
    """Lays a matrix out for `add_matrix_product`.

    Args:
        matrix: [K, N] float32 or float64, of any strides.

    Returns:
        [P, K, W]: columns p W to (p + 1) W in panel p, zeros beyond column N.
    """
    K, N = matrix.shape
    width = PANEL_BYTES // matrix.itemsize
    packed = np.empty((-(-N // width), K, width), matrix.dtype)
    if matrix.strides[0] < matrix.strides[1]:
        _pack_columns(matrix.T, packed)
    else:
        _pack_rows(matrix, packed)
    return packed


@compiled
def _pack_rows(matrix: Any, packed: Any) -> None:
    """Lays out a matrix [K, N] whose rows are contiguous."""
    K, N = matrix.shape
    width = packed.shape[2]
    for p in range(packed.shape[0]):
        start = p * width
        num_valid = min(width, N - start)
        for k in range(K):
            copy_row(matrix[k, start : start + num_valid], packed[p, k, :num_valid])
            fill_zero(packed[p, k, num_valid:])


@compiled
def _pack_columns(transposed: Any, packed: Any) -> None:
    """Lays out a matrix [K, N] whose columns are contiguous, given as its transpose [N, K]."""
    N, K = transposed.shape
    width = packed.shape[2]
    for p in range(packed.shape[0]):
        num_valid = min(width, N - p * width)
        for start in range(0, K, 16):  # as many numbers as a line of the cache holds
            for j in range(num_valid):
                for k in range(start, min(start + 16, K)):
                    packed[p, k, j] = transposed[p * width + j, k]
            for k in range(start, min(start + 16, K)):
                for j in range(num_valid, width):
                    packed[p, k, j] = 0.0


@part
def add_matrix_product(rows: Any, packed: Any, result: Any) -> None:
    """Adds rows @ matrix to the result.

    Args:
        rows: [B, K], each row contiguous; K at least 1.
        packed: the matrix [K, N], as `panels` lays it out.
        result: [B, N], each row contiguous.
    """
    (B, K), N, width = rows.shape, result.shape[1], packed.shape[2]
    stride, result_stride = rows.strides[0], result.strides[0]
    for p in range(packed.shape[0]):
        panel, columns = packed[p].ctypes.data, N - p * width
        row, place = rows.ctypes.data, result.ctypes.data + p * PANEL_BYTES
        left = B
        while left:
            if MAX_ROWS == 8 and left >= 8:
                _tile8(packed, panel, row, stride, place, result_stride, K, columns)
                n = 8
            elif left >= 4:
                _tile4(packed, panel, row, stride, place, result_stride, K, columns)
                n = 4
            elif left >= 2:
                _tile2(packed, panel, row, stride, place, result_stride, K, columns)
                n = 2
            else:
                _tile1(packed, panel, row, stride, place, result_stride, K, columns)
                n = 1
            left -= n
            row += n * stride
            place += n * result_stride


def _tile(num_rows: int) -> Any:
    """Makes the function that adds a few rows times a panel to a tile of the result.

    Args:
        num_rows: R, rows of the tile.

    Returns:
        A function for compiled code, of: an array, for its dtype; the addresses of the panel, of the first
        row and of the tile, each of the latter two with its stride in bytes; K, at least 1; and how many of
        the panel's columns there are: no other is read or written in the result.
    """

    @intrinsic
    def tile(context: Any, like: Any, panel: Any, row: Any, stride: Any, place: Any, result_stride: Any,
             num_steps: Any, num_columns: Any) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            number = context.get_data_type(like.dtype)
            _emit_tile(builder, number, like.dtype.bitwidth // 8, num_rows, *arguments[1:])
            return context.get_dummy_value()

        whole = [types.intp] * 7
        return types.void(like, *whole), codegen

    return tile


def _emit_tile(
    builder: Any, number: Any, size: int, num_rows: int, panel: Any, row: Any, stride: Any, place: Any,
    result_stride: Any, num_steps: Any, num_columns: Any,
) -> None:  # fmt: skip
    """Writes a tile's instructions: run it down the panel from zero, add it. Arguments as in `_tile`."""
    lanes, index = VECTOR_BYTES // size, num_steps.type
    vector, align = ir.VectorType(number, lanes), ir.IntType(32)(size)

    def at(address: Any, kind: Any, count: Any, unit: Any, more: int = 0) -> Any:
        """The pointer to what lies count times unit and some more bytes behind an address."""
        there = builder.add(builder.add(address, builder.mul(count, unit)), index(more))
        return builder.inttoptr(there, kind.as_pointer())

    def splat(value: Any) -> Any:
        """A vector of copies."""
        undefined = ir.VectorType(value.type, lanes)(ir.Undefined)
        first = builder.insert_element(undefined, value, ir.IntType(32)(0))
        return builder.shuffle_vector(first, undefined, ir.VectorType(ir.IntType(32), lanes)([0] * lanes))

    def multiply_add(a: Any, b: Any, c: Any) -> Any:
        return builder.fadd(builder.fmul(a, b, flags=["contract"]), c, flags=["contract"])

    ends = splat(num_columns)
    lane = [ir.VectorType(index, lanes)(list(range(w * lanes, (w + 1) * lanes))) for w in range(2)]
    masks = [builder.icmp_signed("<", each, ends) for each in lane]
    load, store = _masked(builder, vector, f"v{lanes}f{8 * size}")
    tile = [(r, w) for r in range(num_rows) for w in range(2)]
    places = [at(place, vector, index(r), result_stride, w * VECTOR_BYTES) for r, w in tile]
    before = builder.block
    body, after = builder.append_basic_block("tile.step"), builder.append_basic_block("tile.end")
    builder.branch(body)
    builder.position_at_end(body)
    k, sums = builder.phi(index), [builder.phi(vector) for _ in tile]
    step = builder.add(panel, builder.mul(k, index(PANEL_BYTES)))
    weights = [builder.load(at(step, vector, index(w), index(VECTOR_BYTES)), align=size) for w in range(2)]
    here = builder.add(row, builder.mul(k, index(size)))
    inputs = [splat(builder.load(at(here, number, index(r), stride))) for r in range(num_rows)]
    new = [multiply_add(inputs[r], weights[w], sums[i]) for i, (r, w) in enumerate(tile)]
    next_k = builder.add(k, index(1))
    for phi, value in zip([k, *sums], [next_k, *new], strict=True):
        phi.add_incoming(phi.type(0 if phi is k else None), before)
        phi.add_incoming(value, body)
    builder.cbranch(builder.icmp_signed("<", next_k, num_steps), body, after)
    builder.position_at_end(after)
    for i, (_, w) in enumerate(tile):
        old = builder.call(load, [places[i], align, masks[w], vector(None)])
        builder.call(store, [builder.fadd(old, new[i]), places[i], align, masks[w]])


def _masked(builder: Any, vector: Any, name: str) -> tuple[Any, Any]:
    """Declares LLVM's loads and stores of some of a vector's lanes."""
    pointer, mask = vector.as_pointer(), ir.VectorType(ir.IntType(1), vector.count)
    loads = ir.FunctionType(vector, [pointer, ir.IntType(32), mask, vector])
    stores = ir.FunctionType(ir.VoidType(), [vector, pointer, ir.IntType(32), mask])
    return (
        cgutils.get_or_insert_function(builder.module, loads, f"llvm.masked.load.{name}.p0"),
        cgutils.get_or_insert_function(builder.module, stores, f"llvm.masked.store.{name}.p0"),
    )


_tile8, _tile4, _tile2, _tile1 = (_tile(num_rows) for num_rows in (8, 4, 2, 1))
