"""Tests of the minGRU against its equations, written out in NumPy, and of how it starts."""

import math

import pytest
import torch
from reference_scans import mingru_unroll

from cores import make_core

T, B, X, H = 5, 3, 4, 6  # steps, environments, inputs, units


def randomised():
    """Returns a float64 core with every parameter from a standard normal."""
    torch.manual_seed(0)
    core = make_core("mingru", X, H).double()
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.normal_()
    return core


def test_equals_the_literal_recurrence():
    """Mutations: z and 1 - z exchanged; tanh of the candidate; the rows of z and u exchanged."""
    core = randomised()
    inputs, h = torch.randn(T, B, X, dtype=torch.float64), torch.randn(B, H, dtype=torch.float64)
    reset = torch.rand(T, B) < 0.3
    with torch.no_grad():
        out, (last,) = core(inputs, (h,), reset)
    gates = core.unroll_gates(inputs, (h,), reset)
    weights = {key: value.detach().numpy() for key, value in core.named_parameters()}
    literal = mingru_unroll(weights, inputs.numpy(), h.numpy(), reset.numpy())
    found = (out, gates["input"])
    torch.testing.assert_close(found, tuple(torch.from_numpy(x) for x in literal), rtol=0, atol=1e-12)
    assert torch.equal(last, out[-1])


def test_gates_explain_the_change_of_state():
    """Mutation: "forget" and "input" exchanged."""
    core, h = randomised(), torch.randn(B, H, dtype=torch.float64)
    projected = core.project(torch.randn(B, X, dtype=torch.float64))
    gates = core.gates(projected, (h,))
    explained = gates["forget"] * h + gates["input"] * gates["candidate"]
    torch.testing.assert_close(core.step(projected, (h,))[0], explained, rtol=0, atol=1e-14)


def test_start():
    """Mutations: the sign of forget_bias; a gain on the candidate's rows; a bias left on the candidate."""
    torch.manual_seed(0)
    core = make_core("mingru", 100, 64)
    assert core.bias.tolist() == [-1.0] * 64 + [0.0] * 64
    assert core.weight_ih.shape == (128, 100)
    for rows, bound in ((core.weight_ih[:64], 0.05), (core.weight_ih[64:], 0.1)):
        assert 0.98 * bound < rows.abs().max().item() <= bound
    assert not make_core("mingru", X, H, forget_bias=0).bias.any()
    with pytest.raises(ValueError, match="forget_bias must be a finite number"):
        make_core("mingru", X, H, forget_bias=math.inf)


def test_has_a_quarter_of_an_lstms_weights():
    """Mutation: a recurrent weight."""
    sizes = [sum(p.numel() for p in make_core(name, H, H).parameters()) for name in ("mingru", "lstm")]
    assert sizes == [2 * H * (H + 1), 4 * H * (2 * H + 1)]
