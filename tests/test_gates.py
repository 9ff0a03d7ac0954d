"""Tests of the pure functions that gates are made of, against their equations and what follows from them."""

import math

import pytest
import torch

from cores import gates

D = 1000  # units of the drawn biases: a Kolmogorov-Smirnov distance of 1.95 / sqrt(D) has a chance of 1e-3


def ks_distance(sample, low, high):
    """Returns the largest distance of a sample's distribution function from that of Uniform[low, high]."""
    ordered = ((sample.double().sort().values - low) / (high - low)).tolist()
    n = len(ordered)
    return max(max((k + 1) / n - x, x - k / n) for k, x in enumerate(ordered))


def grid():
    """Returns forget and refine gates on a grid over the unit square, [2601] float64 each."""
    axis = torch.linspace(0.0, 1.0, 51, dtype=torch.float64)
    f, r = torch.meshgrid(axis, axis, indexing="ij")
    return f.flatten(), r.flatten()


def test_refine_is_equation_10():
    """Fails if r and 1 - r are exchanged, or if the 2 is lost."""
    f, r = grid()
    expected = r * (1 - (1 - f) ** 2) + (1 - r) * f**2
    torch.testing.assert_close(gates.refine(f, r), expected, rtol=0, atol=1e-15)


def test_refine_is_forget_plus_a_bounded_correction():
    """Fails if the correction is (2r-1) f instead of (2r-1) f (1-f)."""
    f, r = grid()
    g = gates.refine(f, r)
    torch.testing.assert_close(g, f + (2 * r - 1) * f * (1 - f), rtol=0, atol=1e-15)
    assert bool((g >= f**2 - 1e-15).all())
    assert bool((g <= 1 - (1 - f) ** 2 + 1e-15).all())


def test_refine_at_its_corners():
    """Fails if the 2 is lost: r = 1/2 would change f, and r = 1 would not reach its bound."""
    f = torch.linspace(0.0, 1.0, 51, dtype=torch.float64)
    torch.testing.assert_close(gates.refine(f, torch.full_like(f, 0.5)), f, rtol=0, atol=1e-15)
    torch.testing.assert_close(gates.refine(f, torch.ones_like(f)), 1 - (1 - f) ** 2, rtol=0, atol=1e-15)
    torch.testing.assert_close(gates.refine(f, torch.zeros_like(f)), f**2, rtol=0, atol=1e-15)


def test_refine_squares_a_long_time_scale():
    """Fails if r is left out: at r = 1 a gate of 1 - e becomes 1 - e^2, and d steps d squared."""
    f = torch.tensor(1 - 1 / 256, dtype=torch.float64)
    scale = gates.time_scale(gates.refine(f, torch.ones_like(f)))
    assert scale.item() == pytest.approx(256**2, rel=1e-9)


def test_uniform_bias_makes_the_forget_gate_uniform():
    """Fails if the bias is log(k), or k is not drawn uniformly."""
    torch.manual_seed(0)
    f = gates.uniform_bias(D).sigmoid()
    assert ks_distance(f, 1 / D, 1 - 1 / D) < 1.95 / math.sqrt(D)


@pytest.mark.parametrize("size", [2, 6, 64, 1000])
def test_uniform_bias_keeps_a_margin_of_one_over_d(size):
    """Fails if the margin is 1e-5 instead of 1/d: known mistake 7, saturated units."""
    torch.manual_seed(0)
    bias = torch.cat([gates.uniform_bias(size) for _ in range(200)])
    assert bias.abs().max().item() <= math.log(size - 1) + 1e-4


def test_uniform_bias_is_drawn_per_unit():
    """Fails if one draw is shared by all units."""
    torch.manual_seed(0)
    assert gates.uniform_bias(64).unique().numel() > 60


def test_uniform_bias_refuses_a_single_unit():
    """Fails if the check is left out: the interval [1, 0] is empty."""
    with pytest.raises(ValueError, match="hidden_size of at least 2"):
        gates.uniform_bias(1)


@pytest.mark.parametrize("t_max", [3, 40, 1000.0])
def test_chrono_spreads_the_time_scales_up_to_t_max(t_max):
    """Fails if k is drawn from [1, T_max] instead of [1, T_max - 1], or the logarithm uniformly."""
    torch.manual_seed(0)
    scale = gates.time_scale(gates.chrono_bias(D, t_max=t_max).double().sigmoid())
    assert scale.min().item() >= 2 - 1e-3
    assert scale.max().item() <= t_max * (1 + 1e-4)
    assert ks_distance(scale, 2, t_max) < 1.95 / math.sqrt(D)


@pytest.mark.parametrize("t_max", [2.9, 0, -5, math.nan, math.inf, "50", True])
def test_chrono_refuses_a_t_max_out_of_range(t_max):
    """Fails if the check is left out: torch would raise of uniform_, or return NaN."""
    with pytest.raises(ValueError, match="t_max must be a number of steps of at least 3"):
        gates.chrono_bias(6, t_max=t_max)


def test_standard_bias_is_one_everywhere_unless_told():
    """Fails if the default forget bias is 0."""
    assert gates.standard_bias(6).tolist() == [1.0] * 6
    assert gates.standard_bias(6, forget_bias=-2).tolist() == [-2.0] * 6
    with pytest.raises(ValueError, match="forget_bias must be a finite number"):
        gates.standard_bias(6, forget_bias=math.nan)


def test_cumax_is_the_running_sum_of_a_softmax():
    """Fails if the sum runs over the batch, or from the last unit to the first."""
    pre = torch.randn(3, 6, dtype=torch.float64)
    for row, gate in zip(pre.tolist(), gates.cumax(pre).tolist(), strict=True):
        total = sum(math.exp(x) for x in row)
        running = [sum(math.exp(x) for x in row[: k + 1]) / total for k in range(6)]
        assert gate == pytest.approx(running, abs=1e-14)


def test_cumax_starts_evenly_spread():
    """Fails if its bias rises."""
    gate = gates.cumax(gates.cumax_bias(4))
    torch.testing.assert_close(gate, torch.tensor([0.25, 0.5, 0.75, 1.0]))


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_master_is_equations_9_to_13(chunk):
    """Fails if F and I are exchanged, if the overlap is left out, or if chunks are dealt out in turns."""
    torch.manual_seed(0)
    d = 6
    f, i = torch.rand(2, 3, d, dtype=torch.float64)
    pre = torch.randn(2, 3, d // chunk, dtype=torch.float64)
    forget, write = gates.master(f, i, pre[0], pre[1])
    for b in range(3):
        for k in range(d):
            F = gates.cumax(pre[0, b])[k // chunk]
            I = 1 - gates.cumax(pre[1, b])[k // chunk]  # noqa: E741
            w = F * I
            assert forget[b, k].item() == pytest.approx((f[b, k] * w + (F - w)).item(), abs=1e-14)
            assert write[b, k].item() == pytest.approx((i[b, k] * w + (I - w)).item(), abs=1e-14)


def test_time_scale_is_clipped():
    """Fails if either clip is left out: rounding can lift a cumax gate above 1."""
    forget = torch.tensor([-0.1, 0.0, 0.5, 0.99, 1.0, 1.0001])
    expected = torch.tensor([1.0, 1.0, 2.0, 100.0, 1e6, 1e6])
    torch.testing.assert_close(gates.time_scale(forget), expected, rtol=1e-4, atol=0)
    assert gates.time_scale(torch.ones(1), longest=50.0).item() == pytest.approx(50.0)


def test_saturation_share_counts_both_ends():
    """Fails if one end is left out, if the margin is 0.1, or if its borders are counted."""
    gate = torch.tensor([[0.0, 0.04, 0.05, 0.06, 0.5], [0.94, 0.95, 0.96, 1.0, 0.3]], dtype=torch.float64)
    assert gates.saturation_share(gate).item() == pytest.approx(4 / 10)
    assert gates.saturation_share(gate, margin=0.35).item() == pytest.approx(9 / 10)
    assert gates.saturation_share(gate[:, :1]).shape == ()


@pytest.mark.parametrize("d", [64, 1000])
def test_saturation_share_of_the_uniform_start(d):
    """Fails if the share is that of one end: uniform gates have a tenth beyond margins of a twentieth."""
    torch.manual_seed(0)
    bias = torch.cat([gates.uniform_bias(d) for _ in range(20_000 // d)]).double()
    expected = 2 * (gates.SATURATED - 1 / d) / (1 - 2 / d)
    assert gates.saturation_share(bias.sigmoid()).item() == pytest.approx(expected, abs=0.01)
    assert gates.saturation_share(gates.standard_bias(d).sigmoid()).item() == 0.0


def test_saturation_share_shows_a_nan():
    """Fails if NaN, which is neither below nor above, counts as unsaturated."""
    assert gates.saturation_share(torch.tensor([0.5, math.nan])).isnan().item()


@pytest.mark.parametrize("margin", [0.0, -0.1, 0.6, math.nan, "0.1"])
def test_saturation_share_refuses_a_margin_out_of_range(margin):
    """Fails if the check is left out: the two ends would overlap, or be empty."""
    with pytest.raises(ValueError, match="margin must lie above 0"):
        gates.saturation_share(torch.rand(3), margin=margin)
    with pytest.raises(ValueError, match="gate must not be empty"):
        gates.saturation_share(torch.rand(0, 3))
