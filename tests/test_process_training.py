"""Runs whose actors live in processes: what they learn, how they stop, and that they leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import runs
import torch
from fickle_envs import BreaksEnv
from processes import assert_gone, assert_shared_memory_freed, children, shared_memory

from agents.checkpoint import load_checkpoint
from agents.checkpoint_format import split_state
from agents.config import Config
from agents.run_folder import read_config
from agents.runners import process
from agents.runners.process import resolve_runner
from agents.training import Training
from scripts import train

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("context", [0, 3])
def test_one_actor_that_is_never_behind_does_what_the_local_runner_does(tmp_path, context):
    """Weights and the optimiser's moments are bit for bit the same.

    Mutations: environments or actions with other seeds than the run's; the next unroll granted before the
    weights are published; rewards unscaled; a core state that is off by one unroll; the context left out.
    """
    states = []
    for runner in ("local", "process"):
        config = runs.one_actor(tmp_path, runner=runner, reward_scale=0.5, context_length=context)
        training = Training(config)
        training.create()
        assert training.run()
        states.append(split_state(load_checkpoint(training.folder / "checkpoints")[0])[0])
    names = [name for name in states[0] if name.startswith("learner/")]
    assert len(names) > 20
    assert all(torch.equal(states[0][name], states[1][name]) for name in names)


def test_a_resumed_run_has_all_but_the_episodes(tmp_path):
    """Weights, optimiser, counters, what waits for its point, to the bit; that episodes begin anew is said.

    Mutations: the optimiser's moments or the updates before the point left out of the state.
    """
    half = runs.train(runs.one_actor(tmp_path, log_every_steps=30), stop_after=4)
    again, lines = runs.resumed(half.folder)
    assert lines[1:] == ["actors in processes of their own keep no state, so episodes start anew"]
    ours, theirs = split_state(again.state_dict()), runs.state_of(half)
    names = [name for name in theirs[0] if not name.startswith("runner/")]
    assert len(names) > 20
    assert ours[0].keys() == theirs[0].keys()
    for name in names:
        assert torch.equal(ours[0][name], theirs[0][name]), name
    assert (ours[1]["learner"], ours[1]["curves"]) == (theirs[1]["learner"], theirs[1]["curves"])
    assert 0 < again._steps_at_point < again.learner.env_steps
    runs.finish(again)
    steps = [row["env_steps"] for row in runs.points(half.folder)]
    assert steps == sorted(set(steps))


def begin(tmp_path, *words):
    """A run in a process of its own, once it has written a point; and the processes that it started."""
    command = [sys.executable, "-m", "scripts.train", "--log-dir", str(tmp_path), "--hidden-size", "8"]
    command += ["--total-steps", "100M", "--log-every-steps", "500", "--num-envs", "4", *words]
    command += ["--unroll-length", "16", "--runner", "process", "--num-actors", "1"]
    run = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + 60
    while not any(path.stat().st_size for path in tmp_path.rglob("metrics.jsonl")):
        assert time.monotonic() < until, "no first point"
        time.sleep(0.05)
    started = children(run.pid)
    assert len(started) >= 2
    return run, started


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_signal_saves_and_leaves(tmp_path):
    """Also one that reaches every process, as Ctrl-C does; nobody says a word on standard error.

    A resumed run has the learner's state, tells that episodes start anew, and does not play them again.

    Mutations: SIGINT not ignored by actors; the generation not kept; processes left alone at the end.
    """
    shared = shared_memory()
    run, started = begin(tmp_path, "--env", "CartPole-v1")
    os.killpg(run.pid, signal.SIGINT)
    out, err = run.communicate(timeout=20)
    assert (run.returncode, err) == (130, "")
    assert "everything is saved" in out
    assert_gone(started)
    assert_shared_memory_freed(shared)
    (path,) = tmp_path.rglob("config.json")
    training = Training(read_config(path.parent))
    lines = training.restore(path.parent)
    training.close()
    assert lines[1:] == ["actors in processes of their own keep no state, so episodes start anew"]
    assert training.learner.env_steps > 0
    assert training.runner._generation == 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_nothing_outlives_a_run_that_is_killed(tmp_path):
    """Not even an actor that somebody stopped. Mutation: no prctl."""
    shared = shared_memory()
    run, started = begin(tmp_path, "--env", "tmaze")
    (actor,) = (pid for pid in started if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text())
    os.kill(actor, signal.SIGSTOP)
    run.kill()
    run.wait(20)
    assert_gone(started)
    run.communicate(timeout=20)  # its pipes are those of the processes that it started, too
    assert_shared_memory_freed(shared)


def test_too_many_failures_end_the_run(tmp_path, capfd):
    """Exit 4, and one line that names the environments, the seed and the error; what was learnt is saved.

    Mutations: the exception let through; nothing saved.
    """
    words = f"--env fickle_envs:Breaks-v0 --num-envs 3 --num-actors 1 --log-dir {tmp_path} --runner process"
    assert BreaksEnv.num_steps == 0
    words = [*words.split(), "--max-actor-failures", "0", "--unroll-length", "5"]
    assert train.main(words) == 4
    out, err = capfd.readouterr()
    assert err.startswith("train: actor 0 (fickle_envs:Breaks-v0, environments 0 … 2 of seed ")
    assert err.count("\n") == 1
    assert "failed: OSError: the tenth step; more than 0 failures within an hour" in err
    assert "everything is saved" in out
    assert load_checkpoint(next(tmp_path.rglob("checkpoints")))[0]["learner"]["version"] == 1


@pytest.mark.parametrize(
    ("cores", "env", "backend", "said", "expected"),
    [
        (2, "tmaze", "auto", "auto", "local"),
        (2, "CartPole-v1", "auto", "auto", "process"),
        (1, "CartPole-v1", "auto", "auto", "local"),
        (2, "MiniGrid-MemoryS7-v0", "auto", "auto", "local"),
        (2, "MiniGrid-MemoryS7-v0", "gymnasium", "auto", "process"),
        (2, "CartPole-v1", "auto", "local", "local"),
        (1, "tmaze", "auto", "process", "process"),
    ],
)
def test_where_actors_live(monkeypatch, cores, env, backend, said, expected):
    """Mutation: the backend not looked at."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert resolve_runner(Config(env=env, env_backend=backend, runner=said)) == expected


@pytest.mark.parametrize(("cores", "num_envs", "expected"), [(1, 8, 1), (2, 8, 1), (5, 8, 4), (64, 8, 8)])
def test_number_of_actors(tmp_path, monkeypatch, cores, num_envs, expected):
    """One core is left to the learner. Mutation: an actor on each core."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    training = Training(runs.one_actor(tmp_path, num_envs=num_envs, num_actors=0))
    columns = training.runner._slots.columns
    assert len(columns) == expected
    assert [columns[0].start, columns[-1].stop] == [0, num_envs]
    assert len({part.stop - part.start for part in columns}) <= 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_actors": 4}, "--num-actors 4 needs as many --num-envs, got 3"),
        ({"env": "CartPole-v1", "env_opt": ("processes=true",)}, "--env-opt processes=true is for --runner"),
        ({"env_opt": ("lenght=3",)}, "tmaze has no option 'lenght'"),
        ({"core_opt": ("size=3",)}, "has no option 'size'"),
    ],
)
def test_bad_words(tmp_path, monkeypatch, changes, message):
    """Found before a process is started. Mutation: left to the actors."""
    monkeypatch.setattr(process, "ActorProcesses", None)
    with pytest.raises(ValueError, match=message) as error:
        Training(runs.one_actor(tmp_path, **changes))
    assert "\n" not in str(error.value)
