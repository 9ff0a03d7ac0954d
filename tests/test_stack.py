"""Tests of several layers: a stack is its layers, one after the other. `test_core.py` holds stacks too."""

import pytest
import torch

from cores import make_core
from cores.core import RecurrentCore
from cores.stack import Stack

T, B, X, H = 5, 3, 4, 6  # steps, environments, inputs, units


def call(core, seed=1):
    """Returns inputs, a random state of the core and resets."""
    generator = torch.Generator().manual_seed(seed)
    state = tuple(torch.randn(s.shape, generator=generator).double() for s in core.initial_state(B))
    reset = torch.rand(T, B, generator=generator) < 0.3
    return torch.randn(T, B, X, generator=generator).double(), state, reset


def test_is_its_layers_one_after_the_other():
    """Mutations: the states given to the layers in another order; the first layer's output returned."""
    torch.manual_seed(0)
    core = Stack([make_core("lru", X, 5), make_core("gru", 5, H), make_core("lstm", H, 2)]).double()
    inputs, state, reset = call(core)
    below, first = core.layers[0](inputs, state[:2], reset)
    between, second = core.layers[1](below, state[2:3], reset)
    above, third = core.layers[2](between, state[3:], reset)
    expected = (above, (*first, *second, *third))
    torch.testing.assert_close(core(inputs, state, reset), expected, rtol=0, atol=0)
    torch.testing.assert_close(
        RecurrentCore.forward(core, inputs, state, reset), expected, rtol=0, atol=1e-12
    )
    assert (core.input_size, core.hidden_size, core.output_size) == (X, 5 + H + 2, 2)


def test_equals_torchs_lstm_of_two_layers():
    """Mutation: layers read the inputs instead of the output below."""
    torch.manual_seed(0)
    core, theirs = make_core("lstm", X, H, layers=2).double(), torch.nn.LSTM(X, H, num_layers=2).double()
    rows = torch.arange(4 * H).view(4, H)[[1, 0, 3, 2]].flatten()
    with torch.no_grad():
        for index, layer in enumerate(core.layers):
            getattr(theirs, f"weight_ih_l{index}").copy_(layer.weight_ih[rows])
            getattr(theirs, f"weight_hh_l{index}").copy_(layer.weight_hh[rows])
            getattr(theirs, f"bias_ih_l{index}").copy_(layer.bias[rows])
            getattr(theirs, f"bias_hh_l{index}").zero_()
    inputs, (h1, c1, h2, c2), _ = call(core)
    out, last = core(inputs, (h1, c1, h2, c2), torch.zeros(T, B, dtype=torch.bool))
    expected, (h, c) = theirs(inputs, (torch.stack([h1, h2]), torch.stack([c1, c2])))
    torch.testing.assert_close((out, *last), (expected, h[0], c[0], h[1], c[1]), rtol=0, atol=1e-12)


def test_gates_of_the_layers_stand_side_by_side():
    """Mutations: the upper layer's gates read from the inputs; the layers in another order."""
    torch.manual_seed(0)
    core = Stack([make_core("gru", X, 5), make_core("lstm", 5, H)]).double()
    inputs, state, _ = call(core)
    gates = core.gates(core.project(inputs[0]), state)
    lower = core.layers[0].gates(core.layers[0].project(inputs[0]), state[:1])
    below, _ = core.layers[0].step(core.layers[0].project(inputs[0]), state[:1])
    upper = core.layers[1].gates(core.layers[1].project(below), state[1:])
    assert set(gates) == {"forget", "primary", "input", "candidate"}
    for name, gate in gates.items():
        assert torch.equal(gate, torch.cat([lower[name], upper[name]], dim=1))


def test_layers_that_do_not_fit_are_refused():
    """Mutation: either check left out."""
    with pytest.raises(ValueError, match="at least one layer"):
        Stack([])
    with pytest.raises(ValueError, match="a layer of 4 inputs cannot read 6 outputs"):
        Stack([make_core("gru", X, H), make_core("gru", X, H)])


class Learnt(RecurrentCore):
    """Adds up its inputs, from a start of its own."""

    def __init__(self, width, start):
        super().__init__(width, width)
        self.start = torch.nn.Parameter(torch.full((width,), start))

    def initial_state(self, batch_size):
        """Returns the learnt start, [B, H]."""
        return (self.start.expand(batch_size, -1),)

    def project(self, x):
        """Returns the inputs as they are."""
        return x

    def step(self, projected, state):
        """Adds the inputs."""
        return state[0] + projected, (state[0] + projected,)


def test_every_layer_starts_its_own_way():
    """Mutations: zeros for the initial state; the layers' initial states in another order."""
    core = Stack([Learnt(2, 1.0), Learnt(2, 10.0)])
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[3, 1] = True
    out, last = core(torch.ones(T, B, 2), core.initial_state(B), reset)
    sums = [12.0, 15.0, 19.0, 24.0, 30.0]  # 10 plus 2, 3, 4, 5, 6
    assert out[:, 0, 0].tolist() == sums
    assert out[:, 1, 1].tolist() == [*sums[:3], *sums[:2]]
    assert [s[1, 0].item() for s in last] == [3.0, 15.0]
