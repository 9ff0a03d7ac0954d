"""Several cores one upon another: each reads the output of the one below.

Source: Graves 2013, "Generating Sequences With Recurrent Neural Networks" (arXiv 1308.0850), section 2,
without its skip connections.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import nn

from cores.core import RecurrentCore, State, Stepper


class Stack(RecurrentCore):
    """A core made of layers, each itself a core; no core needs to know that it is one of several.

    The output is the last layer's. The state is the layers' states one after the other, from the first layer
    to the last. hidden_size counts the units of all layers together.

    Attributes:
        layers: the cores, first the one that reads the inputs.

    Args:
        layers: at least one core, each with the output_size of the one before as its input_size.

    Raises:
        ValueError: if there is no layer, or two do not fit.
    """

    def __init__(self, layers: Sequence[RecurrentCore]) -> None:
        if not layers:
            raise ValueError("a stack needs at least one layer")
        for below, above in pairwise(layers):
            if above.input_size != below.output_size:
                raise ValueError(
                    f"a layer of {above.input_size} inputs cannot read {below.output_size} outputs"
                )
        super().__init__(
            layers[0].input_size,
            sum(layer.hidden_size for layer in layers),
            output_size=layers[-1].output_size,
            state_shapes=tuple(shape for layer in layers for shape in layer.state_shapes),
        )
        self.layers = nn.ModuleList(layers)

    def initial_state(self, batch_size: int) -> State:
        """Makes the state in which every episode starts: that of each layer.

        Args:
            batch_size: B, number of environments.

        Returns:
            Tensors [B, ...] on the device and in the dtype of the parameters.

        Raises:
            ValueError: if B is below one.
        """
        return tuple(tensor for layer in self._cores() for tensor in layer.initial_state(batch_size))

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Projects the inputs for the first layer.

        Args:
            x: [..., I]: inputs.

        Returns:
            [..., G]: what the first layer's step takes.
        """
        return self._cores()[0].project(x)

    def step(self, projected: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """Takes one step with every layer, upwards.

        Args:
            projected: [B, G]: the projected inputs.
            state: the layers' states, tensors [B, ...].

        Returns:
            out [B, output_size] of the last layer and the new states.
        """
        (first, own), *upper = self._with_states(state)
        out, after = first.step(projected, own)
        for layer, own in upper:
            out, new = layer.step(layer.project(out), own)
            after += new
        return out, after

    def forward(self, inputs: torch.Tensor, state: State, reset: torch.Tensor) -> tuple[torch.Tensor, State]:
        """Unrolls one layer after the other, each as fast as it can; `RecurrentCore.forward` defines it.

        Args:
            inputs: [T, B, I]: inputs.
            state: the layers' states before inputs[0], tensors [B, ...].
            reset: [T, B] bool: inputs[t, b] is the first of an episode, for every layer.

        Returns:
            out [T, B, output_size] and the layers' states after inputs[T-1].

        Raises:
            ValueError: if a shape or a dtype is not as above.
        """
        self.require_unroll(inputs, state, reset)
        out, after = inputs, ()
        for layer, own in self._with_states(state):
            out, new = layer(out, own, reset)
            after += new
        return out, after

    def stepper(self, batch_size: int) -> Stepper:
        """Makes what takes the steps of all layers one at a time; see `RecurrentCore.stepper`.

        Args:
            batch_size: B, number of environments.
        """
        return StackStepper([layer.stepper(batch_size) for layer in self._cores()])

    def gates(self, projected: torch.Tensor, state: State) -> dict[str, torch.Tensor]:
        """Tells how far the gates of all layers stand open in the step that `step` would take.

        Args:
            projected: [B, G]: the projected inputs.
            state: the layers' states, tensors [B, ...].

        Returns:
            By name, tensors [B, hidden_size]: the layers' units side by side, the first layer's first. Of
            unlike layers, only the gates that all have.
        """
        (first, own), *upper = self._with_states(state)
        recorded = [first.gates(projected, own)]
        out, _ = first.step(projected, own)
        for layer, own in upper:
            projected = layer.project(out)
            recorded.append(layer.gates(projected, own))
            out, _ = layer.step(projected, own)
        shared = [name for name in recorded[0] if all(name in gates for gates in recorded)]
        return {name: torch.cat([gates[name] for gates in recorded], dim=1) for name in shared}

    def _cores(self) -> list[RecurrentCore]:
        """Returns the layers with the type that they have."""
        return [layer for layer in self.layers if isinstance(layer, RecurrentCore)]

    def _with_states(self, state: State) -> list[tuple[RecurrentCore, State]]:
        """Returns each layer with its own part of the state."""
        cores = self._cores()
        ends = list(accumulate((len(layer.state_shapes) for layer in cores), initial=0))
        return [(layer, state[a:b]) for layer, (a, b) in zip(cores, pairwise(ends), strict=True)]


class StackStepper:
    """The steppers of layers as one."""

    def __init__(self, layers: Sequence[Stepper]) -> None:
        self._layers = layers

    @property
    def state(self) -> State:
        """The layers' states one after the other."""
        return tuple(tensor for layer in self._layers for tensor in layer.state)

    @state.setter
    def state(self, state: State) -> None:
        """Goes on from a state; it is copied."""
        parts = iter(state)
        for layer in self._layers:
            layer.state = tuple(next(parts) for _ in layer.state)

    def refresh(self) -> None:
        """Takes up the weights of all layers as they are now."""
        for layer in self._layers:
            layer.refresh()

    def step(self, inputs: torch.Tensor, reset: torch.Tensor) -> torch.Tensor:
        """Reads one input per environment, upwards."""
        for layer in self._layers:
            inputs = layer.step(inputs, reset)
        return inputs
