"""The agent's network: encoder, recurrent core, policy and value heads."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from agents.config import Config, stream_seed
from agents.encoders import make_embedding
from agents.foresight import Foresight
from agents.trajectory import Inputs, State
from cores import make_core
from cores.core import RecurrentCore


class NetworkOutput(NamedTuple):
    """What the network says of R rows of B environments."""

    logits: Tensor
    """[R, B, A]: policy."""
    values: Tensor
    """[R, B]: baseline."""
    core_state: State
    """Core state after the last row."""
    core_output: Tensor
    """[R, B, H]: what the core gives the heads to read."""


class Products(nn.Module):
    """Products of what is remembered and what is seen: (M m) * (S s), entry by entry.

    What a choice pays often depends on both at once and on neither alone: which door is right, on the cue and
    on where its colour is now. Linear heads can't say that, and layers between learn it slowly.
    """

    def __init__(self, memory_size: int, input_size: int, num_products: int):
        """Draws both maps."""
        super().__init__()
        self.of_memory = nn.Linear(memory_size, num_products, bias=False)
        self.of_input = nn.Linear(input_size, num_products, bias=False)

    def forward(self, core_output: Tensor, core_inputs: Tensor) -> Tensor:
        """core_output [..., H], core_inputs [..., I] -> [..., P]."""
        return self.of_memory(core_output) * self.of_input(core_inputs)


class Network(nn.Module):
    """Encoder, core and heads over rows of inputs.

    The core sees the encoded observation, the previous action as a one-hot code and the previous reward;
    at the first row of an episode both are all zeros, so that nothing leaks over the episode's end. A core
    without state always sees zeros there: an action repeated step by step is a memory of its own, and a
    control must have none.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        num_actions: int,
        encoder_size: int,
        core_of: Callable[[int], RecurrentCore],
        num_products: int = 0,
        foresees: bool = False,
    ):
        """Builds the network.

        Args:
            observation_space: space of one environment.
            num_actions: A.
            encoder_size: width of the encoded observation.
            core_of: input size -> core.
            num_products: P, products of the core's output and input that the heads read too.
            foresees: whether it has a head for `agents.foresight`.
        """
        super().__init__()
        self.num_actions = num_actions
        self.uses_bfloat16 = False  # products of encoder and heads to bfloat16
        self.encoder = make_embedding(observation_space, encoder_size)
        self.core = core_of(encoder_size + num_actions + 1)
        read_size = self.core.output_size + num_products
        self.policy = nn.Linear(read_size, num_actions)
        self.value = nn.Linear(read_size, 1)
        # A near-uniform first policy explores; a value of zero bootstraps nothing that isn't there.
        with torch.no_grad():
            self.policy.weight *= 0.01
        nn.init.zeros_(self.policy.bias)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)
        self.products: Products | None = None
        if num_products:
            self.products = Products(self.core.output_size, self.core.input_size, num_products)
        self.foresight: Foresight | None = None
        if foresees:
            self.foresight = Foresight(observation_space, num_actions, self.core.output_size)

    def initial_state(self, batch_size: int) -> State:
        """Core state before the first row of an episode."""
        return self.core.initial_state(batch_size)

    def core_inputs(self, inputs: Inputs) -> Tensor:
        """Encoded observation, previous action and previous reward: [..., encoder_size + A + 1].

        Args:
            inputs: rows of B environments, [R, B, ...], or one row, [B, ...].
        """
        with self._autocast():
            encoded = functional.relu(self.encoder(inputs.observations))
        encoded = self._to_float32(encoded)
        past = encoded.new_zeros(*inputs.resets.shape, self.num_actions + 1)  # [..., B, A + 1]
        if self.core.state_shapes:
            past.scatter_(-1, inputs.prev_actions.unsqueeze(-1), 1.0)
            past[..., -1] = inputs.prev_rewards
            past.masked_fill_(inputs.resets.unsqueeze(-1), 0.0)
        return torch.cat([encoded, past], -1)

    def forward(self, inputs: Inputs, core_state: State) -> NetworkOutput:
        """Runs R rows from a core state; rows marked as resets start from the initial state."""
        core_inputs = self.core_inputs(inputs)
        output, core_state = self.core(core_inputs, core_state, inputs.resets)
        with self._autocast():
            read = self.what_heads_read(output, core_inputs)
            logits, values = self.policy(read), self.value(read).squeeze(-1)
        return NetworkOutput(self._to_float32(logits), self._to_float32(values), core_state, output)

    def logits(self, core_output: Tensor, core_inputs: Tensor) -> Tensor:
        """The policy at outputs of the core, [..., H], and what it read: [..., A], not rounded."""
        with self._autocast():
            return self._to_float32(self.policy(self.what_heads_read(core_output, core_inputs)))

    def what_heads_read(self, core_output: Tensor, core_inputs: Tensor) -> Tensor:
        """The core's output, and its products: [..., H + P]."""
        if self.products is None:
            return core_output
        return torch.cat([core_output, self.products(core_output, core_inputs)], -1)

    def _to_float32(self, x: Tensor) -> Tensor:
        """The number format of all that is not rounded."""
        return x.float() if self.uses_bfloat16 else x

    def _autocast(self) -> AbstractContextManager[object]:
        """Where products may be rounded; no cache of weights, which a CUDA graph would keep."""
        if not self.uses_bfloat16:
            return nullcontext()
        device = self.policy.weight.device.type
        return torch.autocast(device, torch.bfloat16, cache_enabled=False)


def make_network(config: Config, observation_space: spaces.Space, num_actions: int) -> Network:
    """The network of a run, with the first weights of its seed.

    Raises:
        ValueError: one line; no such core, an option it does not take, or a space without an encoder.
    """

    def core_of(input_size: int) -> RecurrentCore:
        return make_core(config.core, input_size, config.hidden_size, **config.core_options)

    with torch.random.fork_rng():
        torch.manual_seed(stream_seed(config.seed, "weights"))
        return Network(
            observation_space,
            num_actions,
            config.encoder_size,
            core_of,
            num_products=config.num_products,
            foresees=config.foresight_cost > 0,
        )
