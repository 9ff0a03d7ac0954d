"""Measures speed: native environments alone, recurrent cores alone, and whole training.

python -m scripts.benchmark envs --num-envs 1024
python -m scripts.benchmark cores --hidden-sizes 128 --learning 80x16 --acting 64
python -m scripts.benchmark train --envs tmaze passive-match --cores lstm ur-lstm

Rates on shared machines move by a quarter from run to run: compare within one table.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
import tyro

from agents.command_line import parse, usage_errors
from agents.config import Config, check, resolve_device
from agents.metrics import say, short
from agents.training import Training
from cores import CORES, make_core
from cores.yardsticks import PLAIN, acting, learning, products_name, take_turns
from envs import ENVS, make_vector_env


@dataclass(frozen=True)
class Envs:
    """Steps native environments with random actions on one core; resets are included."""

    num_envs: int = 1024
    """Environments in the batch."""
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


def main(words: Sequence[str]) -> int:
    """Measures what was asked for; returns the exit code."""
    commands = (
        Annotated[Envs, tyro.conf.subcommand("envs")]
        | Annotated[Cores, tyro.conf.subcommand("cores")]
        | Annotated[Train, tyro.conf.subcommand("train")]
    )
    with usage_errors("benchmark"):
        asked = parse(commands, "benchmark", words)
        if not asked.seconds > 0:
            raise ValueError("--seconds must be more than 0")
        if not isinstance(asked, Cores) and (asked.num_envs < 1 or asked.repeats < 1):
            raise ValueError("--num-envs and --repeats must be at least 1")
        sizes = core_sizes(asked) if isinstance(asked, Cores) else []
        runs = trainings(asked) if isinstance(asked, Train) else []
    if isinstance(asked, Envs):
        measure_envs(asked)
    elif isinstance(asked, Cores):
        measure_cores(asked, sizes)
    else:
        measure_training(asked, runs)
    return 0


def measure_envs(asked: Envs) -> None:
    """Prints the median rate of each native task."""
    print(f"random actions, batch of {asked.num_envs}, one core, median of {asked.repeats}")
    for name in ENVS:
        envs = make_vector_env(name, asked.num_envs, copy=False)
        num_actions = int(envs.single_action_space.n)  # type: ignore[attr-defined]
        actions = np.random.default_rng(0).integers(num_actions, size=(64, asked.num_envs))
        envs.reset()
        envs.step(actions[0])
        rates = []
        for _ in range(asked.repeats):
            start, steps = time.perf_counter(), 0
            while time.perf_counter() - start < asked.seconds:
                for row in actions:
                    envs.step(row)
                steps += actions.size
            rates.append(steps / (time.perf_counter() - start))
        spread = f"{short(min(rates))} … {short(max(rates))}"
        print(f"{name:<16}{short(statistics.median(rates)):>8} steps/s   ({spread})", flush=True)


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
    """Prints the median rate of each run and where its time goes."""
    print(
        f"training, H={asked.hidden_size}, {asked.num_envs} environments, {asked.num_threads} thread(s) of "
        f"torch, median of {asked.repeats} x {asked.seconds:g} s"
    )
    for config in configs:
        training = Training(config)
        training.step()  # compiles and allocates
        rates, shares = [], {}
        for _ in range(asked.repeats):
            steps = training.learner.env_steps
            elapsed, _ = training.stopwatch.lap()
            training.runner.figures(elapsed, 0.0)
            start = time.perf_counter()
            while time.perf_counter() - start < asked.seconds:
                training.step()
            if training.device.type == "cuda":
                torch.cuda.synchronize()
            elapsed, shares = training.stopwatch.lap()
            figures = training.runner.figures(elapsed, shares.pop("acting"))
            shares = {n.removeprefix("speed/share_"): v for n, v in figures.items() if "share_" in n} | shares
            rates.append((training.learner.env_steps - steps) / elapsed)
        training.runner.close()
        parts = ", ".join(f"{part} {share:.0%}" for part, share in shares.items())
        rate = short(statistics.median(rates))
        print(f"{config.env:<16}{config.core:<12}{rate:>8} steps/s   {parts}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
