"""Tests of the controls: that they are as large as the cores they stand beside, and cannot remember."""

import pytest
import torch
from reference_cores import frame_stack_unroll, memoryless_unroll

from cores import RecurrentCore, make_core

# Two threads that wait for each other make small products on a shared machine a hundred times slower.
torch.set_num_threads(1)

T, B, X, H = 5, 3, 4, 6  # steps, environments, inputs, units


def test_equals_the_literal_network():
    """Fails if either tanh is left out, or the bias is added twice."""
    torch.manual_seed(0)
    core = make_core("memoryless", X, H).double()
    with torch.no_grad():
        core.bias.normal_()
    inputs = torch.randn(T, B, X, dtype=torch.float64)
    out, _ = core(inputs, (), torch.zeros(T, B, dtype=torch.bool))
    weights = {name: value.detach().numpy() for name, value in core.named_parameters()}
    expected = torch.from_numpy(memoryless_unroll(weights, inputs.numpy()))
    torch.testing.assert_close(out.detach(), expected, rtol=0, atol=1e-12)


def test_one_step_does_not_reach_another():
    """Fails if anything is added along the steps: every output must be its own input's, to the last bit."""
    torch.manual_seed(0)
    core = make_core("memoryless", X, H)
    inputs, reset = torch.randn(T, B, X), torch.zeros(T, B, dtype=torch.bool)
    out, state = core(inputs, core.initial_state(B), reset)
    assert state == ()
    for t in range(T):
        changed = inputs.clone()
        changed[t] += 1.0
        same = (core(changed, (), reset)[0] == out).all(dim=2).all(dim=1)
        assert same.tolist() == [step != t for step in range(T)]


def test_all_at_once_equals_the_reference_unroll():
    """Fails if the shortcut leaves out a layer."""
    torch.manual_seed(0)
    core = make_core("memoryless", X, H).double()
    inputs, reset = torch.randn(T, B, X, dtype=torch.float64), torch.rand(T, B) < 0.3
    fast, slow = core(inputs, (), reset)[0], RecurrentCore.forward(core, inputs, (), reset)[0]
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("input_size", "hidden_size"), [(4, 6), (64, 32)])
def test_has_as_many_weights_as_an_lstm(input_size, hidden_size):
    """Fails if the layer between has 3 H units: a control must not fail for want of size."""
    sizes = {
        name: sum(p.numel() for p in make_core(name, input_size, hidden_size).parameters())
        for name in ("memoryless", "lstm")
    }
    assert sizes["memoryless"] == sizes["lstm"]


@pytest.mark.parametrize("frames", [2, 4, 7])
def test_frame_stack_equals_the_literal_network(frames):
    """Mutations: the frames in order of time; the frames of another episode seen; the state not reset."""
    torch.manual_seed(0)
    core = make_core("frame-stack", X, H, frames=frames).double()
    with torch.no_grad():
        core.bias.normal_()
    weights = {name: value.detach().numpy() for name, value in core.named_parameters()}
    for share in (0.0, 0.3, 1.0):
        inputs = torch.randn(T, B, X, dtype=torch.float64)
        past = torch.randn(B, frames - 1, X, dtype=torch.float64)
        reset = torch.rand(T, B) < share
        expected = frame_stack_unroll(weights, inputs.numpy(), past.numpy(), reset.numpy())
        fast, slow = core(inputs, (past,), reset), RecurrentCore.forward(core, inputs, (past,), reset)
        torch.testing.assert_close(fast[0].detach(), torch.from_numpy(expected), rtol=0, atol=1e-12)
        torch.testing.assert_close(fast, slow, rtol=0, atol=1e-14)


def test_frame_stack_sees_its_frames_and_no_more():
    """Mutation: one frame too many, or one too few. An input reaches its own step and the next two."""
    torch.manual_seed(0)
    core, inputs = make_core("frame-stack", X, H, frames=3), torch.randn(9, B, X)
    reset = torch.zeros(9, B, dtype=torch.bool)
    reset[6] = True
    out, _ = core(inputs, core.initial_state(B), reset)
    for t, last in ((0, 2), (2, 4), (4, 5), (6, 8)):
        changed = inputs.clone()
        changed[t] += 1.0
        moved = (core(changed, core.initial_state(B), reset)[0] != out).any(dim=2).any(dim=1)
        assert moved.nonzero().flatten().tolist() == list(range(t, last + 1))


def test_frame_stack_refuses_too_few_frames():
    """Mutation: a single frame let through: a memoryless core under another name."""
    for frames in (1, 0, 2.0):
        with pytest.raises(ValueError, match="frames must be"):
            make_core("frame-stack", X, H, frames=frames)


def recall_error(name, **options):
    """Trains a core to name the sign it saw first, after four steps of noise; returns its rate of error."""
    torch.manual_seed(0)
    steps, batch = 5, 64
    core, head = make_core(name, 1, 8, **options), torch.nn.Linear(8, 1)
    adam = torch.optim.Adam([*core.parameters(), *head.parameters()], lr=0.02)
    reset = torch.zeros(steps, batch, dtype=torch.bool)
    errors = []
    for _ in range(150):
        inputs = torch.randn(steps, batch, 1)
        target = (inputs[0] > 0).float()
        logits = head(core(inputs, core.initial_state(batch), reset)[0][-1])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
        adam.zero_grad()
        loss.backward()
        adam.step()
        errors.append(((logits > 0) != (target > 0)).float().mean().item())
    return sum(errors[-20:]) / 20


def test_memory_is_what_it_lacks():
    """Fails if the control's steps are summed, or the UR-LSTM resets at every step: both sides must hold."""
    assert recall_error("ur-lstm") < 0.15
    assert recall_error("memoryless") > 0.4


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gru", {}),
        ("ur-gru", {}),
        ("mingru", {"layers": 2}),  # one layer cannot tell the first input from the others
        ("lru", {}),
        ("lstm", {"layers": 2}),
        ("ur-lstm", {"layer_norm": True}),
    ],
)
def test_every_kind_of_memory_learns_what_it_lacks(name, options):
    """Mutation: the state given to the first step only, or a gradient that does not reach back."""
    assert recall_error(name, **options) < 0.15


def test_frame_stack_remembers_as_far_as_it_sees():
    """Fails if the oldest frame is lost, or one more is kept: the sign stands in the fifth input back."""
    assert recall_error("frame-stack", frames=5) < 0.15
    assert recall_error("frame-stack", frames=4) > 0.4
