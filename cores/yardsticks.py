"""What the speed of a core is told by: torch's own LSTM, with and without resets, and the bare products.

Source: none. Each contestant is a function without arguments that does one round of work: an unroll forward
and backward ("learning"), or one step without gradients ("acting"). Contestants are timed in turn, so that
what else the machine does meanwhile is shared by all.
"""

import random
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn

from cores.core import RecurrentCore, State

RESET_SHARE = 0.01
"""Share of steps that begin an episode."""

PLAIN, MASKED, GRU = "nn.LSTM", "nn.LSTM masked", "nn.GRU"
"""The yardsticks beside the bare products: `nn.LSTM` and `nn.GRU` without resets; and `nn.LSTM` called step
by step, its state multiplied by a mask before each, as TorchBeast and CleanRL do."""

Work = Callable[[], object]


def take_turns(
    contestants: Mapping[str, Work], *, seconds: float, min_rounds: int = 3
) -> dict[str, list[float]]:
    """Times contestants in turns, over and over, each round in another order.

    Args:
        contestants: what to time, by name.
        seconds: time for all of them together.
        min_rounds: rounds that each does, whatever the time.

    Returns:
        The durations of each, in seconds; what the first call compiles is not among them.
    """
    durations: dict[str, list[float]] = {name: [] for name in contestants}
    for work in contestants.values():
        work()  # compiles and allocates
    wait = torch.cuda.synchronize if torch.cuda.is_initialized() else _nothing
    wait()
    end = time.perf_counter() + seconds
    num_rounds, order = 0, random.Random(0)
    while num_rounds < min_rounds or time.perf_counter() < end:
        turns = list(contestants.items())
        order.shuffle(turns)  # who comes after a large contestant finds the caches cold
        for name, work in turns:
            start = time.perf_counter()
            work()
            wait()
            durations[name].append(time.perf_counter() - start)
        num_rounds += 1
    return durations


def products_name(core: RecurrentCore) -> str | None:
    """Names the products that a core can't do without.

    Args:
        core: with a weight_hh of [G, H], if it multiplies by its state.

    Returns:
        The name of a yardstick: an unroll's matrix products by torch.mm, of G rows of weights, and nothing
        else. None for a core whose state enters no product.
    """
    weight_hh = getattr(core, "weight_hh", None)
    return None if weight_hh is None else f"products {len(weight_hh) / core.hidden_size:g} H"


def learning(cores: Mapping[str, RecurrentCore], T: int, B: int) -> dict[str, Work]:
    """Sets up unrolls forward and backward, with gradients by inputs and weights.

    Args:
        cores: by name, all of the same input_size and hidden_size; at least one.
        T: steps of an unroll.
        B: environments.

    Returns:
        Work by name: the yardsticks, then the cores.
    """
    first = next(iter(cores.values()))
    size, H = first.input_size, first.hidden_size
    inputs = torch.randn(T, B, size, requires_grad=True)
    reset = torch.rand(T, B) < RESET_SHARE
    lstm, gru, zeros = nn.LSTM(size, H), nn.GRU(size, H), torch.zeros(1, B, H)
    work: dict[str, Work] = {
        name: partial(learning_products, inputs.detach(), *weights)
        for name, weights in product_weights(cores).items()
    }
    work[PLAIN] = lambda: _differentiate(lstm(inputs, (zeros, zeros))[0], inputs, lstm)
    work[MASKED] = lambda: _differentiate(masked_unroll(lstm, inputs, (zeros, zeros), reset), inputs, lstm)
    work[GRU] = lambda: _differentiate(gru(inputs, zeros)[0], inputs, gru)
    for name, core in cores.items():
        work[name] = partial(_learn, core, inputs, core.initial_state(B), reset)
    return work


def acting(cores: Mapping[str, RecurrentCore], B: int) -> dict[str, Work]:
    """Sets up single steps without gradients.

    Args:
        cores: as in `learning`.
        B: environments.

    Returns:
        Work by name: the yardsticks, then the cores.
    """
    first = next(iter(cores.values()))
    size, H = first.input_size, first.hidden_size
    inputs, reset = torch.randn(1, B, size), torch.rand(1, B) < RESET_SHARE
    lstm, gru, zeros = nn.LSTM(size, H), nn.GRU(size, H), torch.zeros(1, B, H)
    work: dict[str, Work] = {
        name: partial(acting_products, inputs[0], zeros[0], *weights)
        for name, weights in product_weights(cores).items()
    }
    work[PLAIN] = lambda: lstm(inputs, (zeros, zeros))
    work[MASKED] = lambda: masked_unroll(lstm, inputs, (zeros, zeros), reset)
    work[GRU] = lambda: gru(inputs, zeros)
    for name, core in cores.items():
        work[name] = partial(core.stepper(B).step, inputs[0], reset[0])
    return {name: torch.no_grad()(one) for name, one in work.items()}


def product_weights(cores: Mapping[str, RecurrentCore]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Draws weights for the products of each of the cores, once for those of the same sizes.

    Args:
        cores: as in `learning`.

    Returns:
        Input weights [G, I] and recurrent weights [G, H] by the names of `products_name`.
    """
    named = {products_name(core): core for core in cores.values()}
    return {
        name: (torch.randn_like(core.weight_ih), torch.randn_like(core.weight_hh))  # type: ignore[arg-type]
        for name, core in sorted(named.items(), key=str)
        if name is not None
    }


def masked_unroll(
    lstm: nn.LSTM, inputs: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor], reset: torch.Tensor
) -> torch.Tensor:
    """Unrolls an `nn.LSTM` with resets in the common way: one call a step, the state times a mask before it.

    Args:
        lstm: of one layer.
        inputs: [T, B, I]: inputs.
        state: h and c, both [1, B, H]: the state before inputs[0].
        reset: [T, B] bool: inputs[t, b] is the first of an episode.

    Returns:
        [T, B, H]: outputs.
    """
    keep = (~reset).to(inputs.dtype).unsqueeze(-1)  # [T, B, 1]
    outputs = []
    for t in range(len(inputs)):
        h, c = state
        out, state = lstm(inputs[t : t + 1], (h * keep[t], c * keep[t]))
        outputs.append(out)
    return torch.cat(outputs)


def learning_products(inputs: torch.Tensor, weight_ih: torch.Tensor, weight_hh: torch.Tensor) -> None:
    """Does the matrix products that an unroll needs, forward and backward, and nothing else.

    Args:
        inputs: [T, B, I]: inputs.
        weight_ih: [G, I]: input weights.
        weight_hh: [G, H]: recurrent weights.
    """
    (T, B, size), (G, H) = inputs.shape, weight_hh.shape
    ih, hh = weight_ih.detach(), weight_hh.detach()
    rows, out = inputs.reshape(T * B, size), inputs.new_zeros(T, B, H)
    gates = rows.mm(ih.t()).view(T, B, G)
    for t in range(T):
        gates[t].addmm_(out[t], hh.t())
    d_h = inputs.new_empty(B, H)
    for t in reversed(range(T)):
        torch.mm(gates[t], hh, out=d_h)
    d_gates = gates.view(T * B, G)
    d_gates.mm(ih)  # by the inputs
    d_gates.t().mm(rows)  # by the input weights
    d_gates.t().mm(out.view(T * B, H))  # by the recurrent weights


def acting_products(
    x: torch.Tensor, h: torch.Tensor, weight_ih: torch.Tensor, weight_hh: torch.Tensor
) -> None:
    """Does the matrix products that one step needs, and nothing else.

    Args:
        x: [B, I]: inputs.
        h: [B, H]: the state before them.
        weight_ih: [G, I]: input weights.
        weight_hh: [G, H]: recurrent weights.
    """
    x.mm(weight_ih.t()).addmm_(h, weight_hh.t())


def _nothing() -> None:
    """There is nothing to wait for: the CPU has done its work when the call returns."""


def _learn(core: RecurrentCore, inputs: torch.Tensor, state: State, reset: torch.Tensor) -> None:
    _differentiate(core(inputs, state, reset)[0], inputs, core)


def _differentiate(out: torch.Tensor, inputs: torch.Tensor, module: nn.Module) -> None:
    torch.autograd.grad(out.sum(), (inputs, *module.parameters()))
