"""Fits one core to one probe: encoder, core and linear head; Adam; held-out evaluation along the way."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from agents.config import stream_seed
from agents.encoders import make_embedding, make_encoder
from agents.probing.task import Batch, Task
from cores.core import RecurrentCore

NUM_HELD_OUT = 512
"""Sequences on which a core is judged: the same at every evaluation of a seed, and for every core."""
NUM_EVALUATIONS = 40
EVALUATION_BATCH = 128
MAX_GRAD_NORM = 1.0
SOLVED_ACCURACY = 0.995
SOLVED_SHARE = 0.01
"""Solved: in two evaluations on end the accuracy is at least the one, or the loss below the other's share of
the baseline."""


class Reader(nn.Module):
    """Encoder, core and linear head over whole sequences."""

    def __init__(
        self,
        space: spaces.Space,
        embed_size: int,
        core_of: Callable[[int], RecurrentCore],
        num_outputs: int,
    ):
        super().__init__()
        self.encoder: nn.Module
        if embed_size:
            self.encoder = nn.Sequential(make_embedding(space, embed_size), nn.ReLU())
            self.core = core_of(embed_size)
        else:
            encoder = self.encoder = make_encoder(space)
            self.core = core_of(encoder.output_size)
        self.head = nn.Linear(self.core.output_size, num_outputs)

    def forward(self, observations: Tensor, num_questions: int) -> Tensor:
        """Answers at the last steps: [T, B, ...] -> [Q, B, num_outputs]."""
        inputs = self.encoder(observations)  # [T, B, I]
        reset = torch.zeros(inputs.shape[:2], dtype=torch.bool, device=inputs.device)
        reset[0] = True
        outputs, _ = self.core(inputs, self.core.initial_state(inputs.shape[1]), reset)
        return self.head(outputs[-num_questions:])


class Point(NamedTuple):
    """One evaluation on the held-out sequences."""

    updates: int
    loss: float
    """Mean cross entropy in nats, or mean squared error, of an answer."""
    accuracy: float
    """Share of right answers; NaN where they are numbers."""


@dataclass(frozen=True)
class Fit:
    """What a core came to."""

    points: list[Point]
    """The curve, from before the first update to the end."""
    solved_at: int | None
    """Updates at the first of the two evaluations on end that count as solved."""


def make_reader(task: Task, core_of: Callable[[int], RecurrentCore], seed: int) -> Reader:
    """The model of a run, with the first weights of its seed.

    Raises:
        ValueError: one line; the core's options do not fit.
    """
    with torch.random.fork_rng():
        torch.manual_seed(stream_seed(seed, "weights"))
        return Reader(task.space, task.embed_size, core_of, task.num_classes or 1)


def fit(
    task: Task,
    reader: Reader,
    *,
    seed: int,
    steps: int,
    batch_size: int,
    learning_rate: float,
    device: torch.device | None = None,
    watch: Callable[[Point], None] = lambda point: None,
) -> Fit:
    """Trains until the probe is solved or the updates are spent.

    Args:
        task: the probe.
        reader: what learns; it is changed.
        seed: decides the sequences, alike for every core.
        steps: updates at most.
        batch_size: B.
        learning_rate: Adam's step size.
        device: where to compute; None: the CPU.
        watch: is told every evaluation.

    Returns:
        The curve, and when it was solved. A run whose loss is no number any more ends there.
    """
    device = device or torch.device("cpu")
    reader.to(device)
    optimizer = torch.optim.Adam(reader.parameters(), learning_rate)
    held_out = next(task.stream(seed, NUM_HELD_OUT, True))
    batches = task.stream(seed, batch_size, False)
    every = max(1, steps // NUM_EVALUATIONS)
    points: list[Point] = []
    for updates in range(steps + 1):
        if updates % every == 0 or updates == steps:
            points.append(evaluate(task, reader, held_out, updates, device))
            watch(points[-1])
            if len(points) > 1 and all(is_solved(task, point) for point in points[-2:]):
                return Fit(points, points[-2].updates)
            if not math.isfinite(points[-1].loss):
                break
        if updates < steps:
            update(task, reader, optimizer, batches, device)
    return Fit(points, None)


def update(
    task: Task,
    reader: Reader,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[Batch],
    device: torch.device,
) -> None:
    """One step of the optimiser on one batch."""
    observations, labels = (tensor.to(device) for tensor in next(batches))
    loss = losses(task, reader(observations, len(labels)), labels).mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(reader.parameters(), MAX_GRAD_NORM)
    optimizer.step()


def losses(task: Task, answers: Tensor, labels: Tensor) -> Tensor:
    """Loss of every answer: [Q, B, outputs], [Q, B] -> [Q, B]."""
    if not task.num_classes:
        return (answers.squeeze(-1) - labels).square()
    return functional.cross_entropy(answers.movedim(-1, 1), labels, reduction="none")


@torch.no_grad()
def evaluate(task: Task, reader: Reader, held_out: Batch, updates: int, device: torch.device) -> Point:
    """Loss and accuracy over all held-out sequences, a part of them at a time."""
    loss, right = [], []
    for observations, labels in zip(
        held_out.observations.split(EVALUATION_BATCH, 1),
        held_out.labels.split(EVALUATION_BATCH, 1),
        strict=True,
    ):
        labels = labels.to(device)
        answers = reader(observations.to(device), len(labels))
        loss.append(losses(task, answers, labels))
        right.append((answers.argmax(-1) == labels).float())
    accuracy = float(torch.cat(right, 1).mean()) if task.num_classes else math.nan
    return Point(updates, float(torch.cat(loss, 1).mean()), accuracy)


def is_solved(task: Task, point: Point) -> bool:
    """Whether one evaluation counts as solved."""
    return point.accuracy >= SOLVED_ACCURACY or point.loss < SOLVED_SHARE * task.baseline
