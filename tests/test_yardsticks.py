"""Tests of what cores are timed against: a yardstick that does less than it says flatters nobody."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cores import make_core
from cores.yardsticks import (
    GRU,
    MASKED,
    PLAIN,
    acting,
    acting_products,
    learning,
    learning_products,
    masked_unroll,
    product_weights,
    products_name,
    take_turns,
)

T, B, X, H = 5, 3, 4, 6  # steps, environments, inputs, units


def count_in_place(total, left, right, out_shape=None, **scales):
    """Returns the operations of addmm_ by the shapes of its arguments; torch's counter does not know it."""
    return 2 * left[0] * left[1] * right[1]


IN_PLACE = {torch.ops.aten.addmm_: count_in_place}


def twins():
    """Returns an nn.LSTM and the core "lstm" with the same weights, in float64."""
    torch.manual_seed(0)
    plain, core = nn.LSTM(X, H).double(), make_core("lstm", X, H).double()
    places = [slice(k * H, (k + 1) * H) for k in (1, 0, 3, 2)]  # torch's rows are i, f, u, o; ours f, i, o, u
    with torch.no_grad():
        for ours, theirs in ((core.weight_ih, plain.weight_ih_l0), (core.weight_hh, plain.weight_hh_l0)):
            ours.copy_(torch.cat([theirs[place] for place in places]))
        bias = plain.bias_ih_l0 + plain.bias_hh_l0
        core.bias.copy_(torch.cat([bias[place] for place in places]))
    return plain, core


def test_the_masked_unroll_is_the_lstm_with_resets():
    """Fails if the mask is inverted, or applied after the step: two implementations meet here."""
    plain, core = twins()
    inputs = torch.randn(T, B, X, dtype=torch.float64)
    h, c = torch.randn(2, 1, B, H, dtype=torch.float64)
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[[0, 2, 3, 4], [1, 0, 0, 2]] = True
    found = masked_unroll(plain, inputs, (h, c), reset)
    torch.testing.assert_close(found, core(inputs, (h[0], c[0]), reset)[0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["lstm", "on-lstm", "gru"])
def test_the_products_are_those_of_the_core(name):
    """Fails if a product is left out, done twice, or has the sizes of another core."""
    core = make_core(name, X, H)
    G = len(core.weight_hh)
    inputs = torch.randn(T, B, X)
    weights = product_weights({"other": make_core("mingru", X, H), name: core})[products_name(core)]
    a_step = 2 * B * G * (X + H)  # a multiplication and an addition for each weight
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as counter:
        learning_products(inputs, *weights)
    assert counter.get_total_flops() == 3 * T * a_step
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as counter:
        acting_products(inputs[0], torch.randn(B, H), *weights)
    assert counter.get_total_flops() == a_step


def test_the_products_are_all_that_a_core_multiplies():
    """Fails if the limit counts more than the reference unroll of the LSTM does."""
    core = make_core("lstm", X, H)
    inputs = torch.randn(T, B, X, requires_grad=True)
    state = tuple(tensor.requires_grad_() for tensor in core.initial_state(B))
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as counter:
        out, _ = super(type(core), core).forward(inputs, state, torch.zeros(T, B, dtype=torch.bool))
        out.sum().backward()
    assert counter.get_total_flops() == 3 * T * 2 * B * 4 * H * (X + H)


def test_contestants_take_turns():
    """Fails if the first round, which compiles, is counted, or a contestant is left out of a round."""
    calls = []
    contestants = {name: lambda name=name: calls.append(name) for name in "abcdef"}
    durations = take_turns(contestants, seconds=0.0, min_rounds=4)
    assert list(durations) == list("abcdef")
    assert all(len(taken) == 4 for taken in durations.values())
    rounds = [calls[k : k + 6] for k in range(0, len(calls), 6)]
    assert len(rounds) == 5
    assert all(sorted(one) == list("abcdef") for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1


def test_every_contestant_does_its_work():
    """Fails if a core steps with the sizes of another, or acting keeps a graph."""
    cores = {name: make_core(name, X, H) for name in ("ur-lstm", "m-lstm", "memoryless")}
    names = ["products 4 H", "products 6 H", PLAIN, MASKED, GRU, *cores]
    learners, actors = learning(cores, T, B), acting(cores, B)
    assert list(learners) == list(actors) == names
    for work in learners.values():
        work()
    for name in names[2:]:
        result = actors[name]()
        out = result if torch.is_tensor(result) else result[0]
        assert out.shape in ((B, H), (1, B, H))
        assert not out.requires_grad


def test_the_clock_waits_for_a_gpu(monkeypatch):
    """A call to CUDA returns before its work is done. Fails if the clock does not wait for it."""
    order = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: order.append("wait"))
    take_turns({"one": lambda: order.append("work")}, seconds=0.0, min_rounds=2)
    assert order == ["work", "wait"] * 3
