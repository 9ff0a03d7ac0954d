"""Measures speed: native environments alone, recurrent cores alone, and whole training.

python -m scripts.benchmark envs --envs tmaze MiniGrid-MemoryS13-v0
python -m scripts.benchmark cores --hidden-sizes 128 --learning 80x16 --acting 64
python -m scripts.benchmark train --envs tmaze passive-match --cores lstm ur-lstm

Rates on shared machines move by a quarter from run to run: compare within one table.
"""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from agents.command_line import parse, usage_errors
from agents.config import Config, check, resolve_device
from agents.metrics import say, short
from agents.training import Training
from agents.yardsticks import measure, measure_saving
from cores import CORES, make_core
from cores.yardsticks import PLAIN, acting, learning, products_name, take_turns
from envs import ENVS, yardsticks
from envs.checks import nearest
from envs.tasks import minigrid

OWN_TASKS = tuple(name for name in ENVS if name not in minigrid.TASKS)
MINIGRID = ("MiniGrid-DoorKey-8x8-v0", "MiniGrid-KeyCorridorS3R3-v0", "MiniGrid-MemoryS13-v0")


@dataclass(frozen=True)
class Envs:
    """Steps native environments with random actions on one core, and those they replace beside them."""

    envs: tuple[str, ...] = (*OWN_TASKS, *MINIGRID)
    """Native tasks."""
    num_envs: int = 1024
    """Environments in the batch."""
    first_step: bool = True
    """Also the time from the import to the first step, with an empty cache of kernels and with a full one,
    for the last of the tasks."""
    seconds: float = 1.0
    """Time for each repetition."""
    repeats: int = 5
    """Repetitions; the median counts."""


@dataclass(frozen=True)
class Cores:
    """Unrolls cores forward and backward, and steps them without gradients; 1 % of the steps are resets."""

    cores: tuple[str, ...] = tuple(CORES)
    """Cores."""
    hidden_sizes: tuple[int, ...] = (64, 128, 256, 512)
    """Units; inputs have as many entries."""
    learning: tuple[str, ...] = ("20x16", "80x16", "256x8", "100x64")
    """Unrolls, forward and backward: steps x environments."""
    acting: tuple[int, ...] = (16, 64)
    """Steps without gradients: environments."""
    num_threads: int = Config.num_threads
    """Threads of torch."""
    device: str = Config.device
    """auto, cpu, cuda or cuda:N."""
    seconds: float = 3.0
    """Time for all contestants together at one size, who take turns; at least 3 rounds."""
    statistic: Literal["median", "min"] = "median"
    """What counts of a contestant's rounds. On a machine that does much else, min is steadier."""


@dataclass(frozen=True)
class Train:
    """Trains for a few seconds each: acting, learning and everything between."""

    envs: tuple[str, ...] = ("tmaze", "passive-match")
    """Tasks."""
    cores: tuple[str, ...] = ("lstm", "ur-lstm", "on-lstm", "memoryless")
    """Cores."""
    hidden_size: int = 128
    """Units of the core."""
    num_envs: int = Config.num_envs
    """Environments stepped together."""
    num_threads: int = Config.num_threads
    """Threads of torch."""
    device: str = Config.device
    """auto, cpu, cuda or cuda:N."""
    runner: Literal["auto", "local", "process"] = Config.runner
    """Where environments are stepped."""
    env_backend: Literal["auto", "gymnasium"] = Config.env_backend
    """Whose version of the task."""
    seconds: float = 5.0
    """Time for each repetition."""
    repeats: int = 3
    """Repetitions; the median counts."""
    out: Path | None = None
    """Also write what was measured there, a JSON object a line."""


@dataclass(frozen=True)
class Saving:
    """Writes checkpoints beside the training: for how long it waits for them, and what they cost it."""

    hidden_sizes: tuple[int, ...] = (Config.hidden_size, 1024)
    """Units of the core."""
    repeats: int = 10
    """Checkpoints of each size."""


def main(words: Sequence[str]) -> int:
    """Measures what was asked for; returns the exit code."""
    commands = (
        Annotated[Envs, tyro.conf.subcommand("envs")]
        | Annotated[Cores, tyro.conf.subcommand("cores")]
        | Annotated[Train, tyro.conf.subcommand("train")]
        | Annotated[Saving, tyro.conf.subcommand("saving")]
    )
    with usage_errors("benchmark"):
        asked = parse(commands, "benchmark", words)
        if not getattr(asked, "seconds", 1) > 0:
            raise ValueError("--seconds must be more than 0")
        if not isinstance(asked, Cores) and min(getattr(asked, "num_envs", 1), asked.repeats) < 1:
            raise ValueError("--num-envs and --repeats must be at least 1")
        for name in asked.envs if isinstance(asked, Envs) else ():
            if name not in ENVS:
                raise ValueError(f"no native task {name!r}{nearest(name, ENVS)}")
        sizes = core_sizes(asked) if isinstance(asked, Cores) else []
        runs = trainings(asked) if isinstance(asked, Train) else []
        for size in asked.hidden_sizes if isinstance(asked, Saving) else ():
            check(Config(hidden_size=size))
    if isinstance(asked, Envs):
        measure_envs(asked)
    elif isinstance(asked, Cores):
        measure_cores(asked, sizes)
    elif isinstance(asked, Saving):
        measure_checkpoints(asked)
    else:
        measure_training(asked, runs)
    return 0


def measure_envs(asked: Envs) -> None:
    """Prints the median rate of each native task, and how many times the others' rates that is."""
    print(f"random actions, resets included, batch of {asked.num_envs}, one core, median of {asked.repeats}")
    for name in asked.envs:
        found = yardsticks.rates(yardsticks.contestants(name, asked.num_envs), asked.seconds, asked.repeats)
        own = statistics.median(found["native"])
        spread = f"{short(min(found['native']))} … {short(max(found['native']))}"
        call = f"{1e6 * yardsticks.seconds_a_call(name):.1f} µs a step of one"
        size = f"{yardsticks.bytes_each(name):,} bytes each"
        print(f"{name:<34}{short(own):>8} steps/s   ({spread})   {call}   {size}", flush=True)
        for other, each in found.items():
            if other != "native":
                rate = statistics.median(each)
                times = f"native is {own / rate:,.0f} times as fast"
                print(f"{'':<8}{other:<26}{short(rate):>8} steps/s   {times}")
    if asked.first_step:
        with tempfile.TemporaryDirectory() as cache:
            times = [first_step(asked.envs[-1], cache) for _ in range(4)]
        warm = statistics.median(times[1:])
        last = f"first step of {asked.envs[-1]}, after the import"
        print(f"{last}: {times[0]:.2f} s, then {warm:.2f} s from the cache")


def first_step(env_id: str, cache: str) -> float:
    """Seconds from the import to the first step in a fresh process with its kernels in that folder."""
    done = subprocess.run(
        [sys.executable, "-c", yardsticks.FIRST_STEP, env_id],
        env={**os.environ, "XDG_CACHE_HOME": cache},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout)


def core_sizes(asked: Cores) -> list[tuple[int, int]]:
    """Steps and environments of each unroll to measure.

    Raises:
        ValueError: one of them is none, or a core can't be built.
    """
    sizes = []
    for text in asked.learning:
        num_steps, _, num_envs = text.partition("x")
        if not (num_steps.isdecimal() and num_envs.isdecimal() and int(num_steps) and int(num_envs)):
            raise ValueError(f"--learning takes steps x environments, such as 80x16, got {text!r}")
        sizes.append((int(num_steps), int(num_envs)))
    if not asked.cores or not asked.hidden_sizes:
        raise ValueError("--cores and --hidden-sizes must name at least one")
    if min(asked.num_threads, *asked.hidden_sizes, *asked.acting) < 1:
        raise ValueError("--hidden-sizes, --acting and --num-threads must be at least 1")
    resolve_device(asked.device)
    for hidden_size in asked.hidden_sizes:
        for core in asked.cores:
            make_core(core, hidden_size, hidden_size)
    return sizes


def measure_cores(asked: Cores, sizes: list[tuple[int, int]]) -> None:
    """Prints a table for each hidden size: milliseconds, and their ratios to those of the yardsticks."""
    torch.set_num_threads(asked.num_threads)
    device = resolve_device(asked.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # the one that the clock waits for
    choose = min if asked.statistic == "min" else statistics.median
    say(
        f"cores on {device}, {asked.num_threads} thread(s) of torch, float32, 1 % resets; "
        f"{asked.statistic} ms, times {PLAIN}, times the core's own products\n"
        f'"products": by torch.mm, nothing else. "{PLAIN}", "nn.GRU": without resets. "masked": step by step'
    )
    for H in asked.hidden_sizes:
        torch.manual_seed(0)
        with device:
            cores = {name: make_core(name, H, H) for name in asked.cores}
            contests = {f"learn {T}x{B}": learning(cores, T, B) for T, B in sizes}
            contests |= {f"act {B}": acting(cores, B) for B in asked.acting}
        columns = []
        for contest in contests.values():
            durations = take_turns(contest, seconds=asked.seconds)
            columns.append({name: choose(taken) for name, taken in durations.items()})
        say(f"\n{f'H = {H}':<16}" + "".join(f"{title:>23}" for title in contests))
        for name in columns[0]:
            own = products_name(cores[name]) if name in cores else None
            say(f"{name:<16}" + "".join(f"{times(column, name, own):>23}" for column in columns))


def times(column: dict[str, float], name: str, own: str | None) -> str:
    """One cell: milliseconds of a contestant, and how often those of others they are."""
    cell = f"{1e3 * column[name]:.3g} {column[name] / column[PLAIN]:5.2f}x"
    return cell + (" " * 7 if own is None else f" {column[name] / column[own]:5.2f}x")


def trainings(asked: Train) -> list[Config]:
    """The configurations to measure.

    Raises:
        ValueError: one of them can't be built.
    """
    configs = []
    for env in asked.envs:
        for core in asked.cores:
            config = Config(
                env=env,
                core=core,
                hidden_size=asked.hidden_size,
                num_envs=asked.num_envs,
                num_threads=asked.num_threads,
                device=asked.device,
                runner=asked.runner,
                env_backend=asked.env_backend,
            )
            check(config)
            Training(config).runner.close()
            configs.append(config)
    return configs


def measure_training(asked: Train, configs: list[Config]) -> None:
    """Prints the rate of each run, where its time goes, and how near it is to the bare products."""
    print(
        f"training, H={asked.hidden_size}, {asked.num_envs} environments, {asked.num_threads} thread(s) of "
        f"torch, median of {asked.repeats} x {asked.seconds:g} s"
    )
    rows = []
    for config in configs:
        found = measure(Training(config), asked.seconds, asked.repeats)
        rows.append({**dataclasses.asdict(config), **found})
        shares = {name.removesuffix("_share"): value for name, value in found.items() if "_share" in name}
        products = shares.pop("products")
        parts = ", ".join(f"{part} {share:.0%}" for part, share in shares.items())
        near = f"{products:.0%} of its products' rate, " if products else ""
        print(
            f"{config.env:<24}{config.core:<12}{short(found['steps_per_s']):>8} steps/s   {parts}   "
            f"{near}{found['peak_memory_mib']:,.0f} MiB",
            flush=True,
        )
    if asked.out:
        asked.out.write_text("".join(json.dumps(row) + "\n" for row in rows))


def measure_checkpoints(asked: Saving) -> None:
    """Prints for how long the training waits for a checkpoint, and what goes on meanwhile."""
    for size in asked.hidden_sizes:
        with tempfile.TemporaryDirectory() as folder:
            found = measure_saving(Training(Config(hidden_size=size, log_dir=folder)), asked.repeats)
        told = "{size_mb:7.1f} MB   training waits {wait_ms:.1f} ms at most   written in {write_ms:.0f} ms"
        told += "   an update takes {step_ms:.1f} ms, meanwhile {step_meanwhile_ms:.1f} ms"
        print(f"H={size:<6}" + told.format(**found), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
