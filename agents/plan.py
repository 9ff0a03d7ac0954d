"""What a run is about to do, what it chose where its user said nothing, and why."""

from pathlib import Path

import torch

from agents.actor import is_native
from agents.config import Config, describe_gradient_path
from agents.distributed import ALONE, Group
from agents.machine import num_cores, resolve_device
from agents.network import Network
from agents.runners.process import resolve_num_actors, resolve_runner
from envs.card import TaskCard

MIN_SHARED_ENVS = 16
"""Environments from which two threads were seen to pay (docs/results/speed.md)."""


def describe_run(
    config: Config,
    card: TaskCard | None,
    network: Network,
    *,
    unroll_length: int,
    device: torch.device,
    group: Group,
    folder: Path,
) -> list[str]:
    """What is about to happen, a line each.

    Args:
        config: the run's.
        card: its task's, None where nobody wrote one.
        network: what learns.
        unroll_length: T.
        device: where it learns.
        group: those that learn together.
        folder: of the run.
    """
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    task = f"{config.env} {' '.join(config.env_opt)}".strip()
    ranks = f", {group.size} ranks" if group.size > 1 else ""
    return [
        f"task      {task}" + (f": {card.summary}" if card else ""),
        f"core      {config.core}, {config.hidden_size} units, {num_parameters:,} parameters in all",
        f"learning  {config.total_steps:,} env steps, {config.num_envs} environments, "
        f"unrolls of {unroll_length}, on {device}{ranks}",
        *(f"replay    {line}" for line in describe_replay(config)),
        f"running   {describe_runner(config, group)}, {describe_threads(config)}",
        *("memory    " + line for line in describe_gradient_path(unroll_length, card, config.context_length)),
        f"folder    {folder}",
    ]


def describe_replay(config: Config) -> list[str]:
    """What is learnt from again, if anything is."""
    if not config.replays:
        return []
    return [f"after each unroll {config.replays} of the last {config.replay_size} again"]


def describe_runner(config: Config, group: Group = ALONE) -> str:
    """Where environments are stepped, by how many, and why there."""
    kind = resolve_runner(config)
    if config.runner != "auto":
        why = "as you said"
    elif is_native(config):
        why = "compiled tasks are quickest in place"
    elif kind == "local":
        why = "there is one processor core"
    else:
        why = f"not a compiled task, and there are {num_cores()} processor cores"
    if kind == "process":
        actors = resolve_num_actors(config, config.num_envs // group.size, group)
        kind += f", {actors} actor{'s' * (actors > 1)}" + (" a rank" if group.size > 1 else "")
    if kind == "ray":
        kind += f" at {config.ray_address}"
        kind += f", {config.num_actors} actors" if config.num_actors else ""
    return f"{kind} ({why})"


def describe_threads(config: Config) -> str:
    """How many threads the products get, and whether more might be faster.

    Their number is never chosen from the machine: sums over threads are rounded otherwise, so that a run of a
    seed would be another one elsewhere.
    """
    told = f"{config.num_threads} thread{'s' * (config.num_threads > 1)}"
    may_share = config.num_envs >= MIN_SHARED_ENVS and num_cores() > 1
    if config.num_threads > 1 or not may_share or resolve_runner(config) != "local":
        return told
    if resolve_device(config.device).type != "cpu":
        return told
    return f"{told} (--num-threads 2 may be faster while a second core is idle; rounding differs)"
