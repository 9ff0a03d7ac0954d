"""Recall: the cue of a task of Longhold's own, asked for when the agent would first need it.

The observations are those of a uniformly random policy, so that all that is left of the task is to hold the
cue: nothing is to be explored, and the label stands where reinforcement learning would have to find it.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from agents.config import stream_seed
from agents.probing.task import Batch
from envs import ENVS, NativeVectorEnv, find_task, make_vector_env


def span_option(env: str) -> str:
    """The option of a task that says how long its cue must be held.

    Raises:
        ValueError: no native task of this name, or none that asks for a cue at a known step.
    """
    task = find_task(env)
    if task is None or not has_question(task):
        known = [name for name, each in ENVS.items() if has_question(each)]
        problem = f"--env {env}: no native task that asks for a cue at a known step"
        raise ValueError(f"{problem}; choose one of {', '.join(known)}")
    return "delay" if "delay" in task.option_defaults() else "length"


def has_question(task: type[NativeVectorEnv]) -> bool:
    """Whether a task has a cue, and a step at which it is asked for whatever the agent does."""
    return bool(task.num_cues) and task.question_step is not NativeVectorEnv.question_step


def make_envs(env: str, delay: int, num_envs: int, seed: int) -> NativeVectorEnv:
    """N environments of a task whose cue must be held for `delay` steps.

    Raises:
        ValueError: as `span_option`, or a delay below 1.
    """
    options: dict[str, Any] = {span_option(env): delay}
    envs = make_vector_env(env, num_envs, seed=seed, copy=False, **options)
    assert isinstance(envs, NativeVectorEnv)
    return envs


def stream(env: str, delay: int, seed: int, batch_size: int, held_out: bool) -> Iterator[Batch]:
    """The first steps of episodes, up to the question.

    The last row is the first observation in which the cue is of use: for the match family the first frame
    of the choice, delay + 1 steps after the last frame that can show the colour, with no pad in view; for
    the others the last decision, `delay` steps after the cue. So the card's span lies between cue and
    question, and the question shows nothing of the cue. A random walker in active-match does not
    always see the colour (61 % of episodes): 0.74 is the best that can be had there.

    Args:
        env: id of a native task with a cue.
        delay: option `delay` of the match family, `length` of the others.
        seed: the run's.
        batch_size: B.
        held_out: from other environments and actions than the rest.

    Yields:
        Observations [question_step + 1, B, ...] and the cues [1, B].
    """
    chosen = stream_seed(seed, "evaluation" if held_out else "environments")
    envs = make_envs(env, delay, batch_size, chosen)
    generator = np.random.default_rng([chosen, 1])
    num_actions = int(envs.single_action_space.n)  # type: ignore[attr-defined]
    shape = envs.single_observation_space.shape
    assert shape is not None
    while True:
        observations = np.empty((envs.question_step + 1, batch_size, *shape), envs.observations.dtype)
        observations[0] = envs.reset()[0]
        cues = envs.cue()
        actions = generator.integers(num_actions, size=(envs.question_step, batch_size))
        for row, chosen_actions in zip(observations[1:], actions, strict=True):
            row[...] = envs.step(chosen_actions)[0]
        yield Batch(torch.from_numpy(observations), torch.from_numpy(cues[None]))
