"""The cache of the fused unroll: warm in a second process, new after an edit, no obstacle where refused."""

import os
import subprocess
import sys
from pathlib import Path

import numba

from cores.kernels.compiled import KEPT_FOLDERS, open_cache, source_hash

ROOT = Path(__file__).parents[1]
COUNT = """
import sys, torch
from cores import make_core
core = make_core("ur-lstm", 2, 3)
assert "numba" not in sys.modules
core(torch.zeros(1, 1, 2), core.initial_state(1), torch.zeros(1, 1, dtype=torch.bool))
import numba
from cores.kernels import gated_lstm
stats = gated_lstm.forward.stats
print(len(stats.cache_hits), len(stats.cache_misses), stats.cache_path, numba.config.CACHE_DIR)
"""


def run_elsewhere(cache_home):
    """Runs a core in another process; returns its cache hits, misses and folder, and numba's setting."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache_home), "PYTHONWARNINGS": "error"}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", COUNT], cwd=ROOT, env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return (done.stdout.rstrip("\n") + " ").split(" ")


def test_second_process_hits_the_cache(tmp_path):
    """Mutations: compiled without ``cache=True``; numba's setting not restored; numba imported by cores."""
    hits, misses, path, setting = run_elsewhere(tmp_path)[:4]
    assert (hits, misses, setting) == ("0", "1", "")
    key = source_hash(ROOT / "cores" / "kernels")
    assert Path(path).is_relative_to(tmp_path / "longhold" / "cores" / key)
    assert run_elsewhere(tmp_path)[:2] == ["1", "0"]


def test_unwritable_cache(tmp_path):
    """Mutation: ``cache=True`` without a folder, which caches beside the sources."""
    (tmp_path / "file").touch()
    assert open_cache(tmp_path / "file", "key") is None
    assert run_elsewhere(tmp_path / "file")[2] == "None"
    assert os.environ.get("NUMBA_CACHE_DIR", "") == numba.config.CACHE_DIR


def test_an_edit_makes_another_cache(tmp_path):
    """Mutations: the name or the text left out of the digest; the newest caches dropped, not the oldest."""
    source, seen = tmp_path / "a.py", set()
    for change in (
        lambda: source.write_text("a = 1\n"),
        lambda: source.write_text("a = 2\n"),
        lambda: source.rename(tmp_path / "b.py"),
        lambda: (tmp_path / "c.py").write_text(""),
    ):
        change()
        seen.add(source_hash(tmp_path))
    assert len(seen) == 4
    root = tmp_path / "root"
    for age in range(7):
        os.utime(open_cache(root, f"old{age}"), (1e9 - age, 1e9 - age))
    assert open_cache(root, "new") == root / "new"
    assert {f.name for f in root.iterdir()} == {"new", *(f"old{age}" for age in range(KEPT_FOLDERS))}
