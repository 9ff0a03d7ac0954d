"""What CUDA needs of its host, as far as a machine without one can tell."""

import copy

import numpy as np
import pytest
import torch
from planting import new_learner, plant, same, state_of
from torch.utils._python_dispatch import TorchDispatchMode

from agents import guard
from agents.actor import restore_generator
from agents.config import Config
from agents.config_checks import FieldError, check
from agents.cuda import Later, use_precision
from agents.guard import ROLL_BACK_AFTER
from agents.optimizer import unchanged_where
from agents.training import Training
from agents.trajectory import Inputs

READING = {"_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "item", "equal"}
"""Operations whose result the host must know: on a GPU they wait for all that was asked of it."""


class NothingIsRead(TorchDispatchMode):
    """Refuses operations that wait for a GPU."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function.overloadpacket.__name__ not in READING, f"{function} waits for the device"
        return function(*args, **(kwargs or {}))


class FarAway(Later):
    """An answer that is not here yet."""

    def __init__(self, answer):
        super().__init__(answer)
        self.is_here = False


def test_a_reading_is_found():
    """The test's own ground."""
    with NothingIsRead(), pytest.raises(AssertionError, match="waits for the device"):
        torch.ones(()).item()


@pytest.mark.parametrize("core", ["ur-lstm", "lru", "memoryless"])
def test_an_update_reads_nothing(core, monkeypatch):
    """Loss, backward, clip, guard and Adam, with the guard's answer away, as on a GPU.

    Mutations: the norm read before the clip; the metrics as numbers; the guard settled at once.
    """
    monkeypatch.setattr(guard, "Later", FarAway)
    learner, unroll, _ = new_learner(core)
    learner.update(unroll)
    learner.guard._unread = None  # its reading is what a GPU does by an event
    before = state_of(learner)
    learner.guard._unread = None
    with NothingIsRead():
        metrics = learner.update(unroll)
    learner.guard.settle()
    assert not same(state_of(learner), before)
    assert any(isinstance(value, torch.Tensor) for value in metrics.values())


def test_a_late_answer_skips_and_counts_all_the_same(monkeypatch):
    """The bad update changes nothing at once; it is counted and told with the next, by its own unroll.

    Mutations: the next unroll searched for what is not finite; the answer dropped.
    """
    monkeypatch.setattr(guard, "Later", FarAway)
    generator = np.random.default_rng(0)
    learner, unroll, told = new_learner()
    learner.update(unroll)
    weights = copy.deepcopy(learner.network.state_dict())
    bad, env, row = plant(unroll, "reward", np.nan, generator)
    learner.update(bad)
    assert all(torch.equal(weights[name], tensor) for name, tensor in learner.network.state_dict().items())
    assert (learner.guard.num_skipped, told) == (0, [])
    learner.update(unroll)
    assert learner.guard.num_skipped == 1
    assert told[0].startswith(f"update 2 skipped: reward of environment {env} at step {row}")
    assert learner.state_dict()["guard"] == {"updates": 3, "skipped": 1, "in_a_row": 0}


def test_late_answers_roll_back(monkeypatch):
    """Ten in a row, the last one read with the eleventh.

    Mutation: the count begun anew by each answer that is away.
    """
    monkeypatch.setattr(guard, "Later", FarAway)
    learner, unroll, told = new_learner()
    bad, _, _ = plant(unroll, "reward", np.nan, np.random.default_rng(0))
    for _ in range(ROLL_BACK_AFTER + 1):
        learner.update(bad)
    assert "10 in a row, so back to the weights of update 0" in told[-1]


@pytest.mark.parametrize("skipped", [0.0, 1.0])
def test_rmsprop_is_undone_without_reading(skipped):
    """Mutations: a product in place of the choice (NaN stays); the other way round."""
    tensors = [torch.ones(3), torch.ones(())]
    with NothingIsRead(), unchanged_where(torch.tensor(skipped), tensors):
        for tensor in tensors:
            tensor.mul_(torch.nan)
    assert all(bool(tensor.isnan().all()) == (skipped == 0.0) for tensor in tensors)


def test_a_generator_of_another_device_gives_a_seed():
    """The same one every time; a state of this device's is gone on with, and rubbish is refused.

    Mutation: the other device's state ignored.
    """
    states = [torch.arange(16, dtype=torch.uint8), torch.full((16,), 3, dtype=torch.uint8)]
    draws = []
    for state in [*states, states[0]]:
        generator = torch.Generator().manual_seed(1)
        restore_generator(generator, state)
        draws.append(torch.rand(4, generator=generator).tolist())
    assert draws[0] == draws[2] != draws[1]
    own = torch.Generator().manual_seed(5)
    restore_generator(generator, own.get_state())
    assert torch.equal(torch.rand(4, generator=generator), torch.rand(4, generator=own))
    with pytest.raises(RuntimeError):
        restore_generator(generator, states[0][:9])


@pytest.mark.parametrize("env", ["tmaze", "MiniGrid-MemoryS7-v0"])
def test_bfloat16_rounds_products_and_nothing_else(env, monkeypatch):
    """Encoder and heads are rounded, but not by much; core, state and results are float32.

    Mutations: the core inside; the results left in bfloat16; the acting head of another rounding.
    """
    config = Config(env=env, hidden_size=16, encoder_size=8, unroll_length=5, num_envs=3, device="cpu")
    training = Training(config)
    network, unroll = training.network, training.runner.next()
    exact = network(unroll.inputs, unroll.core_state)
    dtypes = set()
    network.core.register_forward_hook(lambda _, args, out: dtypes.update({args[0].dtype, out[0].dtype}))
    network.uses_bfloat16 = True
    with torch.no_grad():
        for parameter in (network.policy.weight, network.value.weight):
            parameter.normal_(generator=torch.Generator().manual_seed(0))
    network.uses_bfloat16 = False
    exact = network(unroll.inputs, unroll.core_state)
    network.uses_bfloat16 = True
    rounded = network(unroll.inputs, unroll.core_state)
    assert dtypes == {torch.float32}
    for close, truth in zip(rounded[:2], exact[:2], strict=True):
        assert close.dtype == torch.float32
        assert not torch.equal(close, truth)
        torch.testing.assert_close(close, truth, rtol=0.03, atol=0.03)
    core_inputs = network.core_inputs(unroll.inputs)
    output, _ = network.core(core_inputs, unroll.core_state, unroll.inputs.resets)
    assert torch.equal(network.logits(output, core_inputs), rounded.logits)
    assert network.logits(output, core_inputs).dtype == torch.float32
    training.runner.close()


def test_what_bfloat16_cannot_serve_is_refused(monkeypatch):
    """One line each.

    Mutations: a CPU's run that says nothing; categories let through.
    """
    for precision in ("tf32", "bfloat16"):
        with pytest.raises(FieldError, match=f"^--precision {precision} needs --device cuda, got cpu$"):
            check(Config(precision=precision, device="cpu"))
        check(Config(precision=precision, device="cuda"))
        with pytest.raises(ValueError, match=f"^--precision {precision} needs a CUDA device; on the CPU"):
            use_precision(precision, torch.device("cpu"))
    monkeypatch.setattr("agents.assembly.use_precision", lambda *_: None)
    with pytest.raises(ValueError, match=r"^--precision bfloat16: \S+ shows categories"):
        Training(Config(env="MiniGrid-MemoryS7-v0", precision="bfloat16", num_envs=2))


def test_a_gpu_without_them_is_refused(monkeypatch):
    """Mutation: the capability compared the other way round."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A card")
    with pytest.raises(ValueError, match=r"^--precision tf32: A card has no such products; say float32$"):
        use_precision("tf32", torch.device("cuda"))


def test_precision_of_products(monkeypatch):
    """Products and convolutions alike; bfloat16 leaves TF32 to the core.

    Mutation: convolutions left as torch has them.
    """
    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = matmul.fp32_precision, conv.fp32_precision
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    try:
        for precision, wanted in (("float32", "ieee"), ("tf32", "tf32"), ("bfloat16", "tf32")):
            use_precision(precision, torch.device("cuda"))
            assert (matmul.fp32_precision, conv.fp32_precision) == (wanted, wanted)
    finally:
        matmul.fp32_precision, conv.fp32_precision = before


def test_a_first_row_holds_the_observation_space():
    """Mutation: a field one alignment too early, over the end of the one before it."""
    from gymnasium import spaces

    from agents.half import Row

    for space in (spaces.Box(0, 255, (3, 3, 3), np.uint8), spaces.MultiDiscrete([4, 5], dtype=np.int16)):
        row = Row.allocate(5, space, device=torch.device("cpu"), pin=False)
        fields = (*row.inputs, row.rewards, row.terminated)
        for k, field in enumerate(fields):
            field.fill_(k % 2)
        for k, field in enumerate(fields):
            assert bool((field == k % 2).all())
        assert row.inputs.observations.shape == (5, *space.shape)
        assert [field.dtype for field in Inputs(*row.inputs)][1:] == [torch.bool, torch.int64, torch.float32]
