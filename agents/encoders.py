"""Encoders: what is observed, as numbers that a core can read.

They follow from the observation space alone: categories (Discrete, MultiDiscrete: symbolic grids) become
the sum of a learnt vector each, uint8 images pass a small convolutional stack, vectors go through a linear
layer as they are.
"""

import math

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from cores.kernels.table import table_sum


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
        index = observations.reshape(*lead, len(self.offsets)).long() + self.offsets
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

    The same as a linear layer on the codes of `OneHot`, without the codes, but for its first weights: these
    are of the size of 1, as those of torch's embeddings. A linear layer would draw them by the number of
    codes, at 1 / sqrt(3 * 980) for a 7 x 7 view of MiniGrid. One object of 49 then hardly moves the core,
    and what it means was not learnt in a million steps (docs/results/negative.md).
    """

    offsets: Tensor

    def __init__(self, num_categories: np.ndarray, size: int):
        super().__init__()
        codes = OneHot(num_categories)
        self.num_dims = codes.num_dims
        self.table = nn.Parameter(torch.empty(codes.output_size, size).normal_())
        self.bias = nn.Parameter(torch.zeros(size))
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
