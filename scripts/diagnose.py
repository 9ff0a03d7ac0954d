"""Diagnoses the memory of trained agents: what the state holds, when it is needed, what the choice hangs on.

python -m scripts.diagnose runs/tmaze --episodes 500

Writes RUN/diagnosis: diagnosis.json (agents/diagnosing/record.py says what is in it), diagnosis.png, and
curves for TensorBoard, whose step axis is a lag or a step of the episode.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from agents.actor import is_native
from agents.checkpoint_format import CheckpointError
from agents.command_line import NO_CHECKPOINT, USAGE, complain, flat, parse, usage_errors
from agents.config import Config
from agents.console import say
from agents.diagnosing import record
from agents.diagnosing.curves import write_curves
from agents.diagnosing.diagnosis import diagnose
from agents.diagnosing.picture import draw
from agents.diagnosing.play import Plan
from agents.evaluation import load_run
from agents.machine import resolve_device
from agents.network import Network
from agents.run_folder import find_runs, read_config

EPISODES_NATIVE, EPISODES_ELSEWHERE = 500, 100


@dataclass(frozen=True)
class Arguments:
    """Says what the memory of trained agents holds, when it is needed, and what their choice hangs on."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs, or folders with runs in them at any depth."""
    episodes: int = 0
    """Fresh episodes that are played; 0: 500 of a native task, 100 of another."""
    max_actions: int = 1000
    """Longer episodes are cut off, and count as failures."""
    seed: int = 0
    """Decides environments and actions; never those of training."""
    checkpoint: str = "latest"
    """latest, best (by success over the last 100 episodes of training, or by return), or its env steps."""
    device: str = "cpu"
    """auto, cpu, cuda or cuda:N."""


def main(argv: Sequence[str]) -> int:
    """Diagnoses run after run; returns the exit code."""
    with usage_errors("diagnose"):
        arguments = parse(Arguments, "diagnose", argv)
        check(arguments)
        device = resolve_device(arguments.device)
        runs = find_runs(arguments.runs)
        for run in runs:
            read_config(run)
    torch.set_num_threads(1)  # the products are small: threads wait for each other longer than they work
    code = 0
    for place, run in enumerate(runs, 1):
        try:
            config, network, env_steps, refused = load_run(run, arguments.checkpoint)
            (run / record.FOLDER).mkdir(exist_ok=True)
        except (ValueError, OSError, CheckpointError) as error:
            complain(f"diagnose: {run}: {flat(error)}" if len(runs) > 1 else f"diagnose: {flat(error)}")
            code = NO_CHECKPOINT if isinstance(error, CheckpointError) else USAGE
            continue
        for line in refused:
            say(f"skipped a damaged checkpoint: {line}")
        say(f"[{place}/{len(runs)}] {run}, weights after {env_steps:,} env steps")
        carry_out(arguments, run, config, network.to(device), env_steps)
    if code:
        raise SystemExit(code)
    return 0


def check(arguments: Arguments) -> None:
    """Checks every number.

    Raises:
        ValueError: one line with the flag.
    """
    if not arguments.runs:
        raise ValueError("which runs? Name at least one folder")
    for flag, low, high in (("episodes", 0, 100_000), ("max_actions", 1, 1_000_000), ("seed", 0, 2**63 - 1)):
        value = getattr(arguments, flag)
        if not low <= value <= high:
            name = flag.replace("_", "-")
            raise ValueError(f"--{name} must lie in {low} … {high}, got {value}")


def carry_out(arguments: Arguments, run: Path, config: Config, network: Network, env_steps: int) -> None:
    """Diagnoses one run, and writes down and says what was found."""
    episodes = arguments.episodes or (EPISODES_NATIVE if is_native(config) else EPISODES_ELSEWHERE)
    found = diagnose(config, network, Plan(episodes, arguments.seed, arguments.max_actions), env_steps)
    folder = record.write(run, found)
    write_curves(folder, found)
    try:
        draw(folder / "diagnosis.png", found)
    except ImportError:
        say("  no picture without matplotlib: pip install 'longhold[plots]'")
    say(f"  {found['summary']}")
    for part, reason in found["left_out"].items():
        say(f"  no {part}: {reason}")
    say(f"  wrote {folder}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
