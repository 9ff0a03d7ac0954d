"""Programs run in processes of their own, and what is left of them."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = str(Path(__file__).parent)


@pytest.fixture
def start():
    """Starts a program of scripts/, which finds the tests' environments; a failed test leaves none behind."""
    started = []

    def begin(*words, **options):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = options.pop("command", [sys.executable, "-m", *map(str, words)])
        environment = {**os.environ, "PYTHONPATH": TESTS}
        options = {"cwd": ROOT, "env": environment, "start_new_session": True, **pipes, **options}
        started.append(subprocess.Popen(command, **options))
        return started[-1]

    yield begin
    for program in started:
        program.kill()
        program.communicate()


def children(pid):
    """The processes that a process has started, by id."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(folder.name))
    return found


def descendants(pid):
    """Children, their children, and so on."""
    found = children(pid)
    return found + [deeper for child in found for deeper in descendants(child)]


def actors_of(pid):
    """The processes of a run in which actors live."""
    found = []
    for child in children(pid):
        try:
            if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
                found.append(child)
        except OSError:
            continue
    return found


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def assert_gone(pids, limit_s=5.0):
    until = time.monotonic() + limit_s
    while time.monotonic() < until and any(map(is_alive, pids)):
        time.sleep(0.05)
    left = [pid for pid in pids if is_alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def shared_memory():
    """What lies in shared memory, by name."""
    return set(os.listdir("/dev/shm"))


def assert_shared_memory_freed(before):
    """Of names that `before` lacks none stays. Those of tests that run at the same time go as these end."""
    new = shared_memory() - before
    wait_for(lambda: not new & shared_memory(), 120.0)


def wait_for(event, limit_s=60.0, every_s=0.02):
    """Waits for something to become true; what it was.

    A folder that is renamed while the event walks through it, as checkpoints are, is looked at again.
    """
    until = time.monotonic() + limit_s
    while True:
        with suppress(FileNotFoundError):
            if value := event():
                return value
        assert time.monotonic() < until
        time.sleep(every_s)


def handles_signals(pid):
    """Whether a process has handlers of its own for SIGINT and SIGTERM."""
    caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return all(int(caught[1], 16) >> (number - 1) & 1 for number in (signal.SIGINT, signal.SIGTERM))


def memory_bytes(pid):
    """Resident memory that is a process's own, anonymous."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * int(re.search(r"Anonymous:\s+(\d+) kB", text)[1])


def num_open(pid):
    """Open file descriptors, and threads."""
    return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))


def first_point(folder):
    """Whether a run below a folder has written a point of its curves."""
    return any(path.stat().st_size for path in folder.rglob("metrics.jsonl"))
