"""The interface of every recurrent core, and the reference unroll that every faster one is held against.

Source: none; this is the contract. An unroll is cut from a stream of steps, as in Espeholt et al. 2018,
"IMPALA", so one may hold the end of an episode and the start of the next: resets are part of the unroll.
"""

from typing import Protocol

import torch
from torch import nn

State = tuple[torch.Tensor, ...]
"""The memory of B environments: tensors with the batch first. Empty for a core without memory."""


def require_size(name: str, value: object) -> int:
    """Checks that a size is a whole number of at least one.

    Args:
        name: what the size is called in the error.
        value: the size, in units.

    Returns:
        The same number.

    Raises:
        ValueError: if it is no integer, or below one.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    return value


def restart(reset: torch.Tensor, initial: State, state: State) -> State:
    """Gives the environments that begin an episode the initial state, and leaves the others theirs.

    A selection and not a product with a mask: whatever the old state holds, NaN and infinity included,
    neither its value nor a gradient passes.

    Args:
        reset: [B] bool: the coming input is the first of an episode.
        initial: tensors [B, ...]: the state at the start of an episode.
        state: tensors [B, ...]: the state so far.

    Returns:
        The state to enter the coming step with, tensors [B, ...].
    """
    return tuple(
        torch.where(reset.view(-1, *(1,) * (old.dim() - 1)), new, old)
        for new, old in zip(initial, state, strict=True)
    )


class Stepper(Protocol):
    """Takes a core's steps one at a time, without gradients, and keeps the state between them: acting.

    Attributes:
        state: tensors [B, ...]: the state after the last step; zeros at first. It may be replaced.
    """

    state: State

    def refresh(self) -> None:
        """Takes up the core's weights as they are now; later changes may go unnoticed until the next call."""

    def step(self, inputs: torch.Tensor, reset: torch.Tensor) -> torch.Tensor:
        """Reads one input per environment.

        Args:
            inputs: [B, I], contiguous: inputs, in memory that the caller may overwrite afterwards.
            reset: [B] bool: inputs[b] is the first of an episode.

        Returns:
            [B, output_size]: outputs, in memory that the next step may overwrite.
        """
        ...


class ReferenceStepper:
    """A `Stepper` for any core: unrolls of one step."""

    def __init__(self, core: "RecurrentCore", batch_size: int) -> None:
        self._core = core
        self.state = core.initial_state(batch_size)

    def refresh(self) -> None:
        """Does nothing: every step looks at the weights."""

    @torch.no_grad()
    def step(self, inputs: torch.Tensor, reset: torch.Tensor) -> torch.Tensor:
        """Reads one input per environment; see `Stepper`."""
        # A copy: a core may keep an input as its state, and the caller's memory is used again.
        out, self.state = self._core(inputs.clone().unsqueeze(0), self.state, reset.unsqueeze(0))
        return out[0]


class RecurrentCore(nn.Module):
    """A memory that reads one input per step: `project` and `step` define it, `forward` unrolls it.

    A core of one's own writes these two methods and, where zeros will not do, `initial_state`. `forward` is
    then correct; a core that has a faster way may override it, and is tested against this one.

    Attributes:
        input_size: I, entries of one input.
        hidden_size: H, units of memory.
        output_size: entries of one output, equal to H unless the core says otherwise.
        state_shapes: the shape of each state tensor without its batch axis.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        output_size: int | None = None,
        state_shapes: tuple[tuple[int, ...], ...] | None = None,
    ) -> None:
        super().__init__()
        self.input_size = require_size("input_size", input_size)
        self.hidden_size = require_size("hidden_size", hidden_size)
        self.output_size = hidden_size if output_size is None else require_size("output_size", output_size)
        self.state_shapes = ((hidden_size,),) if state_shapes is None else state_shapes

    def initial_state(self, batch_size: int) -> State:
        """Makes the state in which every episode starts: zeros.

        Args:
            batch_size: B, number of environments.

        Returns:
            Tensors [B, ...] on the device and in the dtype of the parameters.

        Raises:
            ValueError: if B is below one.
        """
        require_size("batch_size", batch_size)
        weight = next(self.parameters(), torch.empty(0))
        return tuple(weight.new_zeros(batch_size, *shape) for shape in self.state_shapes)

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Computes the part of a step that needs no state, so that an unroll does it in one product.

        Args:
            x: [..., I]: inputs.

        Returns:
            [..., G]: what `step` takes, the state's share still missing.
        """
        raise NotImplementedError(f"{type(self).__name__} must define project")

    def step(self, projected: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """Reads one input per environment.

        Args:
            projected: [B, G]: the projected inputs.
            state: tensors [B, ...]: the state before them.

        Returns:
            out [B, output_size] and the state after them.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step")

    def forward(self, inputs: torch.Tensor, state: State, reset: torch.Tensor) -> tuple[torch.Tensor, State]:
        """Reads T inputs per environment; episodes may begin anywhere among them.

        Args:
            inputs: [T, B, I]: inputs.
            state: tensors [B, ...]: the state before inputs[0].
            reset: [T, B] bool: inputs[t, b] is the first of an episode, so that the state of b is replaced by
                the initial one before step t.

        Returns:
            out [T, B, output_size] and the state after inputs[T-1].

        Raises:
            ValueError: if a shape or a dtype is not as above.

        Note:
            A state that is NaN when its episode ends is dropped without a trace. Gradients of steps that
            *computed* a NaN are NaN all the same: to autograd, zero times NaN is NaN.
        """
        self.require_unroll(inputs, state, reset)
        initial = self.initial_state(inputs.shape[1])
        outputs = []
        for projected, first in zip(self.project(inputs).unbind(0), reset.unbind(0), strict=True):
            out, state = self.step(projected, restart(first, initial, state))
            outputs.append(out)
        return torch.stack(outputs), state

    def stepper(self, batch_size: int) -> Stepper:
        """Makes what takes this core's steps one at a time, as an actor does; a faster way may override it.

        Args:
            batch_size: B, number of environments.

        Returns:
            A stepper in the initial state. A core that moves to another device or dtype needs a new one.
        """
        return ReferenceStepper(self, batch_size)

    def gates(self, projected: torch.Tensor, state: State) -> dict[str, torch.Tensor]:
        """Tells how far each gate stands open in the step that `step` would take.

        Args:
            projected: [B, G]: the projected inputs.
            state: tensors [B, ...]: the state before them.

        Returns:
            Tensors [B, H] by name. A gated core has at least "forget", the factor of what it remembers, and
            "input", the factor of what it writes. Empty for a core without gates.
        """
        return {}

    @torch.no_grad()
    def unroll_gates(
        self, inputs: torch.Tensor, state: State, reset: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Records the gates along an unroll, for diagnosis: it costs more than `forward` and has no gradient.

        Args:
            inputs: [T, B, I]: inputs.
            state: tensors [B, ...]: the state before inputs[0].
            reset: [T, B] bool: inputs[t, b] is the first of an episode.

        Returns:
            Tensors [T, B, H] by the names of `gates`.

        Raises:
            ValueError: as `forward`.
        """
        self.require_unroll(inputs, state, reset)
        initial = self.initial_state(inputs.shape[1])
        rows = []
        for projected, first in zip(self.project(inputs).unbind(0), reset.unbind(0), strict=True):
            state = restart(first, initial, state)
            rows.append(self.gates(projected, state))
            _, state = self.step(projected, state)
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _gates_by_outputs(
        self, inputs: torch.Tensor, state: State, reset: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Does what `unroll_gates` does, at the price of a forward, where gates read the last output.

        Such a core starts from zeros, and has its last output first in its state.
        """
        out, _ = self(inputs, state, reset)
        before = torch.cat([state[0].unsqueeze(0), out[:-1]]).masked_fill(
            reset.unsqueeze(-1), 0.0
        )  # [T, B, H]
        gates = self.gates(self.project(inputs).flatten(0, 1), (before.flatten(0, 1),))
        return {name: gate.view(out.shape) for name, gate in gates.items()}

    def require_unroll(self, inputs: torch.Tensor, state: State, reset: torch.Tensor) -> None:
        """Refuses arguments of `forward` that would broadcast into a wrong but silent result.

        Args:
            inputs: must be [T, B, I] with T and B at least 1.
            state: must be tensors [B, ...] of this core's shapes.
            reset: must be [T, B] bool.

        Raises:
            ValueError: if a shape or a dtype is not so.
        """
        if inputs.dim() != 3 or inputs.shape[2] != self.input_size or 0 in inputs.shape:
            raise ValueError(f"inputs must be [T, B, {self.input_size}], not {list(inputs.shape)}")
        if reset.shape != inputs.shape[:2] or reset.dtype != torch.bool:
            wanted = list(inputs.shape[:2])
            raise ValueError(f"reset must be {wanted} bool, not {list(reset.shape)} {reset.dtype}")
        wanted_state = [(inputs.shape[1], *shape) for shape in self.state_shapes]
        found_state = [tuple(tensor.shape) for tensor in state]
        if found_state != wanted_state:
            raise ValueError(f"state must be tensors of shapes {wanted_state}, not {found_state}")
