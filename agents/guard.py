"""The guard before the optimiser: what is not finite never reaches the weights.

A norm of the gradient that is finite says that every entry of it is. And nothing that is not finite in an
unroll leaves the gradient finite: every input is a factor in the gradient of some weight, and 0 times
infinity is NaN. So one number decides over an update. On CUDA it stays on the device, and is read one update
later.
"""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from agents.cuda import Later
from agents.network import Network
from agents.optimizer import Optimizer
from agents.trajectory import Trajectory

NON_FINITE_UNROLL = "non-finite.safetensors"
"""In a run's folder: the unroll of the update that was skipped last, where that was one too many."""
ROLL_BACK_AFTER = 10
"""So many skipped updates in a row: the weights themselves may be what is wrong with them."""


class NonFiniteUpdates(RuntimeError):  # noqa: N818  (the name that its readers look for)
    """More updates were skipped than the run bears."""

    def __init__(self, message: str, trajectory: Trajectory):
        """One line, and the unroll of the last of them."""
        super().__init__(message)
        self.trajectory = trajectory


class Guard:
    """Steps an optimiser where that is safe; counts where it is not, and goes back after ten in a row."""

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        *,
        max_skipped: int,
        tell: Callable[[str], None],
    ):
        """Keeps the first state to go back to.

        Args:
            network: whose weights the optimiser steps.
            optimizer: takes the steps.
            max_skipped: updates that may be skipped from now on.
            tell: is given lines for the user.
        """
        self.network, self.optimizer, self._tell = network, optimizer, tell
        self.num_skipped = 0
        self._max_skipped = max_skipped
        self._in_a_row = 0
        self._unread: tuple[Later, Trajectory, Callable[[], Tensor]] | None = None
        self._num_updates = 0
        self.keep()

    def step(
        self,
        gradient_norm: Tensor,
        learning_rate: float,
        trajectory: Trajectory,
        loss_of: Callable[[], Tensor],
    ) -> None:
        """Steps the optimiser if the gradient is finite.

        Args:
            gradient_norm: [] of the whole gradient.
            learning_rate: step size.
            trajectory: the unroll that it comes from.
            loss_of: computes its loss again, to look for what is not finite.

        Raises:
            NonFiniteUpdates: too many updates were skipped.
        """
        self.settle()
        bad = ~gradient_norm.isfinite()
        self.optimizer.step(learning_rate, skipped=bad.float())
        self._unread = Later(bad), trajectory, loss_of
        self._num_updates += 1
        if self._unread[0].is_here:
            self.settle()

    def settle(self) -> None:
        """Reads what became of the newest update, and does what follows from it.

        Raises:
            NonFiniteUpdates: too many updates were skipped.
        """
        if self._unread is None:
            return
        (bad, trajectory, loss_of), self._unread = self._unread, None
        if not bad:
            self._in_a_row = 0
            return
        self.num_skipped += 1
        self._in_a_row += 1
        too_many = self.num_skipped > self._max_skipped
        back = self._in_a_row == ROLL_BACK_AFTER
        if not (too_many or back or self.num_skipped & (self.num_skipped - 1) == 0):  # 1, 2, 4, 8 ...
            return
        where = first_nonfinite(trajectory, self.network, loss_of)
        line = f"update {self._num_updates} skipped: {where}"
        if back:
            self._in_a_row = 0
            self._go_back()
            line += f"; {ROLL_BACK_AFTER} in a row, so back to the weights of update {self._kept_at}"
        if too_many:
            limit = f"more than {self._max_skipped} updates skipped (--max-skipped-updates)"
            raise NonFiniteUpdates(f"{line}; {limit}", trajectory)
        self._tell(f"{line}; {self.num_skipped} skipped so far")

    def keep(self) -> None:
        """Takes weights and optimiser as they are for those to go back to, if the newest update was good."""
        self.settle()
        if self._in_a_row == 0:
            self._kept = copy.deepcopy((self.network.state_dict(), self.optimizer.state_dict()))
            self._kept_at = self._num_updates

    def _go_back(self) -> None:
        weights, optimizer = copy.deepcopy(self._kept)
        self.network.load_state_dict(weights)
        self.optimizer.load_state_dict(optimizer)

    def state_dict(self) -> dict[str, Any]:
        """How many updates there were and were skipped; while they are, also what to go back to."""
        self.settle()
        state: dict[str, Any] = {
            "updates": self._num_updates,
            "skipped": self.num_skipped,
            "in_a_row": self._in_a_row,
        }
        if self._in_a_row:
            network, optimizer = self._kept
            state["kept"] = {"network": network, "optimizer": optimizer, "updates": self._kept_at}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Counts on from a state; as many updates as at first may be skipped after it."""
        self._num_updates = state["updates"]
        self._max_skipped += state["skipped"] - self.num_skipped
        self.num_skipped, self._in_a_row = state["skipped"], state["in_a_row"]
        if self._in_a_row:
            kept = state["kept"]
            self._kept, self._kept_at = (kept["network"], kept["optimizer"]), kept["updates"]
        self.keep()


def first_nonfinite(trajectory: Trajectory, network: Network, loss_of: Callable[[], Tensor]) -> str:
    """Says where the first value that is not finite arose, in the order in which values arise."""
    found = list(nonfinite_data(trajectory))
    if found:
        return min(found)[2]
    with torch.no_grad():
        logits, values, *_ = network(trajectory.inputs, trajectory.core_state)
    for name, tensor in (("logits", logits), ("values", values)):
        for row, env, value in bad_entries(tensor):
            return f"{name} of environment {env} at step {row} of the unroll: {value}"
    loss = loss_of()
    if not loss.isfinite():
        return f"loss: {loss.item()}"
    parameters = dict(network.named_parameters())
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    for name, gradient in reversed(list(zip(parameters, gradients, strict=True))):  # from the loss backwards
        if gradient is not None and not gradient.isfinite().all():
            return f"gradient of {name}: {gradient[~gradient.isfinite()][0].item()}"
    return "norm of the gradient: no entry of it is infinite or NaN when it is computed again"


def nonfinite_data(trajectory: Trajectory) -> Iterator[tuple[int, int, str]]:
    """What is not finite in an unroll's data, the first of each kind: (row, order within the row, what)."""
    for state in trajectory.core_state:
        for _, env, value in bad_entries(state.unsqueeze(0)):
            yield -1, 0, f"core state of environment {env} before the unroll: {value}"
    rewards = torch.where(trajectory.valid, trajectory.rewards, 0.0)
    inputs = trajectory.inputs
    for order, (name, tensor) in enumerate(
        (
            ("previous reward", inputs.prev_rewards[:1]),
            ("observation", inputs.observations),
            ("behaviour logits", trajectory.behaviour_logits),
            ("reward", rewards),
        )
    ):
        for row, env, value in bad_entries(tensor):
            yield row, order, f"{name} of environment {env} at step {row} of the unroll: {value}"


def bad_entries(tensor: Tensor) -> Iterator[tuple[int, int, float]]:
    """Row, environment and value of the first entry of [R, B, ...] that is not finite, if there is one."""
    if not tensor.is_floating_point():
        return
    bad = (~tensor.isfinite()).nonzero()
    if len(bad):
        row, env = bad[0, :2].tolist()
        yield row, env, tensor[tuple(bad[0].tolist())].item()


def save_unroll(path: Path, trajectory: Trajectory) -> None:
    """Writes an unroll's tensors by name, as safetensors."""
    core_state = {f"core_state/{i}": tensor for i, tensor in enumerate(trajectory.core_state)}
    tensors = trajectory.by_name() | core_state
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
