"""What runs on a machine of a cluster: an actor that makes an unroll whenever it is asked to."""

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.actor import Actor
from agents.network import Network
from agents.runners.worker import MAX_TEXT, LeaveError, Recipe, Watched, make_board
from agents.trajectory import Episodes, Trajectory

BESIDE = "beside"
"""Ray's concurrency group for what is asked during an unroll."""


@dataclass(frozen=True)
class RemoteJob:
    """One actor's place in the whole."""

    recipe: Recipe
    columns: slice
    """Its environments, of those of all actors."""
    env_seed: int
    action_seed: int
    unroll_length: int


class Unroll(NamedTuple):
    """An unroll on its way: arrays, which the other end reads where they lie."""

    arrays: dict[str, np.ndarray]
    """Those of `Trajectory.by_name`."""
    core_state: tuple[np.ndarray, ...]
    version: int
    episodes: Episodes
    num_steps: int
    num_begun: int
    """Episodes that the actor has begun so far."""
    env_s: float
    """Seconds of this unroll in environments."""
    unroll_s: float
    """Seconds of this unroll."""


class Failed(NamedTuple):
    """What an actor says when its environments, or it itself, raised an error."""

    reason: str
    trace: str
    num_begun: int


class Place(NamedTuple):
    """Where an actor runs."""

    address: str
    """Of the machine."""
    node: str
    """Ray's name for it."""


class Sign(NamedTuple):
    """What an actor shows while it makes an unroll."""

    beats: int
    """Calls of its environments, begun or ended."""
    silent_s: float
    """Seconds since the last of them."""
    where: int
    """OUTSIDE, IN_RESET or IN_STEP."""
    num_begun: int
    """Episodes so far."""
    stack: str
    """Of the thread that acts, innermost call last."""
    place: str
    """The innermost line of it."""


def beside_unrolls(method: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a method that answers while an unroll is being made, as `ray.method` would if Ray were imported.

    Importing it takes half a second, and it need not be there.
    """
    vars(method)["__ray_concurrency_group__"] = BESIDE
    return method


class RemoteActor:
    """An `Actor` that Ray starts, with a second thread for what is asked of it during an unroll."""

    def __init__(self, job: RemoteJob):
        """Builds nothing yet: what goes wrong then is told by the first unroll."""
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # also of whatever the environments start
        self._job, self._board = job, make_board(1)
        self._actor: Actor | None = None
        self._thread = 0
        self._turn = threading.Lock()  # held while the environments are in use

    def _build(self) -> Actor:
        torch.set_num_threads(1)
        recipe, columns = self._job.recipe, self._job.columns
        made = recipe.make_envs(columns.stop - columns.start, self._job.env_seed, columns.start)
        envs = Watched(made, self._board, 0)
        num_actions = int(envs.single_action_space.n)  # type: ignore[attr-defined]
        network = recipe.make_network(envs.single_observation_space, num_actions)
        return Actor(
            envs,
            network,
            seed=self._job.action_seed,
            reward_scale=recipe.reward_scale,
            context_length=recipe.context_length,
        )

    def unroll(self, weights: Mapping[str, np.ndarray], version: int) -> Unroll | Failed | None:
        """The next unroll, by these weights; None if the actor is to leave."""
        self._thread = threading.get_ident()
        self._board["beat_at"][0] = time.monotonic()
        try:
            with self._turn:
                if self._actor is None:
                    self._actor = self._build()
                    self._buffers = self._actor.allocate(self._job.unroll_length)
                actor, start, env_s = self._actor, time.perf_counter(), self._actor.env_s
                take(actor.network, weights)
                actor.version = version
                made = actor.unroll(self._buffers)
        except LeaveError:
            return None
        except Exception as error:
            reason = " ".join(str(error).split())[:MAX_TEXT]
            return Failed(
                f"{type(error).__name__}: {reason}", traceback.format_exc()[-MAX_TEXT:], self._num_begun()
            )
        return pack(made, self._num_begun(), actor.env_s - env_s, time.perf_counter() - start)

    def _num_begun(self) -> int:
        return int(self._board["begun"][0])

    @beside_unrolls
    def whereabouts(self) -> Place:
        """Where it runs."""
        import ray

        return Place(ray.util.get_node_ip_address(), ray.get_runtime_context().get_node_id())

    @beside_unrolls
    def look(self) -> Sign:
        """What it is doing."""
        frame = sys._current_frames().get(self._thread)
        stack = traceback.extract_stack(frame) if frame is not None else []
        last = stack[-1] if stack else None
        board = self._board
        return Sign(
            beats=int(board["beats"][0]),
            silent_s=time.monotonic() - float(board["beat_at"][0]),
            where=int(board["where"][0]),
            num_begun=self._num_begun(),
            stack="".join(traceback.format_list(stack))[-MAX_TEXT:],
            place=f"at {last.filename}:{last.lineno} in {last.name}" if last else "it gives no stack",
        )

    @beside_unrolls
    def leave(self) -> None:
        """Ends the unroll at the next step, and closes the environments."""
        self._board["leave"][0] = 1
        with self._turn:
            if self._actor is not None:
                self._actor.envs.close()
                self._actor = None


@torch.no_grad()
def take(network: Network, weights: Mapping[str, np.ndarray]) -> None:
    """Copies weights as `give` made them into a network on the CPU."""
    own = network.state_dict()
    # By torch, which then knows that they have changed; through a copy, as what Ray hands out is read-only.
    torch._foreach_copy_(list(own.values()), [torch.tensor(weights[name]) for name in own])


@torch.no_grad()
def give(weights: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Weights (a network's state_dict), wherever they lie, as arrays."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in weights.items()}


def pack(made: Trajectory, num_begun: int, env_s: float, unroll_s: float) -> Unroll:
    """An unroll for the way to the learner, which copies it before the actor's buffers are filled again."""
    return Unroll(
        arrays={name: tensor.numpy() for name, tensor in made.by_name().items()},
        core_state=tuple(tensor.numpy() for tensor in made.core_state),
        version=made.version,
        episodes=made.episodes,
        num_steps=made.num_steps,
        num_begun=num_begun,
        env_s=env_s,
        unroll_s=unroll_s,
    )


def unpack(unroll: Unroll, out: Trajectory) -> Trajectory:
    """Writes an unroll that has come into a part of a batch; returns it."""
    for name, tensor in out.by_name().items():
        np.copyto(tensor.numpy(), unroll.arrays[name])
    out.core_state = tuple(torch.tensor(array) for array in unroll.core_state)
    out.version, out.episodes, out.num_steps = unroll.version, unroll.episodes, unroll.num_steps
    return out
