"""Tests of the GRU and the UR-GRU against their equations, written out in NumPy, and of how they start."""

import pytest
import torch
from reference_cores import gru_unroll

from cores import make_core
from cores.gates import refine, time_scale
from cores.gru import GatedGRU

T, B, X, H = 5, 3, 4, 6  # steps, environments, inputs, units
NAMES = ["gru", "ur-gru"]


def randomised(name, **options):
    """Returns a float64 core with every parameter from a standard normal."""
    torch.manual_seed(0)
    core = make_core(name, X, H, **options).double()
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.normal_()
    return core


def at_rest(name, **options):
    """Returns a float64 core of 256 units, and its gates [256] at zero pre-activation but for the biases."""
    torch.manual_seed(0)
    core = make_core(name, X, 256, **options).double()
    with torch.no_grad():
        gates = core.gates(core.project(torch.zeros(1, X, dtype=torch.float64)), core.initial_state(1))
    return core, {gate: value[0] for gate, value in gates.items()}


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_literal_recurrence(name, layer_norm):
    """Mutations: the reset gate applied after the product; g and 1 - g exchanged; the gates' gain for u."""
    core = randomised(name, layer_norm=layer_norm)
    inputs, h = torch.randn(T, B, X, dtype=torch.float64), torch.randn(B, H, dtype=torch.float64)
    reset = torch.rand(T, B) < 0.3
    with torch.no_grad():
        out, (last,) = core(inputs, (h,), reset)
    gates = core.unroll_gates(inputs, (h,), reset)
    weights = {key: value.detach().numpy() for key, value in core.named_parameters()}
    literal = gru_unroll(name == "ur-gru", weights, inputs.numpy(), h.numpy(), reset.numpy())
    found = (out, gates["input"], gates["reset"])
    torch.testing.assert_close(found, tuple(torch.from_numpy(x) for x in literal), rtol=0, atol=1e-12)
    assert torch.equal(last, out[-1])


def test_differs_from_torchs_gru_by_the_reset_gate_alone():
    """Mutation: any two gates exchanged, or z not one minus torch's. With the reset gate open they agree."""
    core = randomised("gru")
    with torch.no_grad():
        core.weight_ih[H : 2 * H], core.weight_hh[H : 2 * H], core.bias[H : 2 * H] = 0.0, 0.0, 100.0
        order = torch.arange(3 * H).view(3, H)[[1, 0, 2]].flatten()
        sign = torch.ones(3 * H, dtype=torch.float64)
        sign[H : 2 * H] = -1.0
        theirs = torch.nn.GRU(X, H).double()
        theirs.weight_ih_l0.copy_(core.weight_ih[order] * sign[:, None])
        theirs.weight_hh_l0.copy_(core.weight_hh[order] * sign[:, None])
        theirs.bias_ih_l0.copy_(core.bias[order] * sign)
        theirs.bias_hh_l0.zero_()
    inputs, h = torch.randn(T, B, X, dtype=torch.float64), torch.randn(B, H, dtype=torch.float64)
    out, (last,) = core(inputs, (h,), torch.zeros(T, B, dtype=torch.bool))
    expected, expected_last = theirs(inputs, h[None])
    torch.testing.assert_close((out, last), (expected, expected_last[0]), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_gates_explain_the_change_of_state(name):
    """Mutation: "forget" and "input" exchanged, or "input" z where the core uses g."""
    core, h = randomised(name), torch.randn(B, H, dtype=torch.float64)
    projected = core.project(torch.randn(B, X, dtype=torch.float64))
    out, _ = core.step(projected, (h,))
    gates = core.gates(projected, (h,))
    explained = gates["forget"] * h + gates["input"] * gates["candidate"]
    torch.testing.assert_close(out, explained, rtol=0, atol=1e-14)


def test_biases_at_the_start():
    """Mutations: the sign of forget_bias; a bias left on the reset gate; r not mirrored."""
    plain, refined = make_core("gru", X, 64).bias.detach(), make_core("ur-gru", X, 64).bias.detach()
    assert plain[:64].tolist() == [-1.0] * 64
    assert make_core("gru", X, 64, forget_bias=3).bias[:64].tolist() == [-3.0] * 64
    assert refined[:64].unique().numel() > 60
    assert torch.equal(refined[64:128], -refined[:64])
    assert not plain[64:].any()
    assert not refined[128:].any()
    assert not make_core("ur-gru", X, 64, refine_bias="zero").bias[64:].any()


def test_ur_gru_starts_as_spread_as_the_ur_lstm():
    """Mutation: the refine gate's bias with b_z's sign: the slowest unit would have H squared steps.

    With z = 1/n and r = 1 - z, g = 1/n + (1 - 2/n) (1 - 1/n) / n, which is about 2/n.
    """
    core, gates = at_rest("ur-gru")
    slowest = core.bias[:256].argmin()
    drawn = 1 / core.bias[slowest].sigmoid().item()
    assert 128 < drawn <= 256 * (1 + 1e-4)
    assert time_scale(gates["forget"][slowest]).item() == pytest.approx(drawn / 2, rel=0.02)
    positions = (torch.arange(256, dtype=torch.float64) + 0.5) / 256
    spread = core.bias[:256].detach().sigmoid().sort().values
    assert (spread - positions).abs().max().item() < 1.95 / 16  # Kolmogorov-Smirnov, a chance of 1e-3


def test_the_update_gate_may_be_refined_from_either_side():
    """Mutation: the factor (1 - f) of refine's correction left out. Refining g is refining 1 - g."""
    z, r = torch.rand(2, 99, dtype=torch.float64)
    torch.testing.assert_close(1 - refine(z, r), refine(1 - z, 1 - r), rtol=0, atol=1e-15)


def test_refining_squares_the_longest_time_scale():
    """Mutation: r left out of g. With r = 0, H steps become H squared."""
    core, _ = at_rest("ur-gru")
    with torch.no_grad():
        core.bias[:256], core.bias[256:512] = -(torch.tensor(255.0).log()), -100.0
        gates = core.gates(core.bias[None], core.initial_state(1))
    squared = torch.full((1, 256), 256.0**2, dtype=torch.float64)
    torch.testing.assert_close(time_scale(gates["forget"]), squared, rtol=1e-6, atol=0)


def test_weights_at_the_start():
    """Mutations: the candidate's rows made small as well; the fan-in of one weight used for both."""
    torch.manual_seed(0)
    core = make_core("ur-gru", 100, 64)
    for weight, fan_in in ((core.weight_ih, 100), (core.weight_hh, 64)):
        bound = fan_in**-0.5
        for rows, gain in ((weight[:192], 0.5), (weight[192:], 1.0)):
            assert 0.98 * gain * bound < rows.abs().max().item() <= gain * bound
    assert core.weight_ih.shape == (256, 100)
    assert make_core("gru", 100, 64).weight_hh.shape == (192, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "chrono"}, "start must be one of standard, uniform, not 'chrono'"),
        ({"help": "master"}, "help must be one of none, refine, not 'master'"),
        ({"start": "uniform", "forget_bias": 1.0}, "forget_bias has no effect with start='uniform'"),
        ({"help": "refine", "refine_bias": "zero"}, "refine_bias has no effect"),
        ({"start": "uniform", "help": "refine", "refine_bias": "no"}, "refine_bias must be one of mirrored"),
    ],
)
def test_options_are_checked(options, message):
    """Mutation: an option silently ignored where it has no effect."""
    with pytest.raises(ValueError, match=message):
        GatedGRU(X, H, **options)
