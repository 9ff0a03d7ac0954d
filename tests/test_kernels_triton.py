"""The unrolls in Triton against the reference unroll, their definition.

On a machine with a CUDA GPU the kernels run on it, in float32; elsewhere in Triton's interpreter, which has
to be asked for before Triton is imported.
"""

import copy
import logging
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from reference_cores import LSTMS
from torch._subclasses.fake_tensor import FakeTensorMode

from cores import kernels, make_core
from cores.core import RecurrentCore

ON_GPU = torch.cuda.is_available()
if not ON_GPU:
    os.environ["TRITON_INTERPRET"] = "1"
triton = pytest.importorskip("triton", minversion="3.7", reason="Triton 3.7 interprets with NumPy 2.4")

from cores.kernels import cuda_check, cuda_launch, cuda_scan, cuda_unroll, triton_gru, triton_lstm  # noqa: E402

ROOT = Path(__file__).parents[1]
DEVICE = "cuda" if ON_GPU else "cpu"
DTYPES = [torch.float32] if ON_GPU else [torch.float64, torch.float32]
T, B, X, H = 5, 3, 4, 6  # steps, environments, inputs, units
CASES = [(name, {}) for name in (*LSTMS, "gru", "ur-gru", "mingru", "lru")]
CASES += [(name, {"chunk": 3}) for name in ("m-lstm", "om-lstm", "on-lstm")]
KINDS = [(name, {}) for name in ("lstm", "ur-lstm", "or-lstm", "gru", "ur-gru", "mingru", "lru")]
KINDS += [("om-lstm", {"chunk": 3})]  # one of each kind
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6}
EXACTLY = {"rtol": 0.0, "atol": 0.0}

each_kind = pytest.mark.parametrize(("name", "options"), KINDS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
interpreted = pytest.mark.skipif(ON_GPU, reason="float64 and stand-ins need the interpreter")


def build(name, options, dtype=DTYPES[0], sizes=(X, H)):
    """Returns a core whose gates all move."""
    torch.manual_seed(0)
    core = make_core(name, *sizes, **options).to(dtype)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=sizes[1] ** -0.5)
    return core.to(DEVICE)


def arguments(core, shape=(T, B), share=0.3):
    """Returns inputs and a state that want gradients, neither of them contiguous, and random resets."""
    generator = torch.Generator().manual_seed(1)
    (steps, batch), dtype = shape, next(core.parameters()).dtype
    inputs = torch.randn(batch, core.input_size, steps, generator=generator, dtype=dtype).to(DEVICE)
    shapes = [(*reversed(s), batch) for s in core.state_shapes]
    state = [torch.randn(shape, generator=generator, dtype=dtype).to(DEVICE).t() for shape in shapes]
    reset = (torch.rand(batch, steps, generator=generator) < share).to(DEVICE).t()
    return inputs.permute(2, 0, 1).requires_grad_(), tuple(s.detach().requires_grad_() for s in state), reset


def fused(core, *call):
    """Runs a core by Triton, with the reference unroll out of reach."""
    finders = {
        "gated_lstm_cell": lambda cumax, help, chunk, _: cuda_unroll.LSTMCell(cumax, help, chunk),
        "gated_gru_cell": lambda help, _: cuda_unroll.GRUCell(help == "refine"),
        "fused_unroll": cuda_unroll.unroll,
        "fused_gru_unroll": cuda_unroll.gru_unroll,
        "fused_mingru_unroll": lambda _, *rest: cuda_scan.mingru_unroll(*rest),
        "fused_lru_scan": lambda _, *rest: cuda_scan.scan(*rest),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(RecurrentCore, "forward")
        if not ON_GPU:
            for module in ("lstm", "gru", "mingru", "lru"):
                for finder, value in finders.items():
                    patch.setattr(f"cores.{module}.{finder}", value, raising=False)
        return core(*call)


def results(forward, core, inputs, state, reset):
    """Returns the output, the last state and the gradients by all that has one."""
    generator = torch.Generator().manual_seed(2)
    out, last = forward(core, inputs, state, reset)
    found = (out, *last)
    directions = [torch.randn(f.shape, generator=generator, dtype=f.dtype).to(DEVICE) for f in found]
    before = [direction.clone() for direction in directions]
    gradients = torch.autograd.grad(found, (inputs, *state, *core.parameters()), directions)
    torch.testing.assert_close(directions, before, **EXACTLY)  # Mutation: written to in place
    return *found, *gradients


def check(core, *call):
    """Compares with the reference."""
    expected = results(RecurrentCore.forward, core, *call)
    for found, wanted in zip(results(fused, core, *call), expected, strict=True):
        scale = max(1.0, wanted.abs().max().item())
        torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE[wanted.dtype] * scale)


@each_dtype
@pytest.mark.parametrize(("name", "options"), CASES)
def test_equals_the_reference(name, options, dtype):
    """Outputs, state and all gradients agree, with resets anywhere and no array contiguous.

    Mutations: ``write`` not the complement with refine; the factor 2 of ``d_refined`` left out; ``through``
    without its second half; ``reverse=True`` left out of ``cumax_backward``; ``begins_next`` of row t;
    ``ADD`` False in the product of ``forward``; H and 1 exchanged in a product's strides; ``by_scaled * s``
    left out; the sign of ``by_im``; ``counts`` without its chunk.
    """
    core = build(name, options, dtype)
    check(core, *arguments(core))


@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (1, 3), (4, 1), (2, 17)])
@each_kind
def test_equals_the_reference_at_any_length(name, options, steps, batch):
    """One step, one environment, and more of them than a block has.

    Mutations: the last step resets too; the first reset left out of ``_entered`` or of a backward pass;
    ``first`` left out of ``product``'s rows; ``b < B`` left out of a mask.
    """
    core = build(name, options)
    for share in (0.0, 0.5, 1.0):
        check(core, *arguments(core, (steps, batch), share))


@each_kind
def test_rows_longer_than_a_block(name, options):
    """In float32 at 39 units, more than a product takes at once, the error is that of the reference itself.

    Mutations: ``begin`` left out of ``across`` or ``down``; ``n < OUTER`` or ``across < INNER`` left out.
    """
    sizes, dtype = (10, 39), DTYPES[0]
    double = build(name, options, dtype, sizes)
    inputs, state, reset = arguments(double, (7, 5))
    truths = results(RecurrentCore.forward, double, inputs, state, reset)
    core = copy.deepcopy(double).float()
    inputs, *state = (tensor.detach().float().requires_grad_() for tensor in (inputs, *state))
    call = (inputs, tuple(state), reset)
    found, reference = results(fused, core, *call), results(RecurrentCore.forward, core, *call)
    for value, rival, truth in zip(found, reference, truths, strict=True):
        scale = truth.abs().max().item()
        error, theirs = ((v.to(dtype) - truth).abs().max().item() / scale for v in (value, rival))
        assert error < max(3 * theirs, 2e-6)


@interpreted
@each_kind
def test_gradients(name, options):
    """Mutation: any factor of a derivative left out."""
    core = build(name, options, sizes=(2, H))
    inputs, state, _ = arguments(core, (3, 2))
    reset = torch.tensor([[False, True], [False, False], [True, False]])
    parameters = dict(core.named_parameters())

    def unroll(inputs, *rest):
        state, values = rest[: len(core.state_shapes)], rest[len(core.state_shapes) :]
        weights = dict(zip(parameters, values, strict=True))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in weights.items():
                patch.delitem(core._parameters, name)
                patch.setitem(core.__dict__, name, value)
            out, last = fused(core, inputs, state, reset)
        return out, *last

    assert torch.autograd.gradcheck(unroll, (inputs, *state, *parameters.values()), fast_mode=True)


@pytest.mark.parametrize("steps", [1, 4])
@each_kind
def test_a_broken_state_ends_at_a_reset(name, options, steps):
    """What a reset replaces may be NaN: nothing of it passes, and the gradient across is exactly zero.

    Mutations: a reset that multiplies by zero, of h or of c, forward or backward; max or sum over all rows.
    """
    core = build(name, options)
    inputs, state, reset = arguments(core, (steps, B))
    reset = torch.zeros_like(reset)
    reset[0, 1] = True
    bad = tuple(s.detach().clone() for s in state)
    for s in bad:
        s[0], s[1] = math.nan, math.nan
        s.requires_grad_()
    with torch.no_grad():
        whole, whole_last = fused(core, inputs, state, reset)
    out, last = fused(core, inputs, bad, reset)
    torch.testing.assert_close(out[:, 1:], whole[:, 1:], **EXACTLY)
    assert bool(out[:, 0].isnan().all())
    for s, w in zip(last, whole_last, strict=True):
        assert bool(s[0].isnan().all())
        assert torch.equal(s[1:], w[1:])
    chosen = out[:, 1].sum() + sum(s[1].sum() for s in last)
    for gradient in torch.autograd.grad(chosen, bad):
        assert not gradient[1].any()
        assert not gradient[2].any()


@pytest.mark.parametrize(("name", "options"), [("ur-lstm", {}), ("om-lstm", {}), ("ur-gru", {}), ("lru", {})])
def test_no_gradient_crosses_a_reset(name, options):
    """Mutation: ``inside`` instead of ``after`` or ``enters``; ``begins`` left out of a backward scan."""
    core = build(name, options)
    inputs, state, reset = arguments(core)
    reset = torch.zeros_like(reset)
    reset[3, 0] = True
    out, _ = fused(core, inputs, state, reset)
    d_inputs, *d_state = torch.autograd.grad(out[3:, :2].sum(), (inputs, *state))
    assert not d_inputs[:3, 0].any()
    assert not any(d[0].any() for d in d_state)
    assert bool(d_inputs[:3, 1].all())
    assert all(bool(d[1].all()) for d in d_state)


@pytest.mark.parametrize("steps", [1, 4])
@each_kind
def test_results_stand_alone(name, options, steps):
    """Acting equals learning bit for bit; arguments stay as they were; a state does not hold an unroll.

    Mutations: the last h or c returned as a view; ``entered[0]`` the caller's h.
    """
    core = build(name, options)
    inputs, state, reset = arguments(core, (steps, B))
    before = [tensor.detach().clone() for tensor in (inputs, *state)]
    out, last = fused(core, inputs, state, reset)
    with torch.no_grad():
        acted, acted_last = fused(core, inputs, state, reset)
    assert out.requires_grad
    assert not acted.requires_grad
    torch.testing.assert_close((acted, *acted_last), (out, *last), **EXACTLY)
    torch.testing.assert_close([inputs, *state], before, **EXACTLY)
    assert all(s.untyped_storage().nbytes() <= 2 * B * H * 8 for s in (*last, *acted_last))
    assert out.untyped_storage().data_ptr() != last[0].untyped_storage().data_ptr()


@each_kind
def test_backward_may_run_again_but_not_be_differentiated(name, options):
    """Mutations: gradients written over what is saved; the second derivative not refused, but missing."""
    core = build(name, options)
    inputs, *rest = arguments(core)
    out, _ = fused(core, inputs, *rest)
    first, second = (torch.autograd.grad(out.sum(), inputs, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(out.sum(), inputs, create_graph=True)


@interpreted
@pytest.mark.parametrize(
    ("name", "options"), [("ur-lstm", {}), ("om-lstm", {"chunk": 5}), ("gru", {}), ("ur-gru", {})]
)
def test_programs_that_share_a_block(name, options, monkeypatch):
    """Four programs for each of two blocks, in turns from one `meet` to the next, give what one does.

    Mutations: any `meet` left out; a visit counted wrongly; ``share`` left out of ``range``; ``SHARING`` left
    out of its step; ``tl.program_id(0) % SHARING`` for the block.
    """
    from interleaved import Turns

    turns = Turns()
    monkeypatch.setattr(cuda_launch, "_num_processors", lambda device: 9)
    for module in (triton_lstm, triton_gru):
        monkeypatch.setattr(module, "meet", turns.meet)
        for kernel in (module.forward, module.backward):
            in_turns = turns.taking(kernel.rewrite())
            monkeypatch.setattr(kernel, "rewrite", lambda in_turns=in_turns: in_turns)
    core = build(name, options, sizes=(X, 50))
    check(core, *arguments(core, (3, 18)))
    assert turns.num_programs == [8, 8]


@pytest.mark.parametrize("num_processors", [1, 82, 132])
@pytest.mark.parametrize("num_envs", [1, 17, 64, 2048, 5000])
@pytest.mark.parametrize("units", [1, 39, 256, 3000])
def test_cut(num_envs, units, num_processors):
    """Programs that wait for each other fit on the device, one on each multiprocessor.

    Mutations: ``blocks`` rounded down; ``sharing`` rounded up; ``lanes`` of units + 1.
    """
    blocks, sharing, _, rows, lanes, _ = cuda_launch.cut(num_envs, units, num_processors)
    assert blocks * cuda_launch.BLOCK_B >= num_envs > (blocks - 1) * cuda_launch.BLOCK_B
    assert sharing == 1 or blocks * sharing <= num_processors
    assert cuda_launch.BLOCK_B % (rows * sharing) == 0
    assert lanes & (lanes - 1) == 0
    assert units <= lanes < 2 * units
    assert rows * lanes <= max(lanes, cuda_launch.TILE)


def test_kernels_compile_for_an_h100(tmp_path):
    """All of them, to machine code, in a process that sees no interpreter.

    Mutations: a name that only the interpreter knows; "tf32" whatever the precision; `meet` without waiting.
    """
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, str(ROOT / "tests" / "compile_triton.py")]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert len(rows) == 2 * 2 * (4 + 4) + 4
    for kind, precision, shared, tensor_cores, waits in rows:
        assert (int(tensor_cores) > 0) == (precision == "tf32")
        assert int(waits) == {"lstm": 2, "gru": 4, "scan": 0}[kind] * (shared == "True")


def test_precision_is_that_of_torch(monkeypatch):
    """Mutation: "tf32" whatever torch is told."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    try:
        for value, wanted in (("none", "ieee"), ("ieee", "ieee"), ("tf32", "tf32")):
            matmul.fp32_precision = value
            assert cuda_launch.precision() == wanted
    finally:
        matmul.fp32_precision = before


def test_the_device_decides(monkeypatch):
    """A core on CUDA goes to Triton in float32 and to the reference in float64; nothing is computed here.

    Mutations: float64 let through; the CPU's cell found for CUDA; ``inputs.is_cpu`` turned round.
    """
    taken = []

    def record(cell, inputs, h, c, reset, weights):
        taken.append(cell)
        return inputs.new_empty(*reset.shape, h.shape[1]), h, c

    monkeypatch.setattr(cuda_unroll, "unroll", record)
    monkeypatch.setattr(cuda_check, "lstm_complaint", lambda *_: None)
    kernels.gated_lstm_cell.cache_clear()
    core = make_core("or-lstm", X, H)
    with FakeTensorMode():
        for dtype in (torch.float32, torch.float64, torch.float16):
            empty = {"dtype": dtype, "device": "cuda"}
            weights = {name: torch.empty(p.shape, **empty) for name, p in core.named_parameters()}
            state = torch.empty(B, H, **empty), torch.empty(B, H, **empty)
            reset = torch.empty(T, B, dtype=torch.bool, device="cuda")
            call = (torch.empty(T, B, X, **empty), state, reset)
            assert kernels.fusable(call[0], *state, *weights.values()) == (dtype == torch.float32)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(RecurrentCore, "forward", lambda core, inputs, state, reset: (inputs, state))
                out, _ = torch.func.functional_call(core, weights, call)
            assert out.device.type == "cuda"
        on_cpu = torch.empty(B, H)
        assert not kernels.fusable(torch.empty(T, B, X, device="cuda"), on_cpu)
        assert not kernels.fusable(on_cpu, torch.empty(T, B, X, device="cuda"))
    kernels.gated_lstm_cell.cache_clear()
    assert taken == [cuda_unroll.LSTMCell(True, "refine", 1)]


@pytest.mark.parametrize("hip", [None, "6.4"])
def test_without_triton(hip, monkeypatch, caplog):
    """No cell is found for CUDA, so that the reference unroll runs, and one line says so, once.

    Mutations: the exception let through; ``@cache`` left off ``_triton_is_there``; ROCm let through.
    """
    if hip is None:
        monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.setattr(torch.version, "hip", hip)
    finders = [value for value in vars(kernels).values() if hasattr(value, "cache_clear")]
    try:
        for finder in finders:
            finder.cache_clear()
        with caplog.at_level(logging.INFO, logger="longhold"):
            assert kernels.gated_lstm_cell(True, "refine", 1, "cuda") is None
            assert kernels.gated_gru_cell("refine", "cuda") is None
            assert kernels.mingru_scan("cuda") is None
            assert kernels.lru_scan("cuda") is None
        assert kernels.lru_scan("cpu") is not None
    finally:
        for finder in finders:
            finder.cache_clear()
    assert [record.name for record in caplog.records] == ["longhold"]
    assert ("no triton" if hip is None else "ROCm") in caplog.text


def looked_at(monkeypatch):
    """Looks at one kernel of each kind as before a first unroll on CUDA; returns what was found wrong."""
    monkeypatch.setattr(cuda_check, "UNITS", 6)
    lstm, gru = cuda_unroll.LSTMCell(True, "master", 3), cuda_unroll.GRUCell(True)
    return [
        cuda_check.lstm_complaint(lstm, kernels.gated_lstm_cell(*lstm), DEVICE),
        cuda_check.gru_complaint(gru, kernels.gated_gru_cell("refine"), DEVICE),
        cuda_check.scan_complaint("mingru", kernels.mingru_scan(), DEVICE),
        cuda_check.scan_complaint("lru", kernels.lru_scan(), DEVICE),
    ]


def test_a_first_look_finds_nothing(monkeypatch):
    """Mutations: another order of the arguments on one side; the state's width of the LRU halved."""
    assert looked_at(monkeypatch) == [None] * 4


@pytest.mark.parametrize("fault", ["forward", "backward", "nan", "error"])
def test_a_first_look_finds_a_fault(fault, monkeypatch):
    """Wrong outputs, wrong gradients, NaN, and what the compiler or the driver raises.

    Mutations: only outputs compared; only gradients; ``apart > TOLERANCE``, which NaN passes; no ``except``.
    """

    def broken(right):
        def unroll(*arguments):
            if fault == "error":
                raise RuntimeError("out of resource:\n  shared memory")
            out, *last = right(*arguments)
            if fault == "backward":
                return out * 1.1 - out.detach() * 0.1, *last
            return out * (1.1 if fault == "forward" else float("nan")), *last

        return unroll

    for module, name in ((cuda_unroll, "unroll"), (cuda_unroll, "gru_unroll"), (cuda_scan, "mingru_unroll")):
        monkeypatch.setattr(module, name, broken(getattr(module, name)))
    monkeypatch.setattr(cuda_scan, "scan", broken(cuda_scan.scan))
    words = "RuntimeError: out of resource: shared memory" if fault == "error" else "differ from the CPU's by"
    assert all(words in found for found in looked_at(monkeypatch))


def test_a_kernel_that_is_wrong_is_not_used(monkeypatch, caplog):
    """The reference unroll runs instead, and one line says why, once a kind.

    Mutations: the cell returned all the same; ``@cache`` left off a finder.
    """
    for name in ("lstm_complaint", "gru_complaint", "scan_complaint"):
        monkeypatch.setattr(cuda_check, name, lambda *_: "results differ")
    finders = [value for value in vars(kernels).values() if hasattr(value, "cache_clear")]
    try:
        for finder in finders:
            finder.cache_clear()
        with caplog.at_level(logging.INFO, logger="longhold"):
            for _ in range(2):
                assert kernels.gated_lstm_cell(True, "refine", 1, "cuda") is None
                assert kernels.gated_gru_cell("refine", "cuda") is None
                assert kernels.mingru_scan("cuda") is None
                assert kernels.lru_scan("cuda") is None
    finally:
        for finder in finders:
            finder.cache_clear()
    assert len(caplog.records) == 4
    assert "unfused" in caplog.text
    assert "(results differ)" in caplog.text


def test_triton_is_imported_for_cuda_only():
    """Mutation: ``from cores.kernels import cuda_unroll`` at the top of a module."""
    code = (
        "import sys, torch; from cores import make_core; core = make_core('ur-lstm', 2, 3);"
        "core(torch.zeros(1, 1, 2), core.initial_state(1), torch.zeros(1, 1, dtype=torch.bool));"
        "assert 'triton' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
