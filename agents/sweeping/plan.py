"""What a search looks for, as `[search]` says it in a sweep's file: ranges and choices of fields."""

from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from agents.config import Config
from agents.config_checks import shown
from agents.config_files import OPTIONS, typed
from agents.run_folder import MEASURES
from agents.sweeping.sweep_file import Block, Fields, Sweep, one_name
from envs.checks import nearest

_HINTS = get_type_hints(Config)


class Range(NamedTuple):
    """Where a field is looked for: from low to high, or among choices."""

    low: int | float = 0
    high: int | float = 0
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def ends(self) -> tuple[Any, ...]:
        """The choices, or least and greatest value."""
        return self.choices or (self.low, self.high)

    def __str__(self) -> str:
        """As people read it."""
        between = ", ".join(map(str, self.choices)) or f"{self.low:g} … {self.high:g}"
        return between + " (log)" * self.log


class Plan(NamedTuple):
    """What is searched for, and how long."""

    trials: int
    metric: str
    seed: int
    ranges: dict[str, Range]


def read_plan(sweep: Sweep, path: Path) -> Plan | None:
    """Checks what a file says under [search]; None if it says nothing.

    Raises:
        ValueError: one line with the path.
    """
    try:
        return None if sweep.search is None else plan_of(sweep.search, sweep.blocks)
    except ValueError as error:
        raise ValueError(f"{path}: search: {error}") from None


def plan_of(table: dict[str, Any], blocks: list[Block]) -> Plan:
    """The same of a table.

    Args:
        table: what stands under [search].
        blocks: the rest of the file, which may not fix what is searched for.

    Raises:
        ValueError: one line.
    """
    known = ("trials", "metric", "seed", "fields")
    for name in table:
        if name not in known:
            every = f"; it takes {', '.join(known)}"
            raise ValueError(f"unknown {shown(name)}{nearest(name[:60], known, every)}")
    trials, seed = table.get("trials"), table.get("seed", 0)
    if type(trials) is not int or not 1 <= trials <= 10_000:
        raise ValueError(f"trials must be a whole number in 1 … 10000, got {shown(trials)}")
    if type(seed) is not int or not 0 <= seed < 2**31:
        raise ValueError(f"seed must be a whole number in 0 … 2147483647, got {shown(seed)}")
    metric = table.get("metric", "success")
    if not isinstance(metric, str) or metric not in MEASURES:
        raise ValueError(f"metric must be {' or '.join(MEASURES)}, got {shown(metric)}")
    fields = table.get("fields")
    if not isinstance(fields, dict) or not fields:
        raise ValueError("[search.fields] must give a range or choices of one field at least")
    ranges: dict[str, Range] = {}
    for given, value in fields.items():
        name = one_name(given)
        if any(name in part.fields or name in part.axes for part in blocks):
            raise ValueError(f"{name} is searched for, and given above")
        try:
            ranges[name] = range_of(name, value)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
    return Plan(trials, metric, seed, ranges)


def range_of(name: str, value: Any) -> Range:
    """A range such as {low = 1e-4, high = 1e-2, log = true}, or a list of choices.

    Raises:
        ValueError: one line without the field.
    """
    if name in (*OPTIONS, "log_dir"):
        raise ValueError("can't be searched for")
    if isinstance(value, list):
        if len(value) < 2 or not all(isinstance(choice, bool | int | float | str) for choice in value):
            raise ValueError("takes two choices or more, each a number or a text")
        return Range(choices=tuple(typed(name, choice) for choice in value))
    if not isinstance(value, dict) or not {"low", "high"} <= value.keys() <= {"low", "high", "log"}:
        raise ValueError("takes a list of choices, or a range as in {low = 1, high = 9, log = true}")
    low, high, log = typed(name, value["low"]), typed(name, value["high"]), value.get("log", False)
    kind = _HINTS[name]
    if kind not in (int, float) or type(low) is not kind or type(high) is not kind:
        raise ValueError(f"can't lie between {shown(low)} and {shown(high)}")
    if not low < high or type(log) is not bool or (log and low <= 0):
        raise ValueError(f"takes low below high, above 0 if log = true, got {shown(low)} and {shown(high)}")
    return Range(low, high, log)


def corners(plan: Plan) -> list[Fields]:
    """Trials that tell whether all can be run: all least and all greatest values, and each choice."""
    ends = [{name: limits.ends[end] for name, limits in plan.ranges.items()} for end in (0, -1)]
    for name, limits in plan.ranges.items():
        ends += [{**ends[0], name: choice} for choice in limits.choices[1:]]
    return ends


def within(blocks: list[Block], values: Fields) -> list[Block]:
    """The blocks of a sweep with the values of a trial."""
    return [part._replace(fields=part.fields | values) for part in blocks]
