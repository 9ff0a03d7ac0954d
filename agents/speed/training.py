"""The speed of training as a whole."""

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agents.config import Config
from agents.config_checks import check
from agents.metrics import say, short
from agents.speed.machine import machine_facts
from agents.training import Training
from agents.yardsticks import measure

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
    runner: Literal["auto", "local", "process"] = Config.runner
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
