"""The fused unroll on the CPU: a few large matrix products around one compiled call for all steps.

Source: the layout is cuDNN's, Appleyard, Kocisky, Blunsom 2016, "Optimizing Performance of Recurrent Neural
Networks on GPUs" (arXiv 1604.01946): the inputs' product for all steps at once, the weights' gradients as one
product over T * B rows. Resets lie inside, so that they cost nothing.

The definition is `RecurrentCore.forward`; this is the same function, and is tested against it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from cores.kernels.threads import split_batch

NUM_WORK_ROWS = 6
"""Rows of scratch that the compiled functions ask for."""


class Cell(NamedTuple):
    """What is particular to a cell: its compiled functions.

    Attributes:
        forward: as `cores.kernels.gated_lstm.forward`.
        backward: as `cores.kernels.gated_lstm.backward`.
        act: as `cores.kernels.gated_lstm.act`.
        options: what all three take after their arrays.
        panels: as `cores.kernels.products.panels`.
    """

    forward: Callable[..., None]
    backward: Callable[..., None]
    act: Callable[..., None]
    options: tuple[int, ...]
    panels: Callable[[np.ndarray], np.ndarray]


class Weights(NamedTuple):
    """The weights of a core: ih [G, I], hh [G, H] and bias [G]."""

    ih: torch.Tensor
    hh: torch.Tensor
    bias: torch.Tensor


class Trace(NamedTuple):
    """What an unroll leaves for its backward pass.

    Attributes:
        gates: [T, B, G]: activations.
        cells: [T + 1, B, H]: c before each step, resets applied, and c after the last.
        entered: [T, B, H]: h before each step, resets applied.
        out: [T, B, H]: h after each step.
    """

    gates: torch.Tensor
    cells: torch.Tensor
    entered: torch.Tensor
    out: torch.Tensor


def fused_unroll(
    cell: Cell, inputs: torch.Tensor, h: torch.Tensor, c: torch.Tensor, reset: torch.Tensor, weights: Weights
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Reads T inputs per environment, as `RecurrentCore.forward`, with zeros as the initial state.

    Args:
        cell: the compiled functions.
        inputs: [T, B, I] of any strides, on the CPU, float32 or float64, as every other tensor here.
        h: [B, H]: output before inputs[0].
        c: [B, H]: cell before inputs[0].
        reset: [T, B] bool: h and c are replaced by zeros before step t.
        weights: the core's.

    Returns:
        out [T, B, H], and h and c [B, H] after the last step.
    """
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (inputs, h, c, *weights)):
        return _Unroll.apply(cell, inputs, h, c, reset, *weights)
    return _results(_run(cell, inputs, h, c, reset, weights))


def _run(
    cell: Cell, inputs: torch.Tensor, h: torch.Tensor, c: torch.Tensor, reset: torch.Tensor, weights: Weights
) -> Trace:
    """Takes all steps forward; without gradients."""
    (T, B, I), H = inputs.shape, h.shape[1]  # noqa: E741
    gates = inputs.reshape(T * B, I).mm(weights.ih.t()).view(T, B, -1)
    cells, entered, out = h.new_empty(T + 1, B, H), h.new_empty(T, B, H), h.new_empty(T, B, H)
    cells[0] = c
    entered[0] = h.masked_fill(reset[0].unsqueeze(1), 0.0)
    work = h.new_empty(B, NUM_WORK_ROWS, H)
    arrays = [tensor.numpy() for tensor in (gates, cells, entered, out, reset.contiguous(), work)]
    split_batch(cell.forward, B, *pack(cell.panels, weights), *arrays, *cell.options)
    return Trace(gates, cells, entered, out)


def pack(panels: Callable[[np.ndarray], np.ndarray], weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """Lays an LSTM's weights out for `forward`: hh's transpose and the bias."""
    return panels(weights.hh.detach().t().numpy()), weights.bias.detach().contiguous().numpy()


def refuse_second_derivative() -> None:
    """Refuses a second derivative: torch's once_differentiable would let most cases pass, and be wrong.

    Raises:
        RuntimeError: if gradients are recorded.
    """
    if torch.is_grad_enabled():
        raise RuntimeError("a fused unroll has no second derivative: call RecurrentCore.forward(core, ...)")


def _results(trace: Trace) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    # Copies: a state outlives its unroll, and must not keep all of it in memory.
    return trace.out, trace.out[-1].clone(), trace.cells[-1].clone()


class _Unroll(torch.autograd.Function):
    """The unroll and its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        cell: Cell,
        inputs: torch.Tensor,
        h: torch.Tensor,
        c: torch.Tensor,
        reset: torch.Tensor,
        *weights: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Runs it, and keeps what the gradient needs."""
        trace = _run(cell, inputs, h, c, reset, Weights(*weights))
        ctx.cell = cell
        ctx.save_for_backward(inputs, reset, *weights[:2], trace.gates, trace.cells, trace.entered)
        return _results(trace)

    @staticmethod
    def backward(ctx: Any, *d_results: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Turns gradients by the results into gradients by the arguments."""
        refuse_second_derivative()
        inputs, reset, weight_ih, weight_hh, gates, cells, entered = ctx.saved_tensors
        _, wants_inputs, wants_h, wants_c, _, wants_ih, wants_hh, wants_bias = ctx.needs_input_grad
        d_gates, d_h, d_c = _run_backward(ctx.cell, d_results, reset, weight_hh, gates, cells)
        rows = d_gates.flatten(0, 1)  # [T B, G]
        return (
            None,
            rows.mm(weight_ih).view(inputs.shape) if wants_inputs else None,
            d_h if wants_h else None,
            d_c if wants_c else None,
            None,
            rows.t().mm(inputs.reshape(len(rows), -1)) if wants_ih else None,
            rows.t().mm(entered.flatten(0, 1)) if wants_hh else None,
            rows.sum(0) if wants_bias else None,
        )


def _run_backward(
    cell: Cell,
    d_results: tuple[torch.Tensor, ...],
    reset: torch.Tensor,
    weight_hh: torch.Tensor,
    gates: torch.Tensor,
    cells: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Takes all steps backward.

    Returns:
        Gradients by the pre-activations [T, B, G], and by h and c before the first step, both [B, H].
    """
    d_out = d_results[0].contiguous()
    d_h, d_c = (d.clone(memory_format=torch.contiguous_format) for d in d_results[1:])  # written to below
    d_gates = torch.empty_like(gates)
    work = d_h.new_empty(len(d_h), NUM_WORK_ROWS, d_h.shape[1])
    tensors = (gates, cells, reset.contiguous(), d_out, d_h, d_c, d_gates, work)
    arrays = [tensor.numpy() for tensor in tensors]
    packed = cell.panels(weight_hh.detach().numpy())
    split_batch(cell.backward, len(d_h), packed, *arrays, *cell.options)
    return d_gates, d_h, d_c
