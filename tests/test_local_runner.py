"""The synchronous runner: a copy of the weights that acts, and unrolls that do not overtake their reader."""

import copy

import numpy as np
import torch
from counting import CountingEnv, counting_network

from agents.actor import Actor
from agents.checkpoint import load_checkpoint, save_checkpoint
from agents.runners.local import LocalRunner

T, A = 5, 4
LENGTHS = [[3, 4, 2], [4, 1, 6, 1, 1], [9, 2, 3]]
WORDS = {"unroll_length": T, "seed": 3, "reward_scale": 0.5}


def new_runner(seed=0):
    """A runner on counting environments, and the network that it was given."""
    network = counting_network(A, seed)
    return LocalRunner(CountingEnv(LENGTHS, A), network, **WORDS), network


def fields(unroll):
    """All tensors of an unroll, copied."""
    tensors = [*unroll.inputs, *unroll.core_state, unroll.actions, unroll.behaviour_logits]
    return [tensor.clone() for tensor in (*tensors, unroll.rewards, unroll.terminated, unroll.valid)]


def same(ours, theirs):
    """Compares two lists of tensors bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_it_acts_as_an_actor_does():
    """Unroll for unroll what an actor with the same words gives.

    Mutations: the seed or the scale of rewards not handed on; two unrolls for each that is asked for.
    """
    runner, network = new_runner()
    actor = Actor(CountingEnv(LENGTHS, A), network, seed=3, reward_scale=0.5)
    for _ in range(4):
        assert same(fields(runner.next()), fields(actor.unroll(actor.allocate(T))))


def test_an_unroll_outlives_the_next_one():
    """A learner on a GPU may still read an unroll while the next one is made.

    Mutation: one buffer for all.
    """
    runner, _ = new_runner()
    for _ in range(3):
        unroll = runner.next()
        kept = fields(unroll)
        following = runner.next()
        assert same(fields(unroll), kept)
        assert not same(fields(following), kept)


def test_weights_act_once_they_are_published():
    """What the learner does to its own weights changes nothing before, and what it does later nothing after.

    Mutations: the learner's network acts itself; weights kept as references to the learner's.
    """
    runner, network = new_runner()
    inputs = runner.next().inputs
    with torch.no_grad():
        network.policy.bias += torch.tensor([30.0, 0, 0, 0])
        unroll = runner.next()
        assert unroll.version == 0
        assert unroll.behaviour_logits.max() < 20
        runner.publish(network.state_dict(), 7)
        network.policy.bias -= torch.tensor([30.0, 0, 0, 0])
        unroll = runner.next()
    assert unroll.version == 7
    assert (unroll.actions == 0).all()
    assert unroll.behaviour_logits[..., 0].min() > 20
    assert len(inputs.resets) == T + 1


def test_all_weights_are_published():
    """Mutation: parameters without buffers, or in another order."""
    runner, _ = new_runner()
    _, other = new_runner(seed=1)
    weights = dict(reversed(other.state_dict().items()))
    runner.publish(weights, 1)
    own = runner.actor.network.state_dict()
    assert own.keys() == weights.keys()
    assert all(torch.equal(own[name], weights[name]) for name in own)


def test_state_goes_through_a_checkpoint(tmp_path):
    """A runner that is given a state goes on bit for bit.

    Mutation: the state of a fresh actor told.
    """
    runner, network = new_runner()
    runner.next()
    save_checkpoint(tmp_path, runner.state_dict(), 0)
    following = fields(runner.next())
    other = LocalRunner(CountingEnv(LENGTHS, A), copy.deepcopy(network), **{**WORDS, "seed": 9})
    assert other.load_state_dict(load_checkpoint(tmp_path)[0]) is True
    assert same(fields(other.next()), following)


def test_close_releases_the_environments():
    """Mutation: nothing closed."""
    runner, _ = new_runner()
    closed = []
    runner.actor.envs.close = lambda: closed.append(True)
    runner.close()
    assert closed == [True]
    assert np.isfinite(runner.actor.env_s)
