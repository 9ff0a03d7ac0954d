"""A run from its configuration to its last checkpoint: the loop that a reader starts from."""

import dataclasses
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from agents.actor import card_of, make_envs
from agents.checkpoint import load_checkpoint, save_checkpoint
from agents.config import (
    Config,
    describe_gradient_path,
    resolve_device,
    resolve_unroll_length,
    stream_seed,
)
from agents.gate_metrics import gate_metrics
from agents.learner import Learner
from agents.metrics import CurveWriter, Display, Stopwatch
from agents.network import Network, make_network
from agents.runners import Runner, Stopped
from agents.runners.local import LocalRunner
from agents.runners.process import make_actor_envs, make_process_runner, resolve_runner
from agents.runners.supervision import ActorFailure
from agents.trajectory import Episodes, Inputs

NUM_DIAGNOSED_ENVS = 8
"""Environments whose gates are recorded: the gates are much alike in all of them."""


class Training:
    """A run that can be started, stopped and resumed."""

    def __init__(self, config: Config):
        """Builds everything and writes nothing.

        Raises:
            ValueError: one line; the configuration names something that doesn't exist or can't be built.
        """
        self.config = config
        self.device = resolve_device(config.device)
        torch.set_num_threads(config.num_threads)
        self.card = card_of(config)
        self.unroll_length = resolve_unroll_length(config, self.card)
        self.runner: Runner
        if resolve_runner(config) == "local":
            envs = make_envs(config, config.num_envs, stream_seed(config.seed, "environments"))
            self.network = self._make_network(envs)
            self.runner = LocalRunner(
                envs,
                self.network,
                unroll_length=self.unroll_length,
                seed=stream_seed(config.seed, "actions"),
                reward_scale=config.reward_scale,
            )
        else:
            sample = make_actor_envs(config, 1, 0, 0)  # what is wrong with the task is found here
            sample.close()
            self.network = self._make_network(sample)
            space = sample.single_observation_space
            self.runner = make_process_runner(config, self.network, space, self.unroll_length)
        self.learner = Learner(self.network, config)
        self.log_every = config.log_every_steps or max(config.total_steps // 200, 1)
        self.gates_every = config.gates_every_steps or max(config.total_steps // 50, 1)
        self.stopwatch = Stopwatch()
        self.folder = Path()
        self.stopped_by: signal.Signals | None = None
        self._updates: list[dict[str, Tensor | float]] = []
        self._episodes: list[Episodes] = []
        self._steps_at_point = 0
        self._gates_period = 0  # the last one that has a record of the gates

    def _make_network(self, envs: VectorEnv) -> Network:
        num_actions = int(envs.single_action_space.n)  # type: ignore[attr-defined]
        return make_network(self.config, envs.single_observation_space, num_actions).to(self.device)

    def create(self) -> Path:
        """Makes the run's folder and writes the configuration into it.

        Raises:
            ValueError: the folder can't be written.
        """
        config = self.config
        parent = Path(config.log_dir) / safe_name(config.env) / safe_name(config.core)
        name = f"seed{config.seed}-{datetime.now():%Y%m%d-%H%M%S}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            self.folder = make_unique(parent, name)
        except OSError as error:
            raise ValueError(f"--log-dir: {parent} can't be written ({error.strerror})") from None
        (self.folder / "config.json").write_text(json.dumps(dataclasses.asdict(config), indent=1) + "\n")
        self._curves = CurveWriter(self.folder)
        self._curves.write_config(dataclasses.asdict(config))
        return self.folder

    def restore(self, folder: Path) -> list[str]:
        """Goes on from the newest checkpoint of a folder that verifies.

        Returns:
            What the user should know, a line each.

        Raises:
            CheckpointError: there is none.
            ValueError: it belongs to another configuration.
        """
        state, checkpoint, refused = load_checkpoint(folder / "checkpoints")
        try:
            self.learner.load_state_dict(state["learner"])
            exact = self.runner.load_state_dict(state["runner"])
        except (KeyError, RuntimeError, TypeError) as error:
            raise ValueError(f"{checkpoint} does not fit this configuration: {error}") from None
        torch.set_rng_state(state["torch_rng"])
        self.runner.publish(self.network.state_dict(), self.learner.version)
        self.folder = folder
        self._steps_at_point = self.learner.env_steps
        self._gates_period = self.learner.env_steps // self.gates_every
        self._curves = CurveWriter(folder, resume_at=self.learner.env_steps)
        lines = [f"skipped a damaged checkpoint: {line}" for line in refused]
        lines.append(f"resuming from {checkpoint} at {self.learner.env_steps:,} env steps")
        if not exact:
            lines.append(f"{self.runner.anew}, so episodes start anew")
        return lines

    def plan(self) -> list[str]:
        """What is about to happen, a line each."""
        config, network = self.config, self.network
        num_parameters = sum(parameter.numel() for parameter in network.parameters())
        task = f"{config.env} {' '.join(config.env_opt)}".strip()
        return [
            f"task      {task}" + (f": {self.card.summary}" if self.card else ""),
            f"core      {config.core}, {config.hidden_size} units, {num_parameters:,} parameters in all",
            f"learning  {config.total_steps:,} env steps, {config.num_envs} environments, "
            f"unrolls of {self.unroll_length}, on {self.device}",
            *("memory    " + line for line in describe_gradient_path(self.unroll_length, self.card)),
            f"folder    {self.folder}",
        ]

    def step(self) -> None:
        """One unroll and one step of the optimiser."""
        with self.stopwatch("acting"):
            trajectory = self.runner.next()
        with self.stopwatch("learning"):
            self._updates.append(self.learner.update(trajectory))
            self.runner.publish(self.network.state_dict(), self.learner.version)
        self._episodes.append(trajectory.episodes)
        self._trajectory = trajectory

    def run(self) -> bool:
        """Trains to the end, or to a signal; saves either way.

        Returns:
            True at the end, False after a signal (see `stopped_by`).

        Raises:
            ActorFailure: actors failed too often; the run is saved.
        """
        learner, config = self.learner, self.config
        display = Display(config.total_steps, learner.env_steps)
        saved_at = time.monotonic()
        self.stopwatch.lap()
        try:
            with self._signals():
                while learner.env_steps < config.total_steps and self.stopped_by is None:
                    points_before = learner.env_steps // self.log_every
                    try:
                        self.step()
                    except Stopped:
                        break
                    except ActorFailure:
                        self._save()
                        raise
                    scalars = None
                    if learner.env_steps // self.log_every > points_before:
                        scalars = self._write_point()
                        if time.monotonic() - saved_at >= config.checkpoint_every_s:
                            self._save()
                            saved_at = time.monotonic()
                    display.update(learner.env_steps, scalars)
                if self._updates:
                    display.update(learner.env_steps, self._write_point())
                self._save()
        finally:
            display.close()
            self.close()
        return self.stopped_by is None

    def close(self) -> None:
        """Closes the curves and the environments; `run` does so by itself."""
        self._curves.close()
        self.runner.close()

    def _write_point(self) -> dict[str, float]:
        """One point of every curve, over what happened since the last one."""
        with self.stopwatch("logging"):
            scalars = mean_metrics(self._updates) | episode_metrics(Episodes.concatenate(self._episodes))
            gate_scalars, histograms = self._gates()
        elapsed, shares = self.stopwatch.lap()
        scalars |= gate_scalars | self.runner.figures(elapsed, shares.pop("acting"))
        scalars["vtrace/policy_lag_max"] = max(float(update["vtrace/policy_lag"]) for update in self._updates)
        scalars["speed/env_steps_per_s"] = (self.learner.env_steps - self._steps_at_point) / elapsed
        scalars |= {f"speed/share_{part}": share for part, share in shares.items()}
        scalars["speed/updates"] = self.learner.version
        self._curves.write(self.learner.env_steps, scalars, histograms)
        self._updates, self._episodes = [], []
        self._steps_at_point = self.learner.env_steps
        return scalars

    @torch.no_grad()
    def _gates(self) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """How far the gates of the core stand open along the last unroll; nothing between two periods."""
        period = self.learner.env_steps // self.gates_every
        if period == self._gates_period:
            return {}, {}
        self._gates_period = period
        trajectory, envs = self._trajectory, slice(NUM_DIAGNOSED_ENVS)
        inputs = Inputs(*(field[:, envs] for field in trajectory.inputs)).to(self.device)
        state = tuple(tensor[envs] for tensor in trajectory.core_state)
        core = self.network.core
        return gate_metrics(core.unroll_gates(self.network.core_inputs(inputs), state, inputs.resets))

    def _save(self) -> None:
        state = {
            "learner": self.learner.state_dict(),
            "runner": self.runner.state_dict(),
            "torch_rng": torch.get_rng_state(),
        }
        save_checkpoint(self.folder / "checkpoints", state, self.learner.env_steps)
        self._curves.flush()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM asks the loop to save and leave; a second one acts as ever."""

        def ask(number: int, frame: FrameType | None) -> None:
            self.stopped_by = signal.Signals(number)
            self.runner.stop()
            restore()

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            restore()


def safe_name(name: str) -> str:
    """A name as one part of a path."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".") or "-"


def make_unique(parent: Path, name: str) -> Path:
    """Makes a new folder of this name, or name-2, name-3, ... where it is taken."""
    for number in range(1, 10_000):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{parent / name} and 10 000 like it are taken")


def mean_metrics(updates: list[dict[str, Any]]) -> dict[str, float]:
    """The mean of each metric over updates; the one place that waits for the device."""
    on_device = [name for name, value in updates[0].items() if isinstance(value, Tensor)]
    rows = torch.stack([torch.stack([update[name] for name in on_device]) for update in updates])  # [U, M]
    means = dict(zip(on_device, rows.mean(0).tolist(), strict=True))
    for name in updates[0]:
        if name not in means:
            means[name] = sum(update[name] for update in updates) / len(updates)
    return means


def episode_metrics(episodes: Episodes) -> dict[str, float]:
    """Means over the episodes that ended; none if none did."""
    if not len(episodes.returns):
        return {}
    known = episodes.successes[~np.isnan(episodes.successes)]
    metrics = {"episode/success": float(known.mean())} if len(known) else {}
    metrics["episode/return"] = float(episodes.returns.mean())
    metrics["episode/length"] = float(episodes.lengths.mean())
    return metrics
