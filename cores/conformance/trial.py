"""What every rule works on: a core whose weights are nowhere special, inputs, and a state it reached itself.

Source: none.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from cores.core import RecurrentCore, State

Make = Callable[[], RecurrentCore]
"""Makes a core anew at every call, all of them of the same sizes and options."""

T, B = 5, 3
"""Steps and environments of a trial; different, so that exchanged axes show."""

TOLERANCE = 1e-5
"""Two ways to compute a tensor agree to it in float32, relative to its largest entry where that exceeds 1:
sums come in another order."""


class Trial(NamedTuple):
    """A core and arguments for it.

    Attributes:
        core: with weights a little off their start.
        inputs: [T, B, I]: normally distributed.
        state: tensors [B, ...]: what the core holds after a few other inputs; without gradient.
    """

    core: RecurrentCore
    inputs: torch.Tensor
    state: State


def prepare(make: Make) -> RecurrentCore:
    """Makes a core to look at.

    Args:
        make: makes a core.

    Returns:
        The core, its weights moved a little: at the start a weight may be zero and hide what lies behind it.
        In train mode as agents use it, but in eval mode where it has dropout.
    """
    core = make()
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return core.eval() if has_dropout(core) else core


def has_dropout(core: RecurrentCore) -> bool:
    """Tells whether a core declares, by a dropout module, that training is random."""
    return any(isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0 for part in core.modules())


def trial(make: Make) -> Trial:
    """Makes a core and arguments for it, from torch's global generator."""
    core = prepare(make)
    return Trial(core, some_inputs(core), reached_state(core))


def some_inputs(core: RecurrentCore, num_steps: int = T, num_envs: int = B) -> torch.Tensor:
    """Draws inputs [T, B, I] on the device and in the dtype of a core's parameters."""
    like = next(core.parameters(), torch.empty(0))
    return torch.randn(num_steps, num_envs, core.input_size).to(like)


def reached_state(core: RecurrentCore, num_envs: int = B) -> State:
    """Gives a state that the core reached by itself: any numbers might be none that it could ever hold."""
    inputs = some_inputs(core, 4, num_envs)
    with torch.no_grad():
        _, state = core(inputs, core.initial_state(num_envs), resets(inputs))
    return tuple(tensor.detach().clone() for tensor in state)


def resets(inputs: torch.Tensor, *places: tuple[int, int]) -> torch.Tensor:
    """Returns [T, B] bool beside inputs [T, B, I], true at the given places (t, b)."""
    reset = torch.zeros(inputs.shape[:2], dtype=torch.bool, device=inputs.device)
    for t, b in places:
        reset[t, b] = True
    return reset


def rows(state: State, select: slice | torch.Tensor) -> State:
    """Takes some environments' rows of a state."""
    return tuple(tensor[select] for tensor in state)


def difference(found: torch.Tensor, wanted: torch.Tensor) -> str | None:
    """Says how two tensors differ.

    Args:
        found: [...]: what came out.
        wanted: [...]: what should have.

    Returns:
        "by ..." or "in shape: ..."; None where they agree to `TOLERANCE`. NaN agrees with nothing.
    """
    if found.shape != wanted.shape:
        return f"in shape: {list(found.shape)}, not {list(wanted.shape)}"
    found, wanted = found.detach().double(), wanted.detach().double()
    distance = (found - wanted).abs()
    wrong = ~(distance <= TOLERANCE * max(1.0, wanted.nan_to_num(0.0, 0.0, 0.0).abs().max().item()))
    if not wrong.any():
        return None
    place = wrong.nonzero()[0].tolist()
    return f"by {distance[wrong].max().item():.2g}, first at {place}"


def state_difference(found: State, wanted: State) -> str | None:
    """Says how two states differ, in the words of `difference`."""
    if len(found) != len(wanted):
        return f"in length: {len(found)} tensors, not {len(wanted)}"
    for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
        if words := difference(one, other):
            return f"(tensor {index}) {words}"
    return None


def floating(state: State) -> list[torch.Tensor]:
    """Lists the tensors of a state that can carry a gradient."""
    return [tensor for tensor in state if tensor.is_floating_point()]
