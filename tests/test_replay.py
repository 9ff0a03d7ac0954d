"""The replay: which unrolls it holds, which it draws, and what the learner does with them."""

import copy

import numpy as np
import pytest
import torch

from agents.actor import Actor, make_envs
from agents.checkpoint_format import join_state, split_state
from agents.config import Config
from agents.guard import NonFiniteUpdates
from agents.learner import Learner
from agents.network import make_network
from agents.replay import Replay

T, B, SIZE = 5, 3, 4
CPU = torch.device("cpu")


def new_learner(**fields):
    """A learner that replays, and an actor of the weights that it begins with."""
    config = Config(env="tmaze", env_opt=("length=3",), hidden_size=6, encoder_size=7, **fields)
    envs = make_envs(config, B, 0)
    network = make_network(config, envs.single_observation_space, int(envs.single_action_space.n))
    return Learner(network, config), Actor(envs, copy.deepcopy(network), seed=4)


@pytest.fixture(scope="module")
def unrolls():
    """Ten unrolls on end, in buffers of their own, each of a version of its own."""
    _, actor = new_learner()
    buffers = actor.allocate(T)
    made = [copy.deepcopy(actor.unroll(buffers)) for _ in range(10)]
    for number, unroll in enumerate(made):
        unroll.version, unroll.num_steps_elsewhere = number, 100 + number
    return made


def equal(some, others):
    """Whether two unrolls hold the same tensors and counts."""
    counts = ("version", "num_steps", "num_steps_elsewhere")
    same = all(torch.equal(a, b) for a, b in zip(some.tensors(), others.tensors(), strict=True))
    return same and all(getattr(some, name) == getattr(others, name) for name in counts)


def test_every_tensor_of_an_unroll_is_named_once(unrolls):
    """All that a learner reads, observations to core state: nothing is left behind, nothing comes twice.

    Mutation: the core state left out.
    """
    found = {id(tensor) for tensor in unrolls[0].tensors()}
    assert len(found) == len(unrolls[0].tensors()) == 4 + 2 + 5
    assert {id(tensor) for tensor in (*unrolls[0].inputs, *unrolls[0].core_state)} < found


def test_it_draws_the_last_unrolls_whole_each_as_often(unrolls):
    """After ten of them the last four are drawn, as they were, whatever became of the buffers they came in.

    4 000 draws: each of the four within 5 standard deviations of a quarter.

    Mutations: views in place of copies; the newest left out; the ring one too long; a draw from empty slots.
    """
    replay, buffer = Replay(SIZE, seed=1), copy.deepcopy(unrolls[0])
    for number, unroll in enumerate(unrolls):
        for own, other in zip(buffer.tensors(), unroll.tensors(), strict=True):
            own.copy_(other)
        buffer.version, buffer.num_steps_elsewhere = unroll.version, unroll.num_steps_elsewhere
        buffer.num_steps = unroll.num_steps
        replay.add(buffer)
        drawn = {unroll.version for unroll in replay.draw(100)}
        assert drawn == set(range(max(0, number + 1 - SIZE), number + 1))
    found = list(replay.draw(4000))
    assert all(equal(unroll, unrolls[unroll.version]) for unroll in found[:100])
    assert not found[0].episodes.returns.size
    counts = np.bincount([unroll.version for unroll in found], minlength=10)
    assert abs(counts[-SIZE:] - 1000).max() < 5 * np.sqrt(4000 * 0.25 * 0.75)


def test_draws_follow_from_seed_and_number(unrolls):
    """Two rings of one seed draw alike, as two ranks must; another seed or a later time draws otherwise."""
    one, same, other = Replay(SIZE, 1), Replay(SIZE, 1), Replay(SIZE, 2)

    def draws(replay):
        return [unroll.version % SIZE for unroll in replay.draw(30)]

    for replay in (one, same, other):
        for unroll in unrolls[:8]:
            replay.add(unroll)
    first = draws(one)
    assert first == draws(one) == draws(same) != draws(other)
    for unroll in unrolls[:4]:  # into the same slots
        one.add(unroll)
    assert draws(one) != first


def test_state(unrolls):
    """A ring from a state goes on like the one it was taken of, and shares nothing with it.

    Mutations: the number added not kept; the counts not kept; the state's own tensors taken.
    """
    replay, again = Replay(SIZE, 1), Replay(SIZE, 1)
    for unroll in unrolls[:6]:
        replay.add(unroll)
    state = join_state(*split_state(replay.state_dict()))
    again.load_state_dict(state, CPU)
    for tensor in split_state(state)[0].values():
        tensor.zero_()
    replay = Replay(SIZE, 1)
    for unroll in unrolls[:6]:
        replay.add(unroll)
    for unroll in (None, *unrolls[6:]):
        if unroll is not None:
            replay.add(unroll)
            again.add(unroll)
        assert all(equal(a, b) for a, b in zip(replay.draw(9), again.draw(9), strict=True))


def test_a_state_of_nothing(unrolls):
    """From the state of an empty ring, or from none at all, it begins anew."""
    replay = Replay(SIZE, 1)
    for state in ({}, join_state(*split_state(Replay(SIZE, 1).state_dict()))):
        replay.add(unrolls[3])
        replay.load_state_dict(state, CPU)
        replay.add(unrolls[5])
        assert {unroll.version for unroll in replay.draw(20)} == {5}


def test_a_state_of_another_size(unrolls):
    """Is refused, as are counts that are none; what was there before does not stay half."""
    other, replay = Replay(SIZE + 1, 1), Replay(SIZE, 1)
    other.add(unrolls[0])
    with pytest.raises(ValueError, match="none of 4 unrolls"):
        replay.load_state_dict(other.state_dict(), CPU)
    replay.add(unrolls[0])
    with pytest.raises(ValueError, match="none of 4 unrolls"):
        replay.load_state_dict({**replay.state_dict(), "num_added": -3}, CPU)


def test_the_learner_steps_on_the_new_unroll_and_then_on_drawn_ones():
    """The weights are those of single steps on the new unroll and what a ring of the same seed draws.

    Env steps, versions and schedules count the new ones alone; its own metrics are those of the curves.

    Mutations: drawn before the new one is added; env steps counted again; the version raised by each step;
    metrics of the last step in place of the first.
    """
    fields = {"replays": 2, "replay_size": SIZE, "total_steps": 60}
    learner, actor = new_learner(**fields)
    literal = copy.deepcopy(learner)
    buffers, steps = actor.allocate(T), 0
    for number in range(6):
        unroll = actor.unroll(buffers)
        steps += unroll.num_steps
        metrics = learner.update(unroll)
        first = literal.step(unroll)
        literal.replay.add(unroll)
        drawn = list(literal.replay.draw(2))
        again = [literal.step(old) for old in drawn]
        literal.version += 1
        literal.env_steps += unroll.num_steps
        assert (learner.version, learner.env_steps) == (number + 1, steps)
        assert learner.network.state_dict().keys() == literal.network.state_dict().keys()
        for own, other in zip(learner.network.parameters(), literal.network.parameters(), strict=True):
            assert torch.equal(own, other)
        assert all(metrics[name] == first[name] for name in first)
        lags = [number - old.version for old in drawn]
        assert metrics["replay/policy_lag"] == np.mean(lags)
        assert metrics["replay/mean_rho"] == sum(a["vtrace/mean_rho"] for a in again) / 2
        actor.version = learner.version
    assert max(lags) > 0


def test_an_unroll_counts_where_too_many_updates_are_skipped():
    """The actor has gone on from it, so a run that is resumed must, too.

    Mutation: counted after the steps.
    """
    learner, actor = new_learner(max_skipped_updates=2, replays=2)
    unroll = actor.unroll(actor.allocate(T))
    unroll.rewards[unroll.valid] = np.nan
    with pytest.raises(NonFiniteUpdates):
        learner.update(unroll)
    assert (learner.version, learner.env_steps) == (1, unroll.num_steps)


def test_without_replays_nothing_is_kept():
    """The ring takes no memory, and there are no curves of it."""
    learner, actor = new_learner()
    metrics = learner.update(actor.unroll(actor.allocate(T)))
    assert not any(name.startswith("replay/") for name in metrics)
    assert learner.replay.state_dict()["num_added"] == 0
