"""The synchronous runner: one actor in this process, bit-reproducible; the reference for all others."""

import copy
from typing import Any

import torch
from gymnasium.vector import VectorEnv, VectorWrapper
from torch import Tensor

from agents.actor import Actor
from agents.console import say
from agents.halves import HalvedActor
from agents.network import Network
from agents.runners import Stopped
from agents.trajectory import Trajectory
from envs.threads import Shares


class Leaving(VectorWrapper[Any, Any, Any, Any, Any]):
    """Environments that nobody steps any more."""

    def step(self, actions: Any) -> Any:
        """Gives up the unroll."""
        raise Stopped


class LocalRunner:
    """Acts when asked to, with the weights published last, so the data is on-policy."""

    anew = "the environments can't tell their state"

    def __init__(
        self,
        envs: VectorEnv | Shares,
        network: Network,
        *,
        unroll_length: int,
        seed: int,
        reward_scale: float,
        context_length: int = 0,
    ):
        """Builds the actor on a copy of the network; arguments as of `Actor`, for shares of `HalvedActor`."""
        kwargs: Any = {"seed": seed, "reward_scale": reward_scale, "context_length": context_length}
        own = copy.deepcopy(network)
        self.actor: Actor | HalvedActor
        if isinstance(envs, Shares):
            self.actor = HalvedActor(envs, own, tell=say, **kwargs)
        else:
            self.actor = Actor(envs, own, **kwargs)
        # Two, in turn: a GPU may still be busy with one when the next begins.
        self._buffers = [self.actor.allocate(unroll_length) for _ in range(2)]
        self._env_s = 0.0

    def next(self) -> Trajectory:
        """The next unroll, in buffers that the call after the next overwrites."""
        self._buffers.reverse()
        return self.actor.unroll(self._buffers[0])

    @torch.no_grad()
    def publish(self, weights: dict[str, Tensor], version: int) -> None:
        """Acts with these weights (a network's state_dict) from the next unroll on."""
        own = self.actor.network.state_dict()
        torch._foreach_copy_(list(own.values()), [weights[name] for name in own])
        self.actor.version = version

    def stop(self) -> None:
        """Makes `next` raise `Stopped` where environments keep no state; else the unroll is made to its end.

        A half unroll would spoil the resumption of those that keep theirs; and they are quick.
        """
        if getattr(self.actor.envs, "has_state", False):
            return
        if isinstance(self.actor, HalvedActor):
            self.actor.envs.wrap(Leaving)
        else:
            self.actor.envs = Leaving(self.actor.envs)

    def figures(self, elapsed_s: float, next_share: float) -> dict[str, float]:
        """Where the time of acting went: the environments' part is what the user's task costs."""
        envs = (self.actor.env_s - self._env_s) / elapsed_s
        self._env_s = self.actor.env_s
        return {"speed/share_envs": envs, "speed/share_acting": next_share - envs}

    def close(self) -> None:
        """Releases the environments."""
        self.actor.envs.close()

    def state_dict(self) -> dict[str, Any]:
        """Everything the next unroll depends on but the weights."""
        return self.actor.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Goes on from a state; False if the environments had to start new episodes."""
        return self.actor.load_state_dict(state)
