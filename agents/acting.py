"""A network's policy one row at a time: what an actor asks at every step.

An unroll asks the network once for many rows; acting asks again and again for a few, so that what counts is
not the arithmetic but the number of operations.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from agents.encoders import Embedding
from agents.network import Network
from agents.trajectory import Inputs, State
from cores.kernels.table import table_sum_into

MIN_SPLIT = 2**26
"""Multiply-adds of a step from which several threads pay: with less they wait for each other longer than they
work, ten times a step."""


class Acting:
    """The policy of B environments, which remembers the core state between rows."""

    def __init__(self, network: Network, batch_size: int):
        """Begins in the core's initial state.

        Args:
            network: on the device where acting is to run.
            batch_size: B.
        """
        self._network = network
        self._stepper = network.core.stepper(batch_size)
        on_cpu = next(network.parameters()).is_cpu
        self._small = batch_size * sum(parameter.numel() for parameter in network.parameters()) < MIN_SPLIT
        self._core_inputs: Callable[[Inputs], Tensor] = network.core_inputs
        if on_cpu and isinstance(network.encoder, Embedding):
            self._core_inputs = EmbeddedRows(network, network.encoder, batch_size)

    @property
    def core_state(self) -> State:
        """A copy of the core state after the last row, tensors [B, ...]."""
        return self._stepper.state

    @core_state.setter
    def core_state(self, state: State) -> None:
        """Goes on from a state; it is copied."""
        self._stepper.state = state

    @contextmanager
    def unroll(self) -> Iterator[None]:
        """Takes up the network's weights as they are now, and keeps small steps to one thread meanwhile."""
        num_threads = torch.get_num_threads()
        if self._small:
            torch.set_num_threads(1)
        try:
            self._stepper.refresh()
            yield
        finally:
            torch.set_num_threads(num_threads)

    def logits(self, row: Inputs) -> Tensor:
        """The policy at a row, [B, A]; resets in the row begin episodes."""
        core_inputs = self._core_inputs(row)
        return self._network.logits(self._stepper.step(core_inputs, row.resets), core_inputs)


class EmbeddedRows:
    """`Network.core_inputs` of one row of categories on the CPU, written into a buffer that stays."""

    def __init__(self, network: Network, embedding: Embedding, batch_size: int):
        """Lays the buffers out; `embedding` is the network's encoder, B is the batch size."""
        self._embedding = embedding
        self._remembers = bool(network.core.state_shapes)
        size = embedding.table.shape[1]
        self._encoded = np.zeros((batch_size, size), np.float32)
        self._inputs = torch.zeros(batch_size, network.core.input_size)
        self._seen, self._past = np.split(self._inputs.numpy(), [size], axis=1)
        self._envs = np.arange(batch_size)

    def __call__(self, row: Inputs) -> Tensor:
        """What the core reads, [B, I], until the next call."""
        embedding = self._embedding
        symbols = row.observations.numpy().reshape(len(self._envs), -1)
        table, bias = embedding.table.detach().numpy(), embedding.bias.detach().numpy()
        table_sum_into(symbols, embedding.offsets.numpy(), table, bias, self._encoded)
        np.maximum(self._encoded, 0.0, out=self._seen)
        if self._remembers:
            keep = ~row.resets.numpy()
            self._past.fill(0.0)
            self._past[self._envs, row.prev_actions.numpy()] = keep
            np.copyto(self._past[:, -1], row.prev_rewards.numpy(), where=keep)
        return self._inputs
