"""Whether there is what a run names, and this machine can carry it out; found before anything starts."""

import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from gymnasium import spaces

from agents.actor import card_of
from agents.config import Config, resolve_unroll_length
from agents.config_checks import FieldError, advice
from agents.foresight import make_code
from agents.machine import memory_bytes, num_cores, resolve_device
from agents.network import make_network
from agents.run_folder import why_unwritable
from agents.runners.process import make_actor_envs, resolve_runner
from agents.trial import step_core, step_envs, told
from cores import CORES, RecurrentCore
from envs import ENVS, find_task

LARGE = 2048
"""Sizes above it are counted without memory, which costs the import of much of torch."""
BYTES = 4
"""Of a float32."""
MAX_SHOWN = 1000
"""Characters of a path in a message."""


class Sample(NamedTuple):
    """What one environment tells of all."""

    space: spaces.Space
    num_actions: int
    state_bytes: int
    """Bytes of its state, where it is known."""


class Needs(NamedTuple):
    """Bytes that the data of a run takes."""

    environments: int
    """Environments and unrolls, which are beside the processor."""
    weights: int
    """The network, its gradient and the optimiser, on the device."""
    results: int
    """What the network computes of one batch, on the device."""
    replay: int
    """Unrolls that are kept to learn from again, on the device."""


def check_run(config: Config, *, makes_folder: bool = True) -> tuple[str, list[str]]:
    """Checks what depends on the machine, the task and the core; builds one environment, keeps nothing.

    Args:
        config: one that `check` lets pass.
        makes_folder: whether the run's folder is to be made below LOG_DIR.

    Returns:
        What the run will take of the machine, in words, and what makes little sense, a line each.

    Raises:
        FieldError: one line that names the flag.
    """
    try:
        device = resolve_device(config.device)
    except ValueError as error:
        raise FieldError("device", str(error).removeprefix("--device ")) from None
    if makes_folder:
        check_folder(Path(config.log_dir))
    words = check_memory(device, needs_of(config))
    return f"{num_cores()} cores; {words}", advice(config, resolve_runner(config), num_cores())


def needs_of(config: Config) -> Needs:
    """Checks task, core and lengths; builds one environment and the network, and keeps neither.

    Args:
        config: one that `check` lets pass.

    Raises:
        FieldError: one line that names the flag.
    """
    sample = check_task(config)
    unroll_length = resolve_unroll_length(config, card_of(config))
    batch = unroll_length * config.num_envs
    if config.total_steps < batch:
        length = f"--unroll-length {unroll_length}"
        if not config.unroll_length and config.env_opt:
            length += f", which --env-opt {' '.join(config.env_opt)} asks for; raise --total-steps"
        raise FieldError(
            "total_steps",
            f"{config.total_steps} is less than one update takes: {batch:,}, by --num-envs {config.num_envs} "
            f"times {length}",
        )
    if config.context_length > unroll_length:
        raise FieldError(
            "context_length", f"{config.context_length} is more than an unroll has steps, {unroll_length}"
        )
    copies = 4 if config.optimizer == "adam" else 3  # gradient and optimiser too
    rows = (unroll_length + config.context_length) * config.num_envs
    return Needs(
        environments=environment_bytes(config, sample, unroll_length),
        weights=BYTES * copies * check_core(config, sample),
        results=BYTES * 2 * rows * (config.encoder_size + config.hidden_size + 2 * code_size(config, sample)),
        replay=config.replay_size * unroll_bytes(config, sample, unroll_length) if config.replays else 0,
    )


def check_memory(device: torch.device, needs: Needs) -> str:
    """Checks that a run has room.

    Args:
        device: where it learns.
        needs: what its data takes.

    Returns:
        What the run will take, in words.

    Raises:
        FieldError: this machine has less.
    """
    total = memory_bytes()
    environments, weights, results, replay = needs
    if environments > total:
        raise too_much("num_envs", "environments and unrolls", environments, total)
    room = (
        torch.cuda.get_device_properties(device).total_memory
        if device.type == "cuda"
        else total - environments
    )
    if weights + results > room:
        field = "hidden_size" if weights > results else "num_envs"
        raise too_much(field, "the network and what it computes", weights + results, room)
    if replay > room - weights - results:
        raise too_much("replay_size", "the unrolls to learn from again", replay, room - weights - results)
    taken = readable(sum(needs))
    return f"its data takes {taken} at least, of {readable(total)} of memory"


def too_much(field: str, what: str, size: int, room: int) -> FieldError:
    """The error of a run that no memory holds."""
    others = {
        "num_envs": "--unroll-length or --max-policy-lag",
        "hidden_size": "--encoder-size or --num-envs",
        "replay_size": "--num-envs or --unroll-length",
    }
    less = f"lower it, {others[field]}"
    return FieldError(
        field, f": {what} take {readable(size)} at least, where {readable(room)} are left; {less}"
    )


def check_folder(folder: Path) -> None:
    """Checks that the folder of all runs can be made and written; makes none.

    Raises:
        FieldError: it can't.
    """
    if reason := why_unwritable(folder):
        shown = str(folder) if len(str(folder)) <= MAX_SHOWN else f"{str(folder)[:60]}..."
        raise FieldError("log_dir", f": {shown} can't be written ({reason})")


def check_task(config: Config) -> Sample:
    """Builds one environment of a run's task, as its actors do.

    Raises:
        FieldError: there is no such task, or an option or value that it does not take.
    """
    try:
        find_task(config.env, config.env_backend)
    except ValueError as error:
        raise blamed(str(error), "env", (), backend="env_backend") from None
    try:
        envs = make_actor_envs(config, 1, 0, 0)
    except ValueError as error:
        raise blamed(str(error), "env", config.env_opt, backend="env_backend") from None
    except Exception as error:
        raise faulty_task(config, error) from None
    try:
        if getattr(envs, "has_state", False) or resolve_runner(config) == "local":
            step_envs(envs)  # actors elsewhere tell of what fails themselves
        state_bytes = 0
        if getattr(envs, "has_state", False):
            state = envs.state_dict()  # type: ignore[attr-defined]
            state_bytes = sum(np.asarray(array).nbytes for array in state.values())
        num_actions = int(envs.single_action_space.n)  # type: ignore[attr-defined]
        return Sample(envs.single_observation_space, num_actions, state_bytes)
    except Exception as error:
        raise faulty_task(config, error) from None
    finally:
        envs.close()


def faulty_task(config: Config, error: Exception) -> Exception:
    """What a user reads of an error in a task: one line, but for Longhold's own, which are its faults."""
    return error if config.env in ENVS else FieldError("env", f": {config.env} can't be used: {told(error)}")


def check_core(config: Config, sample: Sample) -> int:
    """Builds the network, without its memory where that may be much.

    Returns:
        The number of its parameters; 0 where a core of one's own can't be built without memory.

    Raises:
        FieldError: there is no such core, or an option or value that it does not take.
    """
    numbers = [value for value in config.core_options.values() if isinstance(value, int | float)]
    large = max(config.hidden_size, config.encoder_size, *numbers) > LARGE
    try:
        with torch.device("meta" if large else "cpu"):
            network = make_network(config, sample.space, sample.num_actions)
    except ValueError as error:
        raise blamed(str(error), "core", config.core_opt, hidden_size="hidden_size") from None
    except Exception as error:
        if large:  # what a stranger's core raises on a device that it doesn't know
            return 0
        raise faulty_core(config, error) from None
    if config.core not in CORES and not large:
        try:
            step_core(network.core)
        except Exception as error:
            raise faulty_core(config, error, network.core) from None
    return sum(parameter.numel() for parameter in network.parameters())


def faulty_core(config: Config, error: Exception, core: RecurrentCore | None = None) -> Exception:
    """The same for a core, if it could be built."""
    if config.core in CORES:
        return error
    return FieldError("core", f": {config.core} can't be used: {told(error, core)}")


def blamed(message: str, field: str, options: tuple[str, ...], **others: str) -> FieldError:
    """An error from below, with the field that it is about: the one whose option or name it mentions.

    Args:
        message: what was raised.
        field: "env" or "core", to which it goes if no other is mentioned.
        options: of that field.
        **others: what else may be mentioned: word=field.
    """
    names = (re.escape(item.partition("=")[0]) for item in options)
    if any(re.search(rf"(?<!\w){name}(?![\w:])", message) for name in names):  # no part of "module:Class"
        field += "_opt"
    else:
        field = next((other for word, other in others.items() if word in message), field)
    return FieldError(field, f": {message}")


def environment_bytes(config: Config, sample: Sample, unroll_length: int) -> int:
    """What environments and unrolls take, of which there are several where actors are ahead."""
    num_unrolls = config.max_policy_lag + 1 if resolve_runner(config) == "process" else 1
    unrolls = num_unrolls * unroll_bytes(config, sample, unroll_length)
    return unrolls + config.num_envs * sample.state_bytes


def unroll_bytes(config: Config, sample: Sample, unroll_length: int) -> int:
    """What an unroll takes, but for its context and the core state."""
    assert sample.space.shape is not None
    assert sample.space.dtype is not None
    observation = math.prod(sample.space.shape) * sample.space.dtype.itemsize
    inputs, transition = observation + 13, 14 + BYTES * sample.num_actions  # as in agents.trajectory
    return config.num_envs * ((unroll_length + 1) * inputs + unroll_length * transition)


def code_size(config: Config, sample: Sample) -> int:
    """Entries of what foresight predicts."""
    if not config.foresight_cost:
        return 0
    return make_code(sample.space).output_size + sample.num_actions


def readable(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{max(1, size // 2**20)} MiB"
