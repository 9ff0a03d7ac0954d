"""Whether an installation is sound: a table of checks, each of which says what it found and what to do."""

import importlib.metadata
import os
import platform
import re
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch

from agents.machine import memory_bytes, num_cores
from envs.compiled import user_cache

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
NEEDED = """torch numpy numba llvmlite gymnasium minigrid tensorboard safetensors tyro rich"""
"""Packages without which nothing runs."""
CACHE = user_cache().parent
"""Where compiled kernels are kept, those of environments and those of cores."""
OLDEST_PYTHON = (3, 11)
MIN_MEMORY, MIN_DISK, LITTLE_DISK = 2 * 2**30, 2**26, 2**30
MIN_FILES = 256
"""File descriptors: a run takes some forty, and three more for each actor."""


class Finding(NamedTuple):
    """What a check found."""

    state: Literal["ok", "warning", "failed"]
    """warning: Longhold runs, with less than it could; failed: it does not."""
    found: str
    remedy: str = ""
    """What to do about it, where it is not ok."""


def python() -> Finding:
    """The version of Python."""
    found = f"{platform.python_version()} in {sys.prefix}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("failed", found, "Longhold needs Python 3.11 or later: make PYTHON=python3.12 train")
    return Finding("ok", found)


def packages() -> Finding:
    """Every package against the versions that are tested."""
    pins = dict(
        re.findall(r"^([\w.-]+)==(\S+)$", CONSTRAINTS.read_text() if CONSTRAINTS.exists() else "", re.M)
    )
    versions = {}
    for name in {*NEEDED.split(), *pins}:
        try:
            versions[name] = importlib.metadata.version(name).partition("+")[0]  # without torch's +cu130
        except importlib.metadata.PackageNotFoundError:
            continue
    remedy = "pip install -c constraints.txt -e ., or make train, which does it"
    if missing := sorted(set(NEEDED.split()) - set(versions)):
        return Finding("failed", f"missing: {', '.join(missing)}", remedy)
    if not pins:
        return Finding("warning", f"no {CONSTRAINTS} to compare with", "take the whole repository")
    others = [f"{n} {v} for {pins[n]}" for n, v in sorted(versions.items()) if v != pins.get(n, v)]
    if others:
        return Finding("warning", f"other versions than those tested: {', '.join(others)}", remedy)
    return Finding("ok", f"torch {versions['torch']}, {len(versions)} packages as in constraints.txt")


def computing() -> Finding:
    """That torch computes on the CPU, and what it has."""
    product = torch.ones(3, 4) @ torch.ones(4, 5)
    found = (
        f"{num_cores()} cores, {memory_bytes() / 2**30:.1f} GiB of memory, torch on {torch.get_num_threads()}"
    )
    if not torch.equal(product, torch.full((3, 5), 4.0)):
        return Finding("failed", "torch computes wrong products", "install torch anew")
    if memory_bytes() < MIN_MEMORY:
        return Finding("warning", found, "small tasks only; take less --num-envs")
    return Finding("ok", found)


def cuda() -> Finding:
    """A CUDA device, and Triton for the fused unrolls on it."""
    if not torch.cuda.is_available():
        if Path("/dev/nvidia0").exists():
            remedy = "the CPU is used; for the GPU, check nvidia-smi and that torch is built for its driver"
            return Finding("warning", f"a GPU that torch {torch.__version__} does not reach", remedy)
        return Finding("ok", "none; the CPU is used")
    names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    try:
        return Finding("ok", f"{names}, Triton {importlib.metadata.version('triton')}")
    except importlib.metadata.PackageNotFoundError:
        return Finding("warning", f"{names}, no Triton", "cores run unfused there: pip install triton")


def kernel_cache() -> Finding:
    """The folder of compiled kernels."""
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=CACHE):
            pass
    except OSError as error:
        remedy = "every start compiles for a minute: make it writable, or set XDG_CACHE_HOME"
        return Finding("warning", f"{CACHE} can't be written ({error.strerror})", remedy)
    size = sum(path.stat().st_size for path in CACHE.rglob("*") if path.is_file())
    return Finding("ok", f"{CACHE}, {size / 2**20:.0f} MiB; may be deleted at any time")


def shared_memory() -> Finding:
    """Memory that actors in processes share."""
    from agents.runners.arena import Arena

    array = Arena({"x": ((2**18,), np.dtype(np.float64))})["x"]
    array[:] = 1.0
    return Finding("ok", "2 MiB written and read") if array.sum() == 2**18 else Finding("failed", "not kept")


def disk(folder: Path) -> Finding:
    """Room where runs go."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    found = f"{free / 2**30:.1f} GiB free at {folder}"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding(
            "failed", f"{folder} can't be written", "take another --log-dir, here and for training"
        )
    if free < LITTLE_DISK:
        remedy = "make room, or take another --log-dir: a checkpoint needs three times the weights"
        return Finding("failed" if free < MIN_DISK else "warning", found, remedy)
    return Finding("ok", found)


def open_files() -> Finding:
    """How many files a process may have open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    found = "no limit" if limit == resource.RLIM_INFINITY else f"{limit:,}"
    if limit != resource.RLIM_INFINITY and limit < MIN_FILES:
        return Finding("warning", found, "few actors only: ulimit -n 4096 before the start")
    return Finding("ok", found)


def events() -> Finding:
    """Curves for TensorBoard, written and read again."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from torch.utils.tensorboard import SummaryWriter

    with tempfile.TemporaryDirectory() as folder:
        with SummaryWriter(folder) as writer:
            writer.add_scalar("doctor", 1.0, 7)
        (path,) = Path(folder).iterdir()
        steps = [event.step for event in EventFileLoader(str(path)).Load()]
    if 7 not in steps:
        return Finding("failed", "a point was written and not found again", "install tensorboard anew")
    return Finding("ok", "a point written and read again")


def terminal() -> Finding:
    """What progress is shown on."""
    encoding = getattr(sys.stdout, "encoding", None) or "unknown"
    found = (
        f"{shutil.get_terminal_size().columns} columns"
        if sys.stdout.isatty()
        else "none: plain lines are written"
    )
    if encoding.lower().replace("-", "") != "utf8":
        return Finding(
            "warning", f"{found}, {encoding}", "some signs will be missing: set PYTHONIOENCODING=utf-8"
        )
    return Finding("ok", f"{found}, {encoding}")


def checks(log_dir: Path) -> dict[str, Callable[[], Finding]]:
    """The checks by name, in the order in which faults follow from one another."""
    return {
        "Python": python,
        "packages": packages,
        "CPU": computing,
        "CUDA": cuda,
        "kernel cache": kernel_cache,
        "shared memory": shared_memory,
        "disk": lambda: disk(log_dir),
        "open files": open_files,
        "TensorBoard": events,
        "terminal": terminal,
    }


def carry_out(check: Callable[[], Finding]) -> Finding:
    """A check's finding, also where it ends in an error."""
    try:
        return check()
    except Exception as error:  # whatever a broken package raises
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return Finding("failed", text[:300], "if the checks above are ok, report this line")
