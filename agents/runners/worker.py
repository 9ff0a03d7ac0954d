"""What runs in an actor's process: fill the columns one is given, batch by batch, and show signs of life."""

import faulthandler
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv, VectorWrapper

from agents.actor import Actor
from agents.network import Network
from agents.runners.arena import Arena, NamelessFile
from agents.runners.slots import Slots
from agents.runners.weights import PublishedWeights
from agents.signals import signal_with_parent
from envs.gym_workers import live_with_parent

STACK_SIGNAL = signal.SIGUSR1
"""Asks an actor to write down where all of its threads are."""

OUTSIDE, IN_RESET, IN_STEP = range(3)
"""Where an actor is: in its own code, or in that of its environments."""

MAX_TEXT = 4000
"""Characters of an error that are told: a message this short is written whole or not at all."""


@dataclass(frozen=True)
class Recipe:
    """How an actor is built where it runs; all of it must survive the way to another process."""

    make_envs: Callable[[int, int, int], VectorEnv]
    """Number of environments, seed and index of the first one -> vector environment."""
    make_network: Callable[[spaces.Space, int], Network]
    """Observation space and number of actions -> network."""
    reward_scale: float
    context_length: int = 0


@dataclass(frozen=True)
class Job:
    """One actor's place in the whole."""

    recipe: Recipe
    index: int
    first_env: int
    """Number of the runner's first environment in the whole run."""
    env_seed: int
    action_seed: int
    slots: Slots
    weights: PublishedWeights
    board: Arena
    stack: NamelessFile
    """Where the actor writes its stack when it is asked."""


def make_board(num_actors: int) -> Arena:
    """What the actors show while they work, an entry each; and "leave", which asks all of them to end."""
    counts, seconds = ((num_actors,), np.dtype(np.int64)), ((num_actors,), np.dtype(np.float64))
    return Arena(
        {
            "beats": counts,  # entered or left a call of the environments
            "beat_at": seconds,  # when that was last, by the process's own clock
            "where": counts,
            "begun": counts,  # episodes
            "env_s": seconds,  # spent in environments
            "unroll_s": seconds,  # spent in unrolls, environments included
            "leave": ((1,), np.dtype(np.int64)),
        }
    )


class LeaveError(Exception):
    """The parent wants the actor to end."""


class Watched(VectorWrapper[Any, Any, Any, Any, Any]):
    """Environments whose calls are shown on the board."""

    def __init__(self, envs: VectorEnv, board: Arena, index: int):
        super().__init__(envs)
        self._beats, self._where, self._begun = (board[name] for name in ("beats", "where", "begun"))
        self._beat_at = board["beat_at"]
        self._leave, self._index = board["leave"], index
        self._ended = np.zeros(envs.num_envs, bool)

    def _show(self, where: int) -> None:
        self._beats[self._index] += 1
        self._beat_at[self._index] = time.monotonic()
        self._where[self._index] = where

    def reset(self, **kwargs: Any) -> Any:
        """Begins episodes everywhere."""
        self._show(IN_RESET)
        results = self.env.reset(**kwargs)
        self._show(OUTSIDE)
        self._begun[self._index] += self.num_envs
        return results

    def step(self, actions: Any) -> Any:
        """Steps, unless the parent wants the actor to end."""
        if self._leave[0]:
            raise LeaveError
        self._show(IN_STEP)
        results = self.env.step(actions)
        self._show(OUTSIDE)
        self._begun[self._index] += np.count_nonzero(self._ended)
        self._ended = results[2] | results[3]
        return results


def work(job: Job, pipe: Connection) -> None:
    """Acts until the parent closes the pipe.

    A number that comes through the pipe allows to fill one's part of the batch of that number; it goes back,
    with the number of episodes in it, when that is done. An error goes back as text.

    Args:
        job: the actor's place.
        pipe: to the parent.
    """
    live_or_die_with_parent()
    faulthandler.register(STACK_SIGNAL, file=job.stack.fd, all_threads=True)
    torch.set_num_threads(1)
    envs: VectorEnv | None = None
    try:
        columns = job.slots.columns[job.index]
        made = job.recipe.make_envs(columns.stop - columns.start, job.env_seed, job.first_env + columns.start)
        envs = Watched(made, job.board, job.index)
        num_actions = int(envs.single_action_space.n)  # type: ignore[attr-defined]
        network = job.recipe.make_network(envs.single_observation_space, num_actions)
        actor = Actor(
            envs,
            network,
            seed=job.action_seed,
            reward_scale=job.recipe.reward_scale,
            context_length=job.recipe.context_length,
        )
        fill(job, actor, pipe)
    except (LeaveError, EOFError, ConnectionError):
        pass  # the parent knows why
    except Exception as error:
        reason = " ".join(str(error).split())[:MAX_TEXT]
        pipe.send(("failed", f"{type(error).__name__}: {reason}", traceback.format_exc()[-MAX_TEXT:]))
        sys.exit(1)
    finally:
        if envs is not None:
            envs.close()


def fill(job: Job, actor: Actor, pipe: Connection) -> None:
    """Fills one batch's part after the other.

    Raises:
        EOFError: the parent has closed the pipe.
    """
    weights, board, index = actor.network.state_dict(), job.board, job.index
    while True:
        number = pipe.recv()
        start, env_s = time.perf_counter(), actor.env_s
        actor.version = job.weights.read(weights)
        unroll = actor.unroll(job.slots.part(number, index))
        job.slots.finish(number, index, unroll)
        board["env_s"][index] += actor.env_s - env_s
        board["unroll_s"][index] += time.perf_counter() - start
        pipe.send(("handed", number, len(unroll.episodes.returns)))


def live_or_die_with_parent() -> None:
    """Leaves the user's signals to the parent, and ends when that is gone, whatever this process does then.

    The thread of `live_with_parent` can do nothing in a stopped process, or while foreign code holds the
    interpreter; Linux can.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    live_with_parent()
    if sys.platform == "linux":
        signal_with_parent(signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # also of whatever the environments start
