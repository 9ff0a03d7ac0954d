"""What checkpoints cost the training."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from agents.config import RANGES, Config
from agents.console import say
from agents.training import Training


@dataclass(frozen=True)
class Saving:
    """Writes checkpoints beside the training: for how long it waits for them, and what they cost it."""

    hidden_sizes: tuple[int, ...] = (Config.hidden_size, 1024)
    """Units of the core."""
    repeats: int = 10
    """Checkpoints of each size."""

    def check(self) -> None:
        """Checks what was asked for.

        Raises:
            ValueError: one line.
        """
        if self.repeats < 1:
            raise ValueError("--repeats must be at least 1")
        low, high = RANGES["hidden_size"]
        if not self.hidden_sizes or not low <= min(self.hidden_sizes) <= max(self.hidden_sizes) <= high:
            raise ValueError(f"--hidden-sizes must be at least one, of {low:g} … {high:g}")

    def run(self) -> None:
        """Prints for how long the training waits for a checkpoint, and what goes on meanwhile."""
        for size in self.hidden_sizes:
            with tempfile.TemporaryDirectory() as folder:
                found = measure_saving(Training(Config(hidden_size=size, log_dir=folder)), self.repeats)
            told = (
                "{size_mb:7.1f} MB   training waits {wait_ms:.1f} ms at most   written in {write_ms:.0f} ms"
            )
            told += "   an update takes {step_ms:.1f} ms, meanwhile {step_meanwhile_ms:.1f} ms"
            say(f"H={size:<6}" + told.format(**found))


def measure_saving(training: Training, repeats: int) -> dict[str, float]:
    """What checkpoints cost the training, written beside it.

    Args:
        training: built and not yet begun; it gets a run folder.
        repeats: checkpoints.

    Returns:
        "size_mb" of one; "wait_ms", for how long the training waits for a copy, at most; "write_ms" until one
        is on the disk, "step_ms" of an update and "step_meanwhile_ms" of one in that time (medians).
    """
    folder = training.create() / "checkpoints"
    training.checkpoints.prepare(training.state_dict())
    apart = [seconds_of(training.step) for _ in range(4 * repeats)][repeats:]  # the first ones compile
    meanwhile, waits, writes = [], [], []
    try:
        for _ in range(repeats):
            begun = time.perf_counter()
            waits.append(seconds_of(lambda: training.checkpoints.save(training.state_dict(), 0, {})))
            while training.checkpoints.busy:
                meanwhile.append(seconds_of(training.step))
            writes.append(time.perf_counter() - begun)
    finally:
        training.close()
    size = sum(path.stat().st_size for path in next(folder.iterdir()).iterdir())
    found = {
        "wait_ms": max(waits),
        "write_ms": statistics.median(writes),
        "step_ms": statistics.median(apart),
    }
    found["step_meanwhile_ms"] = statistics.median(meanwhile or apart)
    return {"size_mb": size / 1e6} | {name: 1e3 * seconds for name, seconds in found.items()}


def seconds_of(work: Callable[[], object]) -> float:
    """How long something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
