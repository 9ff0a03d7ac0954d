"""Runs: what they leave behind, how they stop, and that a resumed one is the one that never stopped."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from agents.actor import make_envs
from agents.checkpoint import load_checkpoint, split_state
from agents.config import Config
from agents.run_folder import read_config
from agents.training import Training
from envs import ENVS, GymVectorEnv
from envs.tasks.tmaze import TMaze

ROOT = Path(__file__).parent.parent
CORES = ["lstm", "chrono", "ur-lstm", "on-lstm", "memoryless"]


def small(folder: Path, **changes) -> Config:
    """A run of a few updates: T=5, B=3, episodes of 4 rows, so that borders drift against the unrolls."""
    config = Config(
        env="tmaze",
        env_opt=("length=2",),
        hidden_size=6,
        encoder_size=4,
        num_envs=3,
        unroll_length=5,
        total_steps=300,
        log_every_steps=20,
        log_dir=str(folder),
        runner="local",
    )
    return dataclasses.replace(config, **changes)


def train(config: Config, *, stop_after: int | None = None) -> Training:
    """Trains to the end, or as if a signal came after so many updates."""
    training = Training(config)
    training.create()
    finish(training, stop_after)
    return training


def finish(training: Training, stop_after: int | None = None) -> None:
    step = training.step

    def counted() -> None:
        step()
        if training.learner.version == stop_after:
            training.stopped_by = signal.SIGINT

    training.step = counted
    assert training.run() == (stop_after is None)


def resumed(folder: Path) -> tuple[Training, list[str]]:
    training = Training(read_config(folder))
    return training, training.restore(folder)


def state_of(training: Training) -> tuple[dict[str, torch.Tensor], dict]:
    """Everything that the newest checkpoint holds."""
    return split_state(load_checkpoint(training.folder / "checkpoints")[0])


def assert_equal_states(one: Training, other: Training) -> None:
    (tensors, values), (other_tensors, other_values) = state_of(one), state_of(other)
    assert tensors.keys() == other_tensors.keys()
    for name in tensors:
        assert torch.equal(tensors[name], other_tensors[name]), name
    assert values == other_values


def points(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_speed(rows: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if not k.startswith("speed/")} for row in rows]


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
    """Every curve of the README has points, at the same env steps in TensorBoard as in the JSON lines."""
    folder = train(small(tmp_path)).folder
    rows = points(folder)
    steps = [row["env_steps"] for row in rows]
    assert steps == sorted(set(steps))
    assert len(steps) > 10
    readme = (ROOT / "README.md").read_text()
    section = readme.split("## The curves")[1].split("\n## ")[0]
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
    """Mutations: the actor's generator, its core state or the optimiser's moments left out of the state."""
    whole = train(small(tmp_path, core=core))
    half = train(small(tmp_path, core=core), stop_after=10)
    again, lines = resumed(half.folder)
    assert len(lines) == 1
    assert "resuming from" in lines[0]
    finish(again)
    assert again.learner.version == whole.learner.version > 22
    assert_equal_states(whole, again)


def test_a_resumed_run_has_the_same_curves(tmp_path):
    """Points after the checkpoint are taken back, none is doubled; later ones equal the whole run's.

    Mutations: `drop_points_after` keeps every line; no purge_step for TensorBoard.
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
    steps = [row["env_steps"] for row in points(again.folder)]
    assert steps == sorted(set(steps))
    later = [row for row in without_speed(points(whole.folder)) if row["env_steps"] > cut + 20]
    assert later
    assert later == [row for row in without_speed(points(again.folder)) if row["env_steps"] > cut + 20]
    scalars = EventAccumulator(str(again.folder)).Reload().Scalars("loss/total")
    assert [event.step for event in scalars] == steps


def test_two_runs_of_one_seed_are_one_run(tmp_path):
    """Mutation: the actor's generator seeded from the clock."""
    assert_equal_states(train(small(tmp_path)), train(small(tmp_path)))


def test_another_seed_is_another_run(tmp_path):
    tensors, _ = state_of(train(small(tmp_path)))
    others, _ = state_of(train(small(tmp_path, seed=1)))
    assert not torch.equal(tensors["learner/network/policy.weight"], others["learner/network/policy.weight"])


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


def test_only_the_newest_checkpoints_stay(tmp_path):
    training = train(small(tmp_path, checkpoint_every_s=0.0))
    names = sorted(path.name for path in (training.folder / "checkpoints").iterdir())
    assert len(names) == 3
    assert names[-1] == f"step-{training.learner.env_steps:015d}"


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
