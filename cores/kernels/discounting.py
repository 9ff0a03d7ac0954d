"""Discounted sums over what is still to come: the recursion of V-trace, and of whatever else looks ahead.

Source: Sutton & Barto 2018, "Reinforcement Learning", section 3.3: a return is a reward, and the discounted
return that follows.
"""

from typing import Any

import torch
from torch import Tensor

from cores.kernels.compiled import compiled
from cores.kernels.threads import split_batch


@compiled
def add_backward(first: int, last: int, own: Any, factors: Any, following: Any, out: Any) -> None:
    """Takes all steps of some environments backward.

    Args:
        first: the first of these environments.
        last: the one behind the last of them.
        own: [T, B, D].
        factors: [T, B].
        following: [B, D]: stands for the sums of step T.
        out: [T, B, D]: becomes own_t + factors_t * out_{t + 1}.
    """
    T, _, D = own.shape
    for t in range(T - 1, -1, -1):
        for b in range(first, last):
            factor, after = factors[t, b], following[b] if t == T - 1 else out[t + 1, b]
            for d in range(D):
                out[t, b, d] = own[t, b, d] + factor * after[d]


@torch.no_grad()
def discounted_sums(own: Tensor, factors: Tensor, following: Tensor) -> Tensor:
    """Sums that obey x_t = own_t + factors_t * x_{t + 1}.

    Args:
        own: [T, B, ...] what each step adds; as `following` float32 or float64 where it lies on the CPU.
        factors: [T, B] by how much what follows it counts.
        following: [B, ...] x_T.

    Returns:
        [T, B, ...], without gradient.
    """
    if own.is_cpu:
        T, B = factors.shape
        out = torch.empty_like(own, memory_format=torch.contiguous_format)
        tensors = own.reshape(T, B, -1), factors, following.reshape(B, -1)
        arrays = [tensor.detach().to(own.dtype).contiguous().numpy() for tensor in tensors]
        split_batch(add_backward, B, *arrays, out.view(T, B, -1).numpy())
        return out
    out, wide = torch.empty_like(own), factors.view(*factors.shape, *(1,) * (own.ndim - 2))
    for part, factor, x in reversed(list(zip(own, wide, out, strict=True))):
        following = torch.addcmul(part, factor, following, out=x)
    return out
