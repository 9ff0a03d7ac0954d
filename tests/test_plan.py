"""Tests of what a run says about what it chose."""

import pytest

from agents import plan
from agents.config import Config
from agents.plan import describe_replay, describe_runner, describe_threads
from agents.runners import process
from agents.training import Training


@pytest.fixture
def cores(monkeypatch):
    """Sets the number of processor cores."""

    def set_cores(number):
        monkeypatch.setattr(plan, "num_cores", lambda: number)
        monkeypatch.setattr(process, "num_cores", lambda: number)

    return set_cores


@pytest.mark.parametrize(
    ("num_cores", "fields", "told"),
    [
        (4, {}, "local (compiled tasks are quickest in place)"),
        (
            4,
            {"env": "CartPole-v1"},
            "process, 3 actors (not a compiled task, and there are 4 processor cores)",
        ),
        (1, {"env": "CartPole-v1"}, "local (there is one processor core)"),
        (1, {"runner": "process"}, "process, 1 actor (as you said)"),
        (4, {"runner": "process", "num_actors": 2}, "process, 2 actors (as you said)"),
        (4, {"env": "CartPole-v1", "runner": "local"}, "local (as you said)"),
    ],
)
def test_the_runner_and_why(cores, num_cores, fields, told):
    """Mutation: the number of cores in place of that of the actors."""
    cores(num_cores)
    assert describe_runner(Config(**fields)) == told


def test_more_threads_are_only_offered_where_they_may_pay(cores):
    """Mutations: offered on one core; for small batches; beside actors; to who has asked for some."""
    cores(4)
    assert describe_threads(Config()).startswith("1 thread (--num-threads 2 may be faster")
    assert describe_threads(Config(num_threads=2)) == "2 threads"
    assert describe_threads(Config(num_envs=8)) == "1 thread"
    assert describe_threads(Config(runner="process")) == "1 thread"
    cores(1)
    assert describe_threads(Config()) == "1 thread"


def test_the_plan_tells_it():
    """Mutation: the line left out of the plan."""
    training = Training(Config(hidden_size=4, num_envs=3))
    lines = training.plan()
    training.runner.close()
    assert "running   local (compiled tasks are quickest in place), 1 thread" in lines
    assert not any(line.startswith("replay") for line in lines)


def test_replay_is_told():
    """Mutation: the two numbers exchanged."""
    told = describe_replay(Config(replays=2, replay_size=50))
    assert told == ["after each unroll 2 of the last 50 again"]


def test_nothing_that_learning_depends_on_is_chosen_from_the_machine():
    """Mutation: batch or threads of 0, to be filled in from the number of cores."""
    assert (Config().num_envs, Config().num_threads) == (32, 1)


def test_a_cluster_is_named():
    """Mutation: the address left out."""
    told = describe_runner(Config(runner="ray", ray_address="10.0.0.1:6379", num_actors=8))
    assert told == "ray at 10.0.0.1:6379, 8 actors (as you said)"
