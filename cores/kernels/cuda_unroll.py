"""The fused unroll on CUDA of the cores whose steps hold products: one launch forward, one backward.

Source: the layout is cuDNN's, as in `unroll.py`: the inputs' product for all steps at once, and the weights'
gradients as products over T * B rows, both by torch. What lies between is `triton_lstm` and `triton_gru`.
Resets lie inside, so that they cost nothing; there is no synchronisation with the host.

The definition is `RecurrentCore.forward`; these are the same functions, and are tested against it, until now
in Triton's interpreter only. None has run on a GPU yet.
"""

from typing import Any, NamedTuple

import torch

from cores.kernels import triton_gru, triton_lstm
from cores.kernels.cuda_launch import launch_steps
from cores.kernels.unroll import Weights, refuse_second_derivative


class LSTMCell(NamedTuple):
    """One place of the LSTM grid.

    Attributes:
        cumax: whether the forget gate is cumax, and not sigma, of its pre-activation.
        help: "none", "refine" or "master".
        chunk: C, units that share one entry of a master gate.
    """

    cumax: bool
    help: str
    chunk: int


class GRUCell(NamedTuple):
    """A GRU.

    Attributes:
        refined: whether its update gate is.
    """

    refined: bool


def unroll(
    cell: LSTMCell,
    inputs: torch.Tensor,
    h: torch.Tensor,
    c: torch.Tensor,
    reset: torch.Tensor,
    weights: Weights,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Reads T inputs per environment, as `RecurrentCore.forward`, with zeros as the initial state.

    Args:
        cell: which LSTM.
        inputs: [T, B, I] of any strides, of one device and dtype with every other tensor here.
        h: [B, H]: output before inputs[0].
        c: [B, H]: cell before inputs[0].
        reset: [T, B] bool: h and c are replaced by zeros before step t.
        weights: the core's.

    Returns:
        out [T, B, H], and h and c [B, H] after the last step.
    """
    return _LSTM.apply(cell, inputs, h, c, reset, *weights)


def gru_unroll(
    cell: GRUCell, inputs: torch.Tensor, h: torch.Tensor, reset: torch.Tensor, weights: Weights
) -> tuple[torch.Tensor, torch.Tensor]:
    """Reads T inputs per environment, as `RecurrentCore.forward`, with zeros as the initial state.

    Args:
        cell: which GRU.
        inputs: as in `unroll`.
        h: [B, H]: output before inputs[0].
        reset: [T, B] bool: h is replaced by zeros before step t.
        weights: the core's.

    Returns:
        out [T, B, H], and h [B, H] after the last step.
    """
    return _GRU.apply(cell, inputs, h, reset, *weights)


def as_bytes(reset: torch.Tensor) -> torch.Tensor:
    """Returns the resets as the kernels read them, [T, B] uint8, contiguous."""
    return reset.contiguous().view(torch.uint8)


def _project(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Returns the inputs' share of the pre-activations, [T, B, G]."""
    T, B, I = inputs.shape  # noqa: E741
    return torch.addmm(bias, inputs.reshape(T * B, I), weight.t()).view(T, B, -1)


def _entered(h: torch.Tensor, reset: torch.Tensor) -> torch.Tensor:
    """Returns room for h before each step, [T, B, H], the first of them filled in."""
    entered = h.new_empty(*reset.shape, h.shape[1])
    entered[0] = h.masked_fill(reset[0].unsqueeze(1), 0.0)
    return entered


class _LSTM(torch.autograd.Function):
    """The LSTM's unroll and its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        cell: LSTMCell,
        inputs: torch.Tensor,
        h: torch.Tensor,
        c: torch.Tensor,
        reset: torch.Tensor,
        *weights: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Runs it, and keeps what the gradient needs."""
        (T, B), H = reset.shape, h.shape[1]
        weight_ih, weight_hh, bias = weights
        gates, entered = _project(inputs, weight_ih, bias), _entered(h, reset)
        cells, out = h.new_empty(T + 1, B, H), h.new_empty(T, B, H)
        cells[0] = c
        tensors = (gates, cells, entered, out, as_bytes(reset), weight_hh.contiguous())
        launch_steps(triton_lstm.forward, tensors, T, B, H, G=gates.shape[2], **_lstm_options(cell))
        ctx.cell = cell
        ctx.save_for_backward(inputs, reset, weight_ih, weight_hh, gates, cells, entered)
        # Copies: a state outlives its unroll, and must not keep all of it in memory.
        return out, out[-1].clone(), cells[-1].clone()

    @staticmethod
    def backward(ctx: Any, *d_results: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Turns gradients by the results into gradients by the arguments."""
        refuse_second_derivative()
        inputs, reset, weight_ih, weight_hh, gates, cells, entered = ctx.saved_tensors
        _, wants_inputs, wants_h, wants_c, _, wants_ih, wants_hh, wants_bias = ctx.needs_input_grad
        T, B, H = entered.shape
        d_h, d_c = (d.clone(memory_format=torch.contiguous_format) for d in d_results[1:])  # written to
        d_gates, d_out = torch.empty_like(gates), d_results[0].contiguous()
        tensors = (gates, cells, as_bytes(reset), weight_hh.contiguous(), d_out, d_h, d_c, d_gates)
        launch_steps(triton_lstm.backward, tensors, T, B, H, G=gates.shape[2], **_lstm_options(ctx.cell))
        rows, first = d_gates.flatten(0, 1), reset[0].unsqueeze(1)  # [T B, G], [B, 1]
        return (
            None,
            rows.mm(weight_ih).view(inputs.shape) if wants_inputs else None,
            d_h.masked_fill_(first, 0.0) if wants_h else None,
            d_c.masked_fill_(first, 0.0) if wants_c else None,
            None,
            rows.t().mm(inputs.reshape(len(rows), -1)) if wants_ih else None,
            rows.t().mm(entered.flatten(0, 1)) if wants_hh else None,
            rows.sum(0) if wants_bias else None,
        )


def _lstm_options(cell: LSTMCell) -> dict[str, Any]:
    return {"CUMAX": cell.cumax, "HELP": cell.help, "C": cell.chunk}


class _GRU(torch.autograd.Function):
    """The GRU's unroll and its gradient."""

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
        (T, B), H = reset.shape, h.shape[1]
        weight_ih, weight_hh, bias = weights
        gates, entered = _project(inputs, weight_ih, bias), _entered(h, reset)
        scaled, out = torch.empty_like(entered), torch.empty_like(entered)
        tensors = (gates, entered, scaled, out, as_bytes(reset), weight_hh.contiguous())
        launch_steps(triton_gru.forward, tensors, T, B, H, G=gates.shape[2], REFINED=cell.refined)
        ctx.cell = cell
        ctx.save_for_backward(inputs, reset, weight_ih, weight_hh, gates, entered, scaled)
        return out, out[-1].clone()

    @staticmethod
    def backward(ctx: Any, *d_results: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Turns gradients by the results into gradients by the arguments."""
        refuse_second_derivative()
        inputs, reset, weight_ih, weight_hh, gates, entered, scaled = ctx.saved_tensors
        _, wants_inputs, wants_h, _, wants_ih, wants_hh, wants_bias = ctx.needs_input_grad
        T, B, H = entered.shape
        d_h = d_results[1].clone(memory_format=torch.contiguous_format)  # written to
        d_out, d_scaled, d_gates = d_results[0].contiguous(), torch.empty_like(d_h), torch.empty_like(gates)
        tensors = (gates, entered, as_bytes(reset), weight_hh.contiguous(), d_out, d_h, d_scaled, d_gates)
        launch_steps(triton_gru.backward, tensors, T, B, H, G=gates.shape[2], REFINED=ctx.cell.refined)
        rows = d_gates.flatten(0, 1)  # [T B, G]
        d_hh = None
        if wants_hh:
            by_gates = rows[:, :-H].t().mm(entered.flatten(0, 1))
            d_hh = torch.cat([by_gates, rows[:, -H:].t().mm(scaled.flatten(0, 1))])
        return (
            None,
            rows.mm(weight_ih).view(inputs.shape) if wants_inputs else None,
            d_h.masked_fill_(reset[0].unsqueeze(1), 0.0) if wants_h else None,
            None,
            rows.t().mm(inputs.reshape(len(rows), -1)) if wants_ih else None,
            d_hh,
            rows.sum(0) if wants_bias else None,
        )
