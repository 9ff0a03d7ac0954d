"""Tests of the interface: every core in `CORES` is held to them, a new one by being listed there."""

import copy
from itertools import pairwise

import pytest
import torch

from cores import CORES, make_core
from cores.core import restart

# Two threads that wait for each other make small products on a shared machine a hundred times slower.
torch.set_num_threads(1)

T, B, X, H = 5, 3, 4, 6  # steps, environments, inputs, units
STACKS = [f"{name}, layers=2" for name in ("ur-lstm", "on-lstm", "gru", "lru", "memoryless", "frame-stack")]
NORMED = [f"{name}, layer_norm" for name in ("ur-lstm", "o-lstm", "on-lstm", "gru", "ur-gru")]
NAMES = [*CORES, *STACKS, *NORMED]
EXACTLY = {"rtol": 0.0, "atol": 0.0}
CLOSELY = {"rtol": 1e-14, "atol": 1e-13}  # float64; the order of a product's sums differs between batch sizes


def made(case, input_size=X, hidden_size=H):
    """Returns the core of a case: a name, and perhaps an option."""
    name, _, option = case.partition(", ")
    options = {"": {}, "layers=2": {"layers": 2}, "layer_norm": {"layer_norm": True}}[option]
    return make_core(name, input_size, hidden_size, **options)


WITH_STATE = [name for name in NAMES if made(name).state_shapes]


def build(name, seed=0):
    """Returns a float64 core whose parameters are large enough that every gate moves."""
    torch.manual_seed(seed)
    core = made(name).double()
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(torch.randn_like(parameter))
    return core


def some_inputs(seed=1):
    """Returns inputs [T, B, X] and a function that makes a random state of a core."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(T, B, X, generator=generator, dtype=torch.float64)
    return inputs, lambda core: tuple(
        torch.randn(s.shape, generator=generator, dtype=torch.float64) for s in core.initial_state(B)
    )


def resets(*places):
    """Returns [T, B] bool, true at the given places (t, b)."""
    reset = torch.zeros(T, B, dtype=torch.bool)
    for t, b in places:
        reset[t, b] = True
    return reset


RESETS = resets((0, 1), (2, 0), (3, 0), (4, 2))  # at the start, two in a row, at the end


@pytest.mark.parametrize("name", NAMES)
def test_shapes(name):
    """Fails if the output's or the state's axes are exchanged."""
    core = made(name)
    state = core.initial_state(B)
    out, last = core(torch.randn(T, B, X), state, RESETS)
    assert (core.input_size, core.output_size) == (X, H)
    assert out.shape == (T, B, core.output_size)
    assert [s.shape for s in last] == [s.shape for s in state]
    assert all(s.shape[0] == B and s.dtype == torch.float32 and not s.any() for s in state)


@pytest.mark.parametrize("name", NAMES)
def test_unroll_is_project_and_steps(name):
    """Fails if the unroll steps with the state before the previous step's."""
    core, (inputs, some_state) = build(name), some_inputs()
    state = some_state(core)
    out, last = core(inputs, state, resets())
    for t in range(T):
        stepped, state = core.step(core.project(inputs[t]), state)
        torch.testing.assert_close(out[t], stepped, **CLOSELY)
    torch.testing.assert_close(last, state, **CLOSELY)


@pytest.mark.parametrize("name", NAMES)
def test_resets_equal_episodes_run_apart(name):
    """Fails if the state is replaced after the step instead of before it, or in the wrong environment."""
    core, (inputs, some_state) = build(name), some_inputs()
    state = some_state(core)
    out, last = core(inputs, state, RESETS)
    for b in range(B):
        starts = [t for t in range(T) if RESETS[t, b]]
        cuts = sorted({0, *starts, T})
        for begin, end in pairwise(cuts):
            before = core.initial_state(1) if begin in starts else tuple(s[b : b + 1] for s in state)
            alone, after = core(inputs[begin:end, b : b + 1], before, resets()[begin:end, b : b + 1])
            torch.testing.assert_close(out[begin:end, b : b + 1], alone, **CLOSELY)
        torch.testing.assert_close(tuple(s[b : b + 1] for s in last), after, **CLOSELY)


@pytest.mark.parametrize("name", WITH_STATE)
def test_no_gradient_crosses_a_reset(name):
    """Fails if the reset only scales the state down: the gradient across it is exactly zero."""
    core, (inputs, some_state) = build(name), some_inputs()
    state = tuple(s.requires_grad_() for s in some_state(core))
    inputs.requires_grad_()
    for reset in (resets(), resets((3, 0))):
        out, _ = core(inputs, state, reset)
        d_inputs, *d_state = torch.autograd.grad(out[3:, 0].sum(), (inputs, *state))
        assert d_inputs[3:, 0].any()
        assert not d_inputs[:, 1:].any()
        assert bool(d_inputs[2, 0].any()) != bool(reset.any())
        assert not (reset.any() and (d_inputs[:3].any() or any(gradient.any() for gradient in d_state)))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", WITH_STATE)
def test_a_broken_state_ends_with_its_episode(name, bad):
    """Fails if the reset is a product with a mask: zero times NaN is NaN, forward and backward."""
    core, (inputs, some_state) = build(name), some_inputs()
    state = some_state(core)
    broken = tuple(torch.cat([torch.full_like(s[:1], bad), s[1:]]).requires_grad_() for s in state)
    reset = resets((0, 0))
    out, last = core(inputs, broken, reset)
    torch.testing.assert_close((out, last), core(inputs, state, reset), **EXACTLY)
    gradients = torch.autograd.grad(out.sum() + sum(s.sum() for s in last), (*broken, *core.parameters()))
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    assert not any(gradient[0].any() for gradient in gradients[: len(broken)])


@pytest.mark.parametrize("name", NAMES)
def test_a_state_broken_on_the_way_ends_with_its_episode(name):
    """Fails if the reset is a product with a mask."""
    core, (inputs, some_state) = build(name), some_inputs()
    state, reset = some_state(core), resets((3, 0))
    broken = inputs.clone()
    broken[1, 0] = float("nan")
    out, last = core(broken, state, reset)
    expected, expected_last = core(inputs, state, reset)
    assert bool(out[1, 0].isnan().all())
    torch.testing.assert_close(out[3:], expected[3:], **EXACTLY)
    torch.testing.assert_close(out[:, 1:], expected[:, 1:], **EXACTLY)
    torch.testing.assert_close(last, expected_last, **EXACTLY)


@pytest.mark.parametrize("name", NAMES)
def test_two_short_unrolls_are_one_long(name):
    """Fails if the returned state is the one before the last step; a reset falls on the seam."""
    core, (inputs, some_state) = build(name), some_inputs()
    state, reset = some_state(core), resets((2, 0), (1, 2))
    out, last = core(inputs, state, reset)
    first, between = core(inputs[:2], state, reset[:2])
    second, end = core(inputs[2:], between, reset[2:])
    torch.testing.assert_close(out, torch.cat([first, second]), **CLOSELY)
    torch.testing.assert_close(last, end, **CLOSELY)


@pytest.mark.parametrize("draw", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_stepping_equals_unrolling_at_any_size(name, draw):
    """In float32, as agents act and learn: up to 200 steps, up to 32 environments, resets from none to half.

    What enters before the last reset gets a gradient of exactly zero.

    Mutations: an acting path that resets h and not c; ``fill_zero(d_h[b])`` left out of a backward step.
    """
    generator = torch.Generator().manual_seed(100 * NAMES.index(name) + draw)
    steps, batch = (int(torch.randint(1, high + 1, (), generator=generator)) for high in (200, 32))
    core = made(name, 10, 24)
    inputs = torch.randn(steps, batch, 10, generator=generator, requires_grad=True)
    reset = torch.rand(steps, batch, generator=generator) < (0.0, 0.01, 0.5)[draw]
    state = tuple(torch.randn(s.shape, generator=generator) for s in core.initial_state(batch))
    out, last = core(inputs, state, reset)
    rows, stepped = [], state
    with torch.no_grad():
        for t in range(steps):
            row, stepped = core(inputs[t : t + 1], stepped, reset[t : t + 1])
            rows.append(row)
    torch.testing.assert_close((torch.cat(rows), *stepped), (out, *last), rtol=0, atol=1e-6)
    (d_inputs,) = torch.autograd.grad(out[-1].square().sum(), inputs)
    before = reset.flip(0).cumsum(0).flip(0).roll(-1, 0)  # resets after each step
    before[-1] = 0
    assert not d_inputs[before > 0].any()


@pytest.mark.parametrize("name", NAMES)
def test_environments_do_not_mix(name):
    """Fails if anything, a cumulative sum say, runs along the batch."""
    core, (inputs, some_state) = build(name), some_inputs()
    state, order = some_state(core), torch.tensor([2, 0, 1])
    out, last = core(inputs, state, RESETS)
    permuted, permuted_last = core(inputs[:, order], tuple(s[order] for s in state), RESETS[:, order])
    torch.testing.assert_close(permuted, out[:, order], **CLOSELY)
    torch.testing.assert_close(permuted_last, tuple(s[order] for s in last), **CLOSELY)


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_left_as_they_were(name):
    """Fails if a step writes into its state: the actor's copy of it is what the learner starts from."""
    core, (inputs, some_state) = build(name), some_inputs()
    state, projected = some_state(core), core.project(inputs).detach()
    arguments = (inputs, projected, *state)
    before = tuple(tensor.clone() for tensor in arguments)
    with torch.no_grad():
        core(inputs, state, RESETS)
        core.step(projected[0], state)
        core.gates(projected[0], state)
    torch.testing.assert_close(arguments, before, **EXACTLY)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_learnt(name):
    """Fails if a parameter is left out of the step, or detached."""
    core, (inputs, some_state) = build(name), some_inputs()
    core(inputs, some_state(core), RESETS)[0].sum().backward()
    for parameter in core.parameters():
        assert bool(
            parameter.grad.flatten(1).any(dim=1).all() if parameter.dim() > 1 else parameter.grad.any()
        )


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    """Fails if any factor of a step is detached."""
    torch.manual_seed(0)
    core = made(name, 2, 3).double()
    parameters = dict(core.named_parameters())
    inputs = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)  # smaller, for time
    state = tuple(torch.randn_like(s).requires_grad_() for s in core.initial_state(2))
    reset = torch.tensor([[False, True], [False, False], [True, False]])

    def unroll(inputs, *rest):
        state, values = rest[: len(core.state_shapes)], rest[len(core.state_shapes) :]
        arguments = (inputs, state, reset)
        out, last = torch.func.functional_call(core, dict(zip(parameters, values, strict=True)), arguments)
        return out, *last

    assert torch.autograd.gradcheck(unroll, (inputs, *state, *parameters.values()))


@pytest.mark.parametrize("name", NAMES)
def test_dtype_is_the_parameters(name):
    """Fails if the initial state, or anything made on the way, is float32 whatever the parameters are."""
    core, (inputs, some_state) = build(name), some_inputs()
    state = some_state(core)
    exact, last = core(inputs, state, RESETS)
    assert {tensor.dtype for tensor in (exact, *last, *core.initial_state(B))} == {torch.float64}
    single = copy.deepcopy(core).float()
    rounded, last = single(inputs.float(), tuple(s.float() for s in state), RESETS)
    assert {tensor.dtype for tensor in (rounded, *last, *single.initial_state(B))} == {torch.float32}
    scale = max(1.0, exact.abs().max().item())
    torch.testing.assert_close(rounded.double(), exact, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("name", NAMES)
def test_copies_are_equal_and_apart(name):
    """Fails if a parameter is kept outside the state_dict, or drawn again when a copy runs."""
    core, (inputs, some_state) = build(name), some_inputs()
    state = some_state(core)
    out, _ = core(inputs, state, RESETS)
    loaded = build(name, seed=7)
    loaded.load_state_dict(core.state_dict())
    for twin in (loaded, copy.deepcopy(core)):
        torch.testing.assert_close(twin(inputs, state, RESETS)[0], out, **EXACTLY)
        with torch.no_grad():
            next(twin.parameters()).add_(1.0)
    torch.testing.assert_close(core(inputs, state, RESETS)[0], out, **EXACTLY)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides_the_parameters(name):
    """Fails if a parameter is drawn from another generator, or left uninitialised."""

    def drawn(seed):
        torch.manual_seed(seed)
        return torch.cat([parameter.detach().flatten() for parameter in made(name).parameters()])

    assert torch.equal(drawn(3), drawn(3))
    assert not torch.equal(drawn(3), drawn(4))


@pytest.mark.parametrize("name", NAMES)
def test_unroll_gates_follows_the_unroll(name):
    """Fails if the gates are read after the step, or before the reset."""
    core, (inputs, some_state) = build(name), some_inputs()
    state = some_state(core)
    recorded = core.unroll_gates(inputs, state, RESETS)
    assert not recorded or {"forget", "input"} <= set(recorded)
    for gate in recorded.values():
        assert gate.shape == (T, B, core.hidden_size)
        assert not gate.requires_grad
    for t in range(T):
        state = restart(RESETS[t], core.initial_state(B), state)
        for gate, value in core.gates(core.project(inputs[t]), state).items():
            torch.testing.assert_close(recorded[gate][t], value.detach(), **CLOSELY)
        _, state = core.step(core.project(inputs[t]), state)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_shapes_are_refused(name):
    """Fails if a check is left out: each of these would broadcast, or read the axes exchanged."""
    core = made(name)
    inputs, state, reset = torch.randn(T, B, X), core.initial_state(B), resets()
    wrong = [
        (inputs[0], state, reset),
        (inputs[..., :-1], state, reset),
        (inputs[:0], state, reset[:0]),
        (inputs, state, reset.T),
        (inputs, state, reset[0]),
        (inputs, state, reset.float()),
        (inputs, (*state, torch.zeros(B, H)), reset),
        *([(inputs, core.initial_state(1), reset), (inputs, state[1:], reset)] if state else []),
    ]
    for method in (core, core.unroll_gates):
        for arguments in wrong:
            with pytest.raises(ValueError, match=r"must be"):
                method(*arguments)
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1"):
        core.initial_state(0)
