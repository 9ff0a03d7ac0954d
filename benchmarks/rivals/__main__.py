"""Longhold beside other systems: env steps per second of training on MiniGrid-MemoryS13-v0.

python -m benchmarks.rivals --out rivals
python -m benchmarks.rivals --rivals recurrent-ppo --hidden-sizes 128

Installs each rival into a virtual environment of its own, lets it and Longhold take turns, and writes
OUT.jsonl (a line a turn) and OUT.md (the table). The same command goes on where it was stopped. README.md
beside this file says what is measured, and with what settings.
"""

import itertools
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.command_line import parse, usage_errors
from agents.console import say
from agents.machine import num_cores
from agents.speed.machine import machine_facts
from benchmarks.rivals.contestants import LONGHOLD, RIVALS, Contestant
from benchmarks.rivals.race import Clock, Fallen, take_turn
from benchmarks.rivals.table import table
from benchmarks.rivals.venvs import python_of
from envs.checks import nearest


@dataclass(frozen=True)
class Race:
    """Trains Longhold and its rivals in turns, and compares their env steps per second."""

    rivals: tuple[str, ...] = tuple(RIVALS)
    """Who runs beside Longhold."""
    hidden_sizes: tuple[int, ...] = (128, 256)
    """Units of the LSTM."""
    num_cores: int = 0
    """Cores that each may use. 0: all."""
    seconds: float = 15.0
    """Measured time of each turn."""
    warm_up_s: float = 5.0
    """Time between the first update and the measurement."""
    deadline_s: float = 180.0
    """Most time for a turn; who needs more has fallen."""
    repeats: int = 3
    """Turns of each; the median counts."""
    venvs: Path = Path(".rivals")
    """Folder of the virtual environments."""
    out: Path = Path("rivals")
    """Where results go: OUT.jsonl and OUT.md."""

    def check(self) -> None:
        """Checks what was asked for.

        Raises:
            ValueError: one line.
        """
        for name in self.rivals:
            if name not in RIVALS:
                raise ValueError(f"no rival {name!r}{nearest(name, RIVALS)}")
        if not all(value > 0 for value in (self.seconds, self.warm_up_s, self.deadline_s)):  # a NaN fails too
            raise ValueError("--seconds, --warm-up-s and --deadline-s must be more than 0")
        if not 0 <= self.num_cores <= num_cores():
            raise ValueError(f"--num-cores must lie in 0 … {num_cores()}, got {self.num_cores}")
        if not self.rivals or not self.hidden_sizes or min(self.repeats, *self.hidden_sizes) < 1:
            raise ValueError("--rivals and --hidden-sizes must name at least one, --repeats at least 1")


def main(argv: Sequence[str]) -> int:
    """Runs what was asked for; returns the exit code."""
    with usage_errors("benchmarks.rivals"):
        asked = parse(Race, "benchmarks.rivals", argv)
        asked.check()
        results = asked.out.with_name(asked.out.name + ".jsonl")
        results.parent.mkdir(parents=True, exist_ok=True)
        rows = read_rows(results)
        results.touch()
    rounds = itertools.product(asked.rivals, asked.hidden_sizes, range(asked.repeats))
    for name, hidden_size, repeat in rounds:
        for contestant in (LONGHOLD, RIVALS[name]):
            row = turn(asked, name, contestant, hidden_size, repeat)
            if any(is_same(row, old) for old in rows):
                continue
            row |= measure(contestant, hidden_size, asked)
            rows.append(row)
            with open(results, "a") as file:
                file.write(json.dumps(row) + "\n")
            say(f"{row['contestant']:<38} H={hidden_size:<5}{told(row)}")
    text = table(rows)
    asked.out.with_name(asked.out.name + ".md").write_text(text)
    say("\n" + text)
    return 0


def read_rows(path: Path) -> list[dict]:
    """The turns of a file; a last line that was cut off is none.

    Raises:
        ValueError: the file holds something else.
    """
    text = path.read_text() if path.exists() else ""
    whole, _, rest = text.rpartition("\n")
    try:
        rows = [json.loads(line) for line in whole.splitlines()]
        assert all(isinstance(row, dict) and "contestant" in row for row in rows)
    except (ValueError, AssertionError):
        raise ValueError(f"{path} holds no results of this program; name another --out") from None
    if rest:
        path.write_text(whole + "\n" if whole else "")
    return rows


def turn(asked: Race, rival: str, contestant: Contestant, hidden_size: int, repeat: int) -> dict:
    """What makes a turn another turn."""
    return {
        "rival": rival,
        "contestant": contestant.title,
        "version": contestant.version,
        "hidden_size": hidden_size,
        "repeat": repeat,
        "num_cores": asked.num_cores or num_cores(),
        "seconds": asked.seconds,
        "warm_up_s": asked.warm_up_s,
    }


def is_same(row: dict, old: dict) -> bool:
    """Whether a turn was taken already; one that fell is tried again."""
    return "fallen" not in old and all(old.get(name) == value for name, value in row.items())


def measure(contestant: Contestant, hidden_size: int, asked: Race) -> dict:
    """What a contestant reaches, or in one line why it does not."""
    facts = {"machine": machine_facts()}
    try:
        python = python_of(contestant, asked.venvs)
        command = [str(python), "-m", f"benchmarks.rivals.{contestant.module}"]
        command += ["--hidden-size", str(hidden_size), "--num-cores", str(asked.num_cores or num_cores())]
        command += ["--variant", contestant.variant]
        return take_turn(command, Clock(asked.warm_up_s, asked.seconds, asked.deadline_s)) | facts
    except Fallen as reason:
        return {"fallen": str(reason), **facts}


def told(row: dict) -> str:
    """A turn in one line."""
    if "fallen" in row:
        return row["fallen"]
    return (
        f"{row['steps_per_s']:>9,.0f} steps/s   first update after {row['first_update_s']:.1f} s   "
        f"{row['memory_mib']:,.0f} MiB"
    )


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # contestants are ended on the way out
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
