"""The fused unrolls of the elementwise recurrences on CUDA: torch's products around one launch for all steps.

Source: none beside `triton_scans`, which holds the loops.

The definition is `RecurrentCore.forward`; these are the same functions, and are tested against it, until now
in Triton's interpreter only. None has run on a GPU yet.
"""

from typing import Any

import torch

from cores.kernels import triton_scans
from cores.kernels.cuda_launch import launch_scan
from cores.kernels.cuda_unroll import as_bytes
from cores.kernels.unroll import refuse_second_derivative


def mingru_unroll(
    inputs: torch.Tensor, h: torch.Tensor, reset: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Reads T inputs per environment, as `RecurrentCore.forward` of a minGRU.

    Args:
        inputs: [T, B, I] of any strides, of one device and dtype with every other tensor here.
        h: [B, H]: output before inputs[0].
        reset: [T, B] bool: h is replaced by zeros before step t.
        weight: [2 H, I]: the core's input weights.
        bias: [2 H]: its biases.

    Returns:
        out [T, B, H], and h [B, H] after the last step.
    """
    return _MinGRU.apply(inputs, h, reset, weight, bias)


def scan(
    driven: torch.Tensor, before: torch.Tensor, eigenvalues: torch.Tensor, reset: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Runs x_t = lambda * x_{t-1} + driven_t, complex, for every environment.

    The last axis holds the real parts, then the imaginary ones.

    Args:
        driven: [T, B, 2 H]: what the inputs add; of one device and dtype with every other tensor here.
        before: [B, 2 H]: the state before step 0.
        eigenvalues: [2 H]: lambda.
        reset: [T, B] bool: the state is replaced by zeros before step t.

    Returns:
        The states [T, B, 2 H], and the last of them, [B, 2 H].
    """
    return _LRU.apply(driven, before, eigenvalues, reset)


class _MinGRU(torch.autograd.Function):
    """The minGRU's unroll and its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        h: torch.Tensor,
        reset: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Runs it, and keeps what the gradient needs."""
        (T, B, I), H = inputs.shape, h.shape[1]  # noqa: E741
        gates = torch.addmm(bias, inputs.reshape(T * B, I), weight.t()).view(T, B, 2 * H)
        h, reset, out = h.contiguous(), as_bytes(reset), gates.new_empty(T, B, H)
        launch_scan(triton_scans.mingru_forward, (gates, h, reset, out), T, B, H)
        ctx.save_for_backward(inputs, weight, gates, h, reset, out)
        return out, out[-1].clone()

    @staticmethod
    def backward(ctx: Any, *d_results: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Turns gradients by the results into gradients by the arguments."""
        refuse_second_derivative()
        inputs, weight, *trace = ctx.saved_tensors
        wants_inputs, _, _, wants_weight, wants_bias = ctx.needs_input_grad
        d_out, d_last = (d.contiguous() for d in d_results)
        d_gates, d_h = torch.empty_like(trace[0]), torch.empty_like(d_last)
        tensors = (*trace, d_out, d_last, d_h, d_gates)
        launch_scan(triton_scans.mingru_backward, tensors, *d_out.shape)
        rows = d_gates.flatten(0, 1)  # [T B, 2 H]
        return (
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
        ctx: Any, driven: torch.Tensor, before: torch.Tensor, eigenvalues: torch.Tensor, reset: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Runs it, and keeps what the gradient needs."""
        T, B, width = driven.shape
        driven, before, eigenvalues = driven.contiguous(), before.contiguous(), eigenvalues.contiguous()
        reset, states = as_bytes(reset), torch.empty_like(driven)
        tensors = (driven, before, eigenvalues, reset, states)
        launch_scan(triton_scans.lru_forward, tensors, T, B, width // 2)
        ctx.save_for_backward(before, eigenvalues, reset, states)
        return states, states[-1].clone()

    @staticmethod
    def backward(ctx: Any, *d_results: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Turns gradients by the results into gradients by the arguments."""
        refuse_second_derivative()
        T, B, width = d_results[0].shape
        d_states, d_last = (d.contiguous() for d in d_results)
        d_before, d_driven, d_by = (torch.empty_like(d) for d in (d_last, d_states, d_last))
        tensors = (*ctx.saved_tensors, d_states, d_last, d_before, d_driven, d_by)
        launch_scan(triton_scans.lru_backward, tensors, T, B, width // 2)
        return d_driven, d_before, d_by.sum(0), None
