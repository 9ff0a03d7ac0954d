"""Curves of the gates, by gates whose figures are known."""

import pytest
import torch

from agents.actor import Actor, make_envs
from agents.config import Config
from agents.gate_metrics import gate_metrics, gates_along
from agents.network import make_network
from cores import make_core

T, B, H = 5, 3, 6


def test_figures():
    """Each curve, by gates that differ over units and, in the first step, over time.

    Mutations: the mean of time scales for the scale of the mean gate; the mean taken for the median; the
    share of saturated units for that of saturated gates.
    """
    units = torch.tensor([0.0, 0.5, 0.9, 0.9, 0.99, 0.999])
    steps = torch.tensor([0.8, 1.0, 1.0, 1.0, 1.0]).view(T, 1, 1)
    gates = {"forget": units * steps, "primary": units / 2, "input": 1 - units, "candidate": -units}
    scalars, histograms = gate_metrics({name: gate.expand(T, B, H) for name, gate in gates.items()})
    average = 0.96 * units
    assert scalars == {
        "memory/forget_gate_mean": pytest.approx(average.mean().item()),
        "memory/primary_gate_mean": pytest.approx(units.mean().item() / 2),
        "memory/input_gate_mean": pytest.approx(1 - units.mean().item()),
        "memory/forget_gate_saturated_share": pytest.approx((1 + 2 * 4 / 5) / 6),
        "memory/time_scale_median_steps": pytest.approx(1 / (1 - 0.96 * 0.9), rel=1e-4),
        "memory/time_scale_longest_steps": pytest.approx(1 / (1 - 0.96 * 0.999), rel=1e-4),
    }
    assert histograms["memory/forget_gate"] == pytest.approx(average.numpy(), abs=1e-6)
    assert histograms["memory/input_gate"] == pytest.approx(1 - units.numpy(), abs=1e-6)
    assert histograms["memory/time_scale_log10_steps"][2] == pytest.approx(0.8665, abs=1e-3)


def test_a_core_without_gates_has_no_curves():
    """Mutation: a forget gate taken for granted."""
    core = make_core("memoryless", 4, H)
    reset = torch.zeros(T, B, dtype=torch.bool)
    assert gate_metrics(core.unroll_gates(torch.zeros(T, B, 4), (), reset)) == ({}, {})


@pytest.mark.parametrize(
    ("name", "helped"), [("u-lstm", False), ("ur-lstm", True), ("um-lstm", True), ("ur-gru", True)]
)
def test_the_primary_gate_is_the_one_before_its_help(name, helped):
    """Mutations: the effective gate given as the primary one; the GRU's z, and not 1 - z."""
    torch.manual_seed(0)
    core = make_core(name, 4, H)
    gates = core.unroll_gates(
        torch.randn(T, B, 4), core.initial_state(B), torch.zeros(T, B, dtype=torch.bool)
    )
    apart = (gates["forget"] - gates["primary"]).abs().max().item()
    assert (apart > 0.01) == helped
    if name.startswith("ur"):  # the help keeps the order: f^2 <= g <= 1 - (1-f)^2
        f, g = gates["primary"], gates["forget"]
        assert bool((f * f <= g + 1e-6).all() and (g <= 1 - (1 - f) ** 2 + 1e-6).all())


def test_gates_are_those_of_the_unroll():
    """They begin with the state that the actor had. Mutations: an initial state; resets left out."""
    config = Config(env_opt=("length=4",), hidden_size=H, encoder_size=5)
    envs = make_envs(config, B, 0)
    network = make_network(config, envs.single_observation_space, 4)
    actor = Actor(envs, network, seed=1)
    actor.unroll(actor.allocate(3))
    unroll = actor.unroll(actor.allocate(T))
    assert all(state.any() for state in unroll.core_state)
    assert unroll.inputs.resets.any()
    state, gates = unroll.core_state, []
    with torch.no_grad():
        for row in range(T + 1):
            inputs = network.core_inputs(unroll.inputs.row(row))[None]
            reset = unroll.inputs.resets[row][None]
            gates.append(network.core.unroll_gates(inputs, state, reset)["forget"])
            _, state = network.core(inputs, state, reset)
    scalars, _ = gates_along(unroll, network)
    assert scalars["memory/forget_gate_mean"] == pytest.approx(torch.cat(gates).mean().item(), rel=1e-5)
