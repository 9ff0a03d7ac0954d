"""What every probe is: sequences, and labels for their last steps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gymnasium import spaces
from torch import Tensor


class Batch(NamedTuple):
    """Sequences with the labels of their last Q steps."""

    observations: Tensor
    """[T, B, ...]: what each step shows."""
    labels: Tensor
    """[Q, B] int64 classes, or float32 numbers."""


@dataclass(frozen=True)
class Task:
    """One probe at one difficulty."""

    name: str
    """recall, copy, adding or pixels."""
    setting: str
    """The difficulty in words: "passive-match delay=30"."""
    space: spaces.Space
    """What one step shows."""
    embed_size: int
    """Width of a linear layer with relu before the core, as in the agent's network; 0: none."""
    num_classes: int
    """Labels are 0 … num_classes - 1; 0: they are numbers, and the loss is the mean squared error."""
    baseline: float
    """Loss of the best answer that has not read the sequence (nats for classes)."""
    default_steps: int
    """Updates after which a run that has not solved it is given up."""
    judged_by: str
    """accuracy or loss: which of the two the table and the plot show."""
    stream: Callable[[int, int, bool], Iterator[Batch]]
    """(seed, B, held out) -> batches without end; held-out ones share no sequence with the others'."""

    @property
    def chance(self) -> float:
        """The accuracy, or the loss, of who has not read the sequence."""
        return 1 / self.num_classes if self.judged_by == "accuracy" else self.baseline
