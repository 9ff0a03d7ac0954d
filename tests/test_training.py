"""Runs: what they leave behind, how they stop, and that a resumed one is the one that never stopped."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from runs import assert_same_runs, finish, points, resumed, small, state_of, train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from agents import checkpoint_writer, metrics
from agents.actor import make_envs
from agents.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint, steps_of
from agents.checkpoint_format import read_manifest
from agents.guard import ROLL_BACK_AFTER
from agents.learner import Learner
from agents.run_folder import read_config
from agents.training import Training
from envs import ENVS, GymVectorEnv
from envs.tasks.tmaze import TMaze
from scripts.train import main

ROOT = Path(__file__).parent.parent
CORES = ["lstm", "chrono", "ur-lstm", "on-lstm", "memoryless"]


def test_run_folder(tmp_path):
    training = train(small(tmp_path, seed=7))
    folder = training.folder
    assert re.fullmatch(r"seed7-\d{8}-\d{6}", folder.name)
    assert folder.parent == tmp_path / "tmaze" / "ur-lstm"
    assert read_config(folder) == training.config
    assert {path.name.split(".")[0] for path in folder.iterdir()} == {
        "config",
        "lock",
        "metrics",
        "checkpoints",
        "events",
    }


def test_a_second_run_in_the_same_second_has_its_own_folder(tmp_path):
    config = small(tmp_path, total_steps=10)
    assert len({train(config).folder for _ in range(3)}) == 3


def test_curves(tmp_path):
    """Every curve in docs/analysis.md has points, at the same env steps in TensorBoard and the JSON lines."""
    folder = train(small(tmp_path, foresight_cost=1.0, replays=1)).folder
    rows = points(folder)
    steps = [row["env_steps"] for row in rows]
    assert steps == sorted(set(steps))
    assert len(steps) > 10
    manual = (ROOT / "docs" / "analysis.md").read_text()
    section = manual.split("\n## The curves")[1].split("\n## ")[0]
    named = {
        name for row in re.findall(r"^\| (`.*?`) \|", section, re.M) for name in re.findall(r"`(.*?)`", row)
    }
    events = EventAccumulator(str(folder)).Reload()
    tags = set(events.Tags()["scalars"]) | set(events.Tags()["histograms"])
    documented = {name for name in named if not name.endswith("*")}
    assert documented <= tags
    assert {tag for tag in tags if not tag.startswith("speed/share_")} <= documented | {"hp_metric"}
    assert [event.step for event in events.Scalars("loss/total")] == steps
    assert "config/text_summary" in events.Tags()["tensors"]


@pytest.mark.parametrize("core", CORES)
def test_a_resumed_run_is_the_run_that_never_stopped(tmp_path, core):
    """Mutations: the actor's generator, its core state, the replay or the optimiser's moments left out."""
    fields = {"core": core, "foresight_cost": 1.0, "num_products": 3, "replays": 2, "replay_size": 4}
    whole = train(small(tmp_path, **fields))
    half = train(small(tmp_path, **fields), stop_after=10)
    again, lines = resumed(half.folder)
    assert len(lines) == 1
    assert "resuming from" in lines[0]
    finish(again)
    assert again.learner.version == whole.learner.version > 22
    assert_same_runs(whole, again)


def test_a_resumed_run_has_the_same_curves(tmp_path):
    """Points after the checkpoint are taken back, none is doubled; all equal the whole run's.

    So does the one that was not yet whole where the run stopped.

    Mutations: `drop_points_after` keeps every line; no start of a session for TensorBoard; what had been
    gathered for the next point left out of the state.
    """
    whole = train(small(tmp_path))
    half = train(small(tmp_path), stop_after=10)
    cut = half.learner.env_steps
    with open(half.folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"env_steps": cut + 1}) + "\n" + '{"env_steps": 9')
    with SummaryWriter(str(half.folder)) as events:
        events.add_scalar("loss/total", 1.0, cut + 1)
    again, _ = resumed(half.folder)
    finish(again)
    assert_same_runs(whole, again)


def test_two_runs_of_one_seed_are_one_run(tmp_path):
    """Mutation: the actor's generator seeded from the clock."""
    assert_same_runs(train(small(tmp_path)), train(small(tmp_path)))


def test_another_seed_is_another_run(tmp_path):
    tensors, _ = state_of(train(small(tmp_path)))
    others, _ = state_of(train(small(tmp_path, seed=1)))
    assert not torch.equal(tensors["learner/network/policy.weight"], others["learner/network/policy.weight"])


def test_what_a_run_goes_back_to_is_its_last_point(tmp_path):
    """The guard keeps weights at each point of the curves. Mutation: those of the start kept for ever."""
    training = train(small(tmp_path), stop_after=9)
    guard = training.learner.guard
    for _ in range(ROLL_BACK_AFTER):
        guard._unread = torch.tensor(True), training._trajectory, lambda: torch.tensor(torch.nan)
        guard.settle()
    assert 6 <= guard._kept_at <= 9


def test_the_speed_of_a_resumed_run(tmp_path, monkeypatch):
    """Each point's speed is that of steps and seconds of one process: 10 to 15 steps in each update's second.

    Mutation: the steps since the last point over the seconds since the run was resumed.
    """
    now = [0.0]
    monkeypatch.setattr(metrics, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    update = Learner.update

    def timed(learner, trajectory):
        now[0] += 1.0
        return update(learner, trajectory)

    monkeypatch.setattr(Learner, "update", timed)
    half = train(small(tmp_path, log_every_steps=100), stop_after=7)
    again, _ = resumed(half.folder)
    finish(again)
    found = [point["speed/env_steps_per_s"] for point in points(half.folder)]
    assert len(found) == 3
    assert all(10 <= speed <= 15 for speed in found), found


def test_resume_of_a_gymnasium_task_says_that_episodes_start_anew(tmp_path):
    config = small(tmp_path, env="CartPole-v1", env_opt=(), core="lstm", total_steps=120)
    half = train(config, stop_after=4)
    again, lines = resumed(half.folder)
    assert any("start anew" in line for line in lines)
    assert again.learner.env_steps == half.learner.env_steps
    finish(again)
    assert again.learner.env_steps >= 120


@pytest.mark.parametrize(
    ("backend", "kind", "options"),
    [
        ("auto", TMaze, ()),
        ("gymnasium", GymVectorEnv, ()),
        ("gymnasium", GymVectorEnv, ("sutton_barto_reward=true",)),
    ],
)
def test_whose_version_of_the_task(tmp_path, monkeypatch, backend, kind, options):
    """The run's choice holds in training and evaluation; its file keeps it, or, an old one, has none.

    Mutation: the backend not handed on.
    """
    monkeypatch.setitem(ENVS, "CartPole-v1", TMaze)
    config = small(tmp_path, env="CartPole-v1", env_opt=options, env_backend=backend, total_steps=30)
    training = train(config)
    envs = training.runner.actor.envs
    assert type(envs) is kind
    assert type(make_envs(config, 2, 0)) is kind
    assert training.card == (None if options else TMaze.card())  # which knows no such option
    assert read_config(training.folder) == config
    path = training.folder / "config.json"
    values = json.loads(path.read_text())
    assert values.pop("env_backend") == backend
    path.write_text(json.dumps(values))
    assert read_config(training.folder).env_backend == "auto"


def test_the_newest_checkpoints_stay_and_the_best(tmp_path):
    """They are written beside the training; the run's end waits for the last one.

    Mutations: the configured number not handed on; the last one not waited for; no figures handed on.
    """
    training = train(small(tmp_path, checkpoint_every_s=0.0, keep_checkpoints=2))
    paths = list_checkpoints(training.folder / "checkpoints")
    assert 2 <= len(paths) <= 3
    assert steps_of(paths[0]) == training.learner.env_steps
    assert read_manifest(paths[0])["figures"]["episodes"] > 50
    assert len(list((training.folder / "checkpoints").iterdir())) == len(paths)


def test_saving_does_not_wait_for_the_disk(tmp_path, monkeypatch):
    """The run takes its steps while a checkpoint is being written, and begins no second one.

    Mutations: written in the loop; a copy taken, and thrown away, while one is written.
    """
    written, go = [], threading.Event()

    def slow(folder, snapshot, **words):
        written.append(snapshot.env_steps)
        if snapshot.env_steps < 300:
            assert go.wait(30)
        return publish(folder, snapshot, **words)

    publish = checkpoint_writer.publish
    monkeypatch.setattr(checkpoint_writer, "publish", slow)
    training = Training(small(tmp_path, checkpoint_every_s=0.0))
    training.create()
    step = training.step

    def last() -> None:
        step()
        if training.learner.env_steps >= 300:
            go.set()

    training.step = last
    assert training.run()
    first, *rest = written
    assert first < 40
    assert min(rest) >= 300
    assert_same_runs(training, train(small(tmp_path)))


def test_a_checkpoint_that_does_not_fit_is_passed_over(tmp_path):
    """It verifies, but its shapes, kinds or counters are none of this run; what is written next is kept.

    Mutations: any of the actor's shapes, or the counters, not looked at; the newest by name kept.
    """
    run = train(small(tmp_path), stop_after=4)
    folder, older = run.folder, run.learner.env_steps

    def spoil(change) -> None:
        state, _, _ = load_checkpoint(folder / "checkpoints", str(older))
        change(state)
        save_checkpoint(folder / "checkpoints", state, 250, keep=99)
        training, lines = resumed(folder)
        training.close()
        assert "does not fit" in lines[0]
        assert "step-000000000000250" in lines[0]
        assert training.learner.env_steps == older

    runner = ["runner"]
    for path, name, value in (
        (["learner"], "env_steps", "many"),
        (["learner"], "version", -1),
        (["learner", "network"], "policy.bias", torch.zeros(5)),
        (["learner", "optimizer", "policy.bias"], "exp_avg", torch.zeros(5)),
        (runner, "generator", torch.zeros(3, dtype=torch.uint8)),
        (runner, "ended", torch.zeros(2, dtype=torch.bool)),
        ([*runner, "row"], "prev_rewards", torch.zeros(3, dtype=torch.float64)),
        ([*runner, "core_state"], "0", torch.zeros(3, 7)),
        ([*runner, "envs"], "observations", torch.zeros(1)),
        ([], "torch_rng", torch.zeros(4, dtype=torch.uint8)),
        (["curves"], "gathered", {"names": 3}),
        (["curves"], "env_steps", None),
        ([], "learner", []),
    ):

        def change(state, path=path, name=name, value=value) -> None:
            for part in path:
                state = state[part]
            assert name in state
            state[name] = value

        spoil(change)
    training, _ = resumed(folder)
    finish(training, 5)
    assert [steps_of(path) for path in list_checkpoints(folder / "checkpoints")] == [
        training.learner.env_steps,
        older,
    ]
    assert (folder / "checkpoints" / "refused-step-000000000000250").is_dir()


def test_a_last_checkpoint_that_fails(tmp_path, capsys):
    """Exit 1 and one loud line; the run itself went to its end. Mutation: exit 0."""
    words = [
        "--log-dir",
        str(tmp_path),
        "--total-steps",
        "300",
        "--env-opt",
        "length=2",
        "--hidden-size",
        "6",
    ]
    create = Training.create

    def blocked(training, *place):
        folder = create(training, *place)
        (folder / "checkpoints").write_text("no folder")
        return folder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "create", blocked)
        assert main(words) == 1
    out, err = capsys.readouterr()
    assert "100 %" in out
    assert err.startswith("train: the last checkpoint, of ")
    assert "was NOT written" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_leaves(tmp_path, number, code):
    command = [sys.executable, "-m", "scripts.train", "--env", "tmaze", "--log-dir", str(tmp_path)]
    command += ["--hidden-size", "8", "--total-steps", "100M", "--log-every-steps", "500", "--num-envs", "4"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in tmp_path.rglob("metrics.jsonl")):
        assert time.monotonic() < deadline, "no first point"
        time.sleep(0.05)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert err == ""
    assert "everything is saved" in out
    (config,) = tmp_path.rglob("config.json")
    training, lines = resumed(config.parent)
    training.close()
    assert training.learner.env_steps > 0
    assert len(lines) == 1


def test_gates_are_recorded_once_a_period(tmp_path):
    """Mutations: a record at every point; the period counted from the last record, which would drift."""
    training = train(small(tmp_path, gates_every_steps=100))
    points = [json.loads(line) for line in (training.folder / "metrics.jsonl").read_text().splitlines()]
    recorded = [point["env_steps"] for point in points if "memory/forget_gate_mean" in point]
    assert len(points) > 10
    assert [steps // 100 for steps in recorded] == [1, 2, 3]
    names = {"forget_gate_mean", "primary_gate_mean", "input_gate_mean", "forget_gate_saturated_share"}
    names |= {"time_scale_median_steps", "time_scale_longest_steps"}
    (point,) = [point for point in points if point["env_steps"] == recorded[0]]
    assert {name for name in point if name.startswith("memory/")} == {f"memory/{name}" for name in names}


def test_checkpoints_do_not_wait_for_points(tmp_path):
    """A run with few points is saved as often as any other. Mutation: the clock is read at points only."""
    training = Training(small(tmp_path, total_steps=2000, log_every_steps=10**6, checkpoint_every_s=0.0))
    folder = training.create()
    saved_at = []
    save = training.checkpoints.save

    def note(state, env_steps, figures):
        saved_at.append(env_steps)
        save(state, env_steps, figures)

    training.checkpoints.save = note
    assert training.run()
    assert len(saved_at) > 1
    assert (folder / "checkpoints").exists()
