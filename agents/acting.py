"""A network's policy one row at a time: what an actor asks at every step.

An unroll asks the network once for many rows; acting asks again and again for a few, so that what counts is
not the arithmetic but the number of operations.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from agents.encoders import Embedding, Flatten
from agents.network import Network
from agents.trajectory import Inputs, State, Trajectory
from cores.kernels.acting import add_linear, choose, write_inputs, write_products
from cores.kernels.products import panels
from cores.kernels.table import Sums

MIN_SPLIT = 2**25
"""Multiply-adds of a step from which several threads pay: to hand a part of it to another takes 0.1 ms."""


class Acting:
    """The policy of B environments, which remembers the core state between rows; on any device."""

    def __init__(self, network: Network, batch_size: int):
        """Begins in the core's initial state.

        Args:
            network: on the device where acting is to run.
            batch_size: B.
        """
        self._network, self._batch_size = network, batch_size
        self._stepper = network.core.stepper(batch_size)
        self._small = batch_size * sum(parameter.numel() for parameter in network.parameters()) < MIN_SPLIT

    @property
    def core_state(self) -> State:
        """A copy of the core state after the last row, tensors [B, ...]."""
        return self._stepper.state

    @core_state.setter
    def core_state(self, state: State) -> None:
        """Goes on from a state; it is copied."""
        self._stepper.state = state

    def refresh_weights(self) -> None:
        """Acts with the network's weights as they are now; later changes go unnoticed until the next call."""
        self._stepper.refresh()

    @contextmanager
    def fresh_weights(self) -> Iterator[None]:
        """For one unroll: with the newest weights, and small steps kept to one thread."""
        num_threads = torch.get_num_threads()
        if self._small:
            torch.set_num_threads(1)
        try:
            self.refresh_weights()
            yield
        finally:
            torch.set_num_threads(num_threads)

    def logits(self, row: Inputs) -> Tensor:
        """The policy at a row, [B, A]; resets in the row begin episodes."""
        core_inputs = self._network.core_inputs(row)
        return self._network.logits(self._stepper.step(core_inputs, row.resets), core_inputs)

    def decisions(self, out: Trajectory, gumbel: Tensor) -> Callable[[int], None]:
        """Prepares for an unroll.

        Args:
            out: the unroll that is to be filled; its input row t is there before step t.
            gumbel: [T, B, A] Gumbel noise: the largest sum of logit and noise is a draw from the softmax; of
                zeros, the most probable action.

        Returns:
            What decides step t: writes logits and actions into the unroll.
        """

        def decide(t: int) -> None:
            logits = self.logits(out.inputs.row(out.context_length + t).to(gumbel.device))
            out.behaviour_logits[t] = logits
            out.actions[t] = (logits + gumbel[t]).argmax(-1)

        return decide


class HostActing(Acting):
    """`Acting` on the CPU, in a few compiled calls a step around the core's own."""

    def __init__(self, network: Network, batch_size: int):
        """Lays the buffers out; arguments as of `Acting`."""
        super().__init__(network, batch_size)
        self._remembers = bool(network.core.state_shapes)
        self._inputs = torch.zeros(batch_size, network.core.input_size)
        size = network.core.input_size - network.num_actions - 1
        self._sums = np.zeros((batch_size, size), np.float32)
        num_products = network.policy.in_features - network.core.output_size
        self._seen = np.zeros((batch_size, num_products), np.float32)
        self._read = np.zeros((batch_size, network.policy.in_features), np.float32)

    def refresh_weights(self) -> None:
        """See `Acting`."""
        super().refresh_weights()
        policy, products = self._network.policy, self._network.products
        self._policy = packed(policy), policy.bias.detach().numpy()
        if products is not None:
            self._products = packed(products.of_memory), packed(products.of_input)

    def decisions(self, out: Trajectory, gumbel: Tensor) -> Callable[[int], None]:
        """See `Acting`."""
        stepper, inputs, W = self._stepper, self._inputs, out.context_length
        multiplies = self._network.products is not None
        encoded = self._encoded(out.inputs.observations[W:])
        past = [field[W:].numpy() for field in out.inputs[1:]]
        rows, resets = inputs.numpy(), out.inputs.resets[W:]
        draw = [tensor.numpy() for tensor in (gumbel, out.behaviour_logits, out.actions)]

        def decide(t: int) -> None:
            write_inputs(t, encoded(t), *past, self._remembers, rows)
            # A core of the user's may answer in another layout or number format than kernels read.
            read = np.ascontiguousarray(stepper.step(inputs, resets[t]).numpy(), np.float32)
            if multiplies:
                write_products(read, rows, *self._products, self._seen, self._read)
                read = self._read
            choose(t, read, *self._policy, *draw)

        return decide

    def _encoded(self, observations: Tensor) -> Callable[[int], np.ndarray]:
        """What gives the encoded observations of row t of [R, B, ...], [B, E], before their rectifier."""
        encoder, sums = self._network.encoder, self._sums
        flat = observations.numpy().reshape(len(observations), self._batch_size, -1)
        if isinstance(encoder, Embedding):
            tensors = (encoder.offsets, encoder.table, encoder.bias)
            table = Sums(*(tensor.detach().numpy() for tensor in tensors))

            def embedded(t: int) -> np.ndarray:
                table.write(flat[t], sums)
                return sums

            return embedded
        if (
            isinstance(encoder, nn.Sequential)
            and isinstance(encoder[0], Flatten)
            and flat.dtype == np.float32
        ):
            layer = packed(encoder[1]), encoder[1].get_parameter("bias").detach().numpy()

            def linear(t: int) -> np.ndarray:
                add_linear(t, flat, *layer, sums)
                return sums

            return linear
        return lambda t: encoder(observations[t]).numpy()


def packed(linear: nn.Module) -> np.ndarray:
    """A linear layer's weights for `cores.kernels.products.add_matrix_product`."""
    assert isinstance(linear, nn.Linear)
    return panels(linear.weight.detach().t().numpy())


def make_acting(network: Network, batch_size: int) -> Acting:
    """The fastest `Acting` for a network where it lies; arguments as of `Acting`."""
    compiled = not network.uses_bfloat16 and all(
        parameter.is_cpu and parameter.dtype == torch.float32 for parameter in network.parameters()
    )
    return (HostActing if compiled else Acting)(network, batch_size)
