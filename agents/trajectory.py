"""What an unroll holds: the data that actors hand to the learner.

An unroll is T steps of B environments. *Inputs* have T+1 rows: what the network sees. *Transitions*
have T rows: row t is what happened between input row t and input row t+1. Input row T of one unroll is
input row 0 of the next. Nobody shifts an index.

An unroll may be preceded by *context*: the W input rows before its row 0, with the core state before the
first of them. The learner runs through them too, with gradient and without loss, so that the gradient reaches
at least W steps back from every transition. Inputs then have W + T + 1 rows, and all rows above count from
the W-th on.

Episodes follow one another in a column by Gymnasium's NEXT_STEP autoreset:

    row      r-1          r              r+1               r+2
    input    ...          last decision  final observation first observation (resets)
    step     transition   transition,    resets only,      transition
                          terminated or  not valid
                          truncated
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

State = tuple[Tensor, ...]


class Inputs(NamedTuple):
    """Rows of what the network sees; R rows of B environments."""

    observations: Tensor
    """[R, B, ...]: observation, in the dtype of the observation space."""
    resets: Tensor
    """[R, B] bool: this row is the first of an episode."""
    prev_actions: Tensor
    """[R, B] int64: action that led here; 0 at a reset."""
    prev_rewards: Tensor
    """[R, B] float32: scaled reward that came with it; 0 at a reset."""

    def row(self, t: int) -> "Inputs":
        """Row t, as views without the axis of rows."""
        return Inputs(*(field[t] for field in self))

    def to(self, device: torch.device) -> "Inputs":
        """The same rows on a device (no copy where they are there already)."""
        return Inputs(*(field.to(device, non_blocking=True) for field in self))


class Episodes(NamedTuple):
    """Episodes that ended, E of them, in the order of their ends; returns are unscaled."""

    returns: np.ndarray
    """[E] float32: sum of rewards as the environment gave them."""
    lengths: np.ndarray
    """[E] int32: number of actions."""
    successes: np.ndarray
    """[E] float32: 1 or 0; NaN where the environment does not say."""
    envs: np.ndarray
    """[E] int64: column of the environment."""

    @classmethod
    def concatenate(cls, parts: "list[Episodes]") -> "Episodes":
        """All the episodes of several lists."""
        if not parts:
            parts = [cls(*(np.zeros(0, dtype) for dtype in (np.float32, np.int32, np.float32, np.int64)))]
        return cls(*(np.concatenate(field) for field in zip(*parts, strict=True)))


@dataclass
class Trajectory:
    """One unroll of T steps of B environments."""

    inputs: Inputs
    """W rows of context, then T+1 rows."""
    core_state: State
    """Core state before the first of all these rows: what the actor held, batch first."""
    actions: Tensor
    """[T, B] int64: action taken."""
    behaviour_logits: Tensor
    """[T, B, A] float32: logits of the policy that took it (mu)."""
    rewards: Tensor
    """[T, B] float32: scaled reward."""
    terminated: Tensor
    """[T, B] bool: the step ended the episode for good; what follows is worth 0."""
    valid: Tensor
    """[T, B] bool: a real transition; False where the step only reset the environment."""
    version: int
    """Version of the weights that acted."""
    episodes: Episodes
    """The episodes that ended in this unroll."""
    num_steps: int
    """Env steps in it: the number of valid transitions."""
    num_steps_elsewhere: int = 0
    """Env steps in the unrolls that other ranks learn from in the same update."""

    @classmethod
    def allocate(
        cls,
        unroll_length: int,
        num_envs: int,
        space: spaces.Space,
        num_actions: int,
        *,
        pin: bool,
        context_length: int = 0,
        device: torch.device | None = None,
    ) -> Self:
        """An empty unroll whose buffers an actor fills again and again.

        Args:
            unroll_length: T.
            num_envs: B.
            space: observation space of one environment.
            num_actions: A.
            pin: page-locked memory, for copies to a GPU that do not wait.
            context_length: W.
            device: where the buffers lie; None: on the host.

        Raises:
            ValueError: it would be shorter than its context.
        """
        if unroll_length < context_length:
            raise ValueError(f"an unroll of {unroll_length} steps is shorter than its context")
        T, B, R = unroll_length, num_envs, context_length + unroll_length + 1
        assert space.shape is not None
        observations = torch.from_numpy(np.zeros((R, B, *space.shape), space.dtype)).to(device or "cpu")

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(shape, dtype=dtype, pin_memory=pin, device=device)

        return cls(
            inputs=Inputs(
                observations.pin_memory() if pin else observations,
                zeros(R, B, dtype=torch.bool),
                zeros(R, B, dtype=torch.int64),
                zeros(R, B),
            ),
            core_state=(),
            actions=zeros(T, B, dtype=torch.int64),
            behaviour_logits=zeros(T, B, num_actions),
            rewards=zeros(T, B),
            terminated=zeros(T, B, dtype=torch.bool),
            valid=zeros(T, B, dtype=torch.bool),
            version=0,
            episodes=Episodes.concatenate([]),
            num_steps=0,
        )

    @property
    def context_length(self) -> int:
        """Rows of context, W."""
        return len(self.inputs.resets) - len(self.actions) - 1

    def by_name(self) -> dict[str, Tensor]:
        """Every tensor of it by name, but for the core state."""
        return {f"inputs/{name}": field for name, field in self.inputs._asdict().items()} | self.transitions()

    def tensors(self) -> list[Tensor]:
        """Every tensor of it, always in the same order."""
        return [*self.inputs, *self.core_state, *self.transitions().values()]

    def map(self, change: Callable[[Tensor], Tensor]) -> "Trajectory":
        """The same unroll with every tensor changed."""
        changed: dict[str, Any] = {name: change(tensor) for name, tensor in self.transitions().items()}
        inputs, core_state = Inputs(*map(change, self.inputs)), tuple(map(change, self.core_state))
        return replace(self, inputs=inputs, core_state=core_state, **changed)

    def transitions(self) -> dict[str, Tensor]:
        """The tensors of the transitions, by name."""
        every = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in every.items() if isinstance(value, Tensor)}

    def to(self, device: torch.device) -> "Trajectory":
        """The same unroll on a device (no copy where it is there already)."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))


def numbered(state: State) -> dict[str, Tensor]:
    """A core state by number, as a checkpoint holds it."""
    return {str(i): tensor for i, tensor in enumerate(state)}


def unnumbered(tensors: dict[str, Tensor], device: torch.device) -> State:
    """The inverse of `numbered`, on a device, as copies."""
    return tuple(tensors[str(i)].to(device, copy=True) for i in range(len(tensors)))
