"""Signals in every phase of a program: no traceback, the shell's exit code, nothing left behind."""

import signal
import sys
import time

import pytest
from processes import assert_gone, descendants, first_point, handles_signals, wait_for

from agents.checkpoint import load_checkpoint
from agents.config import Config
from agents.run_folder import read_config
from agents.training import Training

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")

TINY = ["--env", "tmaze", "--env-opt", "length=2", "--hidden-size", "6", "--encoder-size", "4"]
TINY += ["--num-envs", "3", "--unroll-length", "5", "--runner", "local"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_while_a_program_starts(number, code, start, tmp_path):
    """Its imports take seconds. Mutation: the handlers set by the program's own main."""
    program = start("scripts.train", *TINY, "--log-dir", tmp_path)
    wait_for(lambda: handles_signals(program.pid), every_s=0.001)
    program.send_signal(number)
    assert program.communicate(timeout=10) == ("", "")
    assert program.returncode == code
    assert not list(tmp_path.iterdir())


def test_while_a_run_is_evaluated(start, tmp_path):
    """Nothing is lost then: all is saved. Mutation: the handlers of before training not restored."""
    program = start("scripts.train", *TINY, "--total-steps", "500", "--log-dir", tmp_path)
    lines = iter(program.stdout.readline, "")
    assert any(line.startswith("100 %") for line in lines)
    program.send_signal(signal.SIGTERM)
    _, err = program.communicate(timeout=10)
    assert (program.returncode, err) in ((143, ""), (0, ""))  # 0: it was done before
    (checkpoints,) = tmp_path.rglob("checkpoints")
    assert load_checkpoint(checkpoints)[0]["learner"]["env_steps"] >= 500


def test_before_the_first_update_there_is_nothing_to_save(start, tmp_path):
    """So a run whose first unroll takes for ever ends at once, and says it.

    Mutations: the signal waits for the update; a run that ends without a word.
    """
    words = ["--env", "fickle_envs:Sleeps-v0", "--num-envs", "2", "--runner", "process"]
    program = start("scripts.train", *words, "--num-actors", "1", "--log-dir", tmp_path)
    wait_for(lambda: len(descendants(program.pid)) >= 2)
    started = descendants(program.pid)
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=10)
    assert (program.returncode, err) == (130, "")
    assert out.endswith("\nstopped before the first update: nothing to save\n")
    assert_gone(started)
    assert not list(tmp_path.rglob("step-*"))


def test_in_the_middle_of_a_slow_unroll(start, tmp_path):
    """It is given up where the environments keep no state, and the rest is saved.

    Mutation: a signal waits for the end of the unroll (a minute).
    """
    words = ["--env", "fickle_envs:Slow-v0", "--num-envs", "1", "--unroll-length", "30", "--runner", "local"]
    program = start("scripts.train", *words, "--log-every-steps", "10", "--log-dir", tmp_path)
    wait_for(lambda: first_point(tmp_path))
    program.send_signal(signal.SIGTERM)
    out, err = program.communicate(timeout=10)
    assert (program.returncode, err) == (143, "")
    assert "everything is saved" in out
    (path,) = tmp_path.rglob("config.json")
    training = Training(read_config(path.parent))
    assert "start anew" in training.restore(path.parent)[-1]
    training.close()
    assert training.learner.env_steps == 30


def test_a_native_unroll_is_made_to_its_end(tmp_path):
    """Else a resumed run would not be the run that never stopped. Mutation: given up all the same."""
    training = Training(Config(hidden_size=6, num_envs=3, runner="local", log_dir=str(tmp_path)))
    training.runner.stop()
    assert training.runner.next().num_steps > 0
    training.runner.close()


def test_a_second_signal_ends_at_once(start, tmp_path):
    """Mutations: handlers that stay (the second signal would wait, too); nothing to save after an update."""
    words = ["--env", "fickle_envs:Stuck-v0", "--num-envs", "1", "--unroll-length", "5", "--runner", "local"]
    program = start("scripts.train", *words, "--log-every-steps", "5", "--log-dir", tmp_path)
    wait_for(lambda: first_point(tmp_path))
    time.sleep(1)  # two steps on it is stuck
    program.send_signal(signal.SIGINT)
    with pytest.raises(Exception, match="timed out"):
        program.communicate(timeout=1)
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=10)
    assert (program.returncode, err) == (130, "")
    assert "everything is saved" not in out
    assert "nothing to save" not in out
