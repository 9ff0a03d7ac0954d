"""Where the first bottleneck of a cluster lies: the model by hand, and its program."""

import re

import pytest
import torch
from programs import assert_one_line

from agents.speed import scaling
from agents.speed.scaling import CALLS, LEARNER, TRAJECTORIES, WEIGHTS, Parts, bytes_of, loads
from agents.trajectory import Episodes, Inputs, Trajectory
from scripts import benchmark

PARTS = Parts(
    bytes_a_step=200, weights_bytes=1_000_000, actor_rate=500, learner_rate=20_000, steps_an_unroll=2000
)


@pytest.mark.parametrize(
    ("num_actors", "num_learners", "expected"),
    [
        # 10 actors make 5 000 steps/s, 1 MB/s of unrolls, 2.5 of them a second. An unroll takes 4 s, so each
        # version lives as long, and one machine fetches it: 0.25 MB/s.
        (10, 1, {LEARNER: 0.25, TRAJECTORIES: 0.01, WEIGHTS: 0.0025, CALLS: 0.025}),
        # 1 600 are on 100 machines.
        (1600, 1, {LEARNER: 40, TRAJECTORIES: 1.6, WEIGHTS: 0.25, CALLS: 4}),
        # Four learners have 400 actors each, on 25 machines each.
        (1600, 4, {LEARNER: 10, TRAJECTORIES: 0.4, WEIGHTS: 0.0625, CALLS: 1}),
    ],
)
def test_loads_by_hand(num_actors, num_learners, expected):
    """The network carries 100 MB/s, a learner calls 100 times a second.

    Mutations: weights fetched by each actor; the learners' share forgotten; bits for bytes.
    """
    found = loads(
        PARTS,
        num_actors=num_actors,
        actors_a_machine=16,
        num_learners=num_learners,
        bytes_a_s=100e6,
        calls_a_s=100,
    )
    assert found == pytest.approx(expected)


def test_bytes_of_an_unroll():
    """T=5, B=3, A=4, observations of 7 bytes, a state of 6 floats. Mutation: the core state forgotten."""
    T, B, A = 5, 3, 4
    unroll = Trajectory(
        inputs=Inputs(
            torch.zeros(T + 1, B, 7, dtype=torch.uint8),
            torch.zeros(T + 1, B, dtype=torch.bool),
            torch.zeros(T + 1, B, dtype=torch.int64),
            torch.zeros(T + 1, B),
        ),
        core_state=(torch.zeros(B, 6),),
        actions=torch.zeros(T, B, dtype=torch.int64),
        behaviour_logits=torch.zeros(T, B, A),
        rewards=torch.zeros(T, B),
        terminated=torch.zeros(T, B, dtype=torch.bool),
        valid=torch.zeros(T, B, dtype=torch.bool),
        version=0,
        episodes=Episodes.concatenate([]),
        num_steps=T * B,
    )
    assert bytes_of(unroll) == (T + 1) * B * (7 + 1 + 8 + 4) + B * 6 * 4 + T * B * (8 + 4 * A + 4 + 1 + 1)


def test_the_program(capsys):
    """A row for each number of actors, with what limits it. Mutation: the least for the most."""
    words = "scale --env tmaze --hidden-size 8 --num-envs 3 --seconds 0.01 --device cpu"
    known = "--actor-rate 1000 --learner-rate 100000 --actors 10 200 --calls-a-s 1e9"
    assert benchmark.main([*words.split(), *known.split()]) == 0
    told = capsys.readouterr().out
    assert re.search("^tmaze, ur-lstm, H=8: [0-9]+ bytes an env step, weights 0.0[0-9] MB", told)
    assert re.search(r"^ +10 +0\.1 .* 10.0k env steps/s$", told, re.M)
    assert re.search(f"^ +200 +2 .* 100.0k env steps/s, limited by {scaling.LEARNER}$", told, re.M)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--actors", "0"], "--actors must be at least 1"),
        (["--learners", "0"], "--learners must be at least 1"),
        (["--gigabits-a-s", "nan"], "--gigabits-a-s must be more than 0"),
        (["--learner-rate", "-1"], "--learner-rate must be at least 0"),
        (["--env", "tmase"], "did you mean tmaze?"),
        (["--seconds", "0"], "--seconds must be more than 0"),
    ],
)
def test_bad_words(tmp_path, capsys, words, part):
    assert_one_line(benchmark.main, ["scale", *words], 2, tmp_path, capsys, part)
