"""What a run chose where its user said nothing, and why."""

from agents.actor import is_native
from agents.config import Config
from agents.distributed import ALONE, Group
from agents.machine import num_cores, resolve_device
from agents.runners.process import resolve_num_actors, resolve_runner

MIN_SHARED_ENVS = 16
"""Environments from which two threads were seen to pay (docs/results, Cores)."""


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
