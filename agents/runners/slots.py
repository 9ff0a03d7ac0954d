"""Buffers that actors in other processes fill and the learner reads in place.

A slot holds a whole batch, [T+1, B, ...]: each actor writes its own columns, those of its environments, and
the learner reads all of them where they lie. Nothing is put together, so nothing is copied on the way.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from agents.runners.arena import Arena
from agents.trajectory import Episodes, Inputs, State, Trajectory

COUNTS = ("version", "num_steps", "num_episodes")
"""What an actor tells of its part of a batch, a number each."""


def split_columns(num_envs: int, num_actors: int) -> list[slice]:
    """The columns of each actor, as even as can be."""
    bounds = [num_envs * actor // num_actors for actor in range(num_actors + 1)]
    return [slice(first, stop) for first, stop in pairwise(bounds)]


class Slots:
    """Batches in shared memory, one after the other in a ring."""

    def __init__(self, batch: Trajectory, core_state: State, *, num_slots: int, columns: list[slice]):
        """Allocates the slots.

        Args:
            batch: what one of them is to hold, T steps of B environments.
            core_state: of B environments.
            num_slots: K.
            columns: those of each actor.
        """
        self.num_slots, self.columns = num_slots, columns
        self._core_names = [f"core/{i}" for i in range(len(core_state))]
        T, B = batch.actions.shape
        tensors = batch.by_name() | dict(zip(self._core_names, core_state, strict=True))
        layout = {
            name: ((num_slots, *tensor.shape), tensor.cpu().numpy().dtype) for name, tensor in tensors.items()
        }
        # Episodes of a column that can end in an unroll: each takes a step, and another that resets.
        self._room = (T + 1) // 2
        for name, field in batch.episodes._asdict().items():
            layout[f"episodes/{name}"] = ((num_slots, B * self._room), field.dtype)
        layout |= {name: ((num_slots, len(columns)), np.dtype(np.int64)) for name in COUNTS}
        self._arena = Arena(layout)

    def _tensor(self, name: str, number: int) -> Tensor:
        return torch.from_numpy(self._arena[name][number % self.num_slots])

    def part(self, number: int, actor: int) -> Trajectory:
        """An actor's columns of a batch, to be filled."""
        return self._trajectory(number, self.columns[actor])

    def _trajectory(self, number: int, columns: slice) -> Trajectory:
        inputs = Inputs(*(self._tensor(f"inputs/{name}", number)[:, columns] for name in Inputs._fields))
        transitions: dict[str, Any] = {
            name: self._tensor(name, number)[:, columns]
            for name in ("actions", "behaviour_logits", "rewards", "terminated", "valid")
        }
        nobody = Episodes.concatenate([])
        return Trajectory(
            inputs=inputs, **transitions, core_state=(), version=0, episodes=nobody, num_steps=0
        )

    def finish(self, number: int, actor: int, unroll: Trajectory) -> None:
        """Adds what an actor's unroll holds beside its buffers; from then on its part is whole."""
        slot, columns = number % self.num_slots, self.columns[actor]
        for name, tensor in zip(self._core_names, unroll.core_state, strict=True):
            self._tensor(name, number)[columns] = tensor
        count, first = len(unroll.episodes.returns), columns.start * self._room
        for name, field in unroll.episodes._asdict().items():
            self._arena[f"episodes/{name}"][slot, first : first + count] = field
        for name, value in zip(COUNTS, (unroll.version, unroll.num_steps, count), strict=True):
            self._arena[name][slot, actor] = value

    def batch(self, number: int) -> Trajectory:
        """A batch whose parts are whole, in place; its version is that of the oldest weights in it."""
        slot = number % self.num_slots
        batch = self._trajectory(number, slice(None))
        batch.core_state = tuple(self._tensor(name, number) for name in self._core_names)
        batch.version = int(self._arena["version"][slot].min())
        batch.num_steps = int(self._arena["num_steps"][slot].sum())
        parts = []
        for count, columns in zip(self._arena["num_episodes"][slot], self.columns, strict=True):
            ended = slice(columns.start * self._room, columns.start * self._room + int(count))
            part = Episodes(*(self._arena[f"episodes/{name}"][slot, ended] for name in Episodes._fields))
            parts.append(part._replace(envs=part.envs + columns.start))
        batch.episodes = Episodes.concatenate(parts)
        return batch


def allocate_slots(
    space: spaces.Space,
    num_actions: int,
    core_state: State,
    *,
    unroll_length: int,
    context_length: int,
    num_slots: int,
    columns: list[slice],
) -> Slots:
    """Slots for unrolls of some environments.

    Args:
        space: observation space of one environment.
        num_actions: A.
        core_state: of all environments, which tells shapes and dtypes.
        unroll_length: T.
        context_length: W.
        num_slots: K.
        columns: those of each actor, up to B.
    """
    num_envs = columns[-1].stop
    batch = Trajectory.allocate(
        unroll_length, num_envs, space, num_actions, pin=False, context_length=context_length
    )
    return Slots(batch, core_state, num_slots=num_slots, columns=columns)
