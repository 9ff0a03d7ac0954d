"""Tests of the ON-LSTM against its equations, written out in NumPy, and against what ordering means."""

import pytest
import torch
from reference_cores import lstm_unroll

from cores import make_core

T, B, X, H = 5, 3, 4, 6  # steps, environments, inputs, units


@pytest.mark.parametrize("chunk", [1, 2, 3, 6])
def test_equals_the_literal_recurrence(chunk):
    """Fails if f_hat lacks its (F - w), if I = cumax(P_I), or if the chunks are dealt out in turns."""
    torch.manual_seed(0)
    core = make_core("on-lstm", X, H, chunk=chunk).double()
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.copy_(torch.randn_like(parameter))
    inputs = torch.randn(T, B, X, dtype=torch.float64)
    state = (torch.randn(B, H, dtype=torch.float64), torch.randn(B, H, dtype=torch.float64))
    reset = torch.rand(T, B) < 0.3
    out, (h, c) = core(inputs, state, reset)
    weights = {name: value.detach().numpy() for name, value in core.named_parameters()}
    expected = lstm_unroll(
        "on-lstm", weights, inputs.numpy(), *(s.numpy() for s in state), reset.numpy(), chunk
    )
    for found, wanted in zip((out, h, c), expected, strict=False):
        torch.testing.assert_close(found.detach(), torch.from_numpy(wanted), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("chunk", "width"), [(1, 36), (2, 30), (3, 28), (6, 26)])
def test_width_is_4d_plus_2d_over_c(chunk, width):
    """Fails if each master gate has d entries whatever the chunk."""
    core = make_core("on-lstm", X, H, chunk=chunk)
    assert core.weight_ih.shape == (width, X)
    assert core.weight_hh.shape == (width, H)
    assert core.bias.shape == (width,)


def test_all_biases_start_at_zero():
    """Fails if the grid's forget bias of 1 reaches the ON-LSTM: known mistake 5."""
    assert make_core("on-lstm", X, H).bias.abs().max().item() == 0.0


def test_split_points_order_the_units():
    """Fails if the master forget gate falls instead of rising, or the master input gate rises.

    With F's step at unit 2 and I's at unit 4: units 0, 1 are erased and written, 2, 3 obey f and i, 4, 5 are
    kept as they are. This is the ordering that gives the core its name.
    """
    torch.manual_seed(0)
    core = make_core("on-lstm", X, H).double()
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.zero_()
        core.bias[4 * H + 2] = 100.0
        core.bias[5 * H + 4] = 100.0
    c = torch.randn(B, H, dtype=torch.float64)
    projected = core.project(torch.randn(B, X, dtype=torch.float64))
    gates = core.gates(projected, (torch.zeros_like(c), c))
    exactly = {"rtol": 0, "atol": 1e-12}
    wanted = torch.tensor([0, 0, 0.5, 0.5, 1, 1], dtype=torch.float64).expand(B, H)
    torch.testing.assert_close(gates["forget"].detach(), wanted, **exactly)
    torch.testing.assert_close(gates["input"].detach(), wanted.flip(1), **exactly)


def test_is_the_grids_m_lstm_without_forget_bias():
    """Fails if it takes another place in the grid: with cumax on f, say."""
    torch.manual_seed(0)
    ordered, gridded = make_core("on-lstm", X, H, chunk=2), make_core("m-lstm", X, H, chunk=2)
    assert gridded.bias[:H].tolist() == [1.0] * H
    gridded.load_state_dict(ordered.state_dict())
    inputs, reset = torch.randn(T, B, X), torch.rand(T, B) < 0.3
    assert torch.equal(
        ordered(inputs, ordered.initial_state(B), reset)[0],
        gridded(inputs, gridded.initial_state(B), reset)[0],
    )


@pytest.mark.parametrize("chunk", [4, 5, 12, 0, -1, 2.0, "2"])
def test_refuses_a_chunk_that_does_not_divide(chunk):
    """Fails if either check is left out."""
    with pytest.raises(ValueError, match="chunk must"):
        make_core("on-lstm", X, H, chunk=chunk)
