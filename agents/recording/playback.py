"""Plays an episode with a trained agent and writes down what it saw, thought and did."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from torch import Tensor

from agents.actor import Actor
from envs import NativeVectorEnv
from envs.scene import Scene, observation_scene

SHOWN_GATES = ("forget", "input")
"""Gates worth a curve: the factors of what is remembered and of what is written."""

Picture = Scene | np.ndarray
"""What is to be drawn: a scene, or an image [H, W, 3] uint8."""


@dataclass(frozen=True)
class Moment:
    """One decision of an episode; or its end, which keeps the last decision's thoughts."""

    world: Picture
    """The environment as a viewer sees it."""
    view: Picture
    """What the agent sees."""
    caption: str
    """What else a viewer should know."""
    probabilities: np.ndarray
    """[A]: the policy."""
    value: float
    """The baseline, in scaled reward."""
    gates: dict[str, tuple[float, float, float]]
    """By name: the mean over the core's units, their 10 % and their 90 % quantile."""
    reward: float
    """What the action before this moment paid, unscaled; 0 at the start."""
    action: int | None
    """What the agent does; None at the end."""


@dataclass
class Episode:
    """The moments of an episode; the last is its end, at which nothing is done."""

    moments: list[Moment] = field(default_factory=list)
    success: float = float("nan")
    """0 … 1; NaN where the task does not say."""
    ended: bool = False
    """False: cut off by the limit of the film."""

    @property
    def num_actions(self) -> int:
        """How many actions were taken."""
        return len(self.moments) - 1

    @property
    def total(self) -> float:
        """The return: the sum of rewards, unscaled."""
        return sum(moment.reward for moment in self.moments)


def play_episode(actor: Actor, max_actions: int) -> Episode:
    """Plays on until an episode ends.

    Args:
        actor: one environment, at an episode's first row.
        max_actions: the episode is cut off after so many.
    """
    assert actor.envs.num_envs == 1
    episode, reward = Episode(), 0.0
    buffers = actor.allocate(1)
    for _ in range(max_actions):
        looked = look(actor, reward)
        unroll = actor.unroll(buffers)
        episode.moments.append(Moment(**looked, action=int(unroll.actions[0, 0])))
        reward = float(unroll.rewards[0, 0]) / actor.reward_scale
        if len(unroll.episodes.returns):
            episode.ended = True
            episode.success = float(unroll.episodes.successes[0])
            break
    world, view, caption = pictures(actor.envs, actor.observations[0])
    end = replace(episode.moments[-1], world=world, view=view, caption=caption, reward=reward, action=None)
    episode.moments.append(end)
    return episode


def look(actor: Actor, reward: float) -> dict[str, Any]:
    """What there is to write down of the moment an actor stands in, by the names of Moment's fields."""
    output, gates = actor.look()
    world, view, caption = pictures(actor.envs, actor.observations[0])
    return {
        "world": world,
        "view": view,
        "caption": caption,
        "probabilities": output.logits[0, 0].softmax(-1).cpu().numpy(),
        "value": float(output.values[0, 0]),
        "gates": {name: spread(gates[name]) for name in SHOWN_GATES if name in gates},
        "reward": reward,
    }


def spread(gate: Tensor) -> tuple[float, float, float]:
    """Mean, 10 % and 90 % quantile of a gate's units, [1, 1, H]."""
    units = gate.float().flatten().cpu().numpy()
    low, high = np.quantile(units, (0.1, 0.9))
    return float(units.mean()), float(low), float(high)


def pictures(envs: Any, observation: np.ndarray) -> tuple[Picture, Picture, str]:
    """The world, the agent's view and the caption of environment 0."""
    space = envs.single_observation_space
    view: Picture
    if isinstance(space, Box) and len(space.shape) == 3 and space.shape[-1] in (1, 3):
        view = np.broadcast_to(observation, (*observation.shape[:2], 3)).copy()  # grey ones too
    elif isinstance(envs, NativeVectorEnv):
        view = envs.view(0)
    else:
        view = observation_scene(
            observation, space, envs.palette, egocentric=envs.egocentric, names=envs.entry_names
        )
    if isinstance(envs, NativeVectorEnv):
        scene = envs.scene(0)
        return scene, view, scene.caption
    mission = getattr(envs.envs[0].unwrapped, "mission", "")
    return np.asarray(envs.render()[0]), view, mission if isinstance(mission, str) else ""
