"""The speed of training as a whole."""

import dataclasses
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from agents.config import Config
from agents.config_checks import check
from agents.console import say, short
from agents.speed.machine import machine_facts, peak_rss_mib
from agents.training import Training
from cores.yardsticks import acting_products, learning_products, products_name, take_turns

FIRST_UPDATE = """
import json, sys, time
from agents.config import Config
from agents.training import Training

fields = json.loads(sys.argv[1])
training = Training(Config(**{name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}))
training.step()
print(time.time())
training.runner.close()
"""
"""What a fresh process runs; it tells when its first update has ended."""


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
    runner: Literal["auto", "local", "process"] = "auto"
    """Where environments are stepped."""
    env_backend: Literal["auto", "gymnasium"] = Config.env_backend
    """Whose version of the task."""
    seconds: float = 5.0
    """Time for each repetition."""
    repeats: int = 3
    """Repetitions; the median counts."""
    out: Path | None = None
    """Also write what was measured there, a JSON object a line: configuration, figures, machine."""

    def configs(self) -> Iterator[Config]:
        """The configurations to measure."""
        for env in self.envs:
            for core in self.cores:
                yield Config(
                    env=env,
                    core=core,
                    hidden_size=self.hidden_size,
                    num_envs=self.num_envs,
                    num_threads=self.num_threads,
                    device=self.device,
                    runner=self.runner,
                    env_backend=self.env_backend,
                )

    def check(self) -> None:
        """Checks what was asked for.

        Raises:
            ValueError: one line; also where a configuration can't be built.
            OSError: the file can't be written.
        """
        if not self.seconds > 0:
            raise ValueError("--seconds must be more than 0")
        if self.num_envs < 1 or self.repeats < 1:
            raise ValueError("--num-envs and --repeats must be at least 1")
        for config in self.configs():
            check(config)
            Training(config).runner.close()
        if self.out:
            self.out.write_text("")

    def run(self) -> None:
        """Prints the rate of each run, where its time goes, and how near it is to the bare products."""
        say(
            f"training, H={self.hidden_size}, {self.num_envs} environments, {self.num_threads} thread(s) of "
            f"torch, median of {self.repeats} x {self.seconds:g} s"
        )
        for config in self.configs():
            found = measure(Training(config), self.seconds, self.repeats)
            found["first_update_s"] = first_update(config)  # only now: its kernels are in the cache
            say(describe(config, found))
            if self.out:
                row = {**dataclasses.asdict(config), **found, "machine": machine_facts()}
                with open(self.out, "a") as file:
                    file.write(json.dumps(row) + "\n")


def first_update(config: Config) -> float:
    """Seconds from the start of a fresh process to the end of its first update."""
    started = time.time()
    done = subprocess.run(
        [sys.executable, "-c", FIRST_UPDATE, json.dumps(dataclasses.asdict(config))],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout) - started


def describe(config: Config, found: dict[str, Any]) -> str:
    """What was measured of a run, in two lines."""
    shares = {name.removesuffix("_share"): value for name, value in found.items() if "_share" in name}
    products = shares.pop("products")
    parts = ", ".join(f"{part} {share:.0%}" for part, share in shares.items())
    near = f"{products:.0%} of its products' rate, " if products else ""
    return (
        f"{config.env:<24}{config.core:<12}{short(found['steps_per_s']):>8} steps/s   {parts}\n"
        f"{'':<36}{near}first update after {found['first_update_s']:.1f} s, "
        f"weights {found['policy_lag']:.1f} updates old (at most {found['policy_lag_max']:.0f}), "
        f"{found['peak_memory_mib']:,.0f} MiB"
    )


def measure(training: Training, seconds: float, repeats: int) -> dict[str, Any]:
    """Trains for some seconds, over and over.

    Args:
        training: built, and not yet begun.
        seconds: of each repetition.
        repeats: repetitions.

    Returns:
        "steps_per_s" (env steps, median) and "steps_per_s_each" (of every repetition), the shares of the time
        in the last repetition as the runner tells them ("envs_share", "acting_share", ..., "learning_share"),
        "products_share" (median of the rate's share of `products_limit`), "policy_lag" and "policy_lag_max"
        (updates between the weights that acted and those that learnt; mean and most of all repetitions) and
        "peak_memory_mib" of the process and its actors so far.
    """
    training.step()  # compiles and allocates
    rates, shares_of_limit, lags = [], [], []
    shares: dict[str, float] = {}
    try:
        for _ in range(repeats):
            steps = training.learner.env_steps
            elapsed, _ = training.stopwatch.lap()
            training.runner.figures(elapsed, 0.0)
            start = time.perf_counter()
            while time.perf_counter() - start < seconds:
                lags.append(float(training.step()["vtrace/policy_lag"]))
            if training.device.type == "cuda":
                torch.cuda.synchronize()
            elapsed, times = training.stopwatch.lap()
            figures = training.runner.figures(elapsed, times.pop("acting"))
            shares = {n.removeprefix("speed/share_"): v for n, v in figures.items() if "share_" in n}
            shares |= times
            rates.append((training.learner.env_steps - steps) / elapsed)
            shares_of_limit.append(rates[-1] / products_limit(training))
        peak = peak_rss_mib()
    finally:
        training.runner.close()
    return {
        "steps_per_s": statistics.median(rates),
        "steps_per_s_each": rates,
        **{f"{part}_share": share for part, share in shares.items()},
        "products_share": statistics.median(shares_of_limit),
        "policy_lag": statistics.fmean(lags),
        "policy_lag_max": max(lags),
        "peak_memory_mib": peak,
    }


def products_limit(training: Training) -> float:
    """Env steps per second if acting and learning were the core's matrix products by torch, nothing else.

    Infinite for a core whose state enters no product.
    """
    core: Any = training.network.core
    if products_name(core) is None:
        return math.inf
    T, B = training.unroll_length, training.config.num_envs
    weights = torch.randn_like(core.weight_ih), torch.randn_like(core.weight_hh)
    inputs = torch.randn(T, B, core.input_size, device=training.device)
    state = inputs.new_zeros(B, core.hidden_size)

    def act() -> None:
        for row in inputs:
            acting_products(row, state, *weights)

    work = {"act": act, "learn": lambda: learning_products(inputs, *weights)}
    return T * B / sum(min(durations) for durations in take_turns(work, seconds=0.5).values())
