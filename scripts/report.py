"""Gathers runs into a table and a plot: final success per core, and success against env steps.

python -m scripts.report runs/tmaze --out docs/results/tmaze

Writes OUT.csv (a row a run), OUT.md (a row a core, or a core and runner where there are several) and OUT.png.
Intervals are 95 % bootstrap intervals of the mean over seeds.
"""

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from agents.actor import card_of
from agents.command_line import parse, usage_errors
from agents.config import Config
from agents.intervals import bootstrap_interval
from agents.metrics import say
from agents.run_folder import read_config
from envs import TaskCard

NUM_GRID_POINTS = 100


@dataclass(frozen=True)
class Arguments:
    """Compares the finished runs of one task."""

    runs: Annotated[Path, tyro.conf.Positional]
    """A folder with runs in it, at any depth."""
    out: Path = Path("report")
    """Where the table and the plot go, without an ending."""


@dataclass(frozen=True)
class Run:
    """A finished run: its configuration, its evaluation and its curve."""

    config: Config
    evaluation: dict[str, Any]
    curve: np.ndarray
    """[P, 2]: env steps and success of each point that has both."""


def main(words: Sequence[str]) -> int:
    """Writes the report; returns the exit code."""
    with usage_errors("report"):
        arguments = parse(Arguments, "report", words)
        runs = find_runs(arguments.runs)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        card = card_of(runs[0].config)
    write_csv(runs, arguments.out.with_suffix(".csv"))
    table = make_table(runs, card)
    arguments.out.with_suffix(".md").write_text(table)
    say(table.rstrip("\n"))
    plot(runs, card, arguments.out.with_suffix(".png"))
    return 0


def find_runs(folder: Path) -> list[Run]:
    """All finished runs below a folder.

    Raises:
        ValueError: there is none, or they are of several tasks.
    """
    runs = []
    for path in sorted(folder.rglob("evaluation.json")):
        config = read_config(path.parent)
        points = [json.loads(line) for line in (path.parent / "metrics.jsonl").read_text().splitlines()]
        curve = [(p["env_steps"], p["episode/success"]) for p in points if "episode/success" in p]
        runs.append(Run(config, json.loads(path.read_text()), np.array(curve).reshape(-1, 2)))
    if not runs:
        raise ValueError(f"no finished run below {folder}: none holds an evaluation.json")
    tasks = sorted({" ".join((run.config.env, *run.config.env_opt)) for run in runs})
    if len(tasks) > 1:
        raise ValueError(f"the runs below {folder} are of several tasks: {'; '.join(tasks)}")
    return runs


def by_core(runs: list[Run]) -> dict[str, list[Run]]:
    """The runs of each core, best core first; apart where they have several runners."""
    groups: dict[str, list[Run]] = {}
    several = len({run.config.runner for run in runs}) > 1
    for run in runs:
        core = f"{run.config.core}, {run.config.runner}" if several else run.config.core
        groups.setdefault(core, []).append(run)
    return dict(sorted(groups.items(), key=lambda item: -successes(item[1]).mean()))


def successes(runs: list[Run]) -> np.ndarray:
    """[S]: evaluated success of each run."""
    return np.array([run.evaluation["success"]["mean"] for run in runs], float)


def write_csv(runs: list[Run], path: Path) -> None:
    """One row for each run."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        names = ["env", "core", "runner", "seed", "env_steps", "episodes", "success", "low", "high", "return"]
        writer.writerow(names)
        for run in runs:
            config, result, success = run.config, run.evaluation, run.evaluation["success"]
            bounds = [f"{success[name]:.4f}" for name in ("mean", "low", "high")]
            row = [" ".join((config.env, *config.env_opt)), config.core, config.runner, config.seed]
            writer.writerow(
                [*row, result["env_steps"], result["episodes"], *bounds, f"{result['returns']['mean']:.4f}"]
            )


def make_table(runs: list[Run], card: TaskCard | None) -> str:
    """One row for each core, in Markdown."""
    lines = ["| core | success, mean of seeds | 95 % interval | each seed | env steps |"]
    lines.append("|---|---|---|---|---|")
    for core, group in by_core(runs).items():
        values = successes(group)
        low, high = bootstrap_interval(values)
        each = " ".join(f"{value:.3f}" for value in sorted(values))
        steps = max(run.evaluation["env_steps"] for run in group)
        lines.append(f"| {core} | {values.mean():.3f} | {low:.3f} … {high:.3f} | {each} | {steps:,} |")
    if card is not None:
        lines.append(f"| *oracle* | {card.oracle:.3f} | | | |")
        lines.append(f"| *best memoryless policy* | {card.memoryless:.3f} | | | |")
        lines.append(f"| *chance* | {card.chance:.3f} | | | |")
    return "\n".join(lines) + "\n"


def plot(runs: list[Run], card: TaskCard | None, path: Path) -> None:
    """Success against env steps: mean over seeds and its interval, for each core."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    for core, group in by_core(runs).items():
        grid = np.linspace(0, min(run.curve[-1, 0] for run in group), NUM_GRID_POINTS)
        curves = np.stack([np.interp(grid, run.curve[:, 0], run.curve[:, 1]) for run in group])
        low, high = bootstrap_interval(curves)
        (line,) = axes.plot(grid, curves.mean(0), label=f"{core} ({len(group)} seeds)")
        axes.fill_between(grid, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    if card is not None:
        axes.axhline(card.chance, color="grey", linestyle=":", label="chance")
    config = runs[0].config
    axes.set(xlabel="env steps", ylabel="success", ylim=(-0.02, 1.02))
    axes.set_title(" ".join((config.env, *config.env_opt)) + f", H={config.hidden_size}")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
