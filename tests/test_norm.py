"""Tests of layer norm in the gated cores, against the recurrence written out in NumPy."""

import pytest
import torch
from reference_cores import LSTMS, lstm_unroll

from cores import make_core
from cores.norm import initial_gain, normalise

T, B, X, H = 5, 3, 4, 6  # steps, environments, inputs, units
CASES = [(name, 1) for name in LSTMS] + [(name, 3) for name in ("m-lstm", "om-lstm", "on-lstm")]


@pytest.mark.parametrize(("name", "chunk"), CASES)
def test_equals_the_literal_recurrence(name, chunk):
    """Mutations: the bias added before the norm, known mistake 6; all gates normalised together; no gain."""
    torch.manual_seed(0)
    core = make_core(name, X, H, layer_norm=True, **({"chunk": chunk} if chunk > 1 else {})).double()
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.normal_()
    inputs = torch.randn(T, B, X, dtype=torch.float64)
    state = tuple(torch.randn(2, B, H, dtype=torch.float64))
    reset = torch.rand(T, B) < 0.3
    with torch.no_grad():
        out, last = core(inputs, state, reset)
    gates = core.unroll_gates(inputs, state, reset)
    weights = {key: value.detach().numpy() for key, value in core.named_parameters()}
    arrays = (inputs.numpy(), *(s.numpy() for s in state), reset.numpy())
    literal = tuple(torch.from_numpy(x) for x in lstm_unroll(name, weights, *arrays, chunk))
    found = (out, *last, gates["forget"], gates["input"])
    torch.testing.assert_close(found, literal, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("name", "gate"), [("u-lstm", "forget"), ("gru", "input")])
def test_the_start_survives_the_norm(name, gate):
    """Mutations: known mistake 6; the gates' gain 1.

    However large the inputs, a gate's pre-activation is spread by 1/2 about its bias.
    """
    torch.manual_seed(0)
    core = make_core(name, X, 64, layer_norm=True).double()
    inputs, reset = 100.0 * torch.randn(50, 20, X).double(), torch.zeros(50, 20, dtype=torch.bool)
    recorded = core.unroll_gates(inputs, core.initial_state(20), reset)[gate]
    moved = recorded.logit() - core.bias[:64].detach()
    assert moved.std().item() == pytest.approx(0.5, rel=0.02)
    assert abs(moved.mean().item()) < 0.01
    assert core.gain.unique(return_counts=True)[1].tolist() == [core.gain.numel() - 64, 64]
    assert core.gain.max().item() == 1.0


def test_normalise():
    """Mutations: one mean for both gates; the variance of a sample, with H - 1; another gate's gain."""
    pre = torch.tensor([[1.0, 3.0, 10.0, 10.0, 40.0]])
    gain, bias = torch.tensor([1.0, 2.0, 1.0, 1.0, 3.0]), torch.tensor([0.0, 0.5, 0.0, 7.0, 0.0])
    low, high = -(0.5**0.5), 2.0**0.5
    wanted = torch.tensor([[-1.0, 2.5, low, 7.0 + low, 3.0 * high]])
    torch.testing.assert_close(normalise(pre, [2, 3], gain, bias), wanted, rtol=0, atol=1e-4)


def test_is_off_unless_asked_for():
    """Mutation: a gain that is there without norm: checkpoints of before could not be read."""
    assert set(make_core("ur-lstm", X, H).state_dict()) == {"weight_ih", "weight_hh", "bias"}
    normed = make_core("ur-lstm", X, H, layer_norm=True)
    assert set(normed.state_dict()) == {"weight_ih", "weight_hh", "bias", "gain"}
    with torch.no_grad():
        normed.gain.zero_()
    normed.reset_parameters()
    assert torch.equal(normed.gain, initial_gain([H] * 4, candidate=3))


@pytest.mark.parametrize("name", ["lstm", "on-lstm", "gru"])
def test_options_are_checked(name):
    """Mutations: text or numbers taken for true; a norm over a single entry, which is always zero."""
    for wrong in ("yes", 1, 0, None):
        with pytest.raises(ValueError, match="layer_norm must be true or false"):
            make_core(name, X, H, layer_norm=wrong)
    with pytest.raises(ValueError, match="at least 2 entries a gate"):
        make_core(name, X, 1, layer_norm=True)
    if name == "on-lstm":
        with pytest.raises(ValueError, match="at least 2 entries a gate"):
            make_core(name, X, H, chunk=H, layer_norm=True)
