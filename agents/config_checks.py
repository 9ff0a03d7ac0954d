"""What a configuration must be, each field by itself and all together, and what in it makes little sense."""

import dataclasses
import unicodedata
from typing import get_args, get_type_hints

from agents.config import RANGES, Config, flag
from agents.machine import check_device_name
from agents.options import parse_options

PROCESS_FIELDS = ("num_actors", "max_policy_lag", "actor_deadline_s", "max_actor_failures")
"""What only actors in processes know."""


class FieldError(ValueError):
    """A value that no run can have; names its field as a flag."""

    def __init__(self, field: str, complaint: str):
        """Takes a field and what goes on after its name, such as ": none such" or "must be above 0"."""
        self.field, self.complaint = field, complaint if complaint.startswith(":") else f" {complaint}"
        super().__init__(flag(field) + self.complaint)


def check(config: Config) -> None:
    """Checks what can be said of a configuration on any machine, before anything starts.

    Raises:
        FieldError: one line that names the flag and what it takes.
    """
    check_numbers(config)
    check_names(config)
    if config.runner not in ("local", "ray") and config.num_actors > config.num_envs:
        raise FieldError("num_actors", f"{config.num_actors} needs as many --num-envs, got {config.num_envs}")
    if config.precision != "float32" and config.device.startswith("cpu"):
        raise FieldError("precision", f"{config.precision} needs --device cuda, got {config.device}")


def check_numbers(config: Config) -> None:
    """Checks the kind and the range of every number.

    Raises:
        FieldError: as `check`.
    """
    hints = get_type_hints(Config)
    for field, (low, high) in RANGES.items():
        value = getattr(config, field)
        whole = hints[field] is int
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise FieldError(field, f"must be a {'whole ' if whole else ''}number, got {shown(value)}")
        if not low <= value <= high:  # a NaN fails too
            raise FieldError(field, f"must lie in {low:g} … {high:g}, got {shown(value)}")


def check_names(config: Config) -> None:
    """Checks names, choices and options.

    Raises:
        FieldError: as `check`.
    """
    hints = get_type_hints(Config)
    for field in ("env", "core", "device", "log_dir", "ray_address"):
        value = getattr(config, field)
        if not isinstance(value, str) or not value:
            raise FieldError(field, f"must be a name, got {shown(value)}")
        if not is_plain(value):
            raise FieldError(field, f"holds a character that no name has: {shown(value)}")
    for field, hint in hints.items():
        choices, value = get_args(hint), getattr(config, field)
        if all(isinstance(choice, str) for choice in choices) and choices and value not in choices:
            raise FieldError(field, f"must be {' or '.join(choices)}, got {shown(value)}")
    try:
        check_device_name(config.device)
    except ValueError as error:
        raise FieldError("device", str(error)) from None
    for field in ("env_opt", "core_opt"):
        items = getattr(config, field)
        if not isinstance(items, tuple):
            raise FieldError(field, f"takes name=value, got {shown(items)}")
        if not all(isinstance(item, str) and is_plain(item) for item in items):
            raise FieldError(field, f"takes name=value in plain text, got {', '.join(map(shown, items))}")
        try:
            parse_options(flag(field)[2:], items)
        except ValueError as error:
            raise FieldError(field, str(error).removeprefix(flag(field)).lstrip()) from None


def is_plain(text: str) -> bool:
    """Whether a text has neither control characters nor bytes that stand for none."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def shown(value: object) -> str:
    """A value for a message, whatever it is and however long."""
    if isinstance(value, dict | list | tuple):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a number far out of reach"
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def advice(config: Config, runner: str, num_cores: int) -> list[str]:
    """What makes little sense, though it can be done, a line each.

    Args:
        config: one that `check` lets pass.
        runner: "local", "process" or "ray": what the run's turned out to be.
        num_cores: processor cores of this machine.
    """
    defaults, lines = Config(), []
    if runner == "local":
        idle = [flag(f) for f in PROCESS_FIELDS if getattr(config, f) != getattr(defaults, f)]
        if idle:
            lines.append(f"{' and '.join(idle)} without effect: the runner is local")
    if runner != "ray" and config.ray_address != defaults.ray_address:
        lines.append(f"--ray-address without effect: the runner is {runner}")
    for start in (f.name for f in dataclasses.fields(Config) if hasattr(config, f.name + "_final")):
        first, last = getattr(config, start), getattr(config, start + "_final")
        if last > first:
            lines.append(f"{flag(start)}-final {last:g} is above {flag(start)} {first:g}: it rises")
    if config.learning_rate == config.learning_rate_final == 0:
        lines.append("--learning-rate 0 from start to end: nothing is learnt")
    if config.pg_rho_bar == 0:
        lines.append("--pg-rho-bar 0: the policy learns nothing from rewards")
    if config.rho_bar == 0:
        lines.append("--rho-bar 0: the baseline learns nothing")
    if config.c_bar > config.rho_bar:
        lines.append(
            f"--c-bar {config.c_bar:g} is above --rho-bar {config.rho_bar:g}; V-trace wants it below"
        )
    if config.replay_size != defaults.replay_size and not config.replays:
        lines.append("--replay-size without effect: --replays is 0")
    if config.log_every_steps > config.total_steps:
        lines.append("--log-every-steps is above --total-steps: no curve, and no checkpoint before the end")
    if config.gates_every_steps > config.total_steps:
        lines.append("--gates-every-steps is above --total-steps: no record of the gates")
    if config.num_threads > num_cores:
        lines.append(
            f"--num-threads {config.num_threads}, but {num_cores} processor cores: slower than {num_cores}"
        )
    if runner == "process" and config.num_actors > num_cores:
        lines.append(
            f"--num-actors {config.num_actors}, but {num_cores} processor cores: they will share them"
        )
    return lines
