"""The actor: the only place where environment and policy meet."""

import hashlib
import time
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from agents.acting import make_acting
from agents.config import Config
from agents.network import Network, NetworkOutput
from agents.trajectory import Episodes, Inputs, Trajectory, numbered, unnumbered
from envs import TaskCard, find_task, make_vector_env, task_card


def is_native(config: Config) -> bool:
    """Whether a run's environments are Longhold's own compiled ones."""
    return config.env_backend == "auto" and find_task(config.env) is not None


def make_envs(config: Config, num_envs: int, seed: int, *, first_index: int = 0) -> VectorEnv:
    """The vector environment of a run, in the form that an actor steps.

    Args:
        config: the run's.
        num_envs: number of environments.
        seed: environment i depends on (seed, first_index + i) alone.
        first_index: index of the first one in the whole run.

    Raises:
        ValueError: one line; no such task, or an option it does not take.
    """
    return make_vector_env(
        config.env,
        num_envs,
        seed=seed,
        first_index=first_index,
        backend=config.env_backend,
        copy=False,
        **config.env_options,
    )


def card_of(config: Config) -> TaskCard | None:
    """The card of a run's task, None where nobody wrote one.

    Raises:
        ValueError: as `make_envs`.
    """
    return task_card(config.env, backend=config.env_backend, **config.env_options)


class Actor:
    """Runs a policy in a vector environment and writes down what happens, unroll by unroll.

    Between unrolls it keeps the row it stands on (row T of the last unroll, row 0 of the next) and the W rows
    before it, the core states before that row and before the first of all these, and which environments will
    only reset at the next step.
    """

    def __init__(
        self,
        envs: VectorEnv,
        network: Network,
        *,
        seed: int,
        reward_scale: float = 1.0,
        greedy: bool = False,
        context_length: int = 0,
    ):
        """Resets the environments.

        Args:
            envs: vector environment with NEXT_STEP autoreset that reports ended episodes in its infos.
            network: the behaviour policy, on the device where acting is to run.
            seed: of the sampling of actions.
            reward_scale: what every reward is multiplied by in the unroll; episode returns are not.
            greedy: take the likeliest action in place of drawing one.
            context_length: W, rows that precede an unroll (`agents.trajectory`); at most its length.
        """
        self.envs, self.network, self.reward_scale = envs, network, reward_scale
        self.greedy, self.context_length = greedy, context_length
        self.device = next(network.parameters()).device
        self.version = 0
        self.env_s = 0.0  # seconds spent in environments so far
        self.generator = torch.Generator(self.device).manual_seed(seed)
        B = envs.num_envs
        observations, _ = envs.reset()
        R = context_length + 1  # before the first row there was none: it stands for those before it
        self._rows = Inputs(
            torch.from_numpy(np.repeat(np.asarray(observations)[None], R, 0)),
            torch.ones(R, B, dtype=torch.bool),
            torch.zeros(R, B, dtype=torch.int64),
            torch.zeros(R, B),
        )
        self._acting = make_acting(network, B)
        self._context_state = self._acting.core_state
        self._ended = np.zeros(B, bool)  # by the last step: the next one only resets

    def allocate(self, unroll_length: int) -> Trajectory:
        """Buffers for an unroll of this actor.

        Raises:
            ValueError: it would be shorter than its context.
        """
        space = self.envs.single_observation_space
        return Trajectory.allocate(
            unroll_length,
            self.envs.num_envs,
            space,
            self.network.num_actions,
            pin=self.device.type == "cuda",
            context_length=self.context_length,
        )

    @torch.no_grad()
    def unroll(self, out: Trajectory) -> Trajectory:
        """Acts for T steps and writes them into out, whose buffers decide T.

        Args:
            out: what `allocate` gave; overwritten.

        Returns:
            out.
        """
        gumbel = self._draw(len(out.actions))
        with self._acting.fresh_weights():
            self._fill(out, gumbel)
        return out

    def _fill(self, out: Trajectory, gumbel: Tensor) -> None:
        inputs, W, T = out.inputs, self.context_length, len(out.actions)
        for buffer, rows in zip(inputs, self._rows, strict=True):
            buffer[: W + 1] = rows
        out.core_state = self._context_state if W else self._acting.core_state
        out.version = self.version
        observations, resets, prev_actions, prev_rewards = (field[W:].numpy() for field in inputs)
        actions, rewards = out.actions.numpy(), out.rewards.numpy()
        terminated, valid = out.terminated.numpy(), out.valid.numpy()
        decide = self._acting.decisions(out, gumbel)
        episodes = []
        for t in range(T):
            if t == T - W:
                self._context_state = self._acting.core_state
            decide(t)
            start = time.perf_counter()
            observations[t + 1], reward, terminated[t], truncated, infos = self.envs.step(actions[t])
            self.env_s += time.perf_counter() - start
            np.multiply(reward, self.reward_scale, out=rewards[t], casting="same_kind")
            reset = self._ended
            np.logical_not(reset, out=valid[t])
            resets[t + 1] = reset
            np.multiply(actions[t], valid[t], out=prev_actions[t + 1])
            prev_rewards[t + 1] = np.where(valid[t], rewards[t], 0.0)  # no product: it must survive NaN
            self._ended = terminated[t] | truncated
            if "_episode" in infos:
                episodes.append(ended_episodes(infos))
        self._rows = Inputs(*(buffer[T:].clone() for buffer in inputs))
        out.episodes = Episodes.concatenate(episodes)
        out.num_steps = int(np.count_nonzero(valid))

    @property
    def observations(self) -> np.ndarray:
        """What the agents see now, [B, ...]."""
        return self._rows.observations[-1].numpy()

    @torch.no_grad()
    def look(self) -> tuple[NetworkOutput, dict[str, Tensor]]:
        """Tells what the network says of the row it stands on, and changes nothing.

        Returns:
            The network's output for that one row, and its core's gates there, [1, B, H] by name.
        """
        row = Inputs(*(field[-1:] for field in self._rows)).to(self.device)
        state = self._acting.core_state
        gates = self.network.core.unroll_gates(self.network.core_inputs(row), state, row.resets)
        return self.network(row, state), gates

    def forget(self) -> None:
        """Puts the core of every environment back into its initial state, before the next step."""
        self._acting.core_state = self.network.initial_state(self.envs.num_envs)

    def _draw(self, num_steps: int) -> Tensor:
        """Gumbel noise for some steps, [T, B, A]; zeros if greedy."""
        shape = (num_steps, self.envs.num_envs, self.network.num_actions)
        if self.greedy:
            return torch.zeros(shape, device=self.device)
        return torch.empty(shape, device=self.device).exponential_(generator=self.generator).log_().neg_()

    def state_dict(self) -> dict[str, Any]:
        """Everything the next unroll depends on but the weights; environments only where they can tell."""
        state: dict[str, Any] = {
            "row": dict(self._rows.row(-1)._asdict()),
            "core_state": numbered(self._acting.core_state),
            "ended": self._ended,
            "generator": self.generator.get_state(),
        }
        if self.context_length:
            state["context"] = {name: field[:-1] for name, field in self._rows._asdict().items()}
            state["context_state"] = numbered(self._context_state)
        if getattr(self.envs, "has_state", False):
            state["envs"] = self.envs.state_dict()  # type: ignore[attr-defined]
        return state

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Goes on from a state; False if the environments had to start new episodes.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: it is another network's or other environments'.
        """
        if "generator" not in state:  # of a runner that keeps none
            return False
        restore_generator(self.generator, state["generator"].cpu())
        if "envs" not in state or not getattr(self.envs, "has_state", False):
            return False
        rows = {name: field.unsqueeze(0) for name, field in state["row"].items()}
        if self.context_length:
            rows = {name: torch.cat([state["context"][name], field]) for name, field in rows.items()}
        inputs = Inputs(**{name: rows[name].clone() for name in Inputs._fields})
        core_state = unnumbered(state["core_state"], self.device)
        context_state = unnumbered(state["context_state"], self.device) if self.context_length else core_state
        ended = np.asarray(state["ended"]).copy()
        own = (*self._rows, *self._acting.core_state, *self._context_state, torch.from_numpy(self._ended))
        require_alike((*inputs, *core_state, *context_state, torch.from_numpy(ended)), own)
        # Checkpoints give tensors back for arrays.
        envs = {name: np.asarray(array) for name, array in state["envs"].items()}
        self.envs.load_state_dict(envs)  # type: ignore[attr-defined]
        self._rows, self._ended = inputs, ended
        self._acting.core_state, self._context_state = core_state, context_state
        return True


GENERATOR_BYTES = {"cpu": 5056, "cuda": 16}
"""Of torch's generators, by device."""


def restore_generator(generator: torch.Generator, state: Tensor) -> None:
    """Goes on from a generator's state; that of another device's generator becomes a seed.

    Raises:
        RuntimeError, TypeError: it is no such state.
    """
    kind = generator.device.type
    if len(state) in GENERATOR_BYTES.values() and len(state) != GENERATOR_BYTES[kind]:
        digest = hashlib.sha256(state.numpy().tobytes()).digest()
        generator.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    else:
        generator.set_state(state)


def require_alike(tensors: tuple[Tensor, ...], own: tuple[Tensor, ...]) -> None:
    """Compares shapes and dtypes.

    Raises:
        ValueError: they differ.
    """
    for new, old in zip(tensors, own, strict=True):
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            raise ValueError(f"{new.dtype} {tuple(new.shape)} where {old.dtype} {tuple(old.shape)} must be")


def ended_episodes(infos: dict[str, Any]) -> Episodes:
    """The episodes that a step's infos report as ended."""
    (index,) = np.nonzero(infos["_episode"])
    episode = infos["episode"]
    return Episodes(episode["r"][index], episode["l"][index], episode["success"][index], index)
