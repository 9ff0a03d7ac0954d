"""The fused unrolls of the elementwise recurrences on the CPU: matrix products around one call for all steps.

Source: none beside `scans.py`, which holds the loops.

The definition is `RecurrentCore.forward`; these are the same functions, and are tested against it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from cores.kernels.threads import split_batch
from cores.kernels.unroll import refuse_second_derivative


class Scan(NamedTuple):
    """The loops over all steps.

    Attributes:
        forward: as `cores.kernels.scans.mingru_forward` or `lru_forward`.
        backward: as `cores.kernels.scans.mingru_backward` or `lru_backward`.
    """

    forward: Callable[..., None]
    backward: Callable[..., None]


def fused_mingru_unroll(
    scan: Scan,
    inputs: torch.Tensor,
    h: torch.Tensor,
    reset: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Reads T inputs per environment, as `RecurrentCore.forward` of a minGRU.

    Args:
        scan: the minGRU's.
        inputs: [T, B, I] of any strides, on the CPU, float32 or float64, as every other tensor here.
        h: [B, H]: output before inputs[0].
        reset: [T, B] bool: h is replaced by zeros before step t.
        weight: [2 H, I]: the core's input weights.
        bias: [2 H]: its biases.

    Returns:
        out [T, B, H], and h [B, H] after the last step.
    """
    return _MinGRU.apply(scan, inputs, h, reset, weight, bias)


def fused_lru_scan(
    scan: Scan, driven: torch.Tensor, before: torch.Tensor, eigenvalues: torch.Tensor, reset: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Runs x_t = lambda * x_{t-1} + driven_t, complex, for every environment.

    The last axis holds the real parts, then the imaginary ones.

    Args:
        scan: the LRU's.
        driven: [T, B, 2 H]: what the inputs add; on the CPU, float32 or float64, as every other tensor here.
        before: [B, 2 H]: the state before step 0.
        eigenvalues: [2 H]: lambda.
        reset: [T, B] bool: the state is replaced by zeros before step t.

    Returns:
        The states [T, B, 2 H], and the last of them, [B, 2 H].
    """
    return _LRU.apply(scan, driven, before, eigenvalues, reset)


class _MinGRU(torch.autograd.Function):
    """The minGRU's unroll and its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        scan: Scan,
        inputs: torch.Tensor,
        h: torch.Tensor,
        reset: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Runs it, and keeps what the gradient needs."""
        T, B, I = inputs.shape  # noqa: E741
        gates = torch.addmm(bias, inputs.reshape(T * B, I), weight.t()).view(T, B, -1)
        h, reset = h.contiguous(), reset.contiguous()
        out = gates.new_empty(T, B, h.shape[1])
        tensors = (gates, h.detach(), reset, out, h.new_zeros(h.shape[1]))
        split_batch(scan.forward, B, *(tensor.numpy() for tensor in tensors))
        ctx.scan = scan
        ctx.save_for_backward(inputs, weight, gates, h, reset, out)
        return out, out[-1].clone()

    @staticmethod
    def backward(ctx: Any, *d_results: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Turns gradients by the results into gradients by the arguments."""
        refuse_second_derivative()
        inputs, weight, *trace = ctx.saved_tensors
        _, wants_inputs, _, _, wants_weight, wants_bias = ctx.needs_input_grad
        d_out = d_results[0].contiguous()
        d_h = d_results[1].clone(memory_format=torch.contiguous_format)  # written to
        d_gates = torch.empty_like(trace[0])
        tensors = (*trace, d_out, d_h, d_gates, d_h.new_zeros(d_h.shape[1]))
        split_batch(ctx.scan.backward, len(d_h), *(tensor.numpy() for tensor in tensors))
        rows = d_gates.flatten(0, 1)  # [T B, 2 H]
        return (
            None,
            rows.mm(weight).view(inputs.shape) if wants_inputs else None,
            d_h,
            None,
            rows.t().mm(inputs.reshape(len(rows), -1)) if wants_weight else None,
            rows.sum(0) if wants_bias else None,
        )


class _LRU(torch.autograd.Function):
    """The LRU's recurrence and its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        scan: Scan,
        driven: torch.Tensor,
        before: torch.Tensor,
        eigenvalues: torch.Tensor,
        reset: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Runs it, and keeps what the gradient needs."""
        driven, before, reset = driven.contiguous(), before.contiguous(), reset.contiguous()
        states = torch.empty_like(driven)
        tensors = (driven, before, eigenvalues, reset, states, torch.zeros_like(eigenvalues))
        split_batch(scan.forward, len(before), *(tensor.detach().numpy() for tensor in tensors))
        ctx.scan = scan
        ctx.save_for_backward(before, eigenvalues, reset, states)
        return states, states[-1].clone()

    @staticmethod
    def backward(ctx: Any, *d_results: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Turns gradients by the results into gradients by the arguments."""
        refuse_second_derivative()
        d_states = d_results[0].contiguous()
        d_before = d_results[1].clone(memory_format=torch.contiguous_format)  # written to
        d_driven, d_by = torch.empty_like(d_states), torch.zeros_like(d_before)
        zeros = d_by.new_zeros(d_by.shape[1])
        tensors = (*ctx.saved_tensors, d_states, d_before, d_driven, d_by, zeros)
        split_batch(ctx.scan.backward, len(d_by), *(tensor.numpy() for tensor in tensors))
        return None, d_driven, d_before, d_by.sum(0), None
