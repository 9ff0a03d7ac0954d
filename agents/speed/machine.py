"""What a figure was measured on, and how much memory was in use."""

import multiprocessing
import os
import platform
import resource
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import torch

from agents.machine import num_cores

PROC = Path("/proc")


def machine_facts() -> dict[str, str | int | float]:
    """What to know beside a figure: processor, versions, load, the command and the time."""
    return {
        "cpu": cpu_model(),
        "cores": num_cores(),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(sys.orig_argv[1:]),
    }


def cpu_model() -> str:
    """The processor's name for itself, or its architecture where it tells none."""
    try:
        lines = (PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def peak_rss_mib() -> float:
    """Most memory that this process ever had resident, and its live children added, in MiB.

    What processes share counts for each of them. Where there is no /proc, children are not counted.
    """
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    children = (child.pid for child in multiprocessing.active_children())
    return own + sum(kib_of(pid, "status", "VmHWM") for pid in children if pid) / 2**10


def pss_mib(pids: Iterable[int]) -> float:
    """Memory of some processes together, in MiB: what they share counts once. 0 where there is no /proc."""
    return sum(kib_of(pid, "smaps_rollup", "Pss") for pid in pids) / 2**10


def kib_of(pid: int, file: str, entry: str) -> int:
    """An entry of a process's file in /proc, in KiB; 0 if the process has gone."""
    try:
        lines = (PROC / str(pid) / file).read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(entry + ":"))


def family(pid: int) -> set[tuple[int, str]]:
    """A process and all that descend from it: their ids, and when each began (ids are used again)."""
    began: dict[int, str] = {}
    children: dict[int, list[int]] = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        began[int(path.parent.name)] = fields[19]
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, todo = set(), [pid]
    while todo:
        one = todo.pop()
        if one in began:
            found.add((one, began[one]))
            todo += children.get(one, [])
    return found
