"""The synchronous runner: a copy of the weights that acts, and unrolls that do not overtake their reader."""

import copy
from dataclasses import replace
from itertools import combinations

import numpy as np
import torch
from counting import CountingEnv, counting_network

from agents.actor import Actor
from agents.assembly import assemble
from agents.checkpoint import load_checkpoint, save_checkpoint
from agents.config import Config
from agents.distributed import Group
from agents.runners.local import LocalRunner

T, A = 5, 4
LENGTHS = [[3, 4, 2], [4, 1, 6, 1, 1], [9, 2, 3]]
WORDS = {"unroll_length": T, "seed": 3, "reward_scale": 0.5}


def runner_of(network, **kwargs):
    """A runner on counting environments, which acts with a copy of a network."""
    envs_of, network_of = lambda _: CountingEnv(LENGTHS, A), lambda _: copy.deepcopy(network)
    return LocalRunner(envs_of, network_of, **{**WORDS, **kwargs})


def new_runner(seed=0):
    """A runner on counting environments, and the network that it was given."""
    network = counting_network(A, seed)
    return runner_of(network), network


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
    other = runner_of(network, seed=9)
    assert other.load_state_dict(load_checkpoint(tmp_path)[0]) is True
    assert same(fields(other.next()), following)


def test_new_episodes_are_new(tmp_path):
    """A run that goes on without the state of its environments plays others, and says why.

    Mutations: the first episodes played again; the same generation after each start; actions drawn as before.
    """
    config = Config(env="MiniGrid-MultiRoom-N2-S4-v0", env_backend="gymnasium", num_envs=2, num_actors=1)
    config = replace(config, runner="local", hidden_size=6, encoder_size=4)
    place = config, Group(), torch.device("cpu"), T
    seen, state = [], {}
    for _ in range(3):
        _, runner = assemble(*place)
        if state:
            assert runner.load_state_dict(state) is False
            assert runner.anew == "the environments can't tell their state"
        unroll = runner.next()
        seen.append((unroll.inputs.observations[0].clone(), unroll.actions.clone()))
        state = runner.state_dict()
        runner.close()
    assert state["generation"] == 2
    for first, second in combinations(seen, 2):
        assert not torch.equal(first[0], second[0])
        assert not torch.equal(first[1], second[1])


def test_after_other_runners_episodes_are_new():
    """What actors that keep no state leave is their generation. Mutation: the environments blamed."""
    runner, network = new_runner()
    assert runner.load_state_dict({"generation": 4}) is False
    assert runner.anew == "the checkpoint is of actors that keep no state"
    assert runner.state_dict()["generation"] == 5
    assert not same(fields(runner.next()), fields(runner_of(network).next()))


def test_close_releases_the_environments():
    """Mutation: nothing closed."""
    runner, _ = new_runner()
    closed = []
    runner.actor.envs.close = lambda: closed.append(True)
    runner.close()
    assert closed == [True]
    assert np.isfinite(runner.actor.env_s)
