"""A sweep as data: what its file says, and the runs that it stands for.

A file gives fields of a run by their names in config.json, `seeds`, and under `[grid]` lists whose product is
taken. `[[group]]`s have fields, seeds and a grid of their own, over those of the file.
"""

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any, NamedTuple

from agents.config import RANGES, Config
from agents.config_checks import shown
from agents.config_files import MAX_BYTES, OPTIONS, canonical, nearest_file, parse_toml, typed
from agents.files import read_text
from envs.checks import nearest

MAX_RUNS = 10_000
DEFAULT_SEEDS = (1, 2, 3, 4, 5)
PARTS = ("seeds", "grid", "group", "search")
"""What stands in a file beside fields."""

_NAMES = [field.name for field in dataclasses.fields(Config)]

Fields = dict[str, Any]
Axes = dict[str, list[Fields]]
"""By name: the choices of a grid. A choice gives the field of that name, and perhaps others with it."""


class Block(NamedTuple):
    """Runs that differ by the choices of a grid and by their seeds alone."""

    fields: Fields
    axes: Axes
    seeds: tuple[int, ...]


class Sweep(NamedTuple):
    """What a file says."""

    blocks: list[Block]
    log_dir: str | None
    search: dict[str, Any] | None
    """The table of that name, not yet looked at."""


def read_sweep(path: Path) -> Sweep:
    """Reads a file and checks its form; what the fields may be, `Config`'s own checks decide.

    Raises:
        ValueError: one line with the path.
    """
    if path.suffix != ".toml" or not path.is_file():
        what = "a sweep is a file .toml" if path.is_file() or path.suffix != ".toml" else "no such file"
        raise ValueError(f"{path}: {what}{nearest_file(path)}")
    try:
        table = parse_toml(read_text(path, MAX_BYTES))
        groups = table.pop("group", [])
        search = table.pop("search", None)
        if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
            raise ValueError("groups are written [[group]]")
        if search is not None and not isinstance(search, dict):
            raise ValueError("search must be a table")
        whole = block(table, Block({}, {}, DEFAULT_SEEDS))
        log_dir = whole.fields.pop("log_dir", None)
        if log_dir is not None and (not isinstance(log_dir, str) or not log_dir):
            raise ValueError(f"log_dir must be a name, got {shown(log_dir)}")
        blocks = [in_group(group, whole, number) for number, group in enumerate(groups, 1)]
        return Sweep(blocks or [whole], log_dir, search)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from None


def in_group(table: dict[str, Any], whole: Block, number: int) -> Block:
    """A block over that of the whole file.

    Raises:
        ValueError: one line that names the group by its number.
    """
    try:
        found = block(table, whole)
        if "log_dir" in found.fields:
            raise ValueError("log_dir is one for all groups: it stands above them")
        return found
    except ValueError as error:
        raise ValueError(f"group {number}: {error}") from None


def block(table: dict[str, Any], under: Block) -> Block:
    """What a table says, over another block: its fields replace choices, its choices fields.

    Raises:
        ValueError: one line; an unknown name, or what no field, grid or seeds can be.
    """
    table = dict(table)
    seeds = seeds_of(table.pop("seeds")) if "seeds" in table else under.seeds
    grid = table.pop("grid", {})
    if not isinstance(grid, dict):
        raise ValueError("grid must be a table of lists")
    fields, axes = fields_of(table), {}
    for given, choices in grid.items():
        name = one_name(given)
        if name in fields or name in axes:
            raise ValueError(f"{name} stands there twice")
        axes[name] = axis_of(name, choices)
    said = {*fields, *(name for choices in axes.values() for choice in choices for name in choice)}
    kept = {name: choices for name, choices in under.axes.items() if name not in said}
    return Block(under.fields | fields, kept | axes, seeds)


def fields_of(table: dict[str, Any]) -> Fields:
    """Fields by their names in `Config`, each a single value.

    Raises:
        ValueError: one line; no field, or a list where one value is asked for.
    """
    for given, value in table.items():
        name = one_name(given)
        if isinstance(value, list) and name not in OPTIONS:
            raise ValueError(f"{name} is a list: lists of choices stand under [grid]")
    return canonical(table)


def one_name(given: str) -> str:
    """A field's name in `Config`.

    Raises:
        ValueError: there is no such field, or a sweep decides it.
    """
    name = given.replace("-", "_")
    name = "lambda_" if name == "lambda" else name
    if name == "seed":
        raise ValueError("seeds are said by seeds = 5 or seeds = [1, 2, 3]")
    if name not in _NAMES:
        every = f"; beside {', '.join(PARTS)} the fields are those of config.json in any run"
        raise ValueError(f"unknown field {shown(given)}{nearest(name[:60], [*_NAMES, *PARTS], every)}")
    return name


def axis_of(name: str, choices: Any) -> list[Fields]:
    """The choices of a field in a grid.

    Raises:
        ValueError: one line; no list, an empty one, or a choice that gives other fields but not this.
    """
    if not isinstance(choices, list) or not choices:
        got = "none in it" if choices == [] else shown(choices)
        raise ValueError(f"grid: {name} must be a list of choices, got {got}")
    if name == "log_dir":
        raise ValueError("grid: log_dir is one for all runs")
    found = []
    for choice in choices:
        if name in OPTIONS and not isinstance(choice, list | dict):
            raise ValueError(
                f'grid: a choice of {name} is a list of options, as in {name} = [["a=1"], ["a=2"]]'
            )
        if isinstance(choice, dict) and name not in OPTIONS:
            fields = fields_of(choice)
            if name not in fields:
                raise ValueError(f"grid: a choice of {name} does not say {name}")
            found.append(fields)
        else:
            found.append({name: typed(name, choice)})
    return found


def seeds_of(value: Any) -> tuple[int, ...]:
    """Seeds as a list or, from 1 on, by their number.

    Raises:
        ValueError: one line; neither of the two.
    """
    low, high = RANGES["seed"]
    if type(value) is int and 1 <= value <= MAX_RUNS:
        return tuple(range(1, value + 1))
    good = isinstance(value, list) and all(type(seed) is int and low <= seed <= high for seed in value)
    if not good or not value or len(set(value)) < len(value):
        got = f"[{', '.join(map(shown, value))}]" if isinstance(value, list) else shown(value)
        ways = f"how many, from 1 to {MAX_RUNS}, or a list of different whole numbers from {low} on"
        raise ValueError(f"seeds must say {ways}, got {got[:80]}")
    return tuple(value)


def expand(blocks: list[Block]) -> list[Fields]:
    """The fields of every run, in the order in which they are done: all first seeds, then all second ones.

    Raises:
        ValueError: more runs than anybody does.
    """
    number = sum(len(part.seeds) * math.prod(map(len, part.axes.values())) for part in blocks)
    if number > MAX_RUNS:
        raise ValueError(f"{number:,} runs; a sweep has {MAX_RUNS:,} at most")
    by_seed: list[tuple[int, Fields]] = []
    for part in blocks:
        for choices in itertools.product(*part.axes.values()):
            fields = dict(part.fields)
            for choice in choices:
                fields |= choice
            by_seed += [(index, {**fields, "seed": seed}) for index, seed in enumerate(part.seeds)]
    return [fields for _, fields in sorted(by_seed, key=lambda item: item[0])]
