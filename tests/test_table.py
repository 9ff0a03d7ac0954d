"""Sums of a table's rows against the literal sum, and against one-hot codes."""

import pytest
import torch

from cores.kernels.table import table_sum

COUNTS = (2, 5, 3, 4, 1, 7, 3, 2, 6)
R, E = 11, 6


def made(dtype=torch.float64, integer=torch.uint8, num_symbols=6, seed=0):
    """Return symbols [R, K], offsets [K], a table and a bias."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.tensor(COUNTS[:num_symbols])
    symbols = torch.stack([torch.randint(int(c), (R,), generator=generator) for c in counts], 1).to(integer)
    offsets = counts.cumsum(0) - counts
    table = torch.randn(int(counts.sum()), E, dtype=dtype, generator=generator)
    return symbols, offsets, table, torch.randn(E, dtype=dtype, generator=generator)


@pytest.mark.parametrize("num_symbols", [1, 4, 6, 9])
@pytest.mark.parametrize("integer", [torch.uint8, torch.int64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_literal_sum(dtype, integer, num_symbols):
    """Mutations: the rest after the last four left out; offsets not added."""
    symbols, offsets, table, bias = made(dtype, integer, num_symbols)
    sums = table_sum(symbols, offsets, table, bias)
    for r in range(R):
        literal = bias.clone()
        for k in range(num_symbols):
            literal += table[offsets[k] + int(symbols[r, k])]
        torch.testing.assert_close(sums[r], literal)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_gradients(num_threads):
    """By table and bias, whatever the threads. Mutation: columns of the second thread left out."""
    symbols, offsets, table, bias = made()
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        assert torch.autograd.gradcheck(
            lambda t, b: table_sum(symbols, offsets, t, b), (table.requires_grad_(), bias.requires_grad_())
        )
    finally:
        torch.set_num_threads(before)


def test_what_was_never_seen_gets_no_gradient():
    """Exactly none: Adam makes steps of what rounding leaves, however small.

    Mutations: the gradient by a symbol 0 without its test whether one was seen; what came to others not taken
    off it.
    """
    symbols, offsets, table, bias = made(torch.float32)
    symbols[:, 1].clamp_(min=1)  # 0 is not among them
    symbols[:, 5].clamp_(max=4)
    table_sum(symbols, offsets, table.requires_grad_(), bias).backward(torch.randn(R, E))
    codes = (offsets + symbols).unique()
    seen = torch.zeros(len(table), dtype=torch.bool)
    seen[codes] = True
    assert not seen[offsets[1]]
    assert torch.equal(table.grad.abs().sum(1) > 0, seen)


def test_elsewhere_than_on_the_cpu():
    """In other number formats torch's own function serves; the sums are the same.

    Mutation: the bias left out there.
    """
    symbols, offsets, table, bias = made()
    mine = table_sum(symbols, offsets, table, bias)
    theirs = table_sum(symbols, offsets, table.bfloat16(), bias.bfloat16())
    torch.testing.assert_close(theirs.double(), mine, rtol=0.05, atol=0.1)


@pytest.mark.parametrize("symbol", [8, -30])
def test_symbols_beyond_the_table(symbol):
    """Nothing is read or written there. Mutation: the count of wrong symbols not looked at."""
    symbols, offsets, table, bias = made(integer=torch.int64)
    symbols[4, 5] = symbol
    with pytest.raises(IndexError, match="beyond the 22 rows"):
        table_sum(symbols, offsets, table, bias)
