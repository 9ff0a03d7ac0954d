"""The speed of recurrent cores alone."""

import statistics
from dataclasses import dataclass
from typing import Literal

import torch

from agents.config import Config
from agents.console import say
from agents.machine import resolve_device
from cores import CORES, make_core
from cores.yardsticks import PLAIN, acting, learning, products_name, take_turns


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

    def check(self) -> None:
        """Checks what was asked for.

        Raises:
            ValueError: one line; also where a core can't be built.
        """
        if not self.seconds > 0:
            raise ValueError("--seconds must be more than 0")
        unroll_sizes(self.learning)
        if not self.cores or not self.hidden_sizes:
            raise ValueError("--cores and --hidden-sizes must name at least one")
        if min(self.num_threads, *self.hidden_sizes, *self.acting) < 1:
            raise ValueError("--hidden-sizes, --acting and --num-threads must be at least 1")
        resolve_device(self.device)
        for hidden_size in self.hidden_sizes:
            for core in self.cores:
                make_core(core, hidden_size, hidden_size)

    def run(self) -> None:
        """Prints a table for each hidden size: milliseconds, and their ratios to those of the yardsticks."""
        torch.set_num_threads(self.num_threads)
        device = resolve_device(self.device)
        if device.type == "cuda":
            torch.cuda.set_device(device)  # the one that the clock waits for
        choose = min if self.statistic == "min" else statistics.median
        say(
            f"cores on {device}, {self.num_threads} thread(s) of torch, float32, 1 % resets; "
            f"{self.statistic} ms, times {PLAIN}, times the core's own products\n"
            f'"products": by torch.mm, nothing else. "{PLAIN}", "nn.GRU": without resets. '
            '"masked": step by step'
        )
        for H in self.hidden_sizes:
            torch.manual_seed(0)
            with device:
                cores = {name: make_core(name, H, H) for name in self.cores}
                contests = {f"learn {T}x{B}": learning(cores, T, B) for T, B in unroll_sizes(self.learning)}
                contests |= {f"act {B}": acting(cores, B) for B in self.acting}
            columns = []
            for contest in contests.values():
                durations = take_turns(contest, seconds=self.seconds)
                columns.append({name: choose(taken) for name, taken in durations.items()})
            say(f"\n{f'H = {H}':<16}" + "".join(f"{title:>23}" for title in contests))
            for name in columns[0]:
                own = products_name(cores[name]) if name in cores else None
                say(f"{name:<16}" + "".join(f"{times(column, name, own):>23}" for column in columns))


def unroll_sizes(words: tuple[str, ...]) -> list[tuple[int, int]]:
    """Steps and environments of unrolls written as 80x16.

    Raises:
        ValueError: one of them is none.
    """
    sizes = []
    for text in words:
        num_steps, _, num_envs = text.partition("x")
        if not (num_steps.isdecimal() and num_envs.isdecimal() and int(num_steps) and int(num_envs)):
            raise ValueError(f"--learning takes steps x environments, such as 80x16, got {text!r}")
        sizes.append((int(num_steps), int(num_envs)))
    return sizes


def times(column: dict[str, float], name: str, own: str | None) -> str:
    """One cell: milliseconds of a contestant, and how often those of others they are."""
    cell = f"{1e3 * column[name]:.3g} {column[name] / column[PLAIN]:5.2f}x"
    return cell + (" " * 7 if own is None else f" {column[name] / column[own]:5.2f}x")
