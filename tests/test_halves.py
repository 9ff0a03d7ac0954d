"""Acting in halves, on the CPU: the schedule that a GPU runs writes down what an actor of each half would."""

import copy

import numpy as np
import pytest
import torch
from counting import CountingEnv, counting_network

from agents.acting import Acting
from agents.actor import Actor, make_envs
from agents.config import Config
from agents.halves import HalvedActor
from agents.network import make_network
from agents.runners import Stopped
from agents.runners.local import LocalRunner
from envs.threads import Shares

T, A, SEED, SCALE = 5, 4, 3, 0.5
LENGTHS = [[3, 4, 2], [4, 1, 6, 1, 1], [9, 2, 3], [1, 2], [7], [2, 2, 5], [1, 1, 8]]
NUM_UNROLLS = 6


def counting_shares(num_threads=1):
    """Seven environments that count: a half of three and one of four."""
    return Shares(
        lambda first, count: CountingEnv(LENGTHS[first : first + count], A, first), 7, num_threads=num_threads
    )


def half_alone(rows, envs, network, gumbel, **kwargs):
    """An actor of some rows alone, which draws with the noise of the whole and acts as on any device."""
    network = copy.deepcopy(network)
    actor = Actor(envs, network, seed=0, reward_scale=SCALE, **kwargs)
    actor._acting = Acting(network, envs.num_envs)
    unrolls = iter(gumbel[:, rows].split(T))
    actor._draw = lambda _: next(unrolls)
    return actor


def drawn(num_envs, num_actions):
    """The Gumbel noise of the first unrolls, [unrolls * T, B, A], as the generator of a seed gives them."""
    generator = torch.Generator().manual_seed(SEED)
    shape = (T, num_envs, num_actions)
    return -torch.cat(
        [torch.empty(shape).exponential_(generator=generator) for _ in range(NUM_UNROLLS)]
    ).log()


def assert_columns(whole, part, rows, size):
    """A half's columns of an unroll are those of an actor of its own, bit for bit."""
    for name, own, field in zip(whole.inputs._fields, part.inputs, whole.inputs, strict=True):
        assert torch.equal(field[:, rows], own), name
    for name in ("actions", "behaviour_logits", "rewards", "terminated", "valid"):
        assert torch.equal(getattr(whole, name)[:, rows], getattr(part, name)), name
    for own, field in zip(part.core_state, whole.core_state, strict=True):
        assert torch.equal(field[rows], own)
    chosen = (whole.episodes.envs >= rows.start) & (whole.episodes.envs < rows.stop)
    for name, own, field in zip(part.episodes._fields, part.episodes, whole.episodes, strict=True):
        found = field[chosen] - (rows.start if name == "envs" else 0)
        np.testing.assert_array_equal(found, own, err_msg=name)
    assert len(whole.inputs.resets[0]) == size


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("context_length", [0, 2, T])
def test_each_half_is_an_actor_of_its_own(context_length, num_threads):
    """Rows, decisions, steps, episodes and core states are those of an `Actor`; two buffers in turn.

    Mutations: the step before a row written to the row's place; the core state before the row of context
    taken a row late; the last row decided upon, too; the rows of the other half sent; a reset's reward kept.
    """
    network = counting_network(A)
    whole = HalvedActor(
        counting_shares(num_threads), network, seed=SEED, reward_scale=SCALE, context_length=context_length
    )
    buffers = [whole.allocate(T), whole.allocate(T)]
    gumbel = drawn(7, A)
    halves = {}
    for rows in whole.envs.groups:
        actor = half_alone(
            rows, CountingEnv(LENGTHS[rows], A, rows.start), network, gumbel, context_length=context_length
        )
        halves[rows.start, rows.stop] = actor, actor.allocate(T)
    assert list(halves) == [(0, 3), (3, 7)]
    num_ended = 0
    for n in range(NUM_UNROLLS):
        whole.version = n
        unroll = whole.unroll(buffers[n % 2])
        parts = [actor.unroll(out) for actor, out in halves.values()]
        for (first, last), part in zip(halves, parts, strict=True):
            assert_columns(unroll, part, slice(first, last), 7)
        assert unroll.num_steps == sum(part.num_steps for part in parts)
        assert unroll.version == n
        assert np.all(np.isin(unroll.episodes.envs, range(7)))
        num_ended += len(unroll.episodes.returns)
    assert num_ended > 20
    whole.envs.close()


@pytest.mark.parametrize("core", ["lstm", "ur-lstm", "mingru", "memoryless"])
def test_real_environments_and_cores(core):
    """A T-maze whose environments depend on their index in the run alone, with cores that are compiled.

    Mutations: every share's first index 0; the core's state left behind in the stepper.
    """
    config = Config(core=core, env_opt=("length=4",), hidden_size=12, encoder_size=8)
    shares = Shares(lambda first, count: make_envs(config, count, 5, first_index=first), 6, num_threads=2)
    network = make_network(config, shares.single_observation_space, int(shares.single_action_space.n))
    whole = HalvedActor(shares, network, seed=SEED, reward_scale=SCALE)
    buffers = [whole.allocate(T), whole.allocate(T)]
    gumbel = drawn(6, int(shares.single_action_space.n))
    halves = []
    for rows in shares.groups:
        envs = make_envs(config, 3, 5, first_index=rows.start)
        actor = half_alone(rows, envs, network, gumbel)
        halves.append((rows, actor, actor.allocate(T)))
    for n in range(NUM_UNROLLS):
        unroll = whole.unroll(buffers[n % 2])
        for rows, actor, out in halves:
            assert_columns(unroll, actor.unroll(out), rows, 6)
    shares.close()


def new_runner(num_threads=1, seed=SEED):
    """A runner in halves on the CPU."""
    network = counting_network(A)
    words = {"unroll_length": T, "seed": seed, "reward_scale": SCALE, "context_length": 2}
    return LocalRunner(lambda _: counting_shares(num_threads), lambda _: network, **words)


def assert_same(first, second):
    """Two unrolls hold the same."""
    for name in ("actions", "behaviour_logits", "rewards", "terminated", "valid"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    for one, other in zip(
        (*first.inputs, *first.core_state), (*second.inputs, *second.core_state), strict=True
    ):
        assert torch.equal(one, other)
    for one, other in zip(first.episodes, second.episodes, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_resumed_run_goes_on_bit_for_bit():
    """From a state by way of a file's tensors, into a runner that had gone elsewhere, with other threads.

    Mutations: the generator, the ended episodes, the context's rows or its core state not restored.
    """
    runner = new_runner()
    for _ in range(3):
        runner.next()
    state = copy.deepcopy(runner.state_dict())
    expected = [copy.deepcopy(runner.next()) for _ in range(3)]
    other = new_runner(num_threads=2, seed=8)
    other.next()
    for part in ("envs", "row", "context"):
        state[part] = {k: torch.as_tensor(v) for k, v in state[part].items()}
    assert other.load_state_dict(state)
    for unroll in expected:
        assert_same(other.next(), unroll)
    runner.close()
    other.close()


def test_a_state_goes_on_in_an_actor_of_all_environments():
    """On a machine without a GPU, in one batch: the same arguments and the same state.

    Mutations: a half's rows left out; the groups in the wrong order.
    """
    shares, network = counting_shares(), counting_network(A)
    whole = HalvedActor(shares, network, seed=SEED, reward_scale=SCALE)
    out = whole.allocate(T)
    whole.unroll(out)
    actor = Actor(CountingEnv(LENGTHS, A), network, seed=1, reward_scale=SCALE)
    assert actor.load_state_dict(whole.state_dict())
    unroll = actor.unroll(actor.allocate(T))
    for row, last in zip(unroll.inputs.row(0), out.inputs.row(T), strict=True):
        assert torch.equal(row, last)
    for own, expected in zip(unroll.core_state, whole._core_state, strict=True):
        assert torch.equal(own, expected)
    shares.close()


def test_a_foreign_state_changes_nothing():
    """Mutation: the environments restored before the rest is looked at."""
    runner = new_runner()
    runner.next()
    state, before = copy.deepcopy(runner.state_dict()), runner.actor.envs.state_dict()
    runner.next()
    for spoil in ("row", "envs"):
        bad = copy.deepcopy(state)
        bad[spoil] = {name: field[:-1] for name, field in bad[spoil].items()}
        now = runner.actor.envs.state_dict()
        with pytest.raises((RuntimeError, ValueError)):
            runner.load_state_dict(bad)
        for name, array in runner.actor.envs.state_dict().items():
            np.testing.assert_array_equal(array, now[name])
    assert not all(np.array_equal(before[name], now[name]) for name in now)
    runner.close()


def test_published_weights_act_from_the_next_unroll_on():
    """Mutation: each half on a copy of the network of its own."""
    runner, network = new_runner(), counting_network(A, seed=9)
    runner.publish(network.state_dict(), 4)
    unroll = runner.next()
    logits, *_ = network(unroll.inputs, unroll.core_state)
    torch.testing.assert_close(logits[2:-1], unroll.behaviour_logits)
    assert unroll.version == 4
    runner.close()


def test_stopping_where_environments_have_no_state():
    """`next` gives up in the middle; where they have one it goes on to the unroll's end.

    Mutation: no share left.
    """
    runner = new_runner(num_threads=2)
    runner.stop()
    runner.next()
    runner.actor.envs.has_state = False
    runner.stop()
    with pytest.raises(Stopped):
        runner.next()
    runner.close()


def test_one_environment_is_one_half():
    """Mutation: two halves whatever there is."""
    network = counting_network(A)
    actor = HalvedActor(Shares(lambda _, __: CountingEnv(LENGTHS[:1], A), 1), network, seed=0)
    assert actor.unroll(actor.allocate(T)).actions.shape == (T, 1)
    actor.envs.close()
