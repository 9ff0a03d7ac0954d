"""R6, R17, R18: signals at any moment, two runs on one folder, consoles of all kinds."""

import fcntl
import os
import pty
import random
import signal
import socket
import struct
import sys
import termios
import time

import pytest
from processes import (
    assert_shared_memory_freed,
    descendants,
    first_point,
    handles_signals,
    is_alive,
    shared_memory,
    wait_for,
)

from agents.checkpoint import load_checkpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc"),
]

NUM_MOMENTS = 50
SMALL = ["--hidden-size", "8", "--num-envs", "4", "--unroll-length", "8", "--log-every-steps", "400"]
SMALL += ["--checkpoint-every-s", "0"]
TO_THE_END = ["--total-steps", "8k"]
RUNNERS = {
    "local": ["--env", "tmaze", "--env-opt", "length=6", "--runner", "local"],
    "process": ["--env", "CartPole-v1", "--runner", "process", "--num-actors", "1"],
}


def test_signals_at_random_moments(start, tmp_path, figure):
    """R6: in imports, in the first unroll, in updates, saves and the evaluation at the end.

    Mutations: as of tests/test_signals.py.
    """
    generator, shared = random.Random(4), shared_memory()
    lasts, slowest, saved, quiet, finished = {}, 0.0, 0, 0, 0
    for name, words in RUNNERS.items():  # how long it takes to the end
        begun = time.monotonic()
        run = start("scripts.train", *words, *SMALL, *TO_THE_END, "--log-dir", tmp_path / name)
        assert run.communicate(timeout=120)[1] == ""
        lasts[name] = time.monotonic() - begun
    for moment in range(NUM_MOMENTS):
        name = generator.choice(list(RUNNERS))
        number = generator.choice([signal.SIGINT, signal.SIGTERM])
        folder = tmp_path / str(moment)
        run = start("scripts.train", *RUNNERS[name], *SMALL, *TO_THE_END, "--log-dir", folder)
        wait_for(lambda run=run: handles_signals(run.pid), every_s=0.001)
        time.sleep(generator.uniform(0, lasts[name]))
        started = descendants(run.pid)
        sent_at = time.monotonic()
        run.send_signal(number)
        out, err = run.communicate(timeout=30)
        slowest = max(slowest, time.monotonic() - sent_at)
        assert err == ""
        checkpoints = list(folder.rglob("checkpoints"))
        env_steps = load_checkpoint(checkpoints[0])[0]["learner"]["env_steps"] if checkpoints else 0
        # The last: an interpreter that shuts down has no handlers any more; a shell sees the same code.
        assert run.returncode in (128 + number, 0, -number), out
        if run.returncode <= 0:  # the signal came too late
            assert "evaluate again" in out
            finished += 1
        elif "everything is saved" in out:
            assert f"at {env_steps:,} env steps" in out
            saved += 1
        else:  # before the first update, or after the last save
            assert env_steps >= 8000 or not first_point(folder)
            quiet += 1
        wait_for(lambda started=started: not any(map(is_alive, started)), 5)
    told = f"{saved} saved, {quiet} with nothing to save, {finished} were done; {slowest:.1f} s at most"
    figure("R6", f"{NUM_MOMENTS} signals: exit 130/143 within 10 s, no traceback", told)
    figure("R6", "no child left, shared memory as before", "0 left")
    assert slowest < 10
    assert saved > 5
    assert quiet > 5
    assert_shared_memory_freed(shared)


def test_two_runs_on_one_folder(start, tmp_path, figure):
    """R17: ten at once on the folder of a running one, all refused. Mutation: no lock."""
    run = start("scripts.train", *RUNNERS["local"], *SMALL, "--total-steps", "1G", "--log-dir", tmp_path)
    wait_for(lambda: list(tmp_path.rglob("step-*/manifest.json")))
    (path,) = tmp_path.rglob("config.json")
    others = [start("scripts.train", "--resume", path.parent) for _ in range(10)]
    refused = 0
    for other in others:
        out, err = other.communicate(timeout=120)
        refused += (other.returncode, out) == (
            2,
            "",
        ) and f"process {run.pid} on {socket.gethostname()}" in err
    assert run.poll() is None
    figure("R17", "the second is refused with pid and host, exit 2", f"{refused} of 10")
    assert refused == 10


def run_in_terminal(words, width, environment, hang_up):
    """Runs a program in a terminal, which may go away when its bar is seen; exit code and what was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        os.execve(sys.executable, [sys.executable, "-m", "scripts.train", *words], environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    shown = b""
    while not (hang_up and b" % " in shown):
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # the end, on Linux
            break
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of fork and threads; it execs at once
def test_terminals(tmp_path, figure):
    """R18: wide, narrow, dumb, without colours, and one that goes away in the middle.

    Mutations: a bar of fixed width; errors of the terminal let through.
    """
    cases = {
        "80 columns": (80, {}, False),
        "40 columns": (40, {}, False),
        "NO_COLOR": (80, {"NO_COLOR": "1"}, False),
        "TERM=dumb": (80, {"TERM": "dumb"}, False),
        "terminal gone": (80, {}, True),
    }
    good = []
    for name, (width, extra, hang_up) in cases.items():
        folder = tmp_path / name.replace(" ", "-")
        words = [*RUNNERS["local"], *SMALL, *TO_THE_END, "--log-dir", str(folder)]
        environment = {**os.environ, "TERM": "xterm", **extra}
        code, shown = run_in_terminal(words, width, environment, hang_up)
        assert code == 0, shown
        assert "Traceback" not in shown
        assert list(folder.rglob("evaluation.json"))
        if not hang_up:
            assert "8.0k/8.0k steps  left 0s" in shown  # whole, however narrow
        if extra:
            assert "\x1b[9" not in shown
        good.append(name)
    figure("R18", "run goes on, no traceback: terminals", ", ".join(good))


def test_streams_that_are_closed(tmp_path, figure, start):
    """R18: closed before the start, closed in the middle, full, in another encoding.

    Mutations: `print` where standard error is closed; only a broken pipe caught.
    """
    cases = {
        "stdout closed": (">&-", {}),
        "stderr closed": ("2>&-", {}),
        "both closed": (">&- 2>&-", {}),
        "stdin closed": ("<&-", {}),
        "| head -1": ("| head -1", {}),
        "| true": ("| true", {}),
        "full disk": ("> /dev/full", {}),
        "ASCII": ("> /dev/null", {"PYTHONIOENCODING": "ascii"}),
    }
    for name, (ending, extra) in cases.items():
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        words = " ".join([*RUNNERS["local"], *SMALL, *TO_THE_END, "--log-dir", str(folder)])
        shell = f"set -o pipefail; '{sys.executable}' -m scripts.train {words} {ending}"
        run = start(command=["bash", "-c", shell], env={**os.environ, **extra})
        _, err = run.communicate(timeout=120)
        assert (name, run.returncode, err) == (name, 0, "")
        assert list(folder.rglob("evaluation.json"))
    figure("R18", "run goes on, no traceback: streams", ", ".join(cases))
