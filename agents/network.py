"""The agent's network: encoder, recurrent core, policy and value heads.

The encoder follows from the observation space alone: categories (Discrete, MultiDiscrete: symbolic
grids) become the sum of a learnt vector each, uint8 images pass a small convolutional stack, vectors go
through a linear layer as they are.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from agents.config import Config, stream_seed
from agents.trajectory import Inputs, State
from cores import make_core
from cores.core import RecurrentCore
from cores.kernels.table import table_sum


class NetworkOutput(NamedTuple):
    """What the network says of R rows of B environments."""

    logits: Tensor
    """[R, B, A]: policy."""
    values: Tensor
    """[R, B]: baseline."""
    core_state: State
    """Core state after the last row."""


class OneHot(nn.Module):
    """Categories to one-hot codes: [..., *shape] integers -> [..., sum of the category counts] float."""

    offsets: Tensor

    def __init__(self, num_categories: np.ndarray):
        super().__init__()
        counts = num_categories.ravel().astype(np.int64)
        self.output_size = int(counts.sum())
        self.num_dims = num_categories.ndim
        offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)[:-1]]))
        self.register_buffer("offsets", offsets, persistent=False)

    def forward(self, observations: Tensor) -> Tensor:
        """Codes of integer observations; an integer outside its range is an error of the environment."""
        lead = observations.shape[: observations.ndim - self.num_dims]
        index = observations.reshape(*lead, -1).long() + self.offsets
        codes = torch.zeros(*lead, self.output_size, device=index.device)
        return codes.scatter_(-1, index, 1.0)


class Flatten(nn.Module):
    """Vectors, or arrays of any rank, to float vectors: [..., *shape] -> [..., size]."""

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.output_size, self.num_dims = math.prod(shape), len(shape)

    def forward(self, observations: Tensor) -> Tensor:
        """The same numbers in one row each."""
        lead = observations.shape[: observations.ndim - self.num_dims]
        return observations.reshape(*lead, self.output_size).float()


class Convolution(nn.Module):
    """uint8 images [..., height, width, channels] -> [..., features], scaled to [0, 1] first."""

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        height, width, channels = shape
        layers: list[nn.Module] = []
        for features in (32, 64, 64):
            # Small observations keep their resolution; large ones are halved layer by layer.
            stride = 2 if min(height, width) > 12 else 1
            layers += [nn.Conv2d(channels, features, 3, stride, padding=1), nn.ReLU()]
            height, width = (height - 1) // stride + 1, (width - 1) // stride + 1
            channels = features
        self.layers = nn.Sequential(*layers)
        self.output_size = channels * height * width

    def forward(self, observations: Tensor) -> Tensor:
        """Features of the images."""
        lead = observations.shape[:-3]
        images = observations.reshape(-1, *observations.shape[-3:]).permute(0, 3, 1, 2).float() / 255
        return self.layers(images).reshape(*lead, self.output_size)


class Embedding(nn.Module):
    """Categories to the sum of a vector for each: [..., *shape] integers -> [..., size] float.

    The same as a linear layer on the codes of `OneHot`, and begun with the same weights, without the codes.
    """

    offsets: Tensor

    def __init__(self, num_categories: np.ndarray, size: int):
        super().__init__()
        codes = OneHot(num_categories)
        self.num_dims = codes.num_dims
        linear = nn.Linear(codes.output_size, size)
        self.table = nn.Parameter(linear.weight.detach().t().contiguous())
        self.bias = nn.Parameter(linear.bias.detach())
        self.register_buffer("offsets", codes.offsets, persistent=False)

    def forward(self, observations: Tensor) -> Tensor:
        """Sums of integer observations; an integer outside its range is an error of the environment."""
        lead = observations.shape[: observations.ndim - self.num_dims]
        symbols = observations.reshape(-1, len(self.offsets))
        return table_sum(symbols, self.offsets, self.table, self.bias).view(*lead, -1)


def make_embedding(space: spaces.Space, size: int) -> nn.Module:
    """The encoder of an observation space, and a linear layer on it: [..., *shape] -> [..., size].

    Raises:
        ValueError: as `make_encoder`.
    """
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return Embedding(np.array(space.n) if isinstance(space, spaces.Discrete) else space.nvec, size)
    encoder = make_encoder(space)
    return nn.Sequential(encoder, nn.Linear(encoder.output_size, size))


def make_encoder(space: spaces.Space) -> OneHot | Flatten | Convolution:
    """The encoder of an observation space.

    Raises:
        ValueError: the space is neither Discrete, MultiDiscrete nor Box.
    """
    if isinstance(space, spaces.Discrete):
        return OneHot(np.array(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return OneHot(space.nvec)
    if isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3:
        return Convolution(space.shape)
    if isinstance(space, spaces.Box):
        return Flatten(space.shape)
    raise ValueError(f"no encoder for the observation space {space}; use Box, Discrete or MultiDiscrete")


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
    ):
        """Builds the network.

        Args:
            observation_space: space of one environment.
            num_actions: A.
            encoder_size: width of the encoded observation.
            core_of: input size -> core.
        """
        super().__init__()
        self.num_actions = num_actions
        self.rounds = False  # products of encoder and heads to bfloat16
        self.encoder = make_embedding(observation_space, encoder_size)
        self.core = core_of(encoder_size + num_actions + 1)
        self.policy = nn.Linear(self.core.output_size, num_actions)
        self.value = nn.Linear(self.core.output_size, 1)
        # A near-uniform first policy explores; a value of zero bootstraps nothing that isn't there.
        with torch.no_grad():
            self.policy.weight *= 0.01
        nn.init.zeros_(self.policy.bias)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def initial_state(self, batch_size: int) -> State:
        """Core state before the first row of an episode."""
        return self.core.initial_state(batch_size)

    def core_inputs(self, inputs: Inputs) -> Tensor:
        """Encoded observation, previous action and previous reward: [..., encoder_size + A + 1].

        Args:
            inputs: rows of B environments, [R, B, ...], or one row, [B, ...].
        """
        with self._rounding():
            encoded = functional.relu(self.encoder(inputs.observations))
        encoded = encoded.float() if self.rounds else encoded
        past = encoded.new_zeros(*inputs.resets.shape, self.num_actions + 1)  # [..., B, A + 1]
        if self.core.state_shapes:
            past.scatter_(-1, inputs.prev_actions.unsqueeze(-1), 1.0)
            past[..., -1] = inputs.prev_rewards
            past.masked_fill_(inputs.resets.unsqueeze(-1), 0.0)
        return torch.cat([encoded, past], -1)

    def forward(self, inputs: Inputs, core_state: State) -> NetworkOutput:
        """Runs R rows from a core state; rows marked as resets start from the initial state."""
        output, core_state = self.core(self.core_inputs(inputs), core_state, inputs.resets)
        with self._rounding():
            logits, values = self.policy(output), self.value(output).squeeze(-1)
        return NetworkOutput(logits.float(), values.float(), core_state)

    def logits(self, output: Tensor) -> Tensor:
        """The policy at outputs of the core: [..., H] -> [..., A] float32."""
        with self._rounding():
            return functional.linear(output, self.policy.weight, self.policy.bias).float()

    def _rounding(self) -> AbstractContextManager[object]:
        """Where products may be rounded; no cache of weights, which a CUDA graph would keep."""
        if not self.rounds:
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
        return Network(observation_space, num_actions, config.encoder_size, core_of)
