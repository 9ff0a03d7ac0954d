"""What the speed of training is measured by: where its time goes, and the bare matrix products."""

import math
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from agents.training import Training
from cores.yardsticks import acting_products, learning_products, products_name, take_turns


def measure(training: Training, seconds: float, repeats: int) -> dict[str, float]:
    """Trains for some seconds, over and over.

    Args:
        training: built, and not yet begun.
        seconds: of each repetition.
        repeats: repetitions.

    Returns:
        "steps_per_s" (env steps, median), the shares of the time in the last repetition as the runner tells
        them ("envs_share", "acting_share", ..., "learning_share"),
        "products_share" (median of the rate's share of
        `products_limit`) and "peak_memory_mib" of the process so far.
    """
    training.step()  # compiles and allocates
    rates, shares_of_limit = [], []
    shares: dict[str, float] = {}
    try:
        for _ in range(repeats):
            steps = training.learner.env_steps
            elapsed, _ = training.stopwatch.lap()
            training.runner.figures(elapsed, 0.0)
            start = time.perf_counter()
            while time.perf_counter() - start < seconds:
                training.step()
            if training.device.type == "cuda":
                torch.cuda.synchronize()
            elapsed, times = training.stopwatch.lap()
            figures = training.runner.figures(elapsed, times.pop("acting"))
            shares = {n.removeprefix("speed/share_"): v for n, v in figures.items() if "share_" in n}
            shares |= times
            rates.append((training.learner.env_steps - steps) / elapsed)
            shares_of_limit.append(rates[-1] / products_limit(training))
    finally:
        training.runner.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "steps_per_s": statistics.median(rates),
        **{f"{part}_share": share for part, share in shares.items()},
        "products_share": statistics.median(shares_of_limit),
        "peak_memory_mib": peak / (2**20 if sys.platform == "darwin" else 2**10),
    }


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
