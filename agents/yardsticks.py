"""What the speed of training is measured by: where its time goes, and the bare matrix products."""

import math
import statistics
import time
from typing import Any

import torch

from agents.speed.machine import peak_rss_mib
from agents.training import Training
from cores.yardsticks import acting_products, learning_products, products_name, take_turns


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
