"""An actor of a cluster, without one: what it hands over, what it says of itself, and how it leaves."""

import threading
import time

import numpy as np
import pytest
import ray
import torch
from fickle_envs import A, numbered_recipe, telling_network
from gymnasium.spaces import Box

from agents.actor import Actor
from agents.runners.remote import Failed, RemoteActor, RemoteJob, give, pack, take, unpack
from agents.runners.worker import IN_STEP
from agents.trajectory import Trajectory

T, B = 5, 2
SPACE = Box(0.0, 1e9, (3,), np.float32)


def make(folder):
    job = RemoteJob(numbered_recipe(folder), slice(1, 1 + B), env_seed=5, action_seed=6, unroll_length=T)
    return RemoteActor(job)


def weights_of(version):
    network = telling_network(SPACE, A)
    with torch.no_grad():
        network.policy.bias[1] = version
    return give(network.state_dict())


def test_what_it_hands_over(tmp_path):
    """Three unrolls are those of an actor here, with the same seeds and weights; also when they were packed.

    Mutations: weights taken once only; the core state of the next unroll; environments from 0.
    """
    remote, recipe = make(tmp_path), numbered_recipe(tmp_path)
    network = recipe.make_network(SPACE, A)
    actor = Actor(recipe.make_envs(B, 5, 1), network, seed=6, reward_scale=recipe.reward_scale)
    for version in range(3):
        sent = remote.unroll(weights_of(version), version)
        take(network, weights_of(version))
        actor.version = version
        expected = actor.unroll(actor.allocate(T))
        out = Trajectory.allocate(T, B, SPACE, A, pin=False)
        found = unpack(sent, out)
        for name, tensor in expected.by_name().items():
            assert torch.equal(found.by_name()[name], tensor), name
        assert all(torch.equal(a, b) for a, b in zip(found.core_state, expected.core_state, strict=True))
        assert (found.version, found.num_steps) == (version, expected.num_steps)
        assert found.episodes.lengths.tolist() == expected.episodes.lengths.tolist()
        assert 0 < sent.env_s < sent.unroll_s
    begun = actor.envs.episode.sum()
    assert sent.num_begun == begun


def test_nothing_is_copied_on_the_way(tmp_path):
    """The arrays of a packed unroll are the actor's buffers. Mutation: tensors cloned."""
    recipe = numbered_recipe(tmp_path)
    actor = Actor(recipe.make_envs(B, 5, 1), recipe.make_network(SPACE, A), seed=6)
    made = actor.unroll(actor.allocate(T))
    sent = pack(made, 0, 0.0, 0.0)
    assert all(np.shares_memory(sent.arrays[name], tensor.numpy()) for name, tensor in made.by_name().items())


@pytest.mark.parametrize("name", ["look", "leave", "whereabouts"])
def test_what_is_asked_beside_an_unroll(name):
    """It is marked as Ray itself marks a method. Mutation: the mark of another name."""
    marked = ray.method(concurrency_group="beside")(lambda self: None)
    assert vars(getattr(RemoteActor, name)) == vars(marked)
    assert vars(RemoteActor.unroll) == {}


def test_an_error_is_told(tmp_path):
    """Its kind, its message in one line, its traceback and what was begun. Mutation: the error raised."""
    remote = make(tmp_path)
    remote.unroll(weights_of(0), 0)
    (tmp_path / "1").write_text("raise")
    told = remote.unroll(weights_of(0), 0)
    assert isinstance(told, Failed)
    assert told.reason == r"KeyError: '100 %\nbroken'"
    assert "fickle_envs.py" in told.trace
    assert told.num_begun == int((tmp_path / "1.begun").read_text())


def test_it_tells_where_it_is(tmp_path, monkeypatch):
    """In step(), with the line, while it hangs there. Mutation: the stack of the thread that asks."""
    never = threading.Event()
    monkeypatch.setattr("fickle_envs.time.sleep", lambda _: never.wait(1.0))
    remote = make(tmp_path)
    remote.unroll(weights_of(0), 0)
    (tmp_path / "1").write_text("sleep")
    thread = threading.Thread(target=remote.unroll, args=(weights_of(0), 0))
    thread.start()
    until = time.monotonic() + 10
    while (sign := remote.look()).where != IN_STEP or "in fail\n" not in sign.stack:
        assert time.monotonic() < until
        threading.Event().wait(0.01)
    again = remote.look()
    thread.join(20)
    assert again.beats == sign.beats
    assert 0 <= sign.silent_s <= again.silent_s < 1.5
    assert remote.look().beats > sign.beats


@pytest.mark.parametrize("busy", [False, True])
def test_it_leaves(tmp_path, busy):
    """Its environments are closed, also those that are being stepped; the unroll is given up.

    Mutations: `leave` that only closes, under the feet of the unroll; or only asks to leave.
    """
    remote = make(tmp_path)
    remote.unroll(weights_of(0), 0)
    closed, envs = [], remote._actor.envs
    envs.env.close = lambda **_: closed.append(True)
    results = []
    if busy:
        inner, begun = envs.env.step, threading.Event()

        def step(actions):
            begun.set()
            threading.Event().wait(0.05)
            assert not closed
            return inner(actions)

        envs.env.step = step
        thread = threading.Thread(target=lambda: results.append(remote.unroll(weights_of(0), 0)))
        thread.start()
        assert begun.wait(10)
    remote.leave()
    if busy:
        thread.join(20)
    assert closed == [True]
    assert results == ([None] if busy else [])
