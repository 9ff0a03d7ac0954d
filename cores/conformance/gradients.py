"""Rules about gradients and precision. Each is a function of a factory that returns a complaint, or None.

Source: `cores.core.RecurrentCore`, the contract.
"""

import torch

from cores.conformance.trial import (
    B,
    Make,
    T,
    floating,
    prepare,
    reached_state,
    resets,
    some_inputs,
    trial,
)
from cores.core import State

NUDGE = 1e-11
"""Far below what float32 can tell apart (1e-7), far above what float64 can (1e-16)."""

STEP, SLACK = 1e-6, 1e-5
"""Finite differences: the step, and the error allowed, relative above 1. Theirs is about 1e-9."""


def reset_gradient(make: Make) -> str | None:
    """Checks that the gradient by all that lies before a reset is zero, exactly."""
    core, inputs, state = trial(make)
    inputs.requires_grad_()
    leaves = [tensor.requires_grad_() for tensor in floating(state)]
    for t in range(T):
        out, last = core(inputs, state, resets(inputs, (t, 0)))
        after = [out[t:, 0], *(tensor[0] for tensor in floating(last))]
        if not out.requires_grad:
            return "out has no gradient at all"
        total = torch.stack([(part * torch.randn_like(part)).sum() for part in after]).sum()
        gradients = torch.autograd.grad(total, (inputs, *leaves), allow_unused=True)
        before = [
            gradient if k else gradient[:t] for k, gradient in enumerate(gradients) if gradient is not None
        ]
        if any(bool((gradient != 0).any()) for gradient in before):
            return f"a gradient crosses a reset before step {t}"
    return None


def parameters(make: Make) -> str | None:
    """Checks that every parameter is learnt: that it has a gradient other than zero, and a finite one."""
    core, inputs, state = trial(make)
    out, _ = core(inputs, state, resets(inputs, (2, 0)))
    learnt = {name: value for name, value in core.named_parameters() if value.requires_grad}
    if not learnt:
        return None
    if not out.requires_grad:
        return "out has no gradient at all"
    gradients = torch.autograd.grad(
        (out * torch.randn_like(out)).sum(), list(learnt.values()), allow_unused=True
    )
    for name, gradient in zip(learnt, gradients, strict=True):
        if gradient is None or not bool(gradient.any()):
            return f"the gradient of {name} is zero"
        if not bool(gradient.isfinite().all()):
            return f"the gradient of {name} is not finite"
    return None


def through_time(make: Make) -> str | None:
    """Checks that whatever an earlier input or state changes, it has a gradient by it."""
    core, inputs, state = trial(make)
    other = reached_state(core)
    reset = resets(inputs)
    leaf = inputs.clone().requires_grad_()
    leaves = [tensor.requires_grad_() for tensor in floating(tuple(tensor.clone() for tensor in state))]
    out, _ = core(leaf, _with_floating(state, leaves), reset)
    if not out.requires_grad:
        return "out has no gradient at all"
    felt = False
    for t in range(T):
        changed = inputs.clone()
        changed[t] += 1.0
        moved = core(changed, state, reset)[0]
        gradient = torch.autograd.grad((out[-1] * torch.randn_like(out[-1])).sum(), leaf, retain_graph=True)[
            0
        ][t]
        if bool((moved[-1] != out[-1]).any()) and not bool(gradient.any()):
            return f"inputs[{t}] changes out[{T - 1}], which has no gradient by it"
        felt = felt or (t < T - 1 and bool((moved[t + 1 :] != out[t + 1 :]).any()))
    if not core.state_shapes:
        return None
    if not felt:
        return "the core has a state, but no input changes a later output"
    if leaves and bool((core(inputs, other, reset)[0] != out).any()):
        by_state = torch.autograd.grad((out * torch.randn_like(out)).sum(), leaves, allow_unused=True)
        if not any(gradient is not None and bool(gradient.any()) for gradient in by_state):
            return "the state that comes in changes out, which has no gradient by it"
    return None


def _with_floating(state: State, leaves: list[torch.Tensor]) -> State:
    """Puts leaves in the place of a state's floating tensors."""
    remaining = iter(leaves)
    return tuple(next(remaining) if tensor.is_floating_point() else tensor for tensor in state)


def float64(make: Make) -> str | None:
    """Checks that a core of float64 computes in float64, and what it computes in float32."""
    core, inputs, state = trial(make)
    reset = resets(inputs, (2, 0))
    rounded, _ = core(inputs, state, reset)
    core, inputs = core.double(), inputs.double()
    state = tuple(tensor.double() if tensor.is_floating_point() else tensor for tensor in state)
    out, last = core(inputs, state, reset)
    found = {tensor.dtype for tensor in (out, *floating(last), *floating(core.initial_state(B)))}
    if found != {torch.float64}:
        return f"after core.double(), something is {', '.join(sorted(map(str, found - {torch.float64})))}"
    if not torch.allclose(out, rounded.double(), rtol=1e-3, atol=1e-3):
        return "the results of float32 and float64 differ by more than rounding"
    moved, _ = core(inputs + NUDGE, state, reset)
    if torch.equal(moved, out):
        return f"inputs nudged by {NUDGE} change nothing: on the way something is rounded to float32"
    return None


def finite_differences(make: Make) -> str | None:
    """Checks the gradients by inputs, state and parameters against finite differences, in float64.

    One random direction for each of them: a wrong gradient shows in it, whatever the core's size, at the
    price of two unrolls. `torch.autograd.gradcheck` would take minutes over a large core once it fails.
    """
    core = prepare(make).double()
    inputs, state = some_inputs(core, 4, 2), reached_state(core, 2)
    reset = resets(inputs, (0, 1), (2, 0))
    leaves = {"inputs": inputs}
    leaves |= {f"state {k}": tensor for k, tensor in enumerate(state) if tensor.is_floating_point()}
    for tensor in leaves.values():
        tensor.requires_grad_()
    leaves |= {name: value for name, value in core.named_parameters() if value.requires_grad}
    cotangents: list[torch.Tensor] = []

    def total() -> torch.Tensor:
        out, last = core(inputs, state, reset)
        results = [out, *floating(last)]
        cotangents.extend(torch.randn_like(result) for result in results[len(cotangents) :])
        return torch.stack([(one * by).sum() for one, by in zip(results, cotangents, strict=True)]).sum()

    def moved(leaf: torch.Tensor, by: torch.Tensor) -> float:
        before = leaf.detach().clone()
        with torch.no_grad():
            leaf.add_(by)
        value = total().item()  # with gradients on: without them it might take another path
        with torch.no_grad():
            leaf.copy_(before)
        return value

    gradients = torch.autograd.grad(total(), list(leaves.values()), allow_unused=True)
    for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True):
        direction = torch.randn_like(leaf)
        wanted = (moved(leaf, STEP * direction) - moved(leaf, -STEP * direction)) / (2 * STEP)
        found = 0.0 if gradient is None else (gradient * direction).sum().item()
        if not abs(found - wanted) <= SLACK * (1.0 + abs(wanted)):
            return f"the gradient by {name}, along a random direction, is {found:.6g}, not {wanted:.6g}"
    return None
