"""What a sweep comes to: its runs, each checked before anything starts, and how many this machine bears."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

from agents.config import Config
from agents.config_checks import FieldError, check
from agents.distributed import ALONE
from agents.machine import memory_bytes, num_cores
from agents.run_checks import check_run, needs_of
from agents.runners.process import resolve_num_actors, resolve_runner
from agents.sweeping.run import Run, make_run, varied_fields
from agents.sweeping.sweep_file import Fields

PROGRAM_BYTES = 450 * 2**20
"""Of a run beside its data: Python, torch and compiled code, as scripts.benchmark train measured."""


class Checked(NamedTuple):
    """Runs that can start."""

    runs: list[Run]
    """No two alike, in the order in which they are done."""
    num_repeated: int
    """Asked for again by another group or choice."""
    warnings: list[str]
    threads: int
    """Processor cores that the widest run uses."""
    bytes: int
    """Memory of the largest run."""


def check_all(asked: list[Fields], log_dir: str, path: Path) -> Checked:
    """Checks all runs as scripts.train does, each configuration once for all its seeds.

    Args:
        asked: the fields of each run.
        log_dir: where their folders go.
        path: of the file that they stand in, for messages.

    Raises:
        ValueError: one line with file and field.
    """
    runs: dict[Path, Run] = {}
    seen: dict[Config, tuple[int, int]] = {}
    warnings: list[str] = []
    for fields in asked:
        run = make_run(fields, log_dir)
        alike = dataclasses.replace(run.config, seed=0)
        try:
            check(run.config)
            if alike not in seen:
                warnings += check_run(run.config)[1]
                seen[alike] = threads_of(run.config), sum(needs_of(run.config))
        except FieldError as error:
            if error.field == "log_dir":  # which a flag decides first
                raise
            raise ValueError(f"{path}: {error.field.strip('_')}{error.complaint}") from None
        runs.setdefault(run.folder, run)
    threads, sizes = zip(*seen.values(), strict=True)
    varied = varied_fields(runs.values())
    unique = [dataclasses.replace(run, varied=varied) for run in runs.values()]
    return Checked(
        unique,
        len(asked) - len(unique),
        list(dict.fromkeys(warnings)),
        max(threads),
        PROGRAM_BYTES + max(sizes),
    )


def threads_of(config: Config) -> int:
    """Processor cores that a run keeps busy: the learner's threads, and actors of this machine."""
    runner = resolve_runner(config)
    if runner == "local" or (runner == "ray" and config.ray_address != "local"):
        return config.num_threads
    return config.num_threads + resolve_num_actors(config, config.num_envs, ALONE)


def fitting_jobs(checked: Checked) -> int:
    """How many runs this machine bears at once, by its processor cores and its memory."""
    return max(1, min(num_cores() // checked.threads, memory_bytes() // checked.bytes))
