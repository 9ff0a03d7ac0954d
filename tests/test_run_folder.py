"""Who trains in a folder: one process at a time, and nobody who is dead."""

import os
import signal
import socket

import pytest
from processes import first_point, wait_for
from programs import assert_one_line

from agents.run_folder import lock_run
from scripts import evaluate, train


def test_a_second_one_is_refused(tmp_path):
    """It is told who is there; what a dead one left is no obstacle.

    Mutations: the file's content taken for the lock; nothing written into it.
    """
    (tmp_path / "lock").write_text("process 1 on elsewhere\n")
    first = lock_run(tmp_path)
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    with pytest.raises(ValueError, match=f"{tmp_path} is being trained by {holder}; wait for its end"):
        lock_run(tmp_path)
    assert (tmp_path / "lock").read_text() == holder + "\n"
    first.close()
    lock_run(tmp_path).close()


def test_two_runs_on_one_folder(start, tmp_path, capsys):
    """The second is refused, exit 2, and changes nothing; one may look on; a killed one holds nothing.

    Mutations: the lock taken after the curves are cut; evaluation locked out, too; a lock that is a file.
    """
    words = "--env tmaze --env-opt length=2 --hidden-size 6 --runner local --checkpoint-every-s 0"
    program = start(
        "scripts.train",
        *words.split(),
        "--total-steps",
        "100M",
        "--log-every-steps",
        "500",
        "--log-dir",
        tmp_path,
    )
    wait_for(lambda: first_point(tmp_path) and list(tmp_path.rglob("step-*/manifest.json")))
    (path,) = tmp_path.rglob("config.json")
    program.send_signal(signal.SIGSTOP)  # so that nothing changes meanwhile
    os.waitpid(program.pid, os.WUNTRACED)  # all of its threads have stopped
    part = f"is being trained by process {program.pid} on {socket.gethostname()}"
    assert_one_line(train.main, ["--resume", path.parent], 2, tmp_path, capsys, part)
    assert evaluate.main([str(path.parent), "--episodes", "5"]) == 0
    program.kill()
    program.communicate()
    assert train.main(["--resume", str(path.parent), "--total-steps", "300"]) == 0
