"""The fused unroll against the reference unroll, its definition. `test_core.py` runs through it as well."""

import copy
import logging
import math
import sys

import numpy as np
import pytest
import torch
from reference_cores import LSTMS

from cores import kernels, make_core
from cores.core import RecurrentCore
from cores.kernels import activations
from cores.kernels.stepping import FusedStepper
from cores.lstm import GatedLSTM

T, B, X, H = 5, 3, 4, 6  # steps, environments, inputs, units
FUSED = [(name, {}) for name in LSTMS]
FUSED += [(name, {"chunk": 3}) for name in ("m-lstm", "om-lstm", "on-lstm")]
PLACES = [("lstm", {}), ("ur-lstm", {}), ("o-lstm", {}), ("or-lstm", {}), *FUSED[-3:-1]]  # one of each kind
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6}
EXACTLY = {"rtol": 0.0, "atol": 0.0}


def build(name, options, dtype=torch.float64, sizes=(X, H)):
    """Returns a core whose gates all move."""
    torch.manual_seed(0)
    core = make_core(name, *sizes, **options).to(dtype)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=sizes[1] ** -0.5)
    return core


def arguments(dtype=torch.float64, shape=(T, B), sizes=(X, H), share=0.3):
    """Returns inputs and a state that want gradients, neither of them contiguous, and random resets."""
    generator = torch.Generator().manual_seed(1)
    (steps, batch), (width, units) = shape, sizes
    inputs = torch.randn(batch, width, steps, generator=generator, dtype=dtype).permute(2, 0, 1)
    state = torch.randn(2, units, batch, generator=generator, dtype=dtype).transpose(1, 2).unbind(0)
    reset = (torch.rand(batch, steps, generator=generator) < share).t()
    return inputs.requires_grad_(), tuple(s.detach().requires_grad_() for s in state), reset


def results(forward, core, inputs, state, reset):
    """Returns the output, the last state and the gradients by all that has one."""
    generator = torch.Generator().manual_seed(2)
    out, last = forward(core, inputs, state, reset)
    found = (out, *last)
    directions = [torch.randn(f.shape, generator=generator, dtype=f.dtype) for f in found]
    return *found, *torch.autograd.grad(found, (inputs, *state, *core.parameters()), directions)


def fused(core, *call):
    """Runs a core with the reference unroll out of reach, so that nothing is compared with itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(RecurrentCore, "forward")
        patch.setattr(GatedLSTM, "step", None)
        return core(*call)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("name", "options"), FUSED)
def test_equals_the_reference(name, options, dtype):
    """Outputs, state and all gradients agree, with resets anywhere and no array contiguous.

    Mutations: ``write`` not the complement with refine; o and tanh(c) exchanged in d_output_gate; ``d_c``
    not scaled by forget; row t + 1 of ``reset`` read as row t, forward or backward; ``negate(d_I)`` left out;
    the sums of cumax_backward run from the left.
    """
    core, call = build(name, options, dtype), arguments(dtype)
    expected = results(RecurrentCore.forward, core, *call)
    torch.testing.assert_close(results(fused, core, *call), expected, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (1, 3), (5, 1), (2, 7)])
@pytest.mark.parametrize(("name", "options"), PLACES)
def test_equals_the_reference_at_any_length(name, options, steps, batch):
    """Mutations: the last step resets too; the first reset left out in ``_run`` or ``_run_backward``."""
    core = build(name, options)
    for share in (0.0, 0.5, 1.0):
        call = arguments(shape=(steps, batch), share=share)
        expected = results(RecurrentCore.forward, core, *call)
        torch.testing.assert_close(results(fused, core, *call), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), PLACES)
def test_rows_longer_than_a_vector(name, options):
    """In float32 at 39 units, whole vectors and a rest, the error is that of the reference itself.

    Mutations: P8 a tenth larger; ``E4`` left out of the series.
    """
    sizes, shape = (10, 39), (20, 7)
    double = build(name, options, sizes=sizes)
    inputs, state, reset = arguments(shape=shape, sizes=sizes)
    exact = results(RecurrentCore.forward, double, inputs, state, reset)
    core = copy.deepcopy(double).float()
    inputs, *state = (tensor.detach().float().requires_grad_() for tensor in (inputs, *state))
    call = (inputs, tuple(state), reset)
    found, reference = results(fused, core, *call), results(RecurrentCore.forward, core, *call)
    for value, rival, truth in zip(found, reference, exact, strict=True):
        scale = truth.abs().max().item()
        error, theirs = ((v.double() - truth).abs().max().item() / scale for v in (value, rival))
        assert error < max(3 * theirs, 2e-6)


@pytest.mark.parametrize(("name", "options"), PLACES)
def test_gradients(name, options):
    """Mutations: the factor 2 of ``d_refined`` left out; ``d_other`` left out of ``d_master``."""
    core = build(name, options, sizes=(2, H))
    reset = torch.tensor([[False, True], [False, False], [True, False]])
    inputs, state, _ = arguments(shape=(3, 2), sizes=(2, H))
    parameters = dict(core.named_parameters())

    def unroll(inputs, h, c, *values):
        with pytest.MonkeyPatch.context() as patch:
            patch.delattr(RecurrentCore, "forward")
            weights = dict(zip(parameters, values, strict=True))
            out, last = torch.func.functional_call(core, weights, (inputs, (h, c), reset))
        return out, *last

    assert torch.autograd.gradcheck(unroll, (inputs, *state, *parameters.values()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize(("name", "options"), PLACES)
def test_a_broken_state_ends_at_a_reset(name, options, steps, dtype):
    """What a reset replaces may be NaN: nothing of it passes, and the gradient across is exactly zero.

    Mutations: a reset that multiplies by zero, of h or of c, in ``_run``, in ``_act``, in ``forward`` or in
    ``backward``; all of fastmath instead of ``contract``: it takes NaN for impossible.
    """
    core, (inputs, state, reset) = build(name, options, dtype), arguments(dtype, (steps, B))
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
    assert all(
        bool(s[0].isnan().all()) and torch.equal(s[1:], w[1:]) for s, w in zip(last, whole_last, strict=True)
    )
    out, last = fused(core, inputs, bad, reset)
    chosen = out[:, 1].sum() + sum(s[1].sum() for s in last)
    for gradient in torch.autograd.grad(chosen, bad):
        assert not gradient[1].any()
        assert not gradient[2].any()


@pytest.mark.parametrize("name", ["ur-lstm", "om-lstm"])
def test_no_gradient_crosses_a_reset(name):
    """Mutation: ``fill_zero(dc)`` or ``fill_zero(d_h[b])`` left out of ``backward``."""
    core, (inputs, state, _) = build(name, {}), arguments()
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[3, 0] = True
    out, _ = fused(core, inputs, state, reset)
    d_inputs, *d_state = torch.autograd.grad(out[3:, :2].sum(), (inputs, *state))
    assert not d_inputs[:3, 0].any()
    assert not any(d[0].any() for d in d_state)
    assert bool(d_inputs[:3, 1].all())
    assert all(bool(d[1].all()) for d in d_state)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize(("name", "options"), PLACES)
def test_acting_equals_learning(name, options, steps, dtype):
    """Twice over, and without gradients, the numbers are bit for bit the same.

    Mutation: the output returned in place of a copy of its last row, or cells[0] as the last state.
    """
    core, call = build(name, options, dtype), arguments(dtype, (steps, B))
    (out, last), again = fused(core, *call), fused(core, *call)
    with torch.no_grad():
        acted, acted_last = fused(core, *call)
    assert out.requires_grad
    assert not acted.requires_grad
    torch.testing.assert_close((out, *last), (again[0], *again[1]), **EXACTLY)
    torch.testing.assert_close((out, *last), (acted, *acted_last), **EXACTLY)
    repeated = [results(fused, core, *call) for _ in range(2)]
    torch.testing.assert_close(*repeated, **EXACTLY)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("name", "options"), [*PLACES, ("gru", {}), ("ur-gru", {})])
def test_a_stepper_takes_the_unrolls_steps(name, options, dtype):
    """Steps in buffers that stay give the outputs and the state of the reference unroll.

    Mutations: in ``act`` the gates not cleared before the product, c of two steps ago, h not reset; in
    ``refresh`` the input weights kept.
    """
    core = build(name, options, dtype)
    inputs, state, reset = arguments(dtype)
    state, stepper = state[: len(core.state_shapes)], core.stepper(B)
    assert type(stepper) is FusedStepper
    with torch.no_grad():
        for parameter in core.parameters():
            parameter *= 1.5
        out, last = RecurrentCore.forward(core, inputs, state, reset)
        stepper.refresh()
        stepper.state = state
        stepped = torch.stack([stepper.step(inputs[t].contiguous(), reset[t]).clone() for t in range(T)])
    torch.testing.assert_close((stepped, *stepper.state), (out, *last), rtol=0, atol=TOLERANCE[dtype])


def test_a_steppers_state_is_a_copy():
    """Mutation: its own buffers handed out, which the actor would store as the state before an unroll."""
    core = build("ur-lstm", {})
    stepper = core.stepper(B)
    before = stepper.state
    stepper.step(torch.ones(B, X, dtype=torch.float64), torch.zeros(B, dtype=torch.bool))
    assert all(not tensor.any() for tensor in before)
    assert all(tensor.any() for tensor in stepper.state)


class _Halved(GatedLSTM):
    """Unrolls otherwise, and steps as ever."""

    def forward(self, inputs, state, reset):
        out, last = super().forward(inputs, state, reset)
        return out / 2, last


def test_a_subclass_with_its_own_unroll_is_stepped_by_it():
    """Mutation: the fused stepper given to whatever is not redefined."""
    torch.manual_seed(0)
    core, inputs = _Halved(X, H), torch.ones(B, X)
    out, _ = core(inputs.unsqueeze(0), core.initial_state(B), torch.zeros(1, B, dtype=torch.bool))
    stepped = core.stepper(B).step(inputs, torch.zeros(B, dtype=torch.bool))
    torch.testing.assert_close(stepped, out[0])


@pytest.mark.parametrize("steps", [1, 5])
def test_results_stand_alone(steps):
    """Mutations: the last h or c returned as a view of the outputs or of the unroll's buffer."""
    core, (inputs, state, reset) = build("ur-lstm", {}), arguments(shape=(steps, B))
    before = [tensor.detach().clone() for tensor in (inputs, *state)]
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            out, last = fused(core, inputs, state, reset)
        assert all(s.untyped_storage().nbytes() <= 2 * B * H * 8 for s in last)
        assert out.untyped_storage().data_ptr() != last[0].untyped_storage().data_ptr()
    torch.testing.assert_close([inputs, *state], before, **EXACTLY)


def test_backward_may_run_again_but_not_be_differentiated():
    """Mutations: gradients written over the saved gates; the second derivative not refused, but missing."""
    core, call = build("ur-lstm", {}), arguments()
    out, _ = fused(core, *call)
    first, second = (torch.autograd.grad(out.sum(), core.weight_hh, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(out.sum(), call[0], create_graph=True)


@pytest.mark.parametrize(
    ("row", "literal"),
    [(activations.tanh_row, math.tanh), (activations.sigmoid_row, lambda x: 1 / (1 + math.exp(-x)))],
)
def test_activations(row, literal):
    """Mutations: a digit of P2; LN2_LOW left out; comparisons turned round, so that NaN is clamped."""
    x = np.concatenate([np.linspace(-30, 30, 20_001), np.logspace(-30, 1, 99), [0.0, 86.0, -86.0]])
    for dtype, bound in ((np.float32, 3e-7), (np.float64, 1e-15)):
        values = x.astype(dtype)
        truth = np.array([literal(v) for v in values.astype(np.float64)])
        row(values)
        assert np.all(np.abs(values - truth) <= bound * np.maximum(np.abs(truth), 1e-37))
        assert np.all(np.abs(values) <= 1.0)
        ends = np.array([np.nan, np.inf, -np.inf] * 11, dtype)  # in vectors and in the rest
        row(ends)
        assert np.isnan(ends[::3]).all()
        assert np.allclose(ends[1::3], 1.0, rtol=0, atol=1e-7)
        assert np.allclose(ends[2::3], -1.0 if literal is math.tanh else 0.0, rtol=0, atol=1e-7)


class Doubled(GatedLSTM):
    """A core of one's own that changes the step."""

    def step(self, projected, state):
        """Steps twice."""
        return super().step(projected, super().step(projected, state)[1])


def test_a_subclass_with_its_own_step_is_not_fused():
    """Mutation: ``_redefined`` always False."""
    torch.manual_seed(0)
    core, call = Doubled(X, H).double(), arguments()
    torch.testing.assert_close(core(*call), RecurrentCore.forward(core, *call), **EXACTLY)
    assert not torch.equal(core(*call)[0], GatedLSTM(X, H).double()(*call)[0])
    assert not type(make_core("on-lstm", X, H))._redefined


def test_what_cannot_be_fused_falls_back():
    """Half precision, mixed precision, autocast and torch.func run, by the reference unroll.

    Mutations: each of the conditions of ``fusable`` left out.
    """
    core, (inputs, state, reset) = build("ur-lstm", {}), arguments()
    expected, _ = RecurrentCore.forward(core, inputs, state, reset)
    half = build("ur-lstm", {}, torch.bfloat16)
    out, _ = half(inputs.bfloat16(), tuple(s.bfloat16() for s in state), reset)
    assert out.dtype == torch.bfloat16
    single = build("lstm", {}, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        out, _ = single(inputs.float(), tuple(s.float() for s in state), reset)
        reference, _ = RecurrentCore.forward(single, inputs.float(), tuple(s.float() for s in state), reset)
    torch.testing.assert_close(out, reference, **EXACTLY)
    d = torch.func.grad(lambda x: core(x, state, reset)[0].sum())(inputs.detach())
    torch.testing.assert_close(d, torch.autograd.grad(expected.sum(), inputs)[0], rtol=0, atol=1e-13)
    mixed = inputs, tuple(s.float() for s in state), reset
    torch.testing.assert_close(core(*mixed), RecurrentCore.forward(core, *mixed), **EXACTLY)


def test_without_numba(monkeypatch, caplog):
    """The reference unroll runs, and one line says so, once.

    Mutations: the exception let through; ``@cache`` left off ``_numba_is_there``.
    """
    monkeypatch.setitem(sys.modules, "numba", None)
    cores, call = [build("ur-lstm", {}), build("lstm", {})], arguments()
    for function in (kernels.gated_lstm_cell, kernels._numba_is_there):
        function.cache_clear()
    try:
        with caplog.at_level(logging.INFO, logger="longhold"):
            for core in (*cores, *cores):
                torch.testing.assert_close(core(*call), RecurrentCore.forward(core, *call), **EXACTLY)
    finally:
        for function in (kernels.gated_lstm_cell, kernels._numba_is_there):
            function.cache_clear()
    assert [record.name for record in caplog.records] == ["longhold"]
    assert "no numba" in caplog.text
