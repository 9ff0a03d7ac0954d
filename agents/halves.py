"""Acting on a GPU: halves of the environments in turns; while one is stepped, the policy runs for the other.

    policy (GPU)      A0  B0      A1      B1      A2      B2
    environments          A0->A1  B0->B1  A1->A2  B1->B2  ...

A half's row of inputs goes to the device in one copy; the policy's step is one CUDA graph, which writes row
and decision into the unroll where the learner reads them; its actions come back in one copy. The same code
runs on the CPU, where nothing needs to be waited for: it writes down what an `Actor` of each half would.

None of this has run on a GPU yet.
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch

from agents.actor import ended_episodes, require_alike, restore_generator
from agents.cuda import on
from agents.half import Half
from agents.network import Network
from agents.trajectory import Episodes, Inputs, Trajectory, numbered, unnumbered
from envs.threads import Shares


class HalvedActor:
    """Does on a GPU what `Actor` does: the same unrolls, with the same arguments, by the schedule above."""

    def __init__(
        self,
        envs: Shares,
        network: Network,
        *,
        seed: int,
        reward_scale: float = 1.0,
        context_length: int = 0,
        tell: Callable[[str], None] = print,
    ):
        """Resets the environments; the arguments are those of `Actor`, `tell` is given lines for the user."""
        self.envs, self.network, self.reward_scale = envs, network, reward_scale
        self.context_length, self._tell = context_length, tell
        self.device = next(network.parameters()).device
        self.version = 0
        self.env_s = 0.0  # seconds that acting waited for environments so far
        self.generator = torch.Generator(self.device).manual_seed(seed)
        N, W = envs.num_envs, context_length
        self._core_state = tuple(tensor.clone() for tensor in network.initial_state(N))
        self._context_state = tuple(tensor.clone() for tensor in self._core_state)
        self._ended = np.zeros(N, bool)
        self._actions = torch.zeros(N, dtype=torch.int64, pin_memory=self.device.type == "cuda")
        groups = range(len(envs.groups))
        self._halves = [Half(envs, k, network, self._core_state, self._context_state) for k in groups]
        observations = envs.reset()
        for half in self._halves:
            half.host.inputs.observations.copy_(torch.from_numpy(observations[half.rows]))
            half.host.inputs.resets.fill_(True)
        self._context = Inputs(
            torch.from_numpy(np.repeat(observations[None], W, 0)).to(self.device),
            torch.ones(W, N, dtype=torch.bool, device=self.device),
            torch.zeros(W, N, dtype=torch.int64, device=self.device),
            torch.zeros(W, N, device=self.device),
        )
        self._gumbel = torch.empty(0, device=self.device)
        self._programs: dict[int, list[Callable[[], None]]] = {}  # by the unroll they write

    def allocate(self, unroll_length: int) -> Trajectory:
        """Buffers on the device for an unroll, all of one length, and the programs that fill them.

        Raises:
            ValueError: it would be shorter than its context.
        """
        shape = (unroll_length, self.envs.num_envs, self.network.num_actions)
        out = Trajectory.allocate(
            unroll_length,
            self.envs.num_envs,
            self.envs.single_observation_space,
            self.network.num_actions,
            pin=False,
            context_length=self.context_length,
            device=self.device,
        )
        if not self._programs:
            self._gumbel = torch.zeros(shape, device=self.device)
        assert self._gumbel.shape == shape
        with torch.no_grad():
            self._programs[id(out)] = [half.program(out, self._gumbel, self._tell) for half in self._halves]
        return out

    @torch.no_grad()
    def unroll(self, out: Trajectory) -> Trajectory:
        """Acts for T steps and writes them into out, which `allocate` gave; returns it."""
        T, W = len(out.actions), self.context_length
        for field, rows in zip(out.inputs, self._context, strict=True):
            field[:W] = rows
        state = self._context_state if W else self._core_state
        out.core_state = tuple(tensor.clone() for tensor in state)
        out.version = self.version
        self._gumbel.exponential_(generator=self.generator).log_().neg_()
        with ExitStack() as weights:
            for half in self._halves:
                weights.enter_context(half.acting.fresh_weights())
                half.step.zero_()
                if half.stream is not None:  # its device's work so far: weights, noise, the last update
                    half.stream.wait_stream(torch.cuda.current_stream(self.device))
            found = self._take_turns(out, T)
        for half in self._halves:
            if half.stream is not None:
                torch.cuda.current_stream(self.device).wait_stream(half.stream)
        self._context = Inputs(*(field[T : T + W].clone() for field in out.inputs))
        out.episodes, out.num_steps = Episodes.concatenate(found[0]), found[1]
        return out

    def _take_turns(self, out: Trajectory, T: int) -> tuple[list[Episodes], int]:
        """Steps the halves in turns; returns the episodes that ended, and the number of valid transitions."""
        episodes: list[Episodes] = []
        num_steps = 0
        programs = self._programs[id(out)]
        stepping: deque[tuple[int, Half]] = deque()

        def settle() -> int:
            t, half = stepping.popleft()
            start = time.perf_counter()
            ended = self.envs.end(half.group)
            self.env_s += time.perf_counter() - start
            episodes.extend(found for found in ended if found is not None)
            self._launch(half, programs[half.group], out, t + 1)
            return int(np.count_nonzero(~half.host.inputs.resets.numpy()))

        for half in self._halves:
            self._launch(half, programs[half.group], out, 0)
        for t in range(T):
            for half in self._halves:
                if half.sent is not None:
                    half.sent.synchronize()  # its actions are here
                self.envs.begin(half.group, self._actions.numpy(), self._writer(half))
                stepping.append((t, half))
                if len(stepping) == len(self._halves):
                    num_steps += settle()
        while stepping:
            num_steps += settle()
        return episodes, num_steps

    def _launch(self, half: Half, program: Callable[[], None], out: Trajectory, t: int) -> None:
        """Sends a half's row t to the device, and asks for what to do there; row T is only written down."""
        with on(half.stream):
            half.row.buffer.copy_(half.host.buffer, non_blocking=True)
            if t == len(out.actions):
                half.receive(out)
                return
            if t == len(out.actions) - self.context_length:
                for own, new in zip(half.context_state, half.core_state, strict=True):
                    own.copy_(new)
            program()
            self._actions[half.rows].copy_(half.actions, non_blocking=True)
            if half.sent is not None:
                half.sent.record()

    def _writer(self, half: Half) -> Callable[[slice, tuple[Any, ...]], Episodes | None]:
        """What a thread does with the results of the rows that it stepped; `Actor` does it with all."""
        host, start = half.host, half.rows.start
        fields = (*host.inputs, host.rewards, host.terminated)
        observations, resets, prev_actions, prev_rewards, rewards, terminated = (f.numpy() for f in fields)
        actions = self._actions.numpy()

        def write(rows: slice, results: tuple[Any, ...]) -> Episodes | None:
            at = slice(rows.start - start, rows.stop - start)
            observations[at], reward, terminated[at], truncated, infos = results
            np.multiply(reward, self.reward_scale, out=rewards[at], casting="same_kind")
            resets[at] = self._ended[rows]
            valid = ~resets[at]
            np.multiply(actions[rows], valid, out=prev_actions[at])
            prev_rewards[at] = np.where(valid, rewards[at], 0.0)  # no product: it must survive NaN
            self._ended[rows] = terminated[at] | truncated
            if "_episode" not in infos:
                return None
            ended = ended_episodes(infos)
            return ended._replace(envs=ended.envs + rows.start)

        return write

    def state_dict(self) -> dict[str, Any]:
        """As that of an `Actor`, so that a run may go on with or without a GPU."""
        rows = self._host_rows()
        state: dict[str, Any] = {
            "row": {name: field.clone() for name, field in rows._asdict().items()},
            "core_state": numbered(tuple(tensor.clone() for tensor in self._core_state)),
            "ended": self._ended,
            "generator": self.generator.get_state(),
        }
        if self.context_length:
            state["context"] = self._context._asdict()
            state["context_state"] = numbered(tuple(tensor.clone() for tensor in self._context_state))
        if self.envs.has_state:
            state["envs"] = self.envs.state_dict()
        return state

    def _host_rows(self) -> Inputs:
        """The row that all halves stand on, [B, ...]: a copy."""
        return Inputs(*map(torch.cat, zip(*(half.host.inputs for half in self._halves), strict=True)))

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Goes on from a state; False if the environments had to start new episodes.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: as `Actor.load_state_dict`.
        """
        if "generator" not in state:  # of a runner that keeps none
            return False
        restore_generator(self.generator, state["generator"].cpu())
        if "envs" not in state or not self.envs.has_state:
            return False
        row = Inputs(**{name: state["row"][name].cpu() for name in Inputs._fields})
        context, core_state = self._context, unnumbered(state["core_state"], self.device)
        context_state = core_state
        if self.context_length:
            context = Inputs(**{name: state["context"][name] for name in Inputs._fields}).to(self.device)
            context_state = unnumbered(state["context_state"], self.device)
        ended = torch.as_tensor(state["ended"])
        own = (*self._host_rows(), *self._context, *self._core_state, *self._context_state)
        require_alike(
            (*row, *context, *core_state, *context_state, ended), (*own, torch.from_numpy(self._ended))
        )
        # Checkpoints give tensors back for arrays.
        self.envs.load_state_dict({name: np.asarray(array) for name, array in state["envs"].items()})
        for half in self._halves:
            for field, new in zip(half.host.inputs, row, strict=True):
                field.copy_(new[half.rows])
        self._context = Inputs(*(field.clone() for field in context))
        self._ended[:] = ended.numpy()
        # In place: graphs know tensors by where they lie.
        for own_state, new in zip(
            (*self._core_state, *self._context_state), (*core_state, *context_state), strict=True
        ):
            own_state.copy_(new)
        return True
