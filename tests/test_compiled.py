"""The kernels' cache: warm in a second process, new after an edit, no obstacle where it cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from envs.compiled import KEPT_FOLDERS, open_cache, source_hash

ROOT = Path(__file__).parents[1]
COUNT = """
import envs, numba
from envs.tasks.memory_len import step_all
envs.make_vector_env("memory-len", 3, length=4).reset()
stats = step_all.stats
print(len(stats.cache_hits), len(stats.cache_misses), stats.cache_path, numba.config.CACHE_DIR)
"""


def run_elsewhere(cache_home: Path) -> list[str]:
    """Run a kernel in another process; return its cache hits, misses and folder, and numba's setting."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache_home), "PYTHONWARNINGS": "error"}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", COUNT], cwd=ROOT, env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return (done.stdout.rstrip("\n") + " ").split(" ")


@pytest.fixture
def sources(tmp_path):
    """A tree of two sources."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "engine.py").write_text("a = 1\n")
    (tmp_path / "tasks" / "tmaze.py").write_text("b = 2\n")
    return tmp_path


def test_hash_changes_with_any_source(sources):
    """An edit, a rename and a new file each give another cache; the same sources give the same one.

    Mutations: ``rglob`` made ``glob`` (a task's edit goes unnoticed); the path left out of the digest.
    """
    seen = {source_hash(sources)}
    os.utime(sources / "engine.py", (0, 0))
    assert source_hash(sources) in seen
    task = sources / "tasks" / "tmaze.py"
    for change in (
        lambda: task.write_text("b = 3\n"),
        lambda: task.rename(sources / "tasks" / "umaze.py"),
        lambda: (sources / "tasks" / "new.py").write_text(""),
        lambda: (sources / "engine.py").write_text("a = 1\n\n"),
    ):
        change()
        seen.add(source_hash(sources))
    assert len(seen) == 5


def test_old_caches_go(tmp_path):
    """The folders used last stay, whatever their names; the rest goes.

    Mutation: ``others[:-KEPT_FOLDERS]`` made ``others[KEPT_FOLDERS:]``.
    """
    for age in range(7):
        folder = open_cache(tmp_path, f"old{age}")
        os.utime(folder, (1e9 - age, 1e9 - age))
    assert open_cache(tmp_path, "new") == tmp_path / "new"
    assert {f.name for f in tmp_path.iterdir()} == {"new", *(f"old{age}" for age in range(KEPT_FOLDERS))}


def test_second_process_hits_the_cache(tmp_path):
    """Mutation: the kernel compiled without ``cache=True``, or numba's setting not restored."""
    hits, misses, path, setting = run_elsewhere(tmp_path)[:4]
    assert (hits, misses, setting) == ("0", "1", "")
    assert Path(path).is_relative_to(tmp_path / "longhold" / "kernels" / source_hash(ROOT / "envs"))
    assert run_elsewhere(tmp_path)[:2] == ["1", "0"]


def test_unwritable_cache(tmp_path):
    """Kernels still run, and nothing is cached beside the sources, where numba would not notice an edit.

    Mutation: ``cache=True`` without a folder.
    """
    (tmp_path / "file").touch()
    assert open_cache(tmp_path / "file", "key") is None
    assert run_elsewhere(tmp_path / "file")[2] == "None"


def test_numba_setting_is_untouched():
    """Other packages' kernels go where they went before."""
    before = os.environ.get("NUMBA_CACHE_DIR", "")
    assert before == numba.config.CACHE_DIR


OUTSIDE = """
import numpy as np
from gymnasium.spaces import MultiDiscrete

from envs.compiled import part
from envs.engine import NativeVectorEnv
from envs.step_kernel import step_kernel
from envs.tasks import tmaze


@part
def begin(s, rules):
    s.x = 0


@part
def act(s, action, rules):
    s.x = NUMBER
    return NUMBER, False, False


@part
def observe(s, rules, row):
    row[0] = s.x


class Outside(NativeVectorEnv):
    def __init__(self, num_envs):
        super().__init__(
            num_envs,
            observation_space=MultiDiscrete([100]),
            num_actions=2,
            fields=[("x", np.int64), ("cue", np.int64)],
            kernel=step_kernel(BEGIN, act, observe),
            rules={"unused": 0},
        )
"""
STEP = """
import numpy as np, outside
env = outside.Outside(1)
env.reset()
observations, rewards = env.step(np.zeros(1, int))[:2]
print(observations[0, 0], rewards[0], env._kernel.stats.cache_path)
"""


@pytest.mark.parametrize("begin", ["begin", "tmaze.begin"])
def test_a_task_elsewhere_is_never_stale(tmp_path, begin):
    """The cache's name knows the sources below envs alone: a task from elsewhere is compiled anew.

    A part of it may be Longhold's own. Both versions have one size and one time of change, which is all
    that numba's own cache would look at.

    Mutations: ``cached`` left at True; any for all in ``step_kernel``.
    """
    source = tmp_path / "outside.py"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}
    for number in "57":
        source.write_text(OUTSIDE.replace("NUMBER", number).replace("BEGIN", begin))
        os.utime(source, (1e9, 1e9))
        done = subprocess.run(
            [sys.executable, "-B", "-c", STEP], cwd=ROOT, env=environment, text=True, capture_output=True
        )
        assert done.stdout == f"{number} {number}.0 None\n", done.stderr


PLAY = """
import sys, zlib, numpy as np
from envs import make_vector_env
for id in sys.argv[1:]:
    env = make_vector_env(id, 2)
    seen = [env.reset()[0]] + [env.step(np.array([t % 3, 2]))[0] for t in range(40)]
    stats = env._kernel.stats
    print(id, zlib.crc32(np.stack(seen).tobytes()))
print("from the cache:", not stats.cache_misses)
"""


def test_kernels_of_two_processes_in_a_third(tmp_path):
    """Loaded from the cache together, each calls functions of its own: records are named by their content.

    Mutation: records named by numba, by when a process met them.
    """
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}

    def play(*ids: str) -> list[str]:
        command = [sys.executable, "-c", PLAY, *ids]
        done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    ids = "MiniGrid-MemoryS17Random-v0", "MiniGrid-MemoryS7-v0"
    (first, compiled_first), (second, compiled_second) = (play(id) for id in ids)
    assert compiled_first == compiled_second == "from the cache: False"
    assert play(*ids) == [first, second, "from the cache: True"]
