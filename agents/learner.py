"""The learner: loss, backward, clip, step. It never sees an environment.

Source: Espeholt et al. 2018 (arXiv 1802.01561), section 4.2 and appendix.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from agents.config import Config, stream_seed
from agents.distributed import ALONE, Group
from agents.foresight import foresight_loss, foresight_targets
from agents.guard import Guard
from agents.loss import (
    baseline_loss,
    blank,
    entropy,
    exploration_loss,
    log_policy,
    log_prob,
    masked_mean,
    policy_gradient_loss,
    subtract_peer_mean,
)
from agents.network import Network
from agents.optimizer import Optimizer
from agents.replay import Replay
from agents.trajectory import Trajectory
from agents.vtrace import vtrace


class Learner:
    """Improves a network from unrolls by V-trace actor-critic."""

    def __init__(
        self,
        network: Network,
        config: Config,
        *,
        group: Group = ALONE,
        tell: Callable[[str], None] = print,
    ):
        """Makes the optimiser, and its guard, which tells the user of updates that are not finite.

        The learners of a group hold the same weights and take the same steps.
        """
        self.network, self.config, self.group = network, config, group
        self.device = next(network.parameters()).device
        self.optimizer = Optimizer(
            network.named_parameters(), config.optimizer, config.optimizer_epsilon, config.adam_beta2
        )
        self.guard = Guard(network, self.optimizer, max_skipped=config.max_skipped_updates, tell=tell)
        self.replay = Replay(config.replay_size, stream_seed(config.seed, "replay"))
        self.version = 0  # unrolls learnt from so far, not counting those that were replayed
        self.env_steps = 0

    def update(self, trajectory: Trajectory) -> dict[str, Tensor | float]:
        """Learns from a new unroll, then from some of the last ones again.

        Args:
            trajectory: T steps of B environments.

        Returns:
            Metrics: numbers, and 0-dimensional tensors left on the device (reading one waits for the device).
            Those of replayed unrolls are means, and have names of their own.

        Raises:
            NonFiniteUpdates: too many updates were skipped.
        """
        trajectory = trajectory.to(self.device)
        try:
            metrics = self.step(trajectory)
            if self.config.replays:
                self.replay.add(trajectory)
                again = [self.step(old) for old in self.replay.draw(self.config.replays)]
                for name in ("mean_rho", "clipped_share", "policy_lag"):
                    metrics[f"replay/{name}"] = sum(found[f"vtrace/{name}"] for found in again) / len(again)
        finally:  # whatever became of it, the unroll is used up
            self.version += 1
            self.env_steps += trajectory.num_steps + trajectory.num_steps_elsewhere
        return metrics

    def step(self, trajectory: Trajectory) -> dict[str, Tensor | float]:
        """One step of the optimiser on one unroll; none where the gradient is not finite.

        Args:
            trajectory: on the learner's device, or a view into the replay.

        Returns:
            Metrics, as of `update`.

        Raises:
            NonFiniteUpdates: too many updates were skipped.
        """
        config = self.config
        learning_rate = self.schedule(config.learning_rate, config.learning_rate_final)
        # Tries end before learning does: what is left of the run is for a policy without them.
        exploration_cost = self.schedule(config.exploration_cost, config.exploration_cost_final, until=0.75)
        entropy_cost = self.schedule(config.entropy_cost, config.entropy_cost_final, until=0.75)

        if self.network.foresight is not None:
            self.network.foresight.update_mean_code(*reward_events(trajectory), self.group.total)
        loss, metrics = self.loss(trajectory, exploration_cost, entropy_cost, self.group)
        self.optimizer.zero_grad()
        loss.backward()
        num_steps = trajectory.num_steps + trajectory.num_steps_elsewhere
        self._join(metrics, trajectory.num_steps / max(num_steps, 1))
        norm = self.optimizer.clip(config.max_grad_norm, config.max_grad_growth)
        metrics["learner/gradient_norm"] = norm
        metrics["learner/learning_rate"] = learning_rate
        metrics["vtrace/policy_lag"] = float(self.version - trajectory.version)

        def loss_again() -> Tensor:
            return self.loss(trajectory, exploration_cost, entropy_cost)[0]

        self.guard.step(norm, learning_rate, trajectory, loss_again)
        return metrics

    def _join(self, metrics: dict[str, Tensor | float], share: float) -> None:
        """Makes gradients and metrics those of the joint batch.

        All of them are means over valid transitions, so a rank weighs by its share of these.
        """
        gradients = [parameter.grad for parameter in self.network.parameters() if parameter.grad is not None]
        means = [value for value in metrics.values() if isinstance(value, Tensor)]
        self.group.average(gradients + means, share)

    def loss(
        self, trajectory: Trajectory, exploration_cost: float, entropy_cost: float, group: Group = ALONE
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """The loss of one unroll, and what it is made of; with a group, as part of the joint batch."""
        config, valid = self.config, trajectory.valid
        logits, all_values, _, core_output = self.network(trajectory.inputs, trajectory.core_state)
        rows = slice(trajectory.context_length, -1)
        logits, values, bootstrap_value = logits[rows], all_values[rows], all_values[-1]
        log_target, actions = log_policy(logits, valid), trajectory.actions
        log_behaviour = log_policy(trajectory.behaviour_logits, valid)
        log_rhos = log_prob(log_target.detach(), actions) - log_prob(log_behaviour, actions)
        returns = vtrace(
            log_rhos.masked_fill(~valid, -torch.inf),  # cuts the trace at a step that only resets
            config.discount * ~trajectory.terminated,
            trajectory.rewards.masked_fill(~valid, 0.0),  # whatever they are: 0 times NaN is NaN
            values.detach(),
            bootstrap_value.detach(),
            rho_bar=config.rho_bar,
            pg_rho_bar=config.pg_rho_bar,
            c_bar=config.c_bar,
            lambda_=config.lambda_,
        )
        rhos = log_rhos.exp()
        clipped = rhos.clamp(max=config.pg_rho_bar)
        advantages = subtract_peer_mean(returns.pg_advantages, clipped, valid, group.total)
        policy_loss = policy_gradient_loss(log_target, actions, advantages, valid)
        value_loss = baseline_loss(values, returns.vs, valid)
        policy_entropy = entropy(log_target, valid)
        untried = exploration_loss(log_target, valid, config.exploration_floor)
        auxiliary_loss = self.foresight_loss(trajectory, core_output)
        loss = (
            policy_loss
            + config.baseline_cost * value_loss
            + exploration_cost * untried
            - entropy_cost * policy_entropy
            + config.foresight_cost * auxiliary_loss
        )
        metrics: dict[str, Tensor | float] = {
            "loss/total": loss.detach(),
            "loss/policy_gradient": policy_loss.detach(),
            "loss/baseline": value_loss.detach(),
            "loss/exploration": untried.detach(),
            "learner/entropy": policy_entropy.detach(),
            "learner/value": masked_mean(values.detach(), valid),
            "vtrace/mean_rho": masked_mean(rhos, valid),
            "vtrace/clipped_share": masked_mean((rhos > config.rho_bar).float(), valid),
        }
        if self.network.foresight is not None:
            metrics["loss/foresight"] = auxiliary_loss.detach()
        return loss, metrics

    def foresight_loss(self, trajectory: Trajectory, core_output: Tensor) -> Tensor:
        """How far the network's foresight is from what came, given the core's output at all rows."""
        foresight, valid, W = self.network.foresight, trajectory.valid, trajectory.context_length
        if foresight is None:
            return core_output.new_zeros(())
        entries, cumulants = foresight.cumulants(*reward_events(trajectory))
        predicted = foresight.predict(core_output[W:], entries)
        discounts = self.config.discount * ~trajectory.terminated
        targets = foresight_targets(cumulants.to(predicted.dtype), discounts, predicted, valid)
        return foresight_loss(predicted[:-1], targets, valid)

    def schedule(self, start: float, end: float, until: float = 1.0) -> float:
        """Start for the first half of the run's env steps, then linear to end, there from a share on."""
        progress = self.env_steps / self.config.total_steps
        return start + (end - start) * min(1.0, max(0.0, (progress - 0.5) / (until - 0.5)))

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser and counters, which all ranks have in common; the replay is each one's own."""
        guard = self.guard.state_dict()  # first: it may go back to other weights
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "version": self.version,
            "env_steps": self.env_steps,
            "guard": guard,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a state.

        Raises:
            RuntimeError, KeyError: the state belongs to another network.
        """
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.version, self.env_steps = state["version"], state["env_steps"]
        self.guard.load_state_dict(state["guard"])


def reward_events(trajectory: Trajectory) -> tuple[Tensor, Tensor, Tensor]:
    """What foresight is of: observations [T, B, *shape], actions [T, B], rewards [T, B], 0 if not valid."""
    observations = trajectory.inputs.observations[trajectory.context_length : -1]
    return observations, trajectory.actions, blank(trajectory.rewards, trajectory.valid)
