"""Evaluates a trained run on fresh episodes, beside chance, the best memoryless policy and the oracle.

python -m scripts.evaluate runs/tmaze/ur-lstm/seed3-20260102-030405 --episodes 1000
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from agents.actor import card_of
from agents.command_line import parse, usage_errors
from agents.console import say
from agents.evaluation import evaluate, load_run
from agents.machine import resolve_device


@dataclass(frozen=True)
class Arguments:
    """Runs a trained agent on fresh episodes and prints how often it succeeds."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""
    episodes: int = 1000
    """How many episodes count."""
    seed: int = 0
    """Decides environments and actions; never those of training."""
    checkpoint: str = "latest"
    """latest, best (by success over the last 100 episodes of training, or by return), or its env steps."""
    device: str = "cpu"
    """auto, cpu, cuda or cuda:N."""


def main(argv: Sequence[str]) -> int:
    """Evaluates; returns the exit code."""
    with usage_errors("evaluate"):
        arguments = parse(Arguments, "evaluate", argv)
        if arguments.episodes < 1 or arguments.seed < 0:
            raise ValueError("--episodes must be at least 1 and --seed at least 0")
        device = resolve_device(arguments.device)
        config, network, env_steps, refused = load_run(arguments.run, arguments.checkpoint)
    for line in refused:
        say(f"skipped a damaged checkpoint: {line}")
    say(f"weights after {env_steps:,} env steps of {arguments.run}")
    evaluation = evaluate(
        config, network.to(device), num_episodes=arguments.episodes, seed=arguments.seed, env_steps=env_steps
    )
    say(evaluation.table(config, card_of(config)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
