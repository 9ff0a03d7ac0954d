"""The commands that made some runs, rebuilt from their records; seeds and cores in loops."""

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any

from agents.config import Config, flag
from agents.origins import FLAG
from agents.presets import preset
from agents.reporting.runs import Run

FIRST = ("env", "env_opt", "core", "core_opt")
"""Fields that stand before the others; the first and the third always."""
Words = tuple[tuple[str, tuple[str, ...]], ...]
"""A command's flags and their values."""


def commands_of(runs: Sequence[Run]) -> list[str]:
    """Shell commands that make runs again, each perhaps a loop over seeds, or over cores and seeds."""
    by_words: dict[tuple[str, Words], set[int]] = {}
    for run in runs:
        words = tuple(flags_of(run).items())
        by_words.setdefault((program_of(run), words), set()).add(run.config.seed)
    by_seeds: dict[tuple[str, Words, tuple[int, ...]], list[str]] = {}
    for (program, words), seeds in by_words.items():
        core = dict(words)["--core"][0]
        rest = tuple((name, ("$core",) if name == "--core" else values) for name, values in words)
        by_seeds.setdefault((program, rest, tuple(sorted(seeds))), []).append(core)
    return [
        command(program, words, cores, list(map(str, seeds)))
        for (program, words, seeds), cores in by_seeds.items()
    ]


def program_of(run: Run) -> str:
    """What starts a run: Python, or torchrun where several ranks learnt together."""
    ranks = run.about[-1].get("ranks", 1) if run.about else 1
    if type(ranks) is int and ranks > 1:
        return f"torchrun --nproc-per-node {ranks} -m scripts.train"
    return "python -m scripts.train"


def flags_of(run: Run) -> dict[str, tuple[str, ...]]:
    """The flags that give a run its configuration, but for the seed.

    They are what the command line said, and whatever neither the task's preset nor a default gives.
    """
    config = run.config
    otherwise = dataclasses.asdict(Config(**{"env": config.env, **preset(config.env, config.env_opt)}))
    names = [*FIRST, *(f.name for f in dataclasses.fields(Config) if f.name not in FIRST)]
    flags = {}
    for name in names:
        value = getattr(config, name)
        said = value != otherwise[name] or run.origins.get(name) == FLAG or name in ("env", "core")
        if said and name != "seed":
            flags[flag(name)] = texts(value)
    return flags


def texts(value: Any) -> tuple[str, ...]:
    """A field's value as words of the command line."""
    return value if isinstance(value, tuple) else (str(value),)


def command(program: str, words: Words, cores: Sequence[str], seeds: Sequence[str]) -> str:
    """One command, in loops where there are several cores or seeds."""
    core = "$core" if len(cores) > 1 else shlex.quote(cores[0])
    parts = [program]
    for name, values in words:
        quoted = [core] if name == "--core" else [shlex.quote(value) for value in values]
        parts.append(" ".join([name, *quoted]))
    parts.append(f"--seed {'$seed' if len(seeds) > 1 else seeds[0]}")
    loops = []
    if len(cores) > 1:
        loops.append(f"for core in {' '.join(map(shlex.quote, cores))}; do")
    if len(seeds) > 1:
        loops.append(f"for seed in {' '.join(seeds)}; do")
    line = " ".join(parts)
    if not loops:
        return line
    return "\n".join([" ".join(loops), f"  {line}", "; ".join(["done"] * len(loops))])
