"""Half of a GPU's environments: their row on the host and on the device, and the policy's step between them.

None of this has run on a GPU yet.
"""

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from agents.acting import Acting
from agents.cuda import graphed
from agents.network import Network
from agents.trajectory import Inputs, State, Trajectory
from envs.threads import Shares

ALIGNMENT = 16
"""Bytes: where a field of a packed row may begin."""


class Row(NamedTuple):
    """What environments tell after a step, as views of one buffer, which one copy takes elsewhere."""

    inputs: Inputs
    """[b, ...]: the row of inputs that the step led to."""
    rewards: Tensor
    """[b] float32: scaled reward."""
    terminated: Tensor
    """[b] bool: as in `Trajectory`."""
    buffer: Tensor
    """[bytes] uint8: all of the above."""

    @classmethod
    def allocate(cls, num_envs: int, space: spaces.Space, *, device: torch.device, pin: bool) -> Self:
        """A row of zeros for b environments, on a device or in page-locked memory."""
        assert space.shape is not None
        observation = torch.from_numpy(np.zeros((num_envs, *space.shape), space.dtype))
        dtypes = (torch.bool, torch.int64, torch.float32, torch.float32, torch.bool)
        fields = [observation, *(torch.zeros(num_envs, dtype=dtype) for dtype in dtypes)]
        sizes = [field.numel() * field.element_size() for field in fields]
        places = [-(-size // ALIGNMENT) * ALIGNMENT for size in sizes]
        buffer = torch.zeros(sum(places), dtype=torch.uint8, device=device, pin_memory=pin)
        views = [
            part[:size].view(field.dtype).view(field.shape)
            for part, size, field in zip(buffer.split(places), sizes, fields, strict=True)
        ]
        observations, resets, actions, rewards, scaled, terminated = views
        return cls(Inputs(observations, resets, actions, rewards), scaled, terminated, buffer)


class Half:
    """Some of the environments: their row on the host and on the device, and the core state before it."""

    def __init__(self, envs: Shares, group: int, network: Network, core_state: State, context_state: State):
        """Takes its part of everything.

        Args:
            envs: all environments.
            group: which of their groups this is.
            network: the behaviour policy.
            core_state: of all environments, [B, ...], on the device: before the row that is to be decided.
            context_state: likewise, before the first row of context.
        """
        self.envs, self.group, self.rows = envs, group, envs.groups[group]
        self.device = next(network.parameters()).device
        on_gpu, size = self.device.type == "cuda", self.rows.stop - self.rows.start
        space = envs.single_observation_space
        self.host = Row.allocate(size, space, device=torch.device("cpu"), pin=on_gpu)
        self.row = Row.allocate(size, space, device=self.device, pin=False)
        self.acting = Acting(network, size)
        self.core_state = tuple(tensor[self.rows] for tensor in core_state)
        self.context_state = tuple(tensor[self.rows] for tensor in context_state)
        self.step = torch.zeros(1, dtype=torch.int64, device=self.device)  # t, for the device
        self.actions = torch.zeros(size, dtype=torch.int64, device=self.device)
        self.stream = torch.cuda.Stream(self.device) if on_gpu else None
        self.sent = torch.cuda.Event() if on_gpu else None

    def program(self, out: Trajectory, gumbel: Tensor, tell: Callable[[str], None]) -> Callable[[], None]:
        """The device's part of a step into an unroll: takes a row, decides, writes both down.

        Args:
            out: the unroll, on the device.
            gumbel: [T, B, A]: the noise that draws the actions (see `Acting.decisions`).
            tell: is given lines for the user.
        """
        T, W, B = len(out.actions), out.context_length, self.rows
        chosen = [field[:, B] for field in (out.behaviour_logits, out.actions)]
        noise = gumbel[:, B]

        def step() -> None:
            self.receive(out)
            self.acting.core_state = self.core_state
            logits = self.acting.logits(self.row.inputs)
            for own, new in zip(self.core_state, self.acting.core_state, strict=True):
                own.copy_(new)  # in place: a graph knows tensors by where they lie
            self.actions.copy_((logits + noise.index_select(0, self.step)[0]).argmax(-1))
            for field, new in zip(chosen, (logits, self.actions), strict=True):
                field.index_copy_(0, self.step, new.unsqueeze(0))
            self.step.add_(1)

        assert T >= W
        if self.stream is None:
            return step
        before = tuple(tensor.clone() for tensor in self.core_state)
        program = graphed(step, self.step.zero_, self.stream, tell)
        for own, old in zip(self.core_state, before, strict=True):
            own.copy_(old)
        return program

    def receive(self, out: Trajectory) -> None:
        """Writes the row down as the t-th, and the step that led to it as the one before.

        The step before row 0 belongs to no unroll: it is written to the last place, until that comes.
        """
        before = (self.step - 1).remainder(len(out.actions))
        steps = (out.rewards, self.row.rewards), (out.terminated, self.row.terminated)
        for field, new in (*steps, (out.valid, ~self.row.inputs.resets)):
            field[:, self.rows].index_copy_(0, before, new.unsqueeze(0))
        for field, new in zip(out.inputs, self.row.inputs, strict=True):
            field[out.context_length :, self.rows].index_copy_(0, self.step, new.unsqueeze(0))
