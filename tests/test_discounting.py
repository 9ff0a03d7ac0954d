"""Discounted sums against the double sum."""

import pytest
import torch

from cores.kernels.discounting import discounted_sums

T, B, D = 7, 9, 3


def made(shape, dtype):
    """Return what each step adds [T, *shape], factors [T, B] and what follows."""
    generator = torch.Generator().manual_seed(1)
    own = torch.randn(T, *shape, dtype=dtype, generator=generator)
    factors = torch.rand(T, B, dtype=dtype, generator=generator)
    factors[3, 2] = 0
    return own, factors, torch.randn(shape, dtype=dtype, generator=generator)


def literal(own, factors, following):
    """Return, for each step, each coming part times the product of all factors before it."""
    wide = factors.view(T, B, *(1,) * (own.ndim - 2))
    parts = [*own, following]
    return torch.stack([sum(wide[t:u].prod(0) * parts[u] for u in range(t, T + 1)) for t in range(T)])


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(B,), (B, D), (B, D, 2)])
def test_double_sum(shape, dtype, num_threads):
    """Whatever the shape, the number format, the threads.

    Mutations: what follows left out; a step's own factor taken from the step after it; the last environments
    left out.
    """
    own, factors, following = made(shape, dtype)
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        sums = discounted_sums(own, factors, following)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(sums, literal(own, factors, following))


def test_layouts_and_gradients():
    """Views serve; no gradient comes out, and none need be dropped before."""
    own, factors, following = made((B, D), torch.float64)
    spread = torch.stack([own, own], -1)[..., 0]
    sums = discounted_sums(spread, factors.t().contiguous().t(), following.requires_grad_())
    torch.testing.assert_close(sums, literal(own, factors, following.detach()))
    assert not sums.requires_grad


def test_not_a_number_stays():
    """It spreads to the steps before it, in its environment."""
    own, factors, following = made((B,), torch.float32)
    own[4, 1] = torch.nan
    bad = discounted_sums(own, factors, following).isnan()
    assert bad[:5, 1].all()
    assert bad.sum() == 5


def test_elsewhere_than_on_the_cpu(monkeypatch):
    """The way of a GPU gives the same.

    Mutation: what follows not replaced step by step.
    """
    own, factors, following = made((B, D), torch.float64)
    mine = discounted_sums(own, factors, following)
    monkeypatch.setattr(torch.Tensor, "is_cpu", False)
    torch.testing.assert_close(discounted_sums(own, factors, following), mine)
