"""A run from its configuration to its last checkpoint: the loop that a reader starts from."""

import dataclasses
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.actor import card_of
from agents.allocation import keep_freed_memory
from agents.assembly import assemble
from agents.checkpoint import load_checkpoint
from agents.checkpoint_format import CheckpointError
from agents.checkpoint_writer import CheckpointWriter
from agents.config import Config, resolve_unroll_length
from agents.console import Display, say
from agents.curves import CurveWriter
from agents.distributed import ALONE, Group
from agents.gate_metrics import gates_along
from agents.gathered import Gathered
from agents.guard import NON_FINITE_UNROLL, NonFiniteUpdates, save_unroll
from agents.learner import Learner
from agents.metrics import Stopwatch, episode_metrics, mean_figures, mean_metrics
from agents.plan import describe_run
from agents.run_folder import lock_run, make_run_folder
from agents.runners import Stopped
from agents.runners.failures import ActorFailure
from agents.runners.ranks import next_together
from agents.signals import leave_on_signal
from agents.trajectory import Episodes, Trajectory


class Training:
    """A run that can be started, stopped and resumed."""

    def __init__(self, config: Config, group: Group = ALONE):
        """Builds everything and writes nothing.

        Args:
            config: the run's.
            group: those that learn together, each from its share of the environments.

        Raises:
            ValueError: one line; the configuration names something that doesn't exist or can't be built.
        """
        self.config, self.group = config, group
        self.device = group.device(config.device)
        torch.set_num_threads(config.num_threads)
        keep_freed_memory()
        self.card = card_of(config)
        self.unroll_length = resolve_unroll_length(config, self.card)
        self.network, self.runner = assemble(config, group, self.device, self.unroll_length)
        self.learner = Learner(self.network, config, group=group, tell=say)
        self.log_every = config.log_every_steps or max(config.total_steps // 200, 1)
        self.gates_every = config.gates_every_steps or max(config.total_steps // 50, 1)
        self.stopwatch = Stopwatch()
        self.folder = Path()
        self._held = ExitStack()  # the folder's lock
        self.stopped_by: signal.Signals | None = None
        self._asked_by: signal.Signals | None = None  # this rank; it stops when all know
        self._gathered = Gathered()
        self._trajectory: Trajectory | None = None
        self._steps_at_point = self._steps_at_lap = 0  # the last point's; where this process began counting
        self._first_update = 0, 0.0  # env steps, and seconds of the lap, from which speed is measured
        self._waited_s = group.waited_s  # for other ranks, until the last point
        self._gates_period = 0  # the last one that has a record of the gates

    def create(self, folder: Path | None = None) -> Path:
        """Makes the run's folder and writes the configuration into it; the first rank does.

        Args:
            folder: a name of the user's choice; it may hold what is left of a run without a checkpoint.

        Raises:
            ValueError: the folder can't be written, or is none for a new run.
        """
        if self.group.leads:
            self.folder, lock = make_run_folder(self.config, folder)
            self._held.enter_context(lock)
            self._curves = CurveWriter(self.folder, None if folder is None else 0)
            self._curves.write_config(dataclasses.asdict(self.config))
            self._open_checkpoints()
        return self.folder

    def _open_checkpoints(self) -> None:
        self.checkpoints = CheckpointWriter(self.folder / "checkpoints", keep=self.config.keep_checkpoints)

    def restore(self, folder: Path) -> list[str]:
        """Goes on from the newest checkpoint of a folder that verifies.

        Returns:
            What the user should know, a line each.

        Raises:
            CheckpointError: there is none, or none of this configuration.
            ValueError: another process trains there.
        """
        if self.group.leads:
            self._held.enter_context(lock_run(folder))
        try:
            _, checkpoint, refused = load_checkpoint(folder / "checkpoints", use=self.load_state_dict)
        except CheckpointError:
            self._held.close()
            raise
        self.folder = folder
        if self.group.leads:
            self._curves = CurveWriter(folder, resume_at=self._steps_at_point)
            self._open_checkpoints()
        lines = [f"skipped a damaged checkpoint: {line}" for line in refused]
        lines.append(f"resuming from {checkpoint} at {self.learner.env_steps:,} env steps")
        return [*lines, f"{self._anew}, so episodes start anew"] if self._anew else lines

    def plan(self) -> list[str]:
        """What is about to happen, a line each."""
        return describe_run(
            self.config,
            self.card,
            self.network,
            unroll_length=self.unroll_length,
            device=self.device,
            group=self.group,
            folder=self.folder,
        )

    def step(self) -> dict[str, Tensor | float]:
        """One unroll and one step of the optimiser; returns the learner's metrics."""
        with self.stopwatch("acting"):
            trajectory, self.stopped_by = next_together(self.runner, self.group, lambda: self._asked_by)
        if trajectory is None:
            raise Stopped
        with self.stopwatch("learning"):
            update = self.learner.update(trajectory)
            self.runner.publish(self.network.state_dict(), self.learner.version)
        self._gathered.add(update, trajectory.episodes)
        self._trajectory = trajectory
        return update

    def run(self) -> bool:
        """Trains to the end, or to a signal; saves either way. A signal before the first update acts as ever.

        Returns:
            True at the end, False after a signal (see `stopped_by`).

        Raises:
            ActorFailure: actors failed too often; the run is saved.
            NonFiniteUpdates: too many updates were skipped; the run and the unroll are saved.
            RankLost: another rank is gone; the run is as its last checkpoint has it.
            SaveError: the last checkpoint could not be written.
        """
        learner, config, state = self.learner, self.config, self.state_dict()
        if self.group.leads:
            self.checkpoints.prepare(state)
        display = Display(config.total_steps, learner.env_steps)
        self._first_version = learner.version
        self._saved_at = time.monotonic()
        self.stopwatch.lap()
        try:
            with leave_on_signal(self._leave):
                while learner.env_steps < config.total_steps and self.stopped_by is None:
                    points_before = learner.env_steps // self.log_every
                    try:
                        self.step()
                    except Stopped:
                        break
                    except (ActorFailure, NonFiniteUpdates) as error:
                        self._save()
                        if isinstance(error, NonFiniteUpdates) and self.group.leads:
                            save_unroll(self.folder / NON_FINITE_UNROLL, error.trajectory)
                        raise
                    at_point = learner.env_steps // self.log_every > points_before
                    if learner.version == self._first_version + 1:  # it compiled, and tells nothing of speed
                        self._first_update = learner.env_steps, self.stopwatch.elapsed
                        display.restart(learner.env_steps)
                    scalars = self._write_point() if at_point else None
                    if (at_point or self.group.size == 1) and self._save_is_due():
                        self._save(last=False)
                    display.update(learner.env_steps, scalars)
                if learner.env_steps < config.total_steps:  # the next point is not yet whole: it goes on
                    self._save()
                if self._gathered.updates and self._trajectory is not None:
                    display.update(learner.env_steps, self._write_point())
                if learner.env_steps >= config.total_steps:
                    self._save()
        finally:
            display.close()
            self.close()
        return self.stopped_by is None

    def close(self) -> None:
        """Closes the curves and the environments, gives the folder back; `run` does so by itself."""
        if self.group.leads:
            self.checkpoints.close()
            self._curves.close()
        self.runner.close()
        self._held.close()

    def _write_point(self) -> dict[str, float]:
        """One point of every curve, over what happened since the last one."""
        updates = self._gathered.updates
        with self.stopwatch("logging"):
            scalars = mean_metrics(updates)
            gate_scalars, histograms = self._gates()
        elapsed, shares = self.stopwatch.lap()
        if self.group.size > 1:
            shares["ranks"] = (self.group.waited_s - self._waited_s) / elapsed
            self._waited_s = self.group.waited_s
        figures = self.runner.figures(elapsed, shares.pop("acting") - shares.get("ranks", 0.0))
        figures |= {f"speed/share_{part}": share for part, share in shares.items()}
        figures["vtrace/policy_lag"] = scalars["vtrace/policy_lag"]
        figures["vtrace/policy_lag_max"] = max(float(update["vtrace/policy_lag"]) for update in updates)
        steps, seconds = self._first_update
        if steps == self.learner.env_steps:  # there is no other
            steps, seconds = self._steps_at_lap, 0.0
        figures["speed/env_steps_per_s"] = (self.learner.env_steps - steps) / (elapsed - seconds)
        episodes = Episodes.concatenate(self._gathered.episodes)
        ranks = self.group.gather({"figures": figures, "episodes": episodes._asdict()})
        episodes = Episodes.concatenate([Episodes(**rank["episodes"]) for rank in ranks])
        scalars |= episode_metrics(episodes) | gate_scalars
        scalars |= mean_figures([rank["figures"] for rank in ranks])
        scalars["speed/updates"] = self.learner.version
        self.learner.guard.keep()
        scalars["learner/skipped_updates"] = self.learner.guard.num_skipped
        if self.group.leads:
            self._curves.write(self.learner.env_steps, scalars, histograms)
        self._gathered.clear()
        self._steps_at_point = self._steps_at_lap = self.learner.env_steps
        self._first_update = self._steps_at_lap, 0.0
        return scalars

    def _gates(self) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """How far the gates of the core stand open along the last unroll; nothing between two periods."""
        period = self.learner.env_steps // self.gates_every
        if period == self._gates_period or self._trajectory is None:
            return {}, {}
        self._gates_period = period
        return gates_along(self._trajectory, self.network)

    def _leave(self, number: signal.Signals) -> None:
        if self.learner.version == self._first_version and self.group.size == 1:
            signal.raise_signal(number)  # nothing to save, and compiling may take long
        self._asked_by = number
        self.stopped_by = number if self.group.size == 1 else None
        self.runner.stop()

    def _save_is_due(self) -> bool:
        """Whether it is time for a checkpoint, by the first rank's clock; all ranks ask at once."""
        due = self.group.leads and not self.checkpoints.busy
        due = due and time.monotonic() - self._saved_at >= self.config.checkpoint_every_s
        return bool(self.group.exchange([due])[0][0])

    def _save(self, *, last: bool = True) -> None:
        """Writes a checkpoint, the first rank does; the last one at once, others beside the training."""
        with self.stopwatch("saving"):
            state = self.state_dict()
            if self.group.leads:
                save = self.checkpoints.finish if last else self.checkpoints.save
                save(state, self.learner.env_steps, self._gathered.figures())
        self._saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, of all ranks."""
        return {
            "learner": self.learner.state_dict(),
            "runner": self.group.collect(self.runner.state_dict()),
            "replay": self.group.collect(self.learner.replay.state_dict()),
            "torch_rng": torch.get_rng_state(),
            "curves": {
                "env_steps": self._steps_at_point,
                "gates_period": self._gates_period,
                "gathered": self.group.collect(self._gathered.state_dict()),
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a state.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: it is another configuration's, or none.
        """
        curves, learner = state["curves"], state["learner"]
        counters = (learner["version"], learner["env_steps"], curves["env_steps"])
        if not all(type(count) is int and count >= 0 for count in counters):
            raise ValueError("its counters are no counts")
        self.learner.load_state_dict(learner)
        own, self._anew = self.group.own_part(state["runner"])
        if not self.runner.load_state_dict(own):
            self._anew = self._anew or self.runner.anew
        replay, other = self.group.own_part(state["replay"])
        self.learner.replay.load_state_dict({} if other else replay, self.learner.device)
        torch.set_rng_state(state["torch_rng"])
        self.runner.publish(self.network.state_dict(), self.learner.version)
        gathered, other = self.group.own_part(curves["gathered"])
        self._gathered.load_state_dict({} if other else gathered, self.device)
        self._steps_at_point, self._gates_period = curves["env_steps"], curves["gates_period"]
        self._steps_at_lap = self.learner.env_steps
