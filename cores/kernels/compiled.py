"""Compiling pointwise functions with numba: a second process starts warm, and never runs an old version.

Source: none. numba's own cache looks only at the file that holds the compiled function: after an edit in an
imported one it silently runs the old code. Here the cache folder carries a hash of every source in reach.
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
"""The folder whose sources decide the cache: the pointwise functions call nothing outside it."""

KEPT_FOLDERS = 4
"""Caches kept beside the current one: enough to go back and forth between two branches."""

# Multiply-adds in one rounding, but no promise that NaN never comes: a NaN must stay visible. Without numba's
# own memory management, for counting the references to each row costs more than the arithmetic on it: what is
# written to, scratch included, is handed in by the caller, who keeps it alive.
FAST: Any = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}, "_nrt": False}


def source_hash(folder: Path) -> str:
    """Names the present state of a folder's sources.

    Args:
        folder: searched for "*.py", without its subfolders.

    Returns:
        16 hexadecimal digits that change with any source's name or text, and with the versions of numba and
        Python.
    """
    digest = hashlib.sha256(f"{numba.__version__} {platform.python_version()}".encode())
    for path in sorted(folder.glob("*.py")):
        text = path.read_bytes()
        digest.update(f"\0{path.name}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()[:16]


def open_cache(root: Path, key: str) -> Path | None:
    """Makes the cache folder of one state of the sources, and drops the oldest of the others.

    Args:
        root: the folder that holds one folder per key.
        key: a hash by `source_hash`.

    Returns:
        root/key, which exists and can be written; None where it cannot, and every process compiles anew.
    """
    folder = root / key
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)  # the newest folders are those last used, not those first made
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
        others = [other for other in root.iterdir() if other.is_dir() and other != folder]
        others.sort(key=lambda other: other.stat().st_mtime)
    except OSError:
        return None
    for old in others[:-KEPT_FOLDERS]:
        shutil.rmtree(old, ignore_errors=True)  # another process may be removing it too
    return folder


def user_cache() -> Path:
    """Returns the folder of this user's compiled cores, below $XDG_CACHE_HOME or ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "longhold" / "cores"


_CACHE = open_cache(user_cache(), source_hash(SOURCES))


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles what Python calls, on its first call, from the cache where it holds it.

    Args:
        function: a function of a module; a closure would be compiled anew in every process. Its caller
            answers for shapes and dtypes: nothing is checked inside.

    Returns:
        The compiled function.
    """
    if _CACHE is None:
        return numba.njit(**FAST)(function)
    # numba reads CACHE_DIR while it decorates. It is restored at once: other packages' caches stay put.
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(_CACHE)
    try:
        return numba.njit(**FAST, cache=True)(function)
    finally:
        config.CACHE_DIR = before


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles what compiled functions call: it becomes part of their code and needs no cache of its own.

    Args:
        function: a function of a module.

    Returns:
        The compiled function.
    """
    return numba.njit(**FAST)(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles what returns one of the arrays it is given: that works only within the code that calls it.

    Args:
        function: a function of a module.

    Returns:
        The compiled function.
    """
    return numba.njit(**FAST, inline="always")(function)
