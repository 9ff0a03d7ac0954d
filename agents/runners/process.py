"""The asynchronous runner: actors in processes of their own, for environments that are slow to step.

A batch holds one unroll of every actor, at fixed columns. First come, first served would never wait for the
slowest actor; but it would train more on the environments, and the moments, that are quick to step, and would
have to copy the unrolls together. Here column b is environment b in every batch, actors write where the
learner reads, and an actor may be ahead of the others by as many unrolls as there are slots.

Actors take the newest weights at the start of an unroll. Of K slots the learner holds one while the others
are being filled: an unroll begins only when the batch K before it was learnt from, so its weights are at most
K - 1 updates old when its turn comes. With one slot the data is on-policy and a run reproducible: nobody acts
while the learner learns. With more it is not: which weights act is a matter of timing.
"""

import dataclasses
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from torch import Tensor

from agents.actor import is_native, make_envs
from agents.config import Config, generation_seed, stream_seed
from agents.console import say
from agents.distributed import Group
from agents.machine import num_cores
from agents.network import Network, make_network
from agents.runners import Stopped
from agents.runners.arena import NamelessFile
from agents.runners.failures import Limits, actor_name
from agents.runners.slots import allocate_slots, split_columns
from agents.runners.supervision import ActorProcesses
from agents.runners.weights import PublishedWeights
from agents.runners.worker import Job, Recipe, make_board
from agents.trajectory import Trajectory

POLL_S = 0.2
"""How often somebody who waits looks whether an actor hangs, or whether to stop."""


class ProcessRunner:
    """Actors in processes, which start with the first `next`."""

    anew = "actors in processes of their own keep no state"

    def __init__(
        self,
        recipe: Recipe,
        network: Network,
        space: spaces.Space,
        *,
        task: str,
        num_envs: int,
        first_env: int = 0,
        num_actors: int,
        unroll_length: int,
        max_policy_lag: int,
        env_seed: int,
        action_seed: int,
        limits: Limits,
        tell: Callable[[str], None] = say,
    ):
        """Lays out what the processes will share.

        Args:
            recipe: how an actor builds its part.
            network: the learner's: its weights are the first to act.
            space: observation space of one environment.
            task: name of the environments.
            num_envs: of all actors together, B.
            first_env: index of the first one in the whole run.
            num_actors: processes.
            unroll_length: T.
            max_policy_lag: updates between the weights that act and those that learn, at most.
            env_seed: of the environments: with it, environment i does what it would in one process.
            action_seed: of the sampling of actions.
            limits: what is too long and what is too often.
            tell: is given lines for the user.
        """
        self._recipe, self._task, self._limits, self._tell = recipe, task, limits, tell
        self._first_env = first_env
        self._env_seed, self._action_seed = env_seed, action_seed
        self._weights = PublishedWeights(network.state_dict())
        self._slots = allocate_slots(
            space,
            network.num_actions,
            network.initial_state(num_envs),
            unroll_length=unroll_length,
            context_length=recipe.context_length,
            num_slots=max_policy_lag + 1,
            columns=split_columns(num_envs, num_actors),
        )
        self._board = make_board(num_actors)
        self._seconds = self._sum_seconds()
        self._crew: ActorProcesses | None = None
        self._generation = 0  # of the actors that are to start
        self._number = -1  # of the batch that the learner holds
        self._stopping = False

    def next(self) -> Trajectory:
        """The next batch, in place: the call after this one hands its buffers back to the actors.

        Raises:
            Stopped: `stop` was called.
            ActorFailure: actors failed too often.
        """
        if self._crew is None:
            self._crew = self._start()
        elif self._number >= 0:
            self._crew.grant()
        crew = self._crew
        self._number += 1
        crew.watch(0.0)  # also where the batch waits already: somebody may hang
        while min(crew.num_handed) <= self._number:
            if self._stopping:
                self._number -= 1
                raise Stopped
            crew.watch(POLL_S)
        return self._slots.batch(self._number)

    def _start(self) -> ActorProcesses:
        names = [partial(self._name, index) for index in range(len(self._slots.columns))]
        crew = ActorProcesses(
            self._make_job,
            self._board,
            self._limits,
            names=names,
            generation=self._generation,
            tell=self._tell,
        )
        for _ in range(self._slots.num_slots):
            crew.grant()
        return crew

    def _name(self, index: int, generation: int) -> str:
        columns, first = self._slots.columns[index], self._first_env
        envs = slice(first + columns.start, first + columns.stop)
        return actor_name(index, self._task, envs, generation_seed(self._env_seed, generation))

    def _make_job(self, index: int, generation: int, stack: NamelessFile) -> Job:
        return Job(
            recipe=self._recipe,
            index=index,
            first_env=self._first_env,
            env_seed=generation_seed(self._env_seed, generation),
            action_seed=generation_seed(self._action_seed, generation, self._first_env + index),
            slots=self._slots,
            weights=self._weights,
            board=self._board,
            stack=stack,
        )

    def publish(self, weights: dict[str, Tensor], version: int) -> None:
        """Acts with these weights (a network's state_dict) from each actor's next unroll on."""
        self._weights.publish(weights, version)

    def stop(self) -> None:
        """Makes a `next` that waits, or would have to, raise `Stopped`."""
        self._stopping = True

    def _sum_seconds(self) -> np.ndarray:
        """Seconds of all actors so far: in environments, and in unrolls as a whole."""
        return np.array([self._board["env_s"].sum(), self._board["unroll_s"].sum()])

    def figures(self, elapsed_s: float, next_share: float) -> dict[str, float]:
        """How long the learner waited, what the actors did meanwhile, and what became of them so far."""
        seconds = self._sum_seconds()
        envs, unrolls = (seconds - self._seconds) / (elapsed_s * len(self._slots.columns))
        self._seconds = seconds
        return {
            "speed/share_waiting": next_share,
            "speed/share_actors_envs": envs,
            "speed/share_actors_acting": unrolls - envs,
            "actors/replaced": self._crew.num_replaced if self._crew else 0,
            "actors/dropped_episodes": self._crew.num_dropped if self._crew else 0,
        }

    def close(self) -> None:
        """Ends the processes."""
        if self._crew is not None:
            self._crew.close()
        self._crew, self._stopping = None, True

    def state_dict(self) -> dict[str, Any]:
        """How often actors began anew, so that a resumed run does not play the same episodes again."""
        generations = self._crew.generations if self._crew else [self._generation - 1]
        return {"generation": max(generations)}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Takes over from a state, which may be another runner's; False: episodes start anew."""
        self._generation = int(state.get("generation", 0)) + 1
        return False


def resolve_runner(config: Config) -> str:
    """The kind of a run's runner: what the user said, or what pays."""
    if config.runner != "auto":
        return config.runner
    return "local" if is_native(config) or num_cores() == 1 else "process"


def resolve_num_actors(config: Config, num_envs: int, group: Group) -> int:
    """Actors of each rank, with that many environments: what the user said, or one for each core but one."""
    cores = num_cores() // group.local_size  # of which one learns
    return config.num_actors or max(1, min(num_envs, cores - 1))


def make_process_runner(
    config: Config, network: Network, space: spaces.Space, unroll_length: int, group: Group, envs: slice
) -> ProcessRunner:
    """The runner of a run's configuration.

    Args:
        config: the run's.
        network: the learner's.
        space: observation space of one environment.
        unroll_length: T.
        group: each of whose ranks has actors of its own.
        envs: this rank's.

    Raises:
        ValueError: one line; more actors than environments.
    """
    num_envs = envs.stop - envs.start
    num_actors = resolve_num_actors(config, num_envs, group)
    if num_actors > num_envs:
        needed = f"{num_actors} on each of {group.size} ranks" if group.size > 1 else f"{num_actors}"
        raise ValueError(f"--num-actors {needed} needs as many --num-envs, got {config.num_envs}")
    if config.env_options.get("processes") is True:
        raise ValueError("--env-opt processes=true is for --runner local: actors have processes already")
    return ProcessRunner(
        recipe_of(config),
        network,
        space,
        task=config.env,
        num_envs=num_envs,
        first_env=envs.start,
        num_actors=num_actors,
        unroll_length=unroll_length,
        max_policy_lag=config.max_policy_lag,
        env_seed=stream_seed(config.seed, "environments"),
        action_seed=stream_seed(config.seed, "actions"),
        limits=Limits(config.actor_deadline_s, config.max_actor_failures),
        tell=say if group.leads else partial(print, file=sys.stderr),
    )


def recipe_of(config: Config) -> Recipe:
    """How the actors of a run are built, wherever they live."""
    return Recipe(
        partial(make_actor_envs, config),
        partial(make_network, config),
        config.reward_scale,
        config.context_length,
    )


def make_actor_envs(config: Config, num_envs: int, seed: int, first_index: int) -> VectorEnv:
    """The environments of one actor, all stepped in its own process."""
    if not is_native(config) and "processes" not in config.env_options:
        config = dataclasses.replace(config, env_opt=(*config.env_opt, "processes=false"))
    return make_envs(config, num_envs, seed, first_index=first_index)
