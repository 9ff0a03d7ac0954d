"""The last unrolls of a run, to learn from again.

V-trace corrects for the policy that has changed since they were made: the learner takes them like unrolls of
an actor that is far behind.

Source: Espeholt et al. 2018 (arXiv 1802.01561), section 5.2.2; Rolnick et al. 2019 (arXiv 1811.11682).
"""

from collections.abc import Iterator
from dataclasses import replace
from operator import itemgetter
from typing import Any

import numpy as np
import torch

from agents.trajectory import Episodes, Inputs, Trajectory, numbered, unnumbered

COUNTS = ("version", "num_steps", "num_steps_elsewhere")
"""What is kept of an unroll beside its tensors."""


class Replay:
    """A ring of unrolls, and draws from it that follow from the seed and the number of unrolls so far."""

    def __init__(self, size: int, seed: int):
        """Begins empty.

        Args:
            size: unrolls that are kept.
            seed: of the draws. Ranks with one seed draw unrolls that they made at the same time.
        """
        self._size, self._seed = size, seed
        self._kept: Trajectory | None = None  # every tensor with an axis of slots before all others
        self._counts = np.zeros((size, len(COUNTS)), np.int64)
        self._num_added = 0

    def add(self, trajectory: Trajectory) -> None:
        """Copies an unroll over the oldest one; the ring lies where the first unroll does."""
        if self._kept is None:
            ring = trajectory.map(lambda tensor: tensor.new_zeros((self._size, *tensor.shape)))
            self._kept = replace(ring, episodes=Episodes.concatenate([]))
        slot = self._num_added % self._size
        for kept, tensor in zip(self._kept.tensors(), trajectory.tensors(), strict=True):
            kept[slot] = tensor
        self._counts[slot] = [getattr(trajectory, name) for name in COUNTS]
        self._num_added += 1

    def draw(self, count: int) -> Iterator[Trajectory]:
        """So many of the unrolls in the ring, each as likely as any other; after the next `add` others.

        Their tensors are views into the ring.
        """
        assert self._kept is not None
        generator = np.random.default_rng((self._seed, self._num_added))
        for slot in generator.integers(min(self._num_added, self._size), size=count):
            drawn = self._kept.map(itemgetter(int(slot)))
            for name, value in zip(COUNTS, self._counts[slot].tolist(), strict=True):
                setattr(drawn, name, value)
            yield drawn

    def state_dict(self) -> dict[str, Any]:
        """Everything that is kept."""
        state: dict[str, Any] = {"num_added": self._num_added, "counts": self._counts}
        if self._kept is not None:
            state["inputs"] = self._kept.inputs._asdict()
            state["core_state"] = numbered(self._kept.core_state)
            state["transitions"] = self._kept.transitions()
        return state

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Goes on from a state, or from nothing.

        Args:
            state: what `state_dict` gave, or an empty dict.
            device: where the ring is to lie.

        Raises:
            KeyError, TypeError, ValueError: it is none, or that of a ring of another size.
        """
        self.__init__(self._size, self._seed)  # type: ignore[misc]
        if not state:
            return
        num_added = state["num_added"]
        counts = torch.as_tensor(state["counts"]).to(torch.int64, copy=True).numpy()
        kept = None
        if num_added:
            kept = Trajectory(
                Inputs(**state["inputs"]),
                unnumbered(state["core_state"], device),
                **state["transitions"],
                version=0,
                episodes=Episodes.concatenate([]),
                num_steps=0,
            ).map(lambda tensor: tensor.to(device, copy=True))
        sizes = {len(counts), *(len(tensor) for tensor in (kept.tensors() if kept else ()))}
        if sizes != {self._size} or type(num_added) is not int or num_added < 0:
            raise ValueError(f"its replay is none of {self._size} unrolls")
        self._kept, self._counts, self._num_added = kept, counts, num_added
