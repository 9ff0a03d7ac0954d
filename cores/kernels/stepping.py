"""Steps one at a time on the CPU: a compiled call each, in buffers that stay, with weights laid out once.

Source: none. What an unroll spends once in many steps, on layout and on memory, a single step cannot afford.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from cores.kernels.gru_unroll import GRUCell, pack_gru
from cores.kernels.threads import split_batch
from cores.kernels.unroll import NUM_WORK_ROWS, Cell, Weights, pack


class FusedStepper:
    """A `cores.core.Stepper` on a compiled step, which keeps the state in its buffers."""

    def __init__(
        self,
        act: Callable[..., None],
        pack_weights: Callable[[], tuple[np.ndarray, ...]],
        buffers: tuple[torch.Tensor, ...],
        state: tuple[torch.Tensor, ...],
        work: torch.Tensor,
        options: tuple[int, ...],
    ) -> None:
        """Begins with the state that the buffers hold.

        Args:
            act: as `cores.kernels.gated_lstm.act`.
            pack_weights: gives the weights of now as it takes them.
            buffers: what it takes between the weights and the resets.
            state: the core's state, as views of the buffers; first the output, [B, H].
            work: scratch, one entry for each of B environments.
            options: what it takes after its arrays.
        """
        self._act, self._pack_weights, self._options = act, pack_weights, options
        self._buffers, self._work = tuple(buffer.numpy() for buffer in buffers), work.numpy()
        self._state, self._batch_size = state, len(work)
        self.refresh()

    @property
    def state(self) -> tuple[torch.Tensor, ...]:
        """A copy of the state, tensors [B, H]."""
        return tuple(tensor.clone() for tensor in self._state)

    @state.setter
    def state(self, state: tuple[torch.Tensor, ...]) -> None:
        """Goes on from a state; it is copied."""
        for own, new in zip(self._state, state, strict=True):
            own.copy_(new)

    def refresh(self) -> None:
        """Takes up the weights as they are now."""
        self._packed = self._pack_weights()

    def step(self, inputs: torch.Tensor, reset: torch.Tensor) -> torch.Tensor:
        """Reads one input per environment; see `cores.core.Stepper`."""
        arrays = (*self._packed, *self._buffers, reset.numpy()[None], self._work)
        split_batch(self._act, self._batch_size, inputs.detach().numpy(), *arrays, *self._options)
        return self._state[0]


def lstm_stepper(cell: Cell, weights: Weights, batch_size: int) -> FusedStepper:
    """Makes the stepper of an LSTM.

    Args:
        cell: the compiled functions.
        weights: the core's own, on the CPU, float32 or float64; looked at again by each `refresh`.
        batch_size: B, number of environments.
    """
    (G, H), B, zeros = weights.hh.shape, batch_size, weights.hh.detach().new_zeros
    gates, cells, entered, out = zeros(1, B, G), zeros(2, B, H), zeros(1, B, H), zeros(1, B, H)
    return FusedStepper(
        cell.act,
        partial(_pack_with_inputs, pack, cell, weights),
        (gates, cells, entered, out),
        (out[0], cells[1]),
        zeros(B, NUM_WORK_ROWS, H),
        cell.options,
    )


def gru_stepper(cell: GRUCell, weights: Weights, batch_size: int) -> FusedStepper:
    """Makes the stepper of a GRU; arguments as of `lstm_stepper`."""
    (G, H), B, zeros = weights.hh.shape, batch_size, weights.hh.detach().new_zeros
    gates, entered, scaled, out = zeros(1, B, G), zeros(1, B, H), zeros(1, B, H), zeros(1, B, H)
    return FusedStepper(
        cell.act,
        partial(_pack_with_inputs, pack_gru, cell, weights),
        (gates, entered, scaled, out),
        (out[0],),
        zeros(B, H),
        (cell.refined,),
    )


def _pack_with_inputs(
    pack_state: Callable[..., tuple[np.ndarray, ...]], cell: Cell | GRUCell, weights: Weights
) -> tuple[np.ndarray, ...]:
    return cell.panels(weights.ih.detach().t().numpy()), *pack_state(cell.panels, weights)
