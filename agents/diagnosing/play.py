"""Fresh episodes of a trained agent, one in each environment, and what its core read in them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.actor import Actor, make_envs
from agents.config import Config, stream_seed
from agents.network import Network
from envs import NativeVectorEnv


@dataclass(frozen=True)
class Plan:
    """Which episodes are played: the same ones each time, as long as the agent acts alike."""

    episodes: int
    """N: how many."""
    seed: int
    """Of environments and actions, which differ from training's at every seed."""
    max_actions: int
    """Longer episodes are cut off, and count as failures."""


class Outcome(NamedTuple):
    """How N episodes went."""

    successes: np.ndarray
    """[N]: 0 … 1; NaN where the task does not say, 0 where an episode was cut off (NaN where all were)."""
    returns: np.ndarray
    """[N]: sum of rewards, unscaled."""
    lengths: np.ndarray
    """[N] int64: actions."""


@dataclass
class Tape:
    """What the core read, row by row; rows after an episode's end hold others, which nobody looks at."""

    inputs: list[Tensor] = field(default_factory=list)
    """[T] of [N, I]: encoded observation, last action and reward."""
    actions: list[Tensor] = field(default_factory=list)
    """[T] of [N] int64."""
    cues: list[np.ndarray] = field(default_factory=list)
    """[T] of [N] int64: what is to be remembered; empty in tasks that don't tell it."""
    shown: list[np.ndarray] = field(default_factory=list)
    """[T] of [N] bool: the row shows the cue; empty likewise."""


def play(
    config: Config,
    network: Network,
    plan: Plan,
    *,
    clear_at: int | None = None,
    tape: Tape | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Outcome:
    """Plays the first episode of N environments, with actions drawn as in training.

    Args:
        config: the run's.
        network: the policy, on the device to act on.
        plan: which episodes.
        clear_at: the core state is replaced by the initial one before this action of the episodes, counted
            from 0; None: never.
        tape: takes what the core reads.
        tick: called after every step of all environments.
    """
    stream = stream_seed(plan.seed, "evaluation")
    envs = make_envs(config, plan.episodes, stream)
    try:
        actor = Actor(envs, network, seed=stream + 1, reward_scale=config.reward_scale)
        return _play(actor, plan, clear_at, tape, tick)
    finally:
        envs.close()


def _play(
    actor: Actor, plan: Plan, clear_at: int | None, tape: Tape | None, tick: Callable[[], None]
) -> Outcome:
    buffers = actor.allocate(1)
    lengths = np.zeros(plan.episodes, np.int64)  # 0: not yet at its end
    successes, returns = np.zeros((2, plan.episodes))
    paid = np.zeros(plan.episodes)
    for step in range(plan.max_actions):
        if step == clear_at:
            actor.forget()
        if tape is not None:
            _write_cues(tape, actor)
        unroll = actor.unroll(buffers)
        if tape is not None:
            with torch.no_grad():
                row = unroll.inputs.row(0).to(actor.device)
                tape.inputs.append(actor.network.core_inputs(row))
            tape.actions.append(unroll.actions[0].clone())
        paid += unroll.rewards[0].numpy() / actor.reward_scale
        ended = unroll.episodes
        first = lengths[ended.envs] == 0
        index = ended.envs[first]
        lengths[index] = ended.lengths[first]
        successes[index], returns[index] = ended.successes[first], ended.returns[first]
        tick()
        if lengths.all():
            break
    cut = lengths == 0
    lengths[cut], returns[cut] = plan.max_actions, paid[cut]
    if np.isnan(successes[~cut]).all():  # none of them told, or none ended
        successes[cut] = np.nan
    return Outcome(successes, returns, lengths)


def _write_cues(tape: Tape, actor: Actor) -> None:
    envs = actor.envs
    if isinstance(envs, NativeVectorEnv) and envs.num_cues:
        tape.cues.append(envs.cue())
        tape.shown.append(envs.shows_cue())
