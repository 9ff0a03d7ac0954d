"""Small runs: made, stopped, resumed, and compared to the bit."""

import dataclasses
import json
import signal
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.checkpoint import load_checkpoint
from agents.checkpoint_format import split_state
from agents.config import Config
from agents.run_folder import read_config
from agents.training import Training


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


def one_actor(folder: Path, **changes) -> Config:
    """The same on-policy by one actor, which is elsewhere unless the changes say "local"."""
    fields = {"total_steps": 200, "log_every_steps": 0, "num_actors": 1, "max_policy_lag": 0}
    return small(folder, **fields | {"runner": "process"} | changes)


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


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves as TensorBoard shows them, but for those of the clock: steps and values by name."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    names = [name for name in events.Tags()["scalars"] if not name.startswith("speed/")]
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in names}


def wall_times(folder: Path) -> dict[int, float]:
    """When each point of the curves was written, by its env steps: seconds since 1970."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {event.step: event.wall_time for event in events.Scalars("loss/total")}


def assert_same_runs(one: Training, other: Training) -> None:
    """Weights, optimiser, random generators, counters, environments, core states and curves, to the bit."""
    assert_equal_states(one, other)
    assert without_speed(points(one.folder)) == without_speed(points(other.folder))
    curves = scalars(one.folder)
    assert curves == scalars(other.folder)
    assert len(curves) > 10
    for values in curves.values():
        steps = [step for step, _ in values]
        assert steps == sorted(set(steps))
