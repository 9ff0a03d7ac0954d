"""Sums of a table's rows: what a linear layer makes of one-hot codes, without the codes.

Source: none. An observation of K categories has K ones among sum(counts) entries: 147 among 980 for a 7 x 7
view of MiniGrid. Adding up the weights of the ones takes a sixth of the arithmetic, and no memory for codes.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cores.kernels.compiled import compiled
from cores.kernels.threads import split_batch


@compiled
def add_up(first, last, symbols, offsets, table, bias, out, wrong):
    """Writes rows first ... last - 1 of the sums; the arguments as of `table_sum`, out [R, E].

    wrong: [1] int64, which counts the symbols that lead beyond the table. They stand for its last row.
    """
    num_symbols, size = symbols.shape[1], table.shape[1]
    end = np.uint64(table.shape[0] - 1)  # as unsigned, a negative place is a large one
    whole = num_symbols - num_symbols % 4
    for r in range(first, last):
        for e in range(size):
            out[r, e] = bias[e]
        largest = np.uint64(0)
        for k in range(0, whole, 4):  # four at a time: fewer passes over the row
            i0 = np.uint64(offsets[k] + symbols[r, k])
            i1 = np.uint64(offsets[k + 1] + symbols[r, k + 1])
            i2 = np.uint64(offsets[k + 2] + symbols[r, k + 2])
            i3 = np.uint64(offsets[k + 3] + symbols[r, k + 3])
            largest = max(largest, max(max(i0, i1), max(i2, i3)))
            i0, i1, i2, i3 = min(i0, end), min(i1, end), min(i2, end), min(i3, end)
            for e in range(size):
                out[r, e] += (table[i0, e] + table[i1, e]) + (table[i2, e] + table[i3, e])
        for k in range(whole, num_symbols):
            i0 = np.uint64(offsets[k] + symbols[r, k])
            largest = max(largest, i0)
            i0 = min(i0, end)
            for e in range(size):
                out[r, e] += table[i0, e]
        if largest > end:
            wrong[0] += 1


@compiled
def hand_back(first, last, symbols, offsets, d_out, d_table):
    """Adds columns first ... last - 1 of the sums' gradients [R, E] to the table's rows."""
    start, size = np.uint64(first), np.uint64(last - first)  # unsigned: a sign would cost a test an entry
    for r in range(symbols.shape[0]):
        for k in range(symbols.shape[1]):
            i = np.uint64(offsets[k] + symbols[r, k])
            for e in range(size):
                d_table[i, start + e] += d_out[r, start + e]


def table_sum_into(
    symbols: np.ndarray, offsets: np.ndarray, table: np.ndarray, bias: np.ndarray, out: np.ndarray
) -> None:
    """Writes the sums of `table_sum` into out [R, E]; all arrays contiguous.

    Raises:
        IndexError: as `table_sum`.
    """
    wrong = np.zeros(1, np.int64)
    split_batch(add_up, len(symbols), symbols, offsets, table, bias, out, wrong)
    if wrong[0]:
        raise IndexError(f"a symbol leads beyond the {len(table)} rows of the table")


class _TableSum(torch.autograd.Function):
    """`table_sum` on the CPU."""

    @staticmethod
    def forward(ctx: Any, symbols: Tensor, offsets: Tensor, table: Tensor, bias: Tensor) -> Tensor:
        """Sums."""
        out = table.new_empty(len(symbols), table.shape[1])
        arrays = (tensor.detach().numpy() for tensor in (symbols, offsets, table, bias, out))
        table_sum_into(*arrays)
        ctx.save_for_backward(symbols, offsets)
        ctx.num_rows = len(table)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[None, None, Tensor, Tensor]:
        """Turns the gradient by the sums into those by table and bias."""
        symbols, offsets = ctx.saved_tensors
        d_out = d_out.contiguous()
        d_table = d_out.new_zeros(ctx.num_rows, d_out.shape[1])
        tensors = (symbols, offsets, d_out, d_table)
        # By columns: threads that took rows would add to the same places.
        split_batch(hand_back, d_out.shape[1], *(tensor.numpy() for tensor in tensors))
        return None, None, d_table, d_out.sum(0)


def table_sum(symbols: Tensor, offsets: Tensor, table: Tensor, bias: Tensor) -> Tensor:
    """Adds up a row of a table for each symbol, and a bias.

    Args:
        symbols: [R, K] integers; symbol k lies in 0 ... counts[k] - 1.
        offsets: [K] int64: where the rows of each symbol begin, the sum of the counts before it.
        table: [sum of counts, E] float.
        bias: [E] float.

    Returns:
        [R, E]: bias + sum over k of table[offsets[k] + symbols[:, k]].

    Raises:
        IndexError: a symbol leads beyond the table.
    """
    if table.is_cpu and table.dtype in (torch.float32, torch.float64):
        return _TableSum.apply(symbols.contiguous(), offsets, table.contiguous(), bias)
    return functional.embedding_bag(symbols.long() + offsets, table, mode="sum") + bias
