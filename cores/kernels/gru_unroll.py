"""The fused unroll of the GRU on the CPU: as `unroll.py`, but with two matrix products a step.

Source: the layout is that of `unroll.py`. The gates' columns of the buffer are filled first; the candidate's
product needs h scaled by the reset gate.

The definition is `RecurrentCore.forward`; this is the same function, and is tested against it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from cores.kernels.threads import split_batch
from cores.kernels.unroll import Weights, refuse_second_derivative


class GRUCell(NamedTuple):
    """A GRU's compiled functions.

    Attributes:
        forward: as `cores.kernels.gated_gru.forward`.
        backward: as `cores.kernels.gated_gru.backward`.
        act: as `cores.kernels.gated_gru.act`.
        refined: what all three take after their arrays.
        panels: as `cores.kernels.products.panels`.
    """

    forward: Callable[..., None]
    backward: Callable[..., None]
    act: Callable[..., None]
    refined: bool
    panels: Callable[[np.ndarray], np.ndarray]


def pack_gru(panels: Callable[[np.ndarray], np.ndarray], weights: Weights) -> tuple[np.ndarray, ...]:
    """Lays a GRU's weights out for `forward`: hh's transpose for gates and candidate, and the bias."""
    hh = weights.hh.detach()
    gates, candidate = hh[: -hh.shape[1]], hh[-hh.shape[1] :]
    return (
        panels(gates.t().numpy()),
        panels(candidate.t().numpy()),
        weights.bias.detach().contiguous().numpy(),
    )


class GRUTrace(NamedTuple):
    """What an unroll leaves for its backward pass.

    Attributes:
        gates: [T, B, G]: activations.
        entered: [T, B, H]: h before each step, resets applied.
        scaled: [T, B, H]: the same times the reset gate.
        out: [T, B, H]: h after each step.
    """

    gates: torch.Tensor
    entered: torch.Tensor
    scaled: torch.Tensor
    out: torch.Tensor


def fused_gru_unroll(
    cell: GRUCell, inputs: torch.Tensor, h: torch.Tensor, reset: torch.Tensor, weights: Weights
) -> tuple[torch.Tensor, torch.Tensor]:
    """Reads T inputs per environment, as `RecurrentCore.forward`, with zeros as the initial state.

    Args:
        cell: the compiled functions.
        inputs: [T, B, I] of any strides, on the CPU, float32 or float64, as every other tensor here.
        h: [B, H]: output before inputs[0].
        reset: [T, B] bool: h is replaced by zeros before step t.
        weights: the core's.

    Returns:
        out [T, B, H], and h [B, H] after the last step.
    """
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (inputs, h, *weights)):
        return _Unroll.apply(cell, inputs, h, reset, *weights)
    out = _run(cell, inputs, h, reset, weights).out
    return out, out[-1].clone()


def _run(
    cell: GRUCell, inputs: torch.Tensor, h: torch.Tensor, reset: torch.Tensor, weights: Weights
) -> GRUTrace:
    """Takes all steps forward; without gradients."""
    (T, B, I), H = inputs.shape, h.shape[1]  # noqa: E741
    gates = inputs.reshape(T * B, I).mm(weights.ih.t()).view(T, B, -1)
    entered, scaled, out = (h.new_empty(T, B, H) for _ in range(3))
    entered[0] = h.masked_fill(reset[0].unsqueeze(1), 0.0)
    arrays = [
        tensor.numpy() for tensor in (gates, entered, scaled, out, reset.contiguous(), torch.empty_like(h))
    ]
    split_batch(cell.forward, B, *pack_gru(cell.panels, weights), *arrays, cell.refined)
    return GRUTrace(gates, entered, scaled, out)


class _Unroll(torch.autograd.Function):
    """The unroll and its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        cell: GRUCell,
        inputs: torch.Tensor,
        h: torch.Tensor,
        reset: torch.Tensor,
        *weights: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Runs it, and keeps what the gradient needs."""
        trace = _run(cell, inputs, h, reset, Weights(*weights))
        ctx.cell = cell
        ctx.save_for_backward(inputs, reset, *weights[:2], *trace[:3])
        return trace.out, trace.out[-1].clone()

    @staticmethod
    def backward(ctx: Any, *d_results: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Turns gradients by the results into gradients by the arguments."""
        refuse_second_derivative()
        inputs, reset, weight_ih, weight_hh, gates, entered, scaled = ctx.saved_tensors
        _, wants_inputs, wants_h, _, wants_ih, wants_hh, wants_bias = ctx.needs_input_grad
        d_gates, d_h = _run_backward(ctx.cell, d_results, reset, weight_hh, gates, entered)
        rows = d_gates.flatten(0, 1)  # [T B, G]
        d_hh = None
        if wants_hh:
            width = rows.shape[1] - entered.shape[2]
            d_hh = torch.empty_like(weight_hh)
            torch.mm(rows[:, :width].t(), entered.flatten(0, 1), out=d_hh[:width])
            torch.mm(rows[:, width:].t(), scaled.flatten(0, 1), out=d_hh[width:])
        return (
            None,
            rows.mm(weight_ih).view(inputs.shape) if wants_inputs else None,
            d_h if wants_h else None,
            None,
            rows.t().mm(inputs.reshape(len(rows), -1)) if wants_ih else None,
            d_hh,
            rows.sum(0) if wants_bias else None,
        )


def _run_backward(
    cell: GRUCell,
    d_results: tuple[torch.Tensor, ...],
    reset: torch.Tensor,
    weight_hh: torch.Tensor,
    gates: torch.Tensor,
    entered: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Takes all steps backward.

    Returns:
        Gradients by the pre-activations [T, B, G], and by h before the first step, [B, H].
    """
    d_out = d_results[0].contiguous()
    d_h = d_results[1].clone(memory_format=torch.contiguous_format)  # written to below
    d_gates, d_scaled, work = torch.empty_like(gates), torch.empty_like(d_h), torch.empty_like(d_h)
    width = gates.shape[2] - d_h.shape[1]
    packed = [cell.panels(part) for part in np.split(weight_hh.detach().numpy(), [width])]
    tensors = (gates, entered, reset.contiguous(), d_out, d_h, d_gates, d_scaled, work)
    arrays = [tensor.numpy() for tensor in tensors]
    split_batch(cell.backward, len(d_h), *packed, *arrays, cell.refined)
    return d_gates, d_h
