"""The synchronous runner: one actor in this process, bit-reproducible; the reference for all others."""

from collections.abc import Callable
from typing import Any

import torch
from gymnasium.vector import VectorEnv, VectorWrapper
from torch import Tensor

from agents.actor import Actor
from agents.config import generation_seed
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

    def __init__(
        self,
        make_envs: Callable[[int], VectorEnv | Shares],
        network_of: Callable[[VectorEnv | Shares], Network],
        *,
        unroll_length: int,
        seed: int,
        first_env: int = 0,
        reward_scale: float,
        context_length: int = 0,
    ):
        """Builds environments and an actor in them.

        Args:
            make_envs: generation -> environments with seeds of its own (`generation_seed`); shares for an
                actor in halves.
            network_of: environments -> a network of their shapes, which will be this runner's own.
            unroll_length: T.
            seed: of the sampling of actions.
            first_env: index of the first environment in the whole run.
            reward_scale: as of `Actor`.
            context_length: as of `Actor`.
        """
        self.anew = ""
        self._make_envs, self._network_of, self._unroll_length = make_envs, network_of, unroll_length
        self._seed, self._first_env = seed, first_env
        self._how: Any = {"reward_scale": reward_scale, "context_length": context_length}
        self._begin(0)

    def _begin(self, generation: int) -> None:
        """Begins with new episodes, which no other generation plays."""
        self._generation = generation
        envs = self._make_envs(generation)
        network, seed = self._network_of(envs), generation_seed(self._seed, generation, self._first_env)
        self.actor: Actor | HalvedActor
        if isinstance(envs, Shares):
            self.actor = HalvedActor(envs, network, seed=seed, tell=say, **self._how)
        else:
            self.actor = Actor(envs, network, seed=seed, **self._how)
        # Two, in turn: a GPU may still be busy with one when the next begins.
        self._buffers = [self.actor.allocate(self._unroll_length) for _ in range(2)]
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
        return {**self.actor.state_dict(), "generation": self._generation}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Goes on from a state; False if the environments had to start new episodes: see `anew`."""
        self._generation = int(state.get("generation", 0))
        if self.actor.load_state_dict(state):
            return True
        self.anew = "the environments can't tell their state"
        if "generator" not in state:
            self.anew = "the checkpoint is of actors that keep no state"
        self.actor.envs.close()
        self._begin(self._generation + 1)
        return False
