"""Controls: cores that must fail where memory is needed. A task that one of them solves does not test memory.

Source: none.
"""

import torch
from torch import nn
from torch.nn.functional import linear

from cores.core import RecurrentCore, State


class Memoryless(RecurrentCore):
    """A feed-forward network behind the interface of a core: two layers, no state.

    out = tanh(V tanh(W x + b)), with 4 H units between: exactly as many weights as an LSTM of the same
    sizes, so that it cannot be said to fail for want of them. Its state is the empty tuple: nothing passes
    from one step to another.

    Attributes:
        weight_ih: [4 H, I]: W, uniform within 1/sqrt(I) at the start.
        bias: [4 H]: b, zero at the start.
        weight_out: [H, 4 H]: V, uniform within 1/sqrt(4 H) at the start.

    Args:
        input_size: I, entries of one input.
        hidden_size: H, entries of one output.

    Raises:
        ValueError: if a size is below one.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, state_shapes=())
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))  # [4 H, I]
        self.bias = nn.Parameter(torch.empty(4 * hidden_size))  # [4 H]
        self.weight_out = nn.Parameter(torch.empty(hidden_size, 4 * hidden_size))  # [H, 4 H]
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws all weights anew, as the class describes, from torch's global generator."""
        for weight in (self.weight_ih, self.weight_out):
            bound = weight.shape[1] ** -0.5
            weight.uniform_(-bound, bound)
        self.bias.zero_()

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Computes W x + b.

        Args:
            x: [..., I]: inputs.

        Returns:
            [..., 4 H]: pre-activations of the first layer.
        """
        return linear(x, self.weight_ih, self.bias)

    def step(self, projected: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """Computes the output from this step's input alone.

        Args:
            projected: [..., 4 H]: pre-activations of the first layer.
            state: the empty tuple.

        Returns:
            out [..., H] and the empty tuple.
        """
        return torch.tanh(linear(torch.tanh(projected), self.weight_out)), ()

    def forward(self, inputs: torch.Tensor, state: State, reset: torch.Tensor) -> tuple[torch.Tensor, State]:
        """Computes all steps at once: there is no state to carry between them, or to reset.

        Args:
            inputs: [T, B, I]: inputs.
            state: the empty tuple.
            reset: [T, B] bool: without effect.

        Returns:
            out [T, B, H] and the empty tuple.

        Raises:
            ValueError: if a shape or a dtype is not as above.
        """
        self.require_unroll(inputs, state, reset)
        return self.step(self.project(inputs), state)

    def extra_repr(self) -> str:
        """Returns what `print(core)` shows between the brackets."""
        return f"{self.input_size}, {self.hidden_size}"
