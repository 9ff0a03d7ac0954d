"""The speed of native environments alone."""

import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from agents.console import say, short
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

    def check(self) -> None:
        """Checks what was asked for.

        Raises:
            ValueError: one line.
        """
        if not self.seconds > 0:
            raise ValueError("--seconds must be more than 0")
        if self.num_envs < 1 or self.repeats < 1:
            raise ValueError("--num-envs and --repeats must be at least 1")
        for name in self.envs:
            if name not in ENVS:
                raise ValueError(f"no native task {name!r}{nearest(name, ENVS)}")

    def run(self) -> None:
        """Prints the median rate of each native task, and how many times the others' rates that is."""
        say(f"random actions, resets included, batch of {self.num_envs}, one core, median of {self.repeats}")
        for name in self.envs:
            found = yardsticks.rates(yardsticks.contestants(name, self.num_envs), self.seconds, self.repeats)
            own = statistics.median(found["native"])
            spread = f"{short(min(found['native']))} … {short(max(found['native']))}"
            call = f"{1e6 * yardsticks.seconds_a_call(name):.1f} µs a step of one"
            size = f"{yardsticks.bytes_each(name):,} bytes each"
            say(f"{name:<34}{short(own):>8} steps/s   ({spread})   {call}   {size}")
            for other, each in found.items():
                if other != "native":
                    rate = statistics.median(each)
                    ratio = f"native is {own / rate:,.0f} times as fast"
                    say(f"{'':<8}{other:<26}{short(rate):>8} steps/s   {ratio}")
        if self.first_step:
            with tempfile.TemporaryDirectory() as cache:
                times = [first_step(self.envs[-1], cache) for _ in range(4)]
            warm = statistics.median(times[1:])
            last = f"first step of {self.envs[-1]}, after the import"
            say(f"{last}: {times[0]:.2f} s, then {warm:.2f} s from the cache")


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
