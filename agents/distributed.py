"""Several learners as one: the ranks that torchrun started, and what they tell one another.

Every rank learns from environments of its own; their gradients become that of the joint batch in one
all-reduce of one buffer after the backward pass. torch's DistributedDataParallel would hook into the backward
pass of each parameter to send early ones while later ones are computed; most of the parameters here belong to
one autograd function, the core's unroll, whose gradients arrive together at its end, so there is little to
send early, and it takes means over ranks, where ranks with more transitions must weigh more.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load, save
from torch import Tensor

from agents.checkpoint_format import join_state, split_state
from agents.machine import resolve_device
from agents.signals import signal_with_parent

TIMEOUT = timedelta(minutes=10)
"""How long a rank may keep the others waiting; then they end."""


class RankLost(RuntimeError):  # noqa: N818  (the name that its readers look for)
    """Another rank does not answer."""


class Group:
    """The ranks of a run. Alone, each method tells what the one rank knows anyway.

    All ranks call the same methods in the same order, or wait for one another for ever: whatever decides over
    a call (env steps, the weights, what `exchange` gave) must be the same on all of them.
    """

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0, local_size: int = 1):
        """Names this process's place.

        Args:
            rank: its number among all.
            size: of all, on all machines.
            local_rank: its number on this machine, which is that of its GPU.
            local_size: on this machine.
        """
        self.rank, self.size, self.local_rank, self.local_size = rank, size, local_rank, local_size
        self.leads = rank == 0
        self.waited_s = 0.0  # so far, for the unrolls of slower ranks

    def device(self, name: str) -> torch.device:
        """The torch device of this rank, a GPU of its own where it is one.

        Raises:
            ValueError: no such device here, or one for all ranks.
        """
        device = resolve_device(name)
        if self.size == 1 or device.type == "cpu":
            return device
        if device.index is not None:
            raise ValueError(f"--device {name}: with several ranks each takes a GPU of its own; say cuda")
        device = resolve_device(f"cuda:{self.local_rank}")
        torch.cuda.set_device(device)
        return device

    def exchange(self, numbers: list[int]) -> list[list[int]]:
        """Gives whole numbers to all ranks; returns everybody's, by rank. It never waits for a GPU.

        At least one: with none gloo would wait for nobody.
        """
        if self.size == 1:
            return [numbers]
        everybody = torch.empty(self.size, len(numbers), dtype=torch.int64)
        with rank_losses():
            dist.all_gather(list(everybody), torch.tensor(numbers, dtype=torch.int64))
        return everybody.tolist()

    def average(self, tensors: list[Tensor], share: float) -> None:
        """Makes tensors, on one device, their weighted means over the ranks, in place, by one all-reduce.

        Args:
            tensors: of the same shapes on every rank.
            share: the weight of this rank's; those of all ranks add up to 1.
        """
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors]).mul_(share)
        with rank_losses():
            dist.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in tensors])
        torch._foreach_copy_(tensors, [part.view_as(own) for part, own in zip(parts, tensors, strict=True)])

    def total(self, tensor: Tensor) -> Tensor:
        """The sum of everybody's tensor, of one shape on every rank."""
        if self.size > 1:
            tensor = tensor.clone()
            with rank_losses():
                dist.all_reduce(tensor)
        return tensor

    def gather(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        """Everybody's state, by rank: nested dicts as a checkpoint holds; arrays come back as tensors."""
        if self.size == 1:
            return [state]
        tensors, values = split_state(state)
        text = json.dumps(values).encode()
        data = np.frombuffer(len(text).to_bytes(8, "little") + text + save(tensors), np.uint8)
        sizes = [size for (size,) in self.exchange([len(data)])]
        own = torch.zeros(max(sizes), dtype=torch.uint8)
        own[: len(data)] = torch.from_numpy(data.copy())
        everybody = torch.empty(self.size, len(own), dtype=torch.uint8)
        with rank_losses():
            dist.all_gather(list(everybody), own)
        return [unpack(row[:size].numpy().tobytes()) for row, size in zip(everybody, sizes, strict=True)]

    def collect(self, state: dict[str, Any]) -> dict[str, Any]:
        """What a checkpoint holds of the states that each rank has its own of; see `own_part`."""
        if self.size == 1:
            return state
        return {"ranks": {str(rank): part for rank, part in enumerate(self.gather(state))}}

    def own_part(self, collected: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """This rank's part of what `collect` gave.

        Returns:
            The part; or, of a run with another number of ranks, what may be known of the latest actors alone,
            and why.
        """
        parts = collected.get("ranks", {"0": collected})
        if len(parts) == self.size:
            return parts[str(self.rank)], ""
        latest = max(int(part.get("generation", 0)) for part in parts.values())
        return {"generation": latest}, f"the checkpoint is that of {len(parts)} ranks, not of {self.size}"

    def check_same(self, what: str, own: str) -> None:
        """Compares what all ranks must have alike.

        Raises:
            ValueError: on all ranks; theirs differ.
        """
        if len({state["own"] for state in self.gather({"own": own})}) > 1:
            raise ValueError(f"the ranks differ in {what}")

    def first_failure(self, code: int, line: str) -> tuple[int, str]:
        """The exit code and line of the first rank whose preparations failed; code 0 where none did."""
        for rank, failure in enumerate(self.gather({"code": code, "line": line})):
            if failure["code"]:
                return failure["code"], (f"rank {rank}: " if rank else "") + failure["line"]
        return 0, ""

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Meets the other ranks, and takes leave of them. All but the first print nothing meanwhile.

        Raises:
            RankLost: they are not all there, here or in the with block.
        """
        if self.size == 1:
            yield
            return
        signal_with_parent(signal.SIGTERM)  # without torchrun, nobody ends the ranks
        on_gpus = dist.is_nccl_available() and torch.cuda.is_available()
        with rank_losses():
            dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout=TIMEOUT)
        try:
            with open(os.devnull, "w") as nowhere, redirect_stdout(sys.stdout if self.leads else nowhere):
                yield
        finally:
            dist.destroy_process_group()


ALONE = Group()
"""A process that nobody else learns with."""


def group_of_torchrun() -> Group:
    """The group that torchrun started this process in, or this process alone."""
    if not dist.is_torchelastic_launched():
        return ALONE
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    return Group(*(int(os.environ[name]) for name in names))


@contextmanager
def rank_losses() -> Iterator[None]:
    """Turns torch's errors of communication, which may be pages, into one line."""
    try:
        yield
    except RuntimeError as error:  # of gloo, NCCL, and the store alike
        reason = (str(error).splitlines() or [""])[0][:200]
        raise RankLost(f"another rank is gone or does not answer ({reason})") from None


def unpack(data: bytes) -> dict[str, Any]:
    """A state from the bytes that `Group.gather` sends: a length, JSON and safetensors."""
    end = 8 + int.from_bytes(data[:8], "little")
    return join_state(load(data[end:]), json.loads(data[8:end]))
