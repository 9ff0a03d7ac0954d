"""Tests of the LSTM family against its equations, written out in NumPy, and of how each of it starts."""

import math

import pytest
import torch
from reference_cores import LSTMS, lstm_unroll

from cores import make_core
from cores.gates import time_scale
from cores.lstm import GatedLSTM

T, B, X, H = 5, 3, 4, 6  # steps, environments, inputs, units
GRID = [name for name in LSTMS if name != "on-lstm"]
REFINED = ["r-lstm", "cr-lstm", "or-lstm", "ur-lstm"]
MASTERED = ["m-lstm", "cm-lstm", "om-lstm", "um-lstm"]


def at_rest(name, **options):
    """Returns a float64 core of 256 units, and its gates [256] at zero pre-activation but for the biases."""
    torch.manual_seed(0)
    core = make_core(name, X, 256, **options).double()
    state = core.initial_state(1)
    with torch.no_grad():
        gates = core.gates(core.project(torch.zeros(1, X, dtype=torch.float64)), state)
    return core, {gate: value[0] for gate, value in gates.items()}


def randomised(name, **options):
    """Returns a float64 core with every parameter from a standard normal."""
    torch.manual_seed(0)
    core = make_core(name, X, H, **options).double()
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.normal_()
    return core


def unroll_both(core, name, chunk):
    """Returns what the core and the literal recurrence make of one unroll: out, h, c, forget, input."""
    inputs = torch.randn(T, B, X, dtype=torch.float64)
    state = (torch.randn(B, H, dtype=torch.float64), torch.randn(B, H, dtype=torch.float64))
    reset = torch.rand(T, B) < 0.3
    with torch.no_grad():
        out, (h, c) = core(inputs, state, reset)
    gates = core.unroll_gates(inputs, state, reset)
    weights = {name: value.detach().numpy() for name, value in core.named_parameters()}
    literal = lstm_unroll(name, weights, inputs.numpy(), *(s.numpy() for s in state), reset.numpy(), chunk)
    return (out, h, c, gates["forget"], gates["input"]), tuple(torch.from_numpy(x) for x in literal)


CASES = [(name, 1) for name in GRID] + [(name, chunk) for name in MASTERED for chunk in (2, 3)]


@pytest.mark.parametrize(("name", "chunk"), CASES)
def test_equals_the_literal_recurrence(name, chunk):
    """Fails if the input gate is tied to f instead of g, or u is tanh of tanh: known mistakes 4 and 3."""
    core = randomised(name, **({"chunk": chunk} if name in MASTERED else {}))
    found, literal = unroll_both(core, name, chunk)
    torch.testing.assert_close(found, literal, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", GRID)
def test_gates_explain_the_change_of_state(name):
    """Fails if "forget" is f where the cell uses g or f_hat, or "input" is not the factor of u."""
    core = randomised(name)
    h, c = torch.randn(2, B, H, dtype=torch.float64)
    projected = core.project(torch.randn(B, X, dtype=torch.float64))
    out, (h_new, c_new) = core.step(projected, (h, c))
    gates = core.gates(projected, (h, c))
    explained = gates["forget"] * c + gates["input"] * gates["candidate"]
    torch.testing.assert_close(c_new, explained, rtol=0, atol=1e-14)
    torch.testing.assert_close(out, gates["output"] * torch.tanh(c_new), rtol=0, atol=1e-14)
    assert out is h_new


@pytest.mark.parametrize("name", REFINED)
def test_refined_input_gate_is_tied_to_the_effective_gate(name):
    """Fails if the input gate is 1 - f: known mistake 4."""
    gates = randomised(name).unroll_gates(
        torch.randn(T, B, X, dtype=torch.float64),
        tuple(torch.randn(2, B, H, dtype=torch.float64)),
        torch.zeros(T, B, dtype=torch.bool),
    )
    torch.testing.assert_close(gates["input"], 1 - gates["forget"], rtol=0, atol=1e-15)


def test_biases_at_the_start():
    """Fails if a default bias is left on any gate beside the drawn one: known mistakes 2 and 5."""
    constant = {"lstm": 1.0, "r-lstm": 1.0, "m-lstm": 1.0, "o-lstm": 0.0, "or-lstm": 0.0, "om-lstm": 0.0}
    mirrored = ["chrono", "cm-lstm", "cr-lstm", "ur-lstm"]
    for name in GRID:
        bias = make_core(name, X, 64).bias.detach()
        f, beside, rest = bias[:64], bias[64:128], bias[128:]
        if name in constant:
            assert f.tolist() == [constant[name]] * 64
        else:
            assert f.unique().numel() > 60
        torch.testing.assert_close(beside, -f if name in mirrored else torch.zeros(64), rtol=0, atol=0)
        assert not rest.any()


@pytest.mark.parametrize("name", GRID)
def test_biases_are_parameters_drawn_once(name):
    """Fails if a bias is drawn again in forward, or kept as a constant: known mistake 1."""
    core, (inputs, reset) = make_core(name, X, H), (torch.randn(T, B, X), torch.zeros(T, B, dtype=torch.bool))
    assert {parameter_name for parameter_name, _ in core.named_parameters()} == {
        "weight_ih",
        "weight_hh",
        "bias",
    }
    before = core.bias.detach().clone()
    outs = [core(inputs, core.initial_state(B), reset)[0] for _ in range(2)]
    assert torch.equal(outs[0], outs[1])
    assert torch.equal(core.bias, before)


def test_uniform_starts_with_f_uniform_and_r_its_complement():
    """Fails if b is added to r instead of subtracted, or more than b is added to f: mistakes 2, 5 and 6."""
    core, gates = at_rest("ur-lstm")
    f, r = core.bias.detach()[:512].sigmoid().chunk(2)
    torch.testing.assert_close(r, 1 - f, rtol=0, atol=1e-15)
    torch.testing.assert_close(gates["forget"], f + (2 * r - 1) * f * (1 - f), rtol=0, atol=1e-15)
    ordered = f.sort().values
    positions = (torch.arange(256, dtype=torch.float64) + 0.5) / 256
    assert (ordered - positions).abs().max().item() < 1.95 / 16  # Kolmogorov-Smirnov, a chance of 1e-3


def test_refine_bias_zero_starts_with_g_equal_to_f():
    """Fails if the option is ignored."""
    for name in ("ur-lstm", "cr-lstm"):
        core, gates = at_rest(name, refine_bias="zero")
        torch.testing.assert_close(gates["forget"], core.bias.detach()[:256].sigmoid(), rtol=0, atol=1e-15)
        assert not core.bias[256:].any()


@pytest.mark.parametrize(("name", "share"), [("u-lstm", 1.0), ("ur-lstm", 0.5)])
def test_time_scale_of_the_slowest_unit(name, share):
    """Fails if r starts at zero bias: up to d steps without refine gate, half of that with it (derived).

    With f = 1 - 1/n and r = 1 - f, 1 - g = 1/n + (1 - 2/n) (1 - 1/n) / n, which is about 2/n.
    """
    core, gates = at_rest(name)
    slowest = core.bias[:256].argmax()
    drawn = 1 / (1 - core.bias[slowest].sigmoid().item())
    assert 128 < drawn <= 256 * (1 + 1e-4)
    assert time_scale(gates["forget"][slowest]).item() == pytest.approx(share * drawn, rel=0.02)


def test_refining_squares_the_longest_time_scale():
    """Fails if the input gate is tied to f, or r left out of g: with r = 1, d steps become d squared."""
    core, _ = at_rest("ur-lstm")
    with torch.no_grad():
        core.bias[:256], core.bias[256:512] = math.log(255), 100.0
        gates = core.gates(core.bias[None], core.initial_state(1))
    squared = torch.full((1, 256), 256.0**2, dtype=torch.float64)
    torch.testing.assert_close(time_scale(gates["forget"]), squared, rtol=1e-6, atol=0)
    torch.testing.assert_close(gates["input"], 1 / squared, rtol=1e-6, atol=0)


@pytest.mark.parametrize("t_max", [10, 400])
def test_chrono_starts_within_t_max(t_max):
    """Fails if t_max does not reach the biases, or the input gate does not start at 1 - f."""
    _, gates = at_rest("chrono", t_max=t_max)
    scales = time_scale(gates["forget"])
    assert scales.min().item() >= 2 - 1e-3
    assert t_max * 0.95 < scales.max().item() <= t_max * (1 + 1e-4)
    torch.testing.assert_close(gates["input"], 1 - gates["forget"], rtol=0, atol=1e-7)
    assert time_scale(at_rest("chrono")[1]["forget"]).max().item() > 95  # the default reaches 100


@pytest.mark.parametrize("name", ["ur-lstm", "u-lstm", "chrono", "lstm"])
def test_weights_start_small_enough_to_keep_the_gates_apart(name):
    """Fails if the gates' weights start at three times their size: known mistake 8.

    With inputs of variance one, a unit's gate must stay near where its bias puts it.
    """
    core, _ = at_rest(name)
    inputs = torch.randn(50, 20, X, dtype=torch.float64)
    reset = torch.zeros(50, 20, dtype=torch.bool)
    _, (h, _) = core(inputs, core.initial_state(20), reset)
    moved = (torch.addmm(core.project(inputs[-1]), h, core.weight_hh.t()) - core.bias)[:, :512].std()
    assert moved.item() < 0.5


def test_weights_at_the_start():
    """Fails if the candidate's rows are made small as well, or the fan-in of one weight is used for both."""
    torch.manual_seed(0)
    core = make_core("um-lstm", 100, 64)
    for weight, fan_in in ((core.weight_ih, 100), (core.weight_hh, 64)):
        bound = fan_in**-0.5
        for rows, gain in ((weight[:192], 0.5), (weight[192:256], 1.0), (weight[256:], 0.5)):
            assert 0.98 * gain * bound < rows.abs().max().item() <= gain * bound
            assert abs(rows.mean().item()) < 0.05 * bound


def test_refining_costs_no_weights():
    """Fails if the refine gate is added beside an untied input gate."""
    sizes = {name: sum(p.numel() for p in make_core(name, X, H).parameters()) for name in GRID}
    assert all(sizes[name] == 4 * H * (X + H + 1) for name in GRID if name not in MASTERED)
    assert all(sizes[name] == 6 * H * (X + H + 1) for name in MASTERED)
    assert sum(p.numel() for p in make_core("um-lstm", X, H, chunk=3).parameters()) == (4 * H + 4) * (
        X + H + 1
    )


def test_equals_torchs_lstm():
    """Fails if any two gates are exchanged: torch's own LSTM is a second opinion, with rows i, f, u, o."""
    core = randomised("lstm")
    rows = torch.arange(4 * H).view(4, H)[[1, 0, 3, 2]].flatten()
    theirs = torch.nn.LSTM(X, H).double()
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(core.weight_ih[rows])
        theirs.weight_hh_l0.copy_(core.weight_hh[rows])
        theirs.bias_ih_l0.copy_(core.bias[rows])
        theirs.bias_hh_l0.zero_()
    inputs, (h, c) = torch.randn(T, B, X, dtype=torch.float64), torch.randn(2, B, H, dtype=torch.float64)
    out, state = core(inputs, (h, c), torch.zeros(T, B, dtype=torch.bool))
    expected, (h_last, c_last) = theirs(inputs, (h[None], c[None]))
    torch.testing.assert_close((out, *state), (expected, h_last[0], c_last[0]), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "uniforn"}, "start must be one of standard, chrono, cumax, uniform, not 'uniforn'"),
        ({"help": "refined"}, "help must be one of none, refine, master, not 'refined'"),
        ({"start": "uniform", "t_max": 50}, "t_max has no effect with start='uniform', help='none'"),
        ({"start": "chrono", "forget_bias": 1.0}, "forget_bias has no effect"),
        ({"help": "refine", "chunk": 2}, "chunk has no effect"),
        ({"help": "refine", "refine_bias": "zero"}, "refine_bias has no effect"),
        (
            {"start": "uniform", "help": "refine", "refine_bias": "none"},
            "refine_bias must be one of mirrored, zero",
        ),
        ({"help": "master", "chunk": 4}, "chunk must divide hidden_size, and 4 does not divide 6"),
    ],
)
def test_options_are_checked(options, message):
    """Fails if an option is silently ignored where it has no effect: the curve would be another core's."""
    with pytest.raises(ValueError, match=message):
        GatedLSTM(X, H, **options)
