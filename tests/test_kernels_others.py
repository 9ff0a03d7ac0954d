"""The fused unrolls of the cores outside the LSTM family against the reference unroll, their definition."""

import copy
import math

import pytest
import torch

from cores import kernels, make_core
from cores.core import RecurrentCore

T, B, X, H = 5, 3, 4, 6  # steps, environments, inputs, units
NAMES = ["gru", "ur-gru", "mingru", "lru"]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6}
EXACTLY = {"rtol": 0.0, "atol": 0.0}


def build(name, dtype=torch.float64, sizes=(X, H), **options):
    """Returns a core whose gates all move."""
    torch.manual_seed(0)
    core = make_core(name, *sizes, **options).to(dtype)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=sizes[1] ** -0.5)
    return core


def arguments(core, shape=(T, B), share=0.3):
    """Returns inputs and a state that want gradients, neither of them contiguous, and random resets."""
    generator = torch.Generator().manual_seed(1)
    (steps, batch), dtype = shape, next(core.parameters()).dtype
    inputs = torch.randn(batch, core.input_size, steps, generator=generator, dtype=dtype).permute(2, 0, 1)
    shapes = [(*reversed(s), batch) for s in core.state_shapes]
    state = [torch.randn(shape, generator=generator, dtype=dtype).t() for shape in shapes]
    reset = (torch.rand(batch, steps, generator=generator) < share).t()
    return inputs.requires_grad_(), tuple(s.detach().requires_grad_() for s in state), reset


def results(forward, core, inputs, state, reset):
    """Returns the output, the last state and the gradients by all that has one."""
    generator = torch.Generator().manual_seed(2)
    out, last = forward(core, inputs, state, reset)
    found = (out, *last)
    directions = [torch.randn(f.shape, generator=generator).to(f.dtype) for f in found]
    before = [direction.clone() for direction in directions]
    gradients = torch.autograd.grad(found, (inputs, *state, *core.parameters()), directions)
    torch.testing.assert_close(directions, before, **EXACTLY)  # Mutation: written to in place
    return *found, *gradients


def fused(core, *call):
    """Runs a core with the reference unroll out of reach, so that nothing is compared with itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(RecurrentCore, "forward")
        patch.setattr(type(core), "step", None)
        return core(*call)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_reference(name, dtype):
    """Outputs, state and all gradients agree, with resets anywhere and no array contiguous.

    Mutations of the GRU: ``keep`` left out; ``add_product`` left out of ``gates_backward``; row t + 1 of
    ``reset`` read as row t; the gates' and the candidate's rows of d_hh both by ``entered``. Of the scans:
    ``entering`` without its reset, or of step t + 1; ``fill_zero(dh)`` left out; the sign in
    ``imaginary_part`` or ``conjugate_real``; ``keep`` left out.
    """
    core = build(name, dtype)
    call = arguments(core)
    expected = results(RecurrentCore.forward, core, *call)
    for found, wanted in zip(results(fused, core, *call), expected, strict=True):
        scale = max(1.0, wanted.abs().max().item())
        torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (1, 3), (5, 1), (2, 7)])
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_reference_at_any_length(name, steps, batch):
    """Mutations: the last step resets too; the first reset left out, forward or backward."""
    core = build(name)
    for share in (0.0, 0.5, 1.0):
        call = arguments(core, (steps, batch), share)
        expected = results(RecurrentCore.forward, core, *call)
        torch.testing.assert_close(results(fused, core, *call), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_rows_longer_than_a_vector(name):
    """In float32 at 39 units, whole vectors and a rest, the error is that of the reference itself.

    Mutation: P8 a tenth larger.
    """
    double = build(name, sizes=(10, 39))
    inputs, state, reset = arguments(double, (20, 7))
    exact = results(RecurrentCore.forward, double, inputs, state, reset)
    core = copy.deepcopy(double).float()
    inputs, *state = (tensor.detach().float().requires_grad_() for tensor in (inputs, *state))
    call = (inputs, tuple(state), reset)
    found, reference = results(fused, core, *call), results(RecurrentCore.forward, core, *call)
    for value, rival, truth in zip(found, reference, exact, strict=True):
        scale = truth.abs().max().item()
        error, theirs = ((v.double() - truth).abs().max().item() / scale for v in (value, rival))
        assert error < max(3 * theirs, 2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    """Mutation: any factor of a derivative left out."""
    core = build(name, sizes=(2, H))
    inputs, state, _ = arguments(core, (3, 2))
    reset = torch.tensor([[False, True], [False, False], [True, False]])
    parameters = dict(core.named_parameters())

    def unroll(inputs, *rest):
        state, values = rest[: len(core.state_shapes)], rest[len(core.state_shapes) :]
        with pytest.MonkeyPatch.context() as patch:
            patch.delattr(RecurrentCore, "forward")
            weights = dict(zip(parameters, values, strict=True))
            out, last = torch.func.functional_call(core, weights, (inputs, state, reset))
        return out, *last

    assert torch.autograd.gradcheck(unroll, (inputs, *state, *parameters.values()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("name", NAMES)
def test_a_broken_state_ends_at_a_reset(name, steps, dtype):
    """What a reset replaces may be NaN: nothing of it passes, and the gradient across is exactly zero.

    Mutation: a reset that multiplies by zero, forward or backward.
    """
    core = build(name, dtype)
    inputs, state, reset = arguments(core, (steps, B))
    reset = torch.zeros_like(reset)
    reset[0, 1] = True
    bad = tuple(s.detach().clone() for s in state)
    for s in bad:
        s[0], s[1] = math.nan, math.nan
        s.requires_grad_()
    with torch.no_grad():
        out, last = fused(core, inputs, bad, reset)
        whole, whole_last = fused(core, inputs, state, reset)
    torch.testing.assert_close(out[:, 1:], whole[:, 1:], **EXACTLY)
    assert bool(out[:, 0].isnan().all())
    for s, w in zip(last, whole_last, strict=True):
        assert bool(s[0].isnan().all())
        assert torch.equal(s[1:], w[1:])
    out, last = fused(core, inputs, bad, reset)
    chosen = out[:, 1].sum() + sum(s[1].sum() for s in last)
    for gradient in torch.autograd.grad(chosen, bad):
        assert not gradient[1].any()
        assert not gradient[2].any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("name", NAMES)
def test_acting_equals_learning(name, steps, dtype):
    """Twice over, the numbers are bit for bit the same; without gradients too, but for a GRU's single step.

    That one multiplies by torch, which sums in an order of its own.

    Mutations: ``_act`` without its reset; the candidate's product with h, not s * h.
    """
    core = build(name, dtype)
    call = arguments(core, (steps, B))
    (out, last), again = fused(core, *call), fused(core, *call)
    with torch.no_grad():
        acted, acted_last = fused(core, *call)
    assert out.requires_grad
    assert not acted.requires_grad
    torch.testing.assert_close((out, *last), (again[0], *again[1]), **EXACTLY)
    bound = {"rtol": 0.0, "atol": TOLERANCE[dtype]} if steps == 1 and name in ("gru", "ur-gru") else EXACTLY
    torch.testing.assert_close((out, *last), (acted, *acted_last), **bound)
    repeated = [results(fused, core, *call) for _ in range(2)]
    torch.testing.assert_close(*repeated, **EXACTLY)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("steps", "batch"), [(1, B), (5, B), (5, 1)])
def test_results_stand_alone(steps, batch, name):
    """Mutation: the last state returned as a view of the outputs or of the unroll's buffer."""
    core = build(name)
    inputs, state, reset = arguments(core, (steps, batch))
    before = [tensor.detach().clone() for tensor in (inputs, *state)]
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            out, last = fused(core, inputs, state, reset)
        assert all(s.untyped_storage().nbytes() <= 2 * batch * H * 8 for s in last)
        assert out.untyped_storage().data_ptr() != last[0].untyped_storage().data_ptr()
    torch.testing.assert_close([inputs, *state], before, **EXACTLY)


@pytest.mark.parametrize("name", NAMES)
def test_backward_may_run_again_but_not_be_differentiated(name):
    """Mutations: gradients written over what is saved; the second derivative not refused, but missing."""
    core = build(name)
    call = arguments(core)
    out, _ = fused(core, *call)
    first, second = (torch.autograd.grad(out.sum(), core.weight_ih, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(out.sum(), call[0], create_graph=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_subclass_with_its_own_step_is_not_fused(name):
    """Mutation: the fused unroll taken whatever the type."""
    core = build(name)
    call = arguments(core)
    core.__class__ = type("Still", (type(core),), {"step": lambda self, projected, state: (state[0], state)})
    out, last = core(*call)
    torch.testing.assert_close((out, last), RecurrentCore.forward(core, *call), **EXACTLY)
    first = torch.where(call[2][0].unsqueeze(1), 0.0, call[1][0])
    assert torch.equal(out[0], first)


@pytest.mark.parametrize("name", NAMES)
def test_without_numba(name, monkeypatch):
    """Mutation: a cell looked for although numba is missing."""
    core = build(name)
    call = arguments(core)
    monkeypatch.setattr(kernels, "_numba_is_there", lambda: False)
    finders = [value for value in vars(kernels).values() if hasattr(value, "cache_clear")]
    for finder in finders:
        finder.cache_clear()
    try:
        torch.testing.assert_close(core(*call), RecurrentCore.forward(core, *call), **EXACTLY)
    finally:
        for finder in finders:
            finder.cache_clear()


@pytest.mark.parametrize("name", ["lstm", "ur-lstm", "or-lstm", "on-lstm", "gru", "ur-gru", "mingru"])
def test_gradients_in_single_precision(name):
    """Within 5e-7 of float64's, relative to their norm, at 20 steps of 39 units.

    Not the LRU's: those by the angle of an eigenvalue near one are ill conditioned by themselves.

    Mutations: a product's sum that starts from what is there already; P8 a tenth larger.
    """
    single = build(name, torch.float32, (10, 39))
    inputs, state, reset = arguments(single, (20, 7))
    double = copy.deepcopy(single).double()
    call = inputs.detach().double().requires_grad_(), tuple(s.detach().double() for s in state), reset
    call = call[0], tuple(s.requires_grad_() for s in call[1]), reset
    exact = results(RecurrentCore.forward, double, *call)
    for found, truth in zip(results(fused, single, inputs, state, reset), exact, strict=True):
        assert (found.double() - truth).norm() <= 5e-7 * truth.norm()


@pytest.mark.parametrize("name", ["lstm", "gru", "mingru", "lru"])
def test_a_vanishing_gradient_ends_at_zero(name):
    """Subnormal numbers would take a processor a hundred times as long.

    Mutation: `drop_faint` left out, or its bound at the smallest normal number: products go on below it.
    """
    torch.manual_seed(0)
    core = make_core(name, 4, 8)
    inputs = torch.randn(3000, 2, 4, requires_grad=True)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter *= 0.5
    out, _ = core(inputs, core.initial_state(2), torch.zeros(3000, 2, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(out[-1].sum(), inputs)
    size = gradient.abs()
    assert size[-1].max() > 1e-3
    assert size[0].max() == 0
    assert ((size > 0) & (size < torch.finfo(torch.float32).tiny)).sum() == 0


def test_what_is_no_number_is_not_dropped():
    """Mutation: the comparison turned round, so that NaN counts as faint."""
    core = make_core("gru", 4, 8)
    inputs = torch.randn(5, 2, 4, requires_grad=True)
    out, _ = core(inputs, core.initial_state(2), torch.zeros(5, 2, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(out, inputs, torch.full_like(out, torch.nan))
    assert gradient.isnan().all()
