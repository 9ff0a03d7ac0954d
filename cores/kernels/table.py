"""Sums of a table's rows: what a linear layer makes of one-hot codes, without the codes.

Source: none. An observation of K categories has K ones among sum(counts) entries: 147 among 980 for a 7 x 7
view of MiniGrid. And most of its symbols are 0 (cells out of sight, doors that are no doors), so that the sum
begins at that of all zeros, and only other symbols change it: in MiniGrid's MemoryS13 some 30 rows are read
in place of 147.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cores.kernels.compiled import compiled
from cores.kernels.threads import split_batch


@compiled
def find(first, last, symbols, offsets, num_rows, places, counts, wrong):
    """Writes which rows of the table symbols other than 0 stand for.

    Args:
        first: of the rows of symbols to look at.
        last: the row behind the last of them.
        symbols: [R, K], as of `table_sum`.
        offsets: [K], as of `table_sum`.
        num_rows: of the table.
        places: [R, K] int32, whose first entries in each row are written.
        counts: [R] int64: how many.
        wrong: [1] int64: counts the rows with a symbol that leads beyond the table (the last row then).
    """
    end = np.uint64(num_rows - 1)  # as unsigned, a negative place is a large one
    for r in range(first, last):
        largest, count = np.uint64(0), 0
        for k in range(symbols.shape[1]):
            i = np.uint64(offsets[k] + symbols[r, k])
            largest = max(largest, i)
            places[r, count] = min(i, end)
            count += symbols[r, k] != 0  # no branch: it could not be foreseen
        counts[r] = count
        if largest > end:
            wrong[0] += 1


@compiled
def add_up(first, last, places, counts, base, changes, out):
    """Writes rows first ... last - 1 of the sums [R, E]; places and counts by `find`, the rest by `Sums`."""
    size = changes.shape[1]
    for r in range(first, last):
        count = counts[r]
        whole = count - count % 4
        for e in range(size):
            out[r, e] = base[e]
        for n in range(0, whole, 4):  # four at a time: fewer passes over the row
            i0, i1 = np.uint64(places[r, n]), np.uint64(places[r, n + 1])
            i2, i3 = np.uint64(places[r, n + 2]), np.uint64(places[r, n + 3])
            for e in range(size):
                out[r, e] += (changes[i0, e] + changes[i1, e]) + (changes[i2, e] + changes[i3, e])
        for n in range(whole, count):
            i0 = np.uint64(places[r, n])
            for e in range(size):
                out[r, e] += changes[i0, e]


@compiled
def hand_back(first, last, places, counts, d_out, d_table):
    """Adds columns first ... last - 1 of the sums' gradients [R, E] to the table's rows."""
    start, size = np.uint64(first), np.uint64(last - first)  # unsigned: a sign would cost a test an entry
    for r in range(counts.shape[0]):
        for n in range(counts[r]):
            i = np.uint64(places[r, n])
            for e in range(size):
                d_table[i, start + e] += d_out[r, start + e]


class Sums:
    """Writes the sums of `table_sum`, for a table that does not change meanwhile."""

    def __init__(self, offsets: np.ndarray, table: np.ndarray, bias: np.ndarray):
        """Takes the sum of all zeros apart from what other symbols change; arguments as of `table_sum`."""
        zeros = table[offsets]
        self._offsets = offsets
        self._base = bias + zeros.sum(0)
        self._changes = table - zeros.repeat(np.diff(offsets, append=len(table)), 0)

    def write(self, symbols: np.ndarray, out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Writes the sums of symbols [R, K] into out [R, E]; both contiguous.

        Returns:
            Places and counts by `find`.

        Raises:
            IndexError: as `table_sum`.
        """
        R, num_rows = len(symbols), len(self._changes)
        places, counts = np.empty(symbols.shape, np.int32), np.empty(R, np.int64)
        wrong = np.zeros(1, np.int64)
        split_batch(find, R, symbols, self._offsets, num_rows, places, counts, wrong)
        if wrong[0]:
            raise IndexError(f"a symbol leads beyond the {num_rows} rows of the table")
        split_batch(add_up, R, places, counts, self._base, self._changes, out)
        return places, counts


class _TableSum(torch.autograd.Function):
    """`table_sum` on the CPU."""

    @staticmethod
    def forward(ctx: Any, symbols: Tensor, offsets: Tensor, table: Tensor, bias: Tensor) -> Tensor:
        """Sums."""
        out = table.new_empty(len(symbols), table.shape[1])
        sums = Sums(offsets.numpy(), table.detach().numpy(), bias.detach().numpy())
        ctx.found = sums.write(symbols.numpy(), out.numpy())
        ctx.save_for_backward(symbols, offsets)
        ctx.num_rows = len(table)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[None, None, Tensor, Tensor]:
        """Turns the gradient by the sums into those by table and bias."""
        symbols, offsets = ctx.saved_tensors
        d_out = d_out.contiguous()
        d_table, d_bias = d_out.new_zeros(ctx.num_rows, d_out.shape[1]), d_out.sum(0)
        # By columns: threads that took rows would add to the same places.
        split_batch(hand_back, d_out.shape[1], *ctx.found, d_out.numpy(), d_table.numpy())
        # What comes to a symbol 0 is all that came but for what came to its others; to one never seen it is
        # nothing, and not what rounding makes of that.
        others = torch.from_numpy(np.add.reduceat(d_table.numpy(), offsets.numpy()))
        d_table[offsets] = (d_bias - others) * (symbols.amin(0) == 0).unsqueeze(-1)
        return None, None, d_table, d_bias


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
