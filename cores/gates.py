"""How a forget gate starts, and what helps it: pure functions, of which `lstm.py` makes its twelve LSTMs.

Sources: Gu et al. 2020, "Improving the Gating Mechanism of Recurrent Neural Networks" (arXiv 1910.09890), for
the refine gate, the uniform gate initialisation and the grid; Tallec & Ollivier 2018, "Can Recurrent Neural
Networks Warp Time?" (arXiv 1804.11188), for chrono; Shen et al. 2019, "Ordered Neurons" (arXiv 1810.09536),
for cumax and the master gates.

Notation: P_x is the pre-activation of gate x, d the hidden size, k a number drawn once per unit.
"""

import math
from collections.abc import Callable

import torch

FORGET_BIAS = 1.0
"""The standard start. At 0 an LSTM forgets too fast to be a fair baseline (Jozefowicz et al. 2015)."""

T_MAX = 100.0
"""Chrono's longest dependency, in steps. The right value is the task's own delay; this suits 50 to 100."""

SATURATED = 0.05
"""A gate this close to 0 or 1 is saturated: there the slope of a sigmoid is below a fifth of its steepest."""

CHUNK = 1
"""Units that share one entry of a master gate. 1 fits every hidden size; more save weights."""

GATE_GAIN = 0.5
"""Weights of the gates at the start, relative to the candidate's. Where weights move the gates further than
the biases spread them, a start is no longer what its name says."""


def standard_bias(size: int, *, forget_bias: float = FORGET_BIAS) -> torch.Tensor:
    """Starts every unit alike.

    Args:
        size: d, number of units.
        forget_bias: the bias of every unit; 1 gives f = 0.73 and a time scale of 3.7 steps.

    Returns:
        [d] float32: the bias of the forget gate.

    Raises:
        ValueError: if forget_bias is not a finite number.
    """
    if not _is_number(forget_bias):
        raise ValueError(f"forget_bias must be a finite number, not {forget_bias!r}")
    return torch.full((size,), float(forget_bias))


def chrono_bias(size: int, *, t_max: float = T_MAX) -> torch.Tensor:
    """Starts the units at time scales spread evenly up to a longest dependency that the user knows.

    Tallec & Ollivier 2018: b_f = log(k), k ~ Uniform[1, T_max - 1]. A unit's time scale 1 / (1 - f) is 1 + k,
    uniform in [2, T_max].

    Args:
        size: d, number of units.
        t_max: T_max, the longest dependency, in steps; at least 3.

    Returns:
        [d] float32: the bias of the forget gate. The input gate takes its negative.

    Raises:
        ValueError: if t_max is not a finite number of at least 3.
    """
    if not _is_number(t_max) or t_max < 3:
        raise ValueError(f"t_max must be a number of steps of at least 3, not {t_max!r}")
    return torch.empty(size).uniform_(1.0, t_max - 1.0).log()


def cumax_bias(size: int) -> torch.Tensor:
    """Starts a cumax gate: with zero bias it already rises evenly from 1/d to 1 over the units.

    Args:
        size: d, number of units.

    Returns:
        [d] float32: zeros.
    """
    return torch.zeros(size)


def uniform_bias(size: int) -> torch.Tensor:
    """Starts the units with gates spread evenly over the unit interval: uniform gate initialisation (UGI).

    Gu et al. 2020, equation 12: b_f = -log(1/k - 1), k ~ Uniform[1/d, 1 - 1/d], so that f = sigma(b_f) = k.

    Args:
        size: d, number of units; at least 2.

    Returns:
        [d] float32: the bias of the forget gate; of size at most log(d - 1).

    Raises:
        ValueError: if size is below 2: the interval would be empty.

    Note:
        The margin is 1/d and not a small constant: a unit drawn next to 0 or 1 would be saturated, and hardly
        learn.
    """
    if size < 2:
        raise ValueError(f"start='uniform' needs hidden_size of at least 2, not {size}")
    return torch.empty(size).uniform_(1.0 / size, 1.0 - 1.0 / size).logit()


def cumax(pre_activation: torch.Tensor) -> torch.Tensor:
    """Activates a gate that rises from 0 to 1 over the units: the cumulative sum of a softmax.

    Shen et al. 2019, section 4.1.

    Args:
        pre_activation: [..., d]: P.

    Returns:
        [..., d]: rising along the last axis, in (0, 1]; the last entry is 1 up to rounding.
    """
    return torch.cumsum(torch.softmax(pre_activation, dim=-1), dim=-1)


def refine(f: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """Lets a second gate push the forget gate towards 0 or 1, most where it is undecided.

    Gu et al. 2020, equation 10: g = r * (1 - (1-f)^2) + (1-r) * f^2. Computed is the same collected in r:
    f^2 + 2 r (f - f^2). It lies between f^2 and 1 - (1-f)^2, and r = 1/2 gives f.

    Args:
        f: [..., d]: the forget gate, in [0, 1].
        r: [..., d]: the refine gate, in [0, 1].

    Returns:
        [..., d]: the effective forget gate g.
    """
    square = f * f
    return torch.addcmul(square, r, f - square, value=2.0)


def master(
    f: torch.Tensor, i: torch.Tensor, pre_forget: torch.Tensor, pre_input: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lets a pair of ordered gates decide which units are kept, which are written, and where f and i rule.

    Shen et al. 2019, equations 9 to 13: F = cumax(P_F), I = 1 - cumax(P_I), w = F * I,
    f_hat = f * w + (F - w), i_hat = i * w + (I - w).

    Args:
        f: [..., d]: the forget gate.
        i: [..., d]: the input gate.
        pre_forget: [..., d/C]: P_F, pre-activation of the master forget gate.
        pre_input: [..., d/C]: P_I, pre-activation of the master input gate. Each entry rules C units.

    Returns:
        The effective forget gate f_hat and the effective input gate i_hat, both [..., d].
    """
    chunk = f.shape[-1] // pre_forget.shape[-1]
    keep, write = cumax(pre_forget), 1.0 - cumax(pre_input)
    if chunk > 1:
        keep, write = keep.repeat_interleave(chunk, dim=-1), write.repeat_interleave(chunk, dim=-1)
    overlap = keep * write
    # f*w + (F - w) = F - w*(1 - f): one product less, and the same for i.
    return torch.addcmul(keep, overlap, f - 1.0), torch.addcmul(write, overlap, i - 1.0)


def time_scale(forget: torch.Tensor, *, longest: float = 1e6) -> torch.Tensor:
    """Converts a forget gate into the number of steps after which a memory has faded to 1/e: 1 / (1 - g).

    Tallec & Ollivier 2018; exact in the limit of long memories.

    Args:
        forget: [...]: the effective forget gate g.
        longest: the value given where g is too close to 1, or by rounding above it, for a quotient, in steps.

    Returns:
        [...]: steps, between 1 and longest.
    """
    return (1.0 - forget).clamp(min=1.0 / longest, max=1.0).reciprocal()


def saturation_share(gate: torch.Tensor, *, margin: float = SATURATED) -> torch.Tensor:
    """Measures how much of a gate is saturated: fully open or shut, and slow to learn anything else.

    Neither end is bad in itself: gates that have learnt to hold a memory are nearly binary (Gu et al. 2020).
    A gate that is saturated before it has learnt anything started wrongly.

    Args:
        gate: [...]: activations of a gate, in [0, 1].
        margin: a gate below it, or above one minus it, is saturated.

    Returns:
        []: the share of activations below margin or above 1 - margin, from 0 to 1; NaN if one is NaN.

    Raises:
        ValueError: if gate is empty, or margin is not in (0, 1/2].
    """
    if not gate.numel():
        raise ValueError("gate must not be empty")
    if not _is_number(margin) or not 0.0 < margin <= 0.5:
        raise ValueError(f"margin must lie above 0 and not above 1/2, not {margin!r}")
    saturated = ((gate < margin) | (gate > 1.0 - margin)).to(gate.dtype)
    return torch.where(gate.isnan(), gate, saturated).mean()


STARTS: dict[str, Callable[..., torch.Tensor]] = {
    "standard": standard_bias,
    "chrono": chrono_bias,
    "cumax": cumax_bias,
    "uniform": uniform_bias,
}
"""How a forget gate starts: name -> the bias it starts with. "cumax" also replaces the sigmoid."""

SPREAD = ("chrono", "uniform")
"""The starts that give each unit a bias of its own, which the gate beside the forget gate may mirror."""

HELPS: dict[str, Callable[..., tuple[torch.Tensor, torch.Tensor | None]]] = {
    "none": lambda f, i: (f, i),
    "refine": lambda f, r: (refine(f, r), None),
    "master": master,
}
"""What helps it: name -> how the effective forget and input gates come of f and the gates beside it. An input
gate of None is tied: one minus the effective forget gate (Gu et al. 2020, equation 11)."""


def effective_options(start: str, help: str) -> list[str]:
    """Lists the options of a gated core that change anything at one place of the grid.

    Args:
        start: how the forget gate starts.
        help: what helps it.

    Returns:
        Names of options.

    Raises:
        ValueError: if there is no such place.
    """
    require_choice("start", start, tuple(STARTS))
    require_choice("help", help, tuple(HELPS))
    effects = {
        "forget_bias": start == "standard",
        "t_max": start == "chrono",
        "refine_bias": help == "refine" and start in SPREAD,
        "chunk": help == "master",
        "layer_norm": True,
    }
    return [name for name, effective in effects.items() if effective]


def require_choice(name: str, value: str, valid: tuple[str, ...]) -> None:
    """Checks that a word is one of a few.

    Args:
        name: what it is called in the error.
        value: the word.
        valid: the words that it may be.

    Raises:
        ValueError: if it is none of them.
    """
    if value not in valid:
        raise ValueError(f"{name} must be one of {', '.join(valid)}, not {value!r}")


def require_flag(name: str, value: object) -> bool:
    """Checks that an option is true or false.

    Args:
        name: what it is called in the error.
        value: the option.

    Returns:
        The same.

    Raises:
        ValueError: if it is anything else.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, not {value!r}")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
