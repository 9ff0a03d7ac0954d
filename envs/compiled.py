"""Compiling kernels with numba, so that a second process starts warm and never runs an old version.

numba's own cache looks only at the file that holds the compiled function: after an edit in an imported
function it silently runs the old code. Here the cache folder carries a hash of every source a kernel can
reach.
"""

import hashlib
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

SOURCES = Path(__file__).parent
"""The folder whose sources decide the cache: every kernel of Longhold's environments lies below it."""

KEPT_FOLDERS = 4
"""Caches kept beside the current one: enough to go back and forth between two branches."""


def source_hash(folder: Path) -> str:
    """Name the present state of all sources below a folder.

    Args:
        folder: searched for ``*.py`` at every depth.

    Returns:
        16 hexadecimal digits that change with any source's path or text and with the versions of numba
        and Python.
    """
    digest = hashlib.sha256(f"{numba.__version__} {platform.python_version()}".encode())
    for path in sorted(folder.rglob("*.py")):
        text = path.read_bytes()
        digest.update(f"\0{path.relative_to(folder).as_posix()}\0{len(text)}\0".encode())
        digest.update(text)
    return digest.hexdigest()[:16]


def open_cache(root: Path, key: str) -> Path | None:
    """Make the cache folder of one state of the sources, and drop the oldest of the others.

    Args:
        root: the folder that holds one folder per key.
        key: a hash by ``source_hash``.

    Returns:
        ``root/key``, which exists and can be written; None where it cannot, and kernels compile anew
        each time.
    """
    folder = root / key
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)  # the newest folders are those last used, not those first made
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
        others = sorted(
            (f for f in root.iterdir() if f.is_dir() and f != folder), key=lambda f: f.stat().st_mtime
        )
    except OSError:
        return None
    for old in others[:-KEPT_FOLDERS]:
        shutil.rmtree(old, ignore_errors=True)  # another process may be removing it too
    return folder


def user_cache() -> Path:
    """Return the folder below which this user's kernels are kept: ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "longhold" / "kernels"


def _named_by_content(record: Any) -> tuple[str, tuple[int]]:
    """Return what stands for a record in the names of compiled functions that take it.

    numba takes the number of the type in its process. The first record of two processes then bears one
    name, whatever its fields are, and where a third loads both from the cache the functions of one kernel
    run for the other: a world of 9 cells handled as one of 17, wrong in silence or without an end
    (https://github.com/numba/numba/issues/10486 is of the same kind).
    """
    return type(record).__name__, (int.from_bytes(hashlib.sha256(record.name.encode()).digest()[:8]),)


_records: Any = numba.types.Record
_records.mangling_args = property(_named_by_content)

_CACHE = open_cache(user_cache(), source_hash(SOURCES))


def compiled(kernel: Callable[..., Any], *, cached: bool = True) -> Callable[..., Any]:
    """Compile a kernel's entry point on its first call, from the cache where it holds one.

    The kernel releases the GIL and does not check array bounds: its caller validates what goes in.
    Functions that it calls are decorated with ``part``. It must be a module-level function: a closure,
    or a function passed as an argument, is compiled anew in every process.

    Args:
        kernel: the function.
        cached: False where it calls code outside SOURCES, whose edits would go unnoticed.
    """
    if _CACHE is None or not cached:
        return numba.njit(nogil=True, error_model="numpy")(kernel)
    # numba reads CACHE_DIR while it decorates. It is restored at once: other packages' caches stay put.
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(_CACHE)
    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True)(kernel)
    finally:
        config.CACHE_DIR = before


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that kernels call: it becomes part of their code and needs no cache of its own."""
    return numba.njit(nogil=True, error_model="numpy")(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a ``part`` into each place that calls it, with what is constant there."""
    return numba.njit(nogil=True, error_model="numpy", forceinline=True)(function)
