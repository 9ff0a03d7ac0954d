"""What processes share: arrays in nameless memory, weights by version, slots of a ring."""

import multiprocessing

import numpy as np
import torch
from gymnasium.spaces import Box

from agents.runners.arena import Arena
from agents.runners.slots import Slots, split_columns
from agents.runners.weights import PublishedWeights
from agents.trajectory import Episodes, Trajectory

T, B, A = 5, 3, 4


def double(arena, weights, into):
    """Runs in a process of its own."""
    arena["numbers"][...] *= 2
    into["a"][0] = weights.read(into)
    arena["seen"][...] = into["b"].numpy()


def test_arrays_are_shared_with_a_process():
    """Mutations: arrays that overlap; a copy sent."""
    arena = Arena(
        {"numbers": ((3, 2), np.dtype(np.int64)), "flags": ((5,), np.dtype(bool)), "seen": ((2,), "f4")}
    )
    assert not arena["numbers"].any()
    arena["flags"][...] = True
    arena["numbers"][...] = np.arange(6).reshape(3, 2)
    weights = PublishedWeights({"b": torch.tensor([1.5, -2])})
    words = (arena, weights, {"a": np.zeros(1), "b": torch.zeros(2)})
    child = multiprocessing.get_context("spawn").Process(target=double, args=words)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert arena["numbers"].tolist() == [[0, 2], [4, 6], [8, 10]]
    assert arena["seen"].tolist() == [1.5, -2]
    assert arena["flags"].all()


def test_weights_are_read_to_float32(monkeypatch):
    """A reader that is overtaken while it copies gets one version, the newest, and not a mix.

    Mutations: no second look; a single buffer, which one publication spoils.
    """
    shapes = {"scalar": (), "matrix": (4, 3), "vector": (2,)}
    make = lambda version: {name: torch.full(shape, float(version)) for name, shape in shapes.items()}  # noqa: E731
    weights, into, copy = PublishedWeights(make(0)), make(-1), torch._foreach_copy_
    assert weights.read(into) == 0
    overtaken = []

    def slow_copy(targets, sources):
        copy(targets[:2], sources[:2])
        for _ in range(overtaken.pop() if overtaken else 0):
            versions.append(versions[-1] + 1)
            weights.publish(make(versions[-1]), versions[-1])
        copy(targets[2:], sources[2:])

    monkeypatch.setattr(torch, "_foreach_copy_", slow_copy)
    for count, seen in ((0, 10), (1, 10), (2, 12), (3, 13)):
        versions = [10]
        weights.publish(make(10), 10)
        overtaken.append(count)
        assert weights.read(into) == seen
        assert {float(value) for tensor in into.values() for value in tensor.ravel()} == {seen}


def test_columns():
    """Mutation: the rest of the division lost."""
    assert split_columns(7, 3) == [slice(0, 2), slice(2, 4), slice(4, 7)]
    assert split_columns(3, 3) == [slice(0, 1), slice(1, 2), slice(2, 3)]


def test_a_batch_is_its_parts():
    """Also where every second step ends an episode, which is the most there can be.

    Mutations: room for T // 2 episodes a column; the slot taken for the number; the newest version told.
    """
    space = Box(0, 1, (2,), np.float32)
    empty = Trajectory.allocate(T, B, space, A, pin=False)
    slots = Slots(empty, (torch.zeros(B, 6),), num_slots=2, columns=[slice(0, 1), slice(1, 3)])
    for number in range(5):
        for actor, size in enumerate((1, 2)):
            part = slots.part(number, actor)
            assert part.rewards.shape == (T, size)
            part.rewards.fill_(10 * number + actor)
            part.inputs.observations.fill_(10 * number + actor)
            part.core_state = (torch.full((size, 6), 100.0 * number + actor),)
            part.version, part.num_steps = number + 3 - actor, 7 + actor
            ends = np.arange(3 * size)
            part.episodes = Episodes(ends * 1.0, ends + number, ends * 0.5, ends % size)
            slots.finish(number, actor, part)
        batch = slots.batch(number)
        assert batch.rewards.tolist() == [[10 * number, 10 * number + 1, 10 * number + 1]] * T
        assert batch.inputs.observations.shape == (T + 1, B, 2)
        assert batch.core_state[0][:, 0].tolist() == [100 * number, 100 * number + 1, 100 * number + 1]
        assert (batch.version, batch.num_steps) == (number + 2, 15)
        assert batch.episodes.lengths.tolist() == [number + i for i in (0, 1, 2, 0, 1, 2, 3, 4, 5)]
        assert batch.episodes.envs.tolist() == [0, 0, 0, 1, 2, 1, 2, 1, 2]
        if number:
            assert slots.batch(number - 1).rewards[0, 0] == 10 * (number - 1)
