"""Tests of the LRU against its equations in complex numbers, written out in NumPy, and of how it starts."""

import math

import pytest
import torch
from reference_scans import lru_unroll

from cores import make_core

T, B, X, H = 5, 3, 4, 6  # steps, environments, inputs, units


def test_equals_the_literal_recurrence():
    """Mutations: the sign of Im C or of im * Im x; gamma left out; gelu left out; D u added after gelu."""
    torch.manual_seed(0)
    core = make_core("lru", X, H).double()
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.normal_()
    inputs = torch.randn(T, B, X, dtype=torch.float64)
    state = tuple(torch.randn(2, B, H, dtype=torch.float64))
    reset = torch.rand(T, B) < 0.3
    with torch.no_grad():
        out, last = core(inputs, state, reset)
    weights = {key: value.detach().numpy() for key, value in core.named_parameters()}
    before = torch.complex(*state).numpy()
    expected, states = (
        torch.from_numpy(x) for x in lru_unroll(weights, inputs.numpy(), before, reset.numpy())
    )
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.complex(*last), states[-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("r_min", "r_max", "max_phase"), [(0.0, 1.0, 2 * math.pi), (0.9, 0.999, math.pi / 10)]
)
def test_eigenvalues_start_uniform_on_a_ring(r_min, r_max, max_phase):
    """Mutations: |lambda| uniform instead of its square; the 1/2 before the logarithm left out."""
    torch.manual_seed(0)
    core = make_core("lru", X, 1000, r_min=r_min, r_max=r_max, max_phase=max_phase).double()
    re, im = core._eigenvalues().detach().chunk(2)
    square, phase = re**2 + im**2, torch.atan2(im, re) % (2 * math.pi)
    positions = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    for sample, low, high in ((square, r_min**2, r_max**2), (phase, 0.0, max_phase)):
        placed = ((sample - low) / (high - low)).sort().values
        assert (placed - positions).abs().max().item() < 1.95 / math.sqrt(1000)  # a chance of 1e-3
    gates = core.gates(torch.zeros(1, 3000, dtype=torch.float64), core.initial_state(1))
    torch.testing.assert_close(gates["forget"][0] ** 2, square, rtol=0, atol=1e-6)
    torch.testing.assert_close(gates["input"][0] ** 2, 1 - square, rtol=0, atol=1e-6)


def test_noise_keeps_its_size():
    """Mutation: gamma left at one, so that slow units drown the others. B u has variance 1 in every unit."""
    torch.manual_seed(0)
    core = make_core("lru", 64, 128, r_min=0.5, r_max=0.99)
    _, (re, im) = core(
        torch.randn(600, 40, 64), core.initial_state(40), torch.zeros(600, 40, dtype=torch.bool)
    )
    variance = (re**2 + im**2).mean(dim=0).detach()  # [H]
    assert variance.mean().item() == pytest.approx(1.0, abs=0.1)
    assert variance.max().item() < 3.0


def test_memory_is_stable_whatever_its_parameters():
    """Mutation: nu without its exponential."""
    torch.manual_seed(0)
    core = make_core("lru", X, H)
    with torch.no_grad():
        core.nu_log.uniform_(-30, 30)
    assert core._eigenvalues().unflatten(0, (2, H)).norm(dim=0).max().item() <= 1.0 + 1e-6


def test_weights_at_the_start():
    """Mutations: the variance of a complex weight in each of its parts; fan-in H instead of I."""
    torch.manual_seed(0)
    core = make_core("lru", 400, 100)
    wanted = [(core.weight_ih[:200], 800), (core.weight_ih[200:], 400), (core.weight_y, 100)]
    for weight, inverse in wanted:
        assert weight.var().item() * inverse == pytest.approx(1.0, rel=0.05)
    assert 0.098 < core.weight_out.abs().max().item() <= 0.1
    assert not core.bias.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"r_min": 0.9, "r_max": 0.5}, "0 <= r_min < r_max <= 1, not 0.9 and 0.5"),
        ({"r_max": 1.1}, "0 <= r_min < r_max <= 1"),
        ({"r_min": math.nan}, "0 <= r_min < r_max <= 1"),
        ({"r_min": "a"}, "r_min must be a number, not 'a'"),
        ({"max_phase": 0}, "max_phase must lie in"),
        ({"max_phase": 7.0}, "max_phase must lie in"),
    ],
)
def test_options_are_checked(options, message):
    """Mutation: any of the checks left out."""
    with pytest.raises(ValueError, match=message):
        make_core("lru", X, H, **options)
