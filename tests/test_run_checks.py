"""Whether a machine can carry out a run: task, core, folder, device, memory."""

import dataclasses
import os
import re
from pathlib import Path

import pytest
import torch

from agents import run_checks
from agents.checkpoint_format import split_state
from agents.config import Config
from agents.config_checks import FieldError
from agents.run_checks import check_run
from agents.training import Training

SMALL = Config(
    env_opt=("length=2",),
    total_steps=300,
    num_envs=3,
    unroll_length=4,
    hidden_size=6,
    encoder_size=7,
    device="cpu",
)


def error_of(**fields):
    """The field and the message that a configuration's check ends in, which must be one line."""
    with pytest.raises(FieldError) as caught:
        check_run(dataclasses.replace(SMALL, **fields))
    assert "\n" not in str(caught.value)
    return caught.value.field, str(caught.value)


@pytest.mark.parametrize(
    ("fields", "field", "part"),
    [
        ({"env": "tmazee"}, "env", "did you mean tmaze"),
        ({"env": "no_such_module:X"}, "env", "No module named"),
        ({"env_backend": "gymnasium"}, "env_backend", "no original"),
        ({"env_opt": ("lenght=3",)}, "env_opt", "did you mean length?"),
        ({"env_opt": ("length=0",)}, "env_opt", "must be at least 1"),
        ({"core": "ur-lstn"}, "core", "did you mean ur-lstm"),
        ({"core": "no_such:Core"}, "core", "No module named"),
        ({"core": "chrono", "core_opt": ("tmax=9",)}, "core_opt", "did you mean t_max"),
        ({"core": "chrono", "core_opt": ("t_max=1",)}, "core_opt", "t_max must be"),
        ({"device": "cuda:77"}, "device", "this machine has"),
        (
            {"env": "faulty_tasks:Brakes", "env_opt": ("where=1",)},
            "env",
            "unknown environment 'faulty_tasks:Brakes'; did you mean faulty",
        ),
        (
            {"env": "faulty_tasks:Xyz", "env_opt": ("faulty_tasks=1",)},
            "env",
            "has no such class, and registers",
        ),
        ({"env": "faulty_tasks:Xyz-v0", "env_opt": ("faulty_tasks=1", "a=1")}, "env", "Xyz"),
        (
            {"env": "no_tasks:X-v0", "env_opt": ("tasks=1",)},
            "env",
            "'no_tasks'; start from its folder, or set P",
        ),
        (
            {"env": "no_tasks.x:Xyz"},
            "env",
            "No module named 'no_tasks'; start from its folder, or set PYTHONPATH",
        ),
        ({"env": "faulty_tasks:FaultyBreaks-v0", "env_opt": ("num=1",)}, "env_opt", "has no option 'num'"),
        ({"env_opt": ("tile_size=3",)}, "env_opt", "no option 'tile_size'; its options are length"),
        (
            {"unroll_length": 0, "env_opt": ("length=1e6",)},
            "total_steps",
            "less than one update takes: 3,000,006, by --num-envs 3 times --unroll-length 1000002, which "
            "--env-opt length=1e6 asks for; raise --total-steps",
        ),
        ({"context_length": 5}, "context_length", "5 is more than an unroll has steps, 4"),
        (
            {"total_steps": 11},
            "total_steps",
            "less than one update takes: 12, by --num-envs 3 times --unroll-length 4",
        ),
    ],
)
def test_what_is_at_fault(fields, field, part):
    """The field whose value has to change, by its name.

    Mutations: another field blamed; total_steps of just one update refused (below); an option found in the
    name of a task; internal options listed.
    """
    assert error_of(**fields)[0] == field
    assert part in error_of(**fields)[1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        *(
            (
                {"env": "faulty_tasks:FaultyBreaks-v0", "env_opt": (f"where={where}",), "runner": "local"},
                f"--env: faulty_tasks:FaultyBreaks-v0 can't be used: KeyError: 'no\\n{where}' (FILE:LINE)",
            )
            for where in ("init", "reset", "step")
        ),
        ({"core": "faulty_tasks:Unfinished"}, "Unfinished must define project (FILE:LINE)"),
        (
            {"core": "faulty_tasks:HalfDone", "core_opt": ("layers=2",)},
            "HalfDone must define step (FILE:LINE)",
        ),
        ({"core": "faulty_tasks:Wrong"}, "faulty_tasks:Wrong can't be used: RuntimeError: The size of tens"),
        (
            {"core": "faulty_tasks:Unmade"},
            "--core: faulty_tasks:Unmade can't be used: AttributeError: unmade (",
        ),
    ],
)
def test_one_step_is_tried_with_what_a_user_wrote(fields, message):
    """What it raises is told in a line, with the line of the user's file, before a folder is made.

    Mutations: no step taken; the innermost line of torch, or of Longhold, told.
    """
    text = (Path(__file__).parent / "faulty_tasks.py").read_text().splitlines()
    line = error_of(**fields)[1]
    file, number = re.search(r"\(([^ ]*faulty_tasks\.py):(\d+)\)$", line).groups()
    told = text[int(number) - 1].strip()
    assert told.startswith(("raise ", "class ")) or told.endswith("# wrong")
    assert message.replace("FILE:LINE", f"{file}:{number}") in line


def test_what_fails_elsewhere_is_left_to_the_actors():
    """They start it again. Mutation: a step taken whatever the runner."""
    fields = {"env": "faulty_tasks:FaultyBreaks-v0", "env_opt": (), "runner": "process", "num_actors": 1}
    check_run(dataclasses.replace(SMALL, **fields))


def test_what_is_right():
    """Nothing is kept of what was built, and the global generator is where it was.

    Mutations: total_steps of one update refused; weights drawn from the global generator.
    """
    state = torch.get_rng_state()
    words, warnings = check_run(dataclasses.replace(SMALL, total_steps=12))
    assert "its data takes 1 MiB at least, of " in words
    assert warnings == []
    assert torch.equal(torch.get_rng_state(), state)
    assert check_run(dataclasses.replace(SMALL, num_actors=2))[1] == [
        "--num-actors without effect: the runner is local"
    ]


def test_folder(tmp_path, monkeypatch):
    """Mutations: a folder made; the file above it not seen; a name too long let through."""
    (tmp_path / "file").write_text("")
    check_run(dataclasses.replace(SMALL, log_dir=str(tmp_path / "a" / "b")))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    for place in ("file", "file/below", "x" * 5000):
        field, message = error_of(log_dir=str(tmp_path / place))
        assert (field, "can't be written" in message) == ("log_dir", True)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "no right to write" in error_of(log_dir=str(tmp_path / "a"))[1]


def test_memory(monkeypatch):
    """What is refused is what no memory holds, and the estimate is below what a run really takes.

    Mutations: the slots of actors not counted; the optimiser not counted; the wrong part blamed; what
    foresight predicts not counted.
    """
    plain, foretelling = (run_checks.needs_of(dataclasses.replace(SMALL, foresight_cost=c)) for c in (0, 1))
    codes = 4 * 3 * 3 * (5 + 4)  # entries of what is seen and done, for the steps of an unroll
    assert foretelling.results - plain.results >= 4 * codes
    monkeypatch.setattr(run_checks, "memory_bytes", lambda: 2**22)
    assert error_of(hidden_size=1024)[0] == "hidden_size"
    assert error_of(num_envs=20_000, total_steps=10**9)[0] == "num_envs"
    assert "environments and unrolls" in error_of(num_envs=20_000, total_steps=10**9)[1]
    many = {"num_envs": 300, "unroll_length": 60, "total_steps": 10**9, "runner": "process", "num_actors": 1}
    check_run(dataclasses.replace(SMALL, **many, max_policy_lag=0))
    assert "--max-policy-lag" in error_of(**many, max_policy_lag=5)[1]
    monkeypatch.setattr(run_checks, "memory_bytes", lambda: 2**33)
    field, message = error_of(hidden_size=65536)  # not built: it takes 257 GiB
    assert (field, "GiB" in message) == ("hidden_size", True)
    config = dataclasses.replace(SMALL, num_envs=30, unroll_length=50, hidden_size=64, total_steps=10**4)
    sample = run_checks.check_task(config)
    training = Training(config)
    unroll = training.runner.next()
    tensors = [*unroll.inputs, unroll.actions, unroll.behaviour_logits, unroll.rewards, unroll.terminated]
    envs = training.runner.state_dict()["envs"].values()
    taken = sum(tensor.nbytes for tensor in [*tensors, unroll.valid, *envs])
    estimate = run_checks.environment_bytes(config, sample, 50)
    assert 0.9 * taken < estimate <= taken
    assert run_checks.check_core(config, sample) == sum(p.numel() for p in training.network.parameters())
    learner = Training(dataclasses.replace(config, replays=1, replay_size=7)).learner
    learner.update(unroll)
    kept = split_state(learner.replay.state_dict())[0]
    ring = sum(kept[name].nbytes for name in kept if name.startswith(("inputs", "transitions")))
    assert 0.9 * ring < 7 * run_checks.unroll_bytes(config, sample, 50) <= ring
    training.runner.close()
    assert error_of(replays=1, replay_size=10**8)[0] == "replay_size"
    check_run(dataclasses.replace(SMALL, replay_size=10**8))  # without replays it takes nothing


def test_a_large_network_is_counted_without_memory():
    """Mutation: what it counts differs from what is built."""
    config = dataclasses.replace(SMALL, encoder_size=run_checks.LARGE + 1, core_opt=("layers=2",))
    sample = run_checks.check_task(config)
    training = Training(config)
    assert run_checks.check_core(config, sample) == sum(p.numel() for p in training.network.parameters())
    training.runner.close()
