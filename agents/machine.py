"""What the machine has that a run may use."""

import os
import re
from pathlib import Path

import torch

MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container's limit stands: cgroups of version 2 and 1."""


def check_device_name(name: str) -> None:
    """Checks how a device is called, whether or not it is there.

    Raises:
        ValueError: one line without the flag.
    """
    if name != "auto" and not re.fullmatch(r"(cpu|cuda)(:[0-9]{0,4})?", name):
        raise ValueError(f"must be auto, cpu, cuda or cuda:N, got {name[:60]!r}")


def resolve_device(name: str) -> torch.device:
    """The torch device of a name, where "auto" is CUDA if there is one.

    Raises:
        ValueError: no such device here.
    """
    try:
        check_device_name(name)
    except ValueError as error:
        raise ValueError(f"--device {error}") from None
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    available = torch.cuda.device_count() if kind == "cuda" else 1
    if int(index or 0) >= available:
        raise ValueError(
            f"--device {name}: this machine has {available} of that kind; auto takes what there is"
        )
    return torch.device(kind, int(index)) if index else torch.device(kind)


def num_cores() -> int:
    """Processor cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """Memory that this process may have: the machine's, or its container's where that is less."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in MEMORY_LIMITS:
        try:
            sizes.append(int(Path(path).read_text()))
        except (OSError, ValueError):  # none such, or "max"
            continue
    return min(sizes)
