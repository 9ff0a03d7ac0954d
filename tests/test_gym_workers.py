"""Environments in worker processes: the same results, and no process left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Discrete
from gymnasium.vector import VectorEnv

from envs import gym_steppers, gym_vector, gym_workers
from envs.gym_vector import GymVectorEnv

ROOT = Path(__file__).parents[1]
N = 5


class Fickle(gymnasium.Env):
    """Counts its steps; what goes wrong at the third is an option, and so is what it tells at its end."""

    observation_space = Discrete(50)
    action_space = Discrete(2)

    def __init__(self, fault="", told=""):
        self.fault, self.told = fault, told

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.pay = 0, (options or {}).get("pay", 1.0)
        self.start = int(self.np_random.integers(40))
        return self.start, {"success": "no number"}

    def step(self, action):
        self.steps += 1
        if self.steps == 3 and self.fault == "raise":
            raise KeyError("100 % broken")
        if self.steps == 3 and self.fault == "exit":
            os._exit(7)
        ended = self.steps == 6 or (self.start % 4 == 0 and self.steps == 4)
        info = {self.told: self.start > 20} if ended and self.told and self.start % 3 else {}
        return self.start + self.steps, self.pay * action, ended, False, info


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch):
    """Two shares of unequal size, whatever the machine; environments of this file under one id."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    gymnasium.register("Fickle-v0", Fickle)
    yield
    del gymnasium.registry["Fickle-v0"]
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        ("CartPole-v1", {}),
        ("MiniGrid-Fetch-5x5-N2-v0", {"max_steps": 17}),
        ("Fickle-v0", {"told": "is_success"}),
    ],
)
def test_the_same_results(env_id, options):
    """All that is returned is the same, over episodes' ends, seeds and masked resets.

    Mutations: each worker seeded with the first share's seeds; rows of the last share cut off at the wrong
    end; success of one worker's environments given to all; a mask that is nowhere True in a share
    resetting all of it.
    """
    with_processes = GymVectorEnv(env_id, N, seed=3, copy=True, processes=True, **options)
    without = GymVectorEnv(env_id, N, seed=3, processes=False, **options)
    both = (with_processes, without)
    try:
        assert isinstance(with_processes, VectorEnv)
        assert (with_processes.processes, without.processes) == (True, False)
        for space in ("observation_space", "action_space", "metadata", "render_mode"):
            assert getattr(with_processes, space) == getattr(without, space)
        np.testing.assert_equal(*(env.reset() for env in both))
        rng, num_ended, kept = np.random.default_rng(0), 0, []
        for t in range(100):
            actions = rng.integers(without.single_action_space.n, size=N)
            one, other = (env.step(actions) for env in both)
            np.testing.assert_equal(one, other)
            assert [array.dtype for array in one[:4]] == [array.dtype for array in other[:4]]
            num_ended += (one[2] | one[3]).sum()
            kept.append((one[0], one[0].copy()))
            if t % 20 == 9:
                reset = {"seed": [None, 7, None, 8, None], "options": {"reset_mask": np.arange(N) < t % 3}}
                if t % 3 == 0:
                    reset = {"seed": t, "options": {"pay": 2.5}}
                np.testing.assert_equal(*(env.reset(**reset) for env in both))
        assert num_ended > 10
        for array, then in kept:
            np.testing.assert_array_equal(array, then)
    finally:
        with_processes.close()


def test_buffers():
    """Without copies the observations are one buffer. Mutation: a copy made all the same."""
    env = GymVectorEnv("CartPole-v1", N, copy=False, processes=True)
    try:
        first = env.reset()[0]
        assert first is env.step(np.zeros(N, int))[0]
    finally:
        env.close()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise", "Fickle-v0 failed in a worker process: KeyError: '100 % broken'"),
        ("exit", "a worker process of Fickle-v0 died, exit code [7"),
    ],
)
def test_faults(fault, message):
    """What fails in a worker is told here in one line; the processes end, and closing again does nothing.

    Mutation: the exception left to Gymnasium, which sends it through a queue.
    """
    env = GymVectorEnv("Fickle-v0", N, fault=fault, processes=True)
    env.reset()
    for _ in range(2):
        env.step(np.zeros(N, int))
    with pytest.raises(RuntimeError, match="worker process") as error:
        env.step(np.zeros(N, int))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    if fault == "raise":
        assert 'raise KeyError("100 % broken")' in error.value.__notes__[0]
    assert not multiprocessing.active_children()
    env.close()


def test_closing_does_not_wait_for_ever(monkeypatch):
    """Mutation: Gymnasium's own ``close``, which joins without a limit."""
    monkeypatch.setattr(gym_workers, "PATIENCE_S", 0.3)
    env = GymVectorEnv("Fickle-v0", N, processes=True)
    env.reset()
    env._stepper._vector.set_attr("_together", [SlowToClose(), SlowToClose()])
    env.close()
    assert not multiprocessing.active_children()


class SlowToClose:
    """Stands for environments that hang while they are closed."""

    def close(self):
        time.sleep(600)


PARENT = """
import multiprocessing, os, signal, threading, time
import gymnasium
from envs import make_vector_env

class Sleepy(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        time.sleep(600)

if __name__ == "__main__":
    gymnasium.register("Sleepy-v0", Sleepy)
    env = make_vector_env("Sleepy-v0", 4, processes=True)
    env.reset()
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
    env.step([0, 0, 0, 0])
"""


def test_processes_end_with_their_parent(tmp_path):
    """Also with one that is killed, and while a step is under way. Mutation: no ``live_with_parent``."""
    program, told = tmp_path / "program.py", tmp_path / "pids"
    program.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with told.open("w") as file:  # no pipe, which a process that is left would keep open
        subprocess.run([sys.executable, program], env=environment, stdout=file, stderr=subprocess.DEVNULL)
    pids = [int(pid) for pid in told.read_text().split()]
    assert len(pids) == 2
    until = time.monotonic() + 10
    while time.monotonic() < until and any(map(is_alive, pids)):
        time.sleep(0.05)
    left = [pid for pid in pids if is_alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def is_alive(pid):
    """Whether a process runs: one that has ended may still wait for whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_program_without_a_guard_is_told(tmp_path):
    """Mutation: the bare EOFError."""
    program = tmp_path / "program.py"
    program.write_text(
        "from envs import make_vector_env\nmake_vector_env('CartPole-v1', 4, processes=True).reset()\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, program], env=environment, text=True, capture_output=True)
    assert done.returncode == 1
    assert "RuntimeError: no worker process of CartPole-v1 starts: a program of your own must " in done.stderr


def test_who_is_slow(monkeypatch):
    """The median counts: a slow step now and then is none. Mutations: the mean; the resets' time."""
    clock = [0.0]
    monkeypatch.setattr(gym_steppers.time, "perf_counter", lambda: clock[0])

    class Clocked(gymnasium.Env):
        action_space = Discrete(2)

        def __init__(self, times):
            self.times, self.num_steps = times, 0

        def reset(self, **_):
            clock[0] += 1.0
            return 0, {}

        def step(self, action):
            clock[0] += self.times[self.num_steps % len(self.times)]
            self.num_steps += 1
            return 0, 0.0, self.num_steps % 3 == 0, False, {}

    assert not gym_steppers.steps_slowly(Clocked([0.0005]))
    assert gym_steppers.steps_slowly(Clocked([0.0015]))
    assert not gym_steppers.steps_slowly(Clocked([0.0005, 0.03, 0.0005]))
    slow = Clocked([3.0])
    assert gym_steppers.steps_slowly(slow)
    assert slow.num_steps == 5


def test_who_gets_processes(monkeypatch):
    """Those that are slow, where there are several of them and of cores; the user's word comes first.

    Mutations: one environment sent to a process; the measurement made where its result can't count.
    """
    asked = []
    monkeypatch.setattr(gym_vector, "Workers", lambda *args: asked.append(args))
    for is_slow, cores, num_envs, said, expected in [
        (True, {0, 1}, 3, None, True),
        (True, {0, 1}, 1, None, False),
        (True, {0}, 3, None, False),
        (False, {0, 1}, 3, None, False),
        (True, {0, 1}, 3, False, False),
        (False, {0}, 1, True, True),
    ]:
        measured = []
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores, raising=False)
        monkeypatch.setattr(
            gym_vector, "steps_slowly", lambda env, slow=is_slow, to=measured: to.append(env) or slow
        )
        env = GymVectorEnv("CartPole-v1", num_envs, processes=said)
        assert (env.processes, bool(asked)) == (expected, expected)
        assert bool(measured) == (said is None and len(cores) > 1 and num_envs > 1)
        asked.clear()


def test_wrong_values():
    """Mutation: any value taken for true."""
    for value in ("yes", 2, 1.5):
        with pytest.raises(ValueError, match=r"^processes must be true or false, got "):
            GymVectorEnv("CartPole-v1", 2, processes=value)
