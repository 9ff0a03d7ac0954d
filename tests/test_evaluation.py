"""Evaluation: fresh episodes by training's own acting code, counted fairly, with intervals that hold."""

import json
import math

import numpy as np
import pytest
import torch
from counting import CountingEnv, counting_network

from agents import assembly, evaluation
from agents.actor import Actor
from agents.config import Config, stream_seed
from agents.evaluation import Evaluation, Interval, collect, evaluate, normal_interval, wilson_interval
from agents.network import make_network
from agents.runners import local
from envs import make_vector_env, task_card

T, B, A, H = 5, 3, 4, 6


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # The same mirrored.
        (20, 20, 0.8389, 1.0000),
    ],
)
def test_wilson_interval(successes, trials, low, high):
    """Mutations: the plain normal interval (it leaves [0, 1]); the continuity-corrected one."""
    interval = wilson_interval(successes, trials)
    assert interval.mean == successes / trials
    np.testing.assert_allclose((interval.low, interval.high), (low, high), atol=5e-5)
    assert 0 <= interval.low <= interval.mean <= interval.high <= 1


def test_wilson_interval_holds_what_it_promises():
    """Of 95 % intervals about 95 % hold the true share, at each of five shares.

    Mutation: the quantile of another level.
    """
    generator = np.random.default_rng(0)
    for share in (0.03, 0.2, 0.5, 0.8, 0.97):
        draws = generator.binomial(200, share, 4000)
        intervals = [wilson_interval(int(successes), 200) for successes in draws]
        held = np.mean([interval.low <= share <= interval.high for interval in intervals])
        assert 0.93 < held < 0.97


def test_normal_interval():
    """Mutations: the population's deviation in place of the sample's; sums in single precision."""
    mean, low, high = normal_interval(np.float32([1, 2, 3, 6]))
    half = 1.959964 * math.sqrt(14 / 3) / 2
    np.testing.assert_allclose((mean, low, high), (3, 3 - half, 3 + half), rtol=1e-6)
    many = np.random.default_rng(0).normal(1000, 1, 10**5).astype(np.float32)
    np.testing.assert_allclose(normal_interval(many).mean, math.fsum(many) / 10**5, rtol=1e-12)


def test_intervals_of_too_little():
    """Mutation: a division by zero, or a warning of NumPy."""
    assert all(map(math.isnan, wilson_interval(0, 0)))
    mean, low, high = normal_interval(np.float32([4]))
    assert mean == 4
    assert math.isnan(low)
    assert math.isnan(high)
    assert str(Interval(math.nan, math.nan, math.nan)) == "not reported by this task"


@pytest.mark.parametrize("num_episodes", [1, 3, 7, 20])
def test_every_environment_gives_as_many_episodes(num_episodes):
    """Each environment's first ones, the same number of each (to one), whatever their lengths.

    Whoever took the first to end over all environments would count short episodes more often than long ones.

    Mutation: the first num_episodes over all.
    """
    lengths = [[2, 3], [40, 9], [11, 1, 5]]
    envs = CountingEnv(lengths, A)
    episodes = collect(Actor(envs, counting_network(A), seed=0), num_episodes)
    assert len(episodes.lengths) == num_episodes
    for b in range(B):
        count = num_episodes // B + (b < num_episodes % B)
        expected = [lengths[b][k % len(lengths[b])] for k in range(count)]
        assert episodes.lengths[episodes.envs == b].tolist() == expected


def test_training_and_evaluation_act_by_the_same_code():
    """Mutation: a second acting loop for evaluation."""
    assert evaluation.Actor is local.Actor is Actor
    assert evaluation.make_envs is assembly.make_envs


def new_policy(core="lstm", **fields):
    """A configuration and a network far from uniform."""
    config = Config(env="tmaze", env_opt=("length=2",), core=core, hidden_size=H, encoder_size=7, **fields)
    space = make_vector_env("tmaze", 1, length=2).single_observation_space
    network = make_network(config, space, A)
    with torch.no_grad():
        network.policy.weight.normal_(generator=torch.Generator().manual_seed(1))
    return config, network


@pytest.mark.parametrize("num_episodes", [10, 300])
def test_an_evaluation_is_what_an_actor_does(num_episodes, monkeypatch):
    """Success, return and length are those of an actor's episodes in environments of the evaluation's seed.

    Mutations: the training's seed; rewards shown to the agent in another scale than in training; the
    returns scaled.
    """
    config, network = new_policy(reward_scale=20.0)
    found = evaluate(config, network, num_episodes=num_episodes, seed=5, env_steps=77)
    seed = stream_seed(5, "evaluation")
    num_envs = min(128, num_episodes)
    envs = make_vector_env("tmaze", num_envs, seed=seed, length=2)
    actor = Actor(envs, network, seed=seed + 1, reward_scale=20.0)
    unroll = actor.unroll(actor.allocate(4 * 4))  # four episodes of three actions and a reset each
    taken = np.zeros(num_envs, int)
    returns, successes = [], []
    ended = unroll.episodes
    for env, value, success in zip(ended.envs, ended.returns, ended.successes, strict=True):
        if taken[env] < num_episodes // num_envs + (env < num_episodes % num_envs):
            taken[env] += 1
            returns.append(value)
            successes.append(success)
    assert len(returns) == num_episodes
    assert len(set(returns)) > 1
    assert found.success == wilson_interval(int(sum(successes)), num_episodes)
    np.testing.assert_allclose(found.returns, normal_interval(np.array(returns)), rtol=1e-6)
    assert found.length == (3, 3, 3)
    assert (found.num_episodes, found.env_steps) == (num_episodes, 77)


def test_graded_successes_are_averaged():
    """An untrained agent names a quarter of Repeat First's cards: no episode is all right.

    Mutation: each success, or their sum, cut to a whole number.
    """
    config = Config(env="repeat-first", env_opt=("length=10",), core="memoryless", hidden_size=H)
    space = make_vector_env("repeat-first", 1).single_observation_space
    found = evaluate(config, make_network(config, space, 4), num_episodes=3, seed=5, env_steps=0)
    returns = 2 * np.array(found.success.mean) - 1  # right answers pay 1/10 and wrong ones -1/10
    assert found.returns.mean == pytest.approx(returns, abs=1e-6)
    assert 0 < found.success.low < found.success.mean < found.success.high < 1


def test_evaluation_episodes_are_fresh():
    """At no seed do environments or actions of an evaluation use a stream of a training.

    Mutation: the training's streams.
    """
    names = ("weights", "environments", "actions")
    streams = {stream_seed(seed, name) for seed in range(500) for name in names}
    for seed in range(500):
        stream = stream_seed(seed, "evaluation")
        assert not streams & {stream, stream + 1}


def test_an_evaluation_changes_nothing():
    """Weights, gradients' switch and torch's generator are as before.

    Mutation: the network put on another device or into another mode.
    """
    config, network = new_policy()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    generator = torch.get_rng_state()
    evaluate(config, network, num_episodes=4, seed=0, env_steps=0)
    assert all(torch.equal(before[name], weight) for name, weight in network.state_dict().items())
    assert torch.equal(generator, torch.get_rng_state())
    assert torch.is_grad_enabled()
    assert network.training


def test_figures():
    """What is not known is null, for JSON knows no NaN; the table says what the task allows.

    Mutation: NaN written.
    """
    nothing = Interval(math.nan, math.nan, math.nan)
    found = Evaluation(nothing, Interval(1.5, 1.25, 1.75), Interval(3.0, 3.0, 3.0), 1000, 5000)
    config, card = Config(env="tmaze"), task_card("tmaze", length=7)
    table = found.table(config, card)
    assert "success over 1,000 fresh episodes" in table
    assert "not reported by this task" in table
    assert "1.500  [1.250, 1.750]" in table
    for name in ("oracle", "memoryless", "chance"):
        (line,) = (line for line in table.splitlines() if name in line)
        assert line.endswith(f"{getattr(card, name):.3f}")
    assert "oracle" not in found.table(config, None)


def test_figures_in_a_file(tmp_path):
    """Mutation: NaN written, which no reader of JSON takes."""
    nothing = Interval(math.nan, math.nan, math.nan)
    Evaluation(nothing, Interval(1.5, 1.25, 1.75), nothing, 10, 5000).save(tmp_path / "evaluation.json")
    text = (tmp_path / "evaluation.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "episodes": 10,
        "env_steps": 5000,
        "success": {"mean": None, "low": None, "high": None},
        "returns": {"mean": 1.5, "low": 1.25, "high": 1.75},
        "length": {"mean": None, "low": None, "high": None},
    }
