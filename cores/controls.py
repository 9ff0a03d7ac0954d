"""Controls: cores that must fail where memory is needed. A task that one of them solves does not test memory.

Source: none.
"""

import torch
from torch import nn
from torch.nn.functional import linear

from cores.core import RecurrentCore, State, require_size


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


class FrameStack(RecurrentCore):
    """A feed-forward network that sees the last few inputs of the episode, and nothing older.

    out = tanh(V tanh(W [x_t, x_{t-1}, ..., x_{t-F+1}] + b)), with 4 H units between, as in `Memoryless`. What
    lies before the episode's first input is zeros. A task that it solves needs a memory of F steps, no more;
    where what must be remembered is F steps back, it must fail.

    The state is one tensor [B, F - 1, I]: the last F - 1 inputs, the last one first.

    Attributes:
        frames: F, inputs that are seen.
        weight_ih: [4 H, F I]: W, uniform within 1/sqrt(F I) at the start.
        bias: [4 H]: b, zero at the start.
        weight_out: [H, 4 H]: V, uniform within 1/sqrt(4 H) at the start.

    Args:
        input_size: I, entries of one input.
        hidden_size: H, entries of one output.
        frames: F, this input among them; at least 2.

    Raises:
        ValueError: if a size is below one, or frames below two.
    """

    def __init__(self, input_size: int, hidden_size: int, *, frames: int = 4) -> None:
        super().__init__(input_size, hidden_size)
        if require_size("frames", frames) < 2:
            raise ValueError(f"frames must be at least 2, not {frames}: with one it is memoryless")
        self.state_shapes = ((frames - 1, input_size),)
        self.frames = frames
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, frames * input_size))  # [4 H, F I]
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
        """Returns the inputs as they are: the state is made of them.

        Args:
            x: [..., I]: inputs.

        Returns:
            [..., I]: the same.
        """
        return x

    def step(self, projected: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """Computes the output from this step's input and those in the state.

        Args:
            projected: [B, I]: inputs.
            state: ([B, F - 1, I],): the inputs before them, the last one first.

        Returns:
            out [B, H] and the new state.
        """
        seen = torch.cat([projected.unsqueeze(1), state[0]], dim=1)  # [B, F, I]
        return self._read(seen), (seen[:, :-1],)

    def forward(self, inputs: torch.Tensor, state: State, reset: torch.Tensor) -> tuple[torch.Tensor, State]:
        """Computes all steps at once; `RecurrentCore.forward` defines it.

        Args:
            inputs: [T, B, I]: inputs.
            state: ([B, F - 1, I],): the inputs before inputs[0], the last one first.
            reset: [T, B] bool: inputs[t, b] is the first of an episode, and nothing before it is seen.

        Returns:
            out [T, B, H] and the last F - 1 inputs.

        Raises:
            ValueError: if a shape or a dtype is not as above.
        """
        self.require_unroll(inputs, state, reset)
        T, older = len(inputs), self.frames - 1
        stream = torch.cat([state[0].transpose(0, 1).flip(0), inputs])  # [F - 1 + T, B, I], in order of time
        episode = torch.cat([reset.new_zeros(older, reset.shape[1]), reset]).cumsum(0)  # [F - 1 + T, B]
        frames = []
        for age in range(self.frames):
            rows = slice(older - age, older - age + T)
            same = (episode[rows] == episode[older:]).unsqueeze(-1)
            frames.append(torch.where(same, stream[rows], 0.0))
        seen = torch.stack(frames, dim=2)  # [T, B, F, I]
        return self._read(seen), (seen[-1, :, :-1].clone(),)

    def _read(self, seen: torch.Tensor) -> torch.Tensor:
        """Returns out [..., H] of the frames [..., F, I]."""
        between = torch.tanh(linear(seen.flatten(-2), self.weight_ih, self.bias))
        return torch.tanh(linear(between, self.weight_out))

    def extra_repr(self) -> str:
        """Returns what `print(core)` shows between the brackets."""
        return f"{self.input_size}, {self.hidden_size}, frames={self.frames}"
