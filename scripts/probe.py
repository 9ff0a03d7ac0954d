"""Shows in minutes what a core can hold: supervised probes over cores and seeds, one table and one plot.

python -m scripts.probe --task recall --delay 30 90 250 --core ur-lstm lstm memoryless --jobs 2 --out recall
python -m scripts.probe --task copy --length 500 --core ur-lstm chrono,t_max=500
python -m scripts.probe --task pixels --data cifar-10-batches-bin --permute

Writes OUT.csv (a row a run), OUT-curves.csv, OUT.md (a row a core) and OUT.png. The same command goes on
where it was stopped, and with other cores or seeds adds to what is there.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agents.command_line import parse, usage_errors
from agents.config import RANGES, Config
from agents.console import say
from agents.machine import resolve_device
from agents.probing import records
from agents.probing.summary import grouped, make_table, plot
from agents.probing.sweep import Run, carry_out_all
from agents.probing.task import Task
from agents.probing.tasks import Choice, make_task

DEFAULT_DELAYS, DEFAULT_LENGTHS = (30,), {"copy": (500,), "adding": (2000,)}


@dataclass(frozen=True)
class Arguments:
    """Trains cores with labels on one probe, and compares them on sequences they have not seen."""

    task: Literal["recall", "copy", "adding", "pixels"]
    """recall: the cue of a task; copy: ten symbols; adding: two numbers; pixels: pictures, pixel by pixel."""
    core: tuple[str, ...] = ("ur-lstm", "lstm", "memoryless")
    """Cores, each with its options after commas: chrono,t_max=200."""
    env: str = "passive-match"
    """recall: a native task with a cue."""
    delay: tuple[int, ...] = ()
    """recall: steps to hold the cue, one or several; 30 if not given."""
    length: tuple[int, ...] = ()
    """copy, adding: steps of a sequence, one or several; 500 and 2000 if not given."""
    permute: bool = False
    """pixels: in another order, the same for all pictures."""
    data: Path | None = None
    """pixels: folder with the files of MNIST or of CIFAR-10's binary version; the 8 x 8 digits of
    scikit-learn if not given."""
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    """The numbers of the seeds, not how many: 2 is the one seed 2, where seeds = 2 in a sweep's file means 1
    and 2. Each decides the weights of a run, and its sequences, which are the same for every core."""
    steps: int = 0
    """Updates at most; a run that has solved its task ends sooner. 0: 3000 for recall,
    10 000 for copy, else 5000."""
    hidden_size: int = Config.hidden_size
    """Units of the core."""
    batch_size: int = 32
    """Sequences of an update."""
    learning_rate: float = 1e-3
    """Step size of Adam."""
    jobs: int = 1
    """Runs at once, each in a process and on a thread of its own."""
    device: str = "cpu"
    """cpu, auto, cuda or cuda:N."""
    out: Path = Path("probe")
    """Where tables and plot go, without an ending."""


def main(argv: Sequence[str]) -> int:
    """Does what is not done yet and writes table and plot; returns the exit code."""
    with usage_errors("probe"):
        arguments = parse(Arguments, "probe", argv)
        check(arguments)
        choices = make_choices(arguments)
        tasks = [make_task(choice) for choice in choices]
        runs = make_runs(arguments, choices, tasks)
        path = arguments.out.with_name(arguments.out.name + ".csv")
        found = records.read(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with records.locked(path):
            pass
    todo = [run for run in runs if run.key not in found]
    if len(todo) < len(runs):
        say(f"{len(runs) - len(todo)} of {len(runs)} runs are in {path} already")
    if todo:
        carry_out_all(todo, path, jobs=arguments.jobs, device=arguments.device)
    write_summary(path, tasks, runs[0])
    return 0


def check(arguments: Arguments) -> None:
    """Checks what belongs to which task, and every number.

    Raises:
        ValueError: one line with the flag.
    """
    for flag, tasks in (("delay", {"recall"}), ("length", {"copy", "adding"})):
        if getattr(arguments, flag) and arguments.task not in tasks:
            raise ValueError(f"--{flag} is for {' and '.join(sorted(tasks))}, not for {arguments.task}")
    if arguments.task != "recall" and arguments.env != Arguments.env:
        raise ValueError(f"--env is for recall, not for {arguments.task}")
    if arguments.task != "pixels" and (arguments.permute or arguments.data):
        raise ValueError(f"--permute and --data are for pixels, not for {arguments.task}")
    for flag in ("core", "delay", "length", "seeds"):
        values = getattr(arguments, flag)
        if len(set(values)) < len(values):
            raise ValueError(f"--{flag} gives a value twice")
    if not arguments.core or not arguments.seeds:
        raise ValueError("--core and --seeds need one value at least")
    if min(arguments.seeds) < 0:
        raise ValueError(f"--seeds must be at least 0, got {min(arguments.seeds)}")
    low, high = RANGES["hidden_size"]
    if not low <= arguments.hidden_size <= high:
        raise ValueError(f"--hidden-size must lie in {low:g} … {high:g}, got {arguments.hidden_size}")
    for flag, least in (("batch_size", 1), ("jobs", 1), ("steps", 0)):
        if getattr(arguments, flag) < least:
            name = flag.replace("_", "-")
            raise ValueError(f"--{name} must be at least {least}, got {getattr(arguments, flag)}")
    if not 0 < arguments.learning_rate <= RANGES["learning_rate"][1]:
        raise ValueError(f"--learning-rate must be a number above 0, got {arguments.learning_rate}")
    resolve_device(arguments.device)


def make_choices(arguments: Arguments) -> list[Choice]:
    """One probe for each delay or length."""
    if arguments.task == "pixels":
        data = "" if arguments.data is None else str(arguments.data)
        return [Choice("pixels", permute=arguments.permute, data=data)]
    if arguments.task == "recall":
        delays = arguments.delay or DEFAULT_DELAYS
        return [Choice("recall", delay, env=arguments.env) for delay in delays]
    return [Choice(arguments.task, length) for length in arguments.length or DEFAULT_LENGTHS[arguments.task]]


def make_runs(arguments: Arguments, choices: list[Choice], tasks: list[Task]) -> list[Run]:
    """Every core and seed on every probe; a whole round of cores before the next seed.

    Raises:
        ValueError: one line; a core that there is not, or an option it does not take.
    """
    runs = [
        Run(
            choice=choice,
            setting=task.setting,
            core=core,
            seed=seed,
            hidden_size=arguments.hidden_size,
            batch_size=arguments.batch_size,
            steps=arguments.steps or task.default_steps,
            learning_rate=arguments.learning_rate,
        )
        for choice, task in zip(choices, tasks, strict=True)
        for seed in arguments.seeds
        for core in arguments.core
    ]
    for run in runs[: len(arguments.core)]:
        run.core_of(1)
    return runs


def write_summary(path: Path, tasks: list[Task], like: Run) -> None:
    """OUT.md and OUT.png of all runs in OUT.csv of this task, made with the settings of a run given.

    Says what is in the table, and which files there are.
    """
    found = [record for record in records.read(path).values() if record.key[4:] == like.key[4:]]
    groups = grouped([record for record in found if record.task == tasks[0].name], tasks)
    made_with = f"H={like.hidden_size}, B={like.batch_size}, learning rate {like.learning_rate:g}, "
    made_with += f"at most {like.steps:,} updates"
    text = f"{tasks[0].name}, {made_with}\n\n{make_table(groups, tasks)}"
    files = [path, records.curves_path(path), path.with_suffix(".md"), path.with_suffix(".png")]
    files[2].write_text(text)
    say(text.rstrip("\n"))
    plot(groups, tasks, files[3], made_with)
    say(f"wrote {', '.join(map(str, files))}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
