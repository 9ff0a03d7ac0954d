"""From the words of a command line to a probe."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from gymnasium import spaces

from agents.config import Config
from agents.probing import digits, recall, sequences
from agents.probing.task import Task
from envs.checks import whole_number

NAMES = ("recall", "copy", "adding", "pixels")


@dataclass(frozen=True)
class Choice:
    """What makes a probe: plain values, which another process can take."""

    name: str
    """One of NAMES."""
    length: int = 0
    """recall: the delay; copy and adding: T."""
    env: str = ""
    """recall: id of the task."""
    permute: bool = False
    """pixels: in another order."""
    data: str = ""
    """pixels: folder of MNIST or CIFAR-10; none: the digits."""


def make_task(choice: Choice) -> Task:
    """Builds a probe.

    Raises:
        ValueError: one line; a value out of range, or data that is missing or damaged.
    """
    makers = {"recall": make_recall, "copy": make_copy, "adding": make_adding, "pixels": make_pixels}
    return makers[choice.name](choice)


def make_recall(choice: Choice) -> Task:
    """The cue of one of Longhold's tasks."""
    envs = recall.make_envs(choice.env, choice.length, 1, 0)
    return Task(
        name="recall",
        setting=f"{choice.env} {recall.span_option(choice.env)}={choice.length}",
        space=envs.single_observation_space,
        embed_size=Config.encoder_size,
        num_classes=envs.num_cues,
        baseline=math.log(envs.num_cues),
        default_steps=3000,
        judged_by="accuracy",
        stream=partial(recall.stream, choice.env, choice.length),
    )


def make_copy(choice: Choice) -> Task:
    """Ten symbols after a long blank."""
    whole_number("--length", choice.length, sequences.SHORTEST_COPY)
    return Task(
        name="copy",
        setting=f"length={choice.length}",
        space=spaces.Discrete(sequences.NUM_CODES),
        embed_size=0,
        num_classes=sequences.NUM_SYMBOLS,
        baseline=math.log(sequences.NUM_SYMBOLS),
        default_steps=10_000,
        judged_by="loss",
        stream=partial(sequences.stream, sequences.copy, choice.length),
    )


def make_adding(choice: Choice) -> Task:
    """The sum of two marked numbers."""
    whole_number("--length", choice.length, sequences.SHORTEST_ADDING)
    return Task(
        name="adding",
        setting=f"length={choice.length}",
        space=spaces.Box(0.0, 1.0, (2,), np.float32),
        embed_size=0,
        num_classes=0,
        baseline=sequences.ADDING_BASELINE,
        default_steps=5000,
        judged_by="loss",
        stream=partial(sequences.stream, sequences.adding, choice.length),
    )


def make_pixels(choice: Choice) -> Task:
    """The class of a picture read pixel by pixel."""
    pictures = digits.load(Path(choice.data) if choice.data else None)
    return Task(
        name="pixels",
        setting=pictures.name + (" permuted" if choice.permute else ""),
        space=spaces.Box(0.0, 1.0, pictures.pixels.shape[2:], np.float32),
        embed_size=0,
        num_classes=digits.NUM_CLASSES,
        baseline=math.log(digits.NUM_CLASSES),
        default_steps=5000,
        judged_by="accuracy",
        stream=partial(digits.stream, pictures, choice.permute),
    )
