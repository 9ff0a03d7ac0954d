"""The guard: what is not finite is skipped, counted, named and outlived."""

import copy
import json
import math

import counting
import numpy as np
import pytest
import torch
from planting import BAD, PLACES, PoisonedEnv, new_learner, plant, same, spoil_gradient, state_of
from safetensors.torch import load_file

from agents.actor import Actor, make_envs
from agents.checkpoint import load_checkpoint
from agents.config import Config
from agents.guard import ROLL_BACK_AFTER, NonFiniteUpdates
from agents.network import make_network
from cores import CORES
from scripts import train

PAIRS = [(core, place) for core in CORES for place in PLACES if (core, place) != ("memoryless", "core state")]


@pytest.mark.parametrize(("core", "place"), PAIRS)
def test_nothing_bad_reaches_the_weights(core, place):
    """Weights and moments stay bit for bit; the update is counted; the next good one is taken.

    Mutations: the optimiser steps whatever the norm is; the loss looked at in place of the gradient.
    """
    generator = np.random.default_rng(0)
    learner, unroll, _ = new_learner(core)
    learner.update(unroll)
    for count, value in enumerate(BAD * 2, start=1):
        before = state_of(learner)
        bad, _, _ = plant(unroll, place, value, generator)
        if place == "gradient":
            hook, _ = spoil_gradient(learner.network, value, generator)
        learner.update(bad)
        if place == "gradient":
            hook.remove()
        assert same(state_of(learner), before)
        assert learner.guard.num_skipped == count
    learner.update(unroll)
    assert not same(state_of(learner), before)
    assert learner.guard.num_skipped == 6
    assert (learner.version, learner.env_steps) == (8, 8 * unroll.num_steps)


@pytest.mark.parametrize("place", ["reward", "observation", "behaviour logits"])
def test_where_it_arose(place):
    """The kind, the environment and the step are told, though core state and loss are bad after it, too.

    Mutations: the last one told; rows and environments exchanged.
    """
    generator = np.random.default_rng(1)
    for _ in range(10):
        learner, unroll, told = new_learner()
        bad, env, row = plant(unroll, place, np.nan, generator)
        bad.inputs.observations[-1, 2] = np.inf  # comes after it
        learner.update(bad)
        where = f"update 1 skipped: {place} of environment {env} at step {row} of the unroll: "
        assert told[0].startswith(where)
        assert told[0].endswith("; 1 skipped so far")


def test_where_it_arose_in_the_network():
    """Mutations: the parameter told that is farthest from the loss; the values left out."""
    generator = np.random.default_rng(2)
    for _ in range(5):
        learner, unroll, told = new_learner()
        _, name = spoil_gradient(learner.network, np.nan, generator)
        learner.update(unroll)
        assert told == [f"update 1 skipped: gradient of {name}: nan; 1 skipped so far"]
    learner, unroll, told = new_learner()

    def spoil(core, inputs, results):  # what flows back into the core, and from it into the encoder
        if results[0].requires_grad:
            results[0].register_hook(lambda gradient: gradient * torch.nan)

    learner.network.core.register_forward_hook(spoil)
    learner.update(unroll)
    assert told[0].startswith("update 1 skipped: gradient of core.")
    learner, unroll, told = new_learner()
    with torch.no_grad():
        learner.network.value.bias.fill_(torch.inf)
    learner.update(unroll)
    assert told[0].startswith("update 1 skipped: values of environment 0 at step 0 of the unroll: inf")
    learner, unroll, told = new_learner()
    bad, env, _ = plant(unroll, "core state", np.nan, generator)
    learner.update(bad)
    assert told[0].startswith(f"update 1 skipped: core state of environment {env} before the unroll: nan")


def test_rolls_back():
    """After ten in a row, and not before, to what was kept last; then ten more.

    Mutations: the optimiser's moments stay; the state kept shares memory with the weights; what is kept
    while updates are skipped; the count in a row goes on after a good update.
    """
    generator = np.random.default_rng(3)
    learner, unroll, told = new_learner()
    bad, _, _ = plant(unroll, "reward", np.nan, generator)
    for _ in range(3):
        learner.update(unroll)
    learner.guard.keep()
    kept = state_of(learner)
    for _ in range(4):
        learner.update(unroll)
    for _ in range(ROLL_BACK_AFTER - 1):
        learner.update(bad)
    learner.update(unroll)  # the row is broken
    latest = state_of(learner)
    for _ in range(2):
        for _ in range(ROLL_BACK_AFTER - 1):
            learner.update(bad)
            learner.guard.keep()
        assert same(state_of(learner), latest)
        learner.update(bad)
        assert same(state_of(learner), kept)
        assert "10 in a row, so back to the weights of update 3" in told[-1]
        latest = kept
    learner.update(unroll)
    assert not same(state_of(learner), kept)


def test_resumed_within_a_row_it_rolls_back_alike():
    """A checkpoint between skipped updates holds what to go back to, and how many there were.

    Mutations: the weights at hand taken for good ones; the count begun anew.
    """
    learner, unroll, _ = new_learner()
    bad, _, _ = plant(unroll, "reward", np.nan, np.random.default_rng(3))
    learner.update(unroll)
    learner.guard.keep()
    kept = state_of(learner)
    with torch.no_grad():
        learner.network.value.weight.fill_(1e30)  # finite, and no weights to go on from
    for _ in range(4):
        learner.update(bad)
    resumed, _, told = new_learner()
    resumed.load_state_dict(copy.deepcopy(learner.state_dict()))
    for _ in range(ROLL_BACK_AFTER - 5):
        resumed.update(bad)
    assert not same(state_of(resumed), kept)
    resumed.update(bad)
    assert same(state_of(resumed), kept)
    assert "back to the weights of update 1" in told[-1]


def test_tells_less_and_less():
    """Mutation: a line for each: a thousand of them."""
    learner, unroll, told = new_learner(max_skipped_updates=1000)
    bad, _, _ = plant(unroll, "reward", np.nan, np.random.default_rng(4))
    for _ in range(40):
        learner.update(bad)
        learner.update(unroll)
    assert [line.split("; ")[-1] for line in told] == [f"{n} skipped so far" for n in (1, 2, 4, 8, 16, 32)]


def test_the_limit_and_a_state():
    """One more than the limit ends it, with the unroll; a resumed run may skip as many again.

    Mutations: one too early or too late; skipped updates counted anew or counted against the limit.
    """
    learner, unroll, _ = new_learner(max_skipped_updates=3)
    bad, env, row = plant(unroll, "observation", np.nan, np.random.default_rng(5))
    for _ in range(3):
        learner.update(bad)
        learner.update(unroll)
    state, good = learner.state_dict(), state_of(learner)
    with pytest.raises(NonFiniteUpdates) as error:
        learner.update(bad)
    assert f"observation of environment {env} at step {row} of the unroll: nan; more than 3" in str(
        error.value
    )
    assert error.value.trajectory is not unroll
    assert not error.value.trajectory.inputs.observations.isfinite().all()
    assert same(state_of(learner), good)
    other, unroll, _ = new_learner(max_skipped_updates=3)
    other.load_state_dict(state)
    for _ in range(3):
        other.update(bad)
    assert other.guard.num_skipped == 6
    with pytest.raises(NonFiniteUpdates):
        other.update(bad)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # the sum of inf and -inf
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("place", ["reward_share", "observation_share"])
def test_actors_recover_at_the_next_reset(core, place):
    """Whatever an episode brought, logits and core state are finite from the next one's first row on.

    Mutation: the state at a reset as a product with 0.
    """
    config = Config(env="planting:Poisoned-v0", env_opt=(f"{place}=0.1", "processes=false"), core=core)
    config = Config(**{**vars(config), "hidden_size": 6, "encoder_size": 4})
    envs = make_envs(config, 3, 0)
    network = make_network(config, envs.single_observation_space, 2)
    actor = Actor(envs, network, seed=0)
    planted, buffers = PoisonedEnv.num_planted, actor.allocate(110)
    unroll = actor.unroll(buffers)
    envs.close()
    assert PoisonedEnv.num_planted > planted + 10
    finite = unroll.behaviour_logits.isfinite().all(-1)
    sees_rewards = core != "memoryless"
    assert finite.all() == (place == "reward_share" and not sees_rewards)
    assert finite[unroll.inputs.resets[:-1]].all()
    clean = torch.ones(3, dtype=torch.bool)  # nothing bad so far in this episode
    for t in range(110):
        row_is_good = (
            unroll.inputs.observations[t].isfinite().all(-1) & unroll.inputs.prev_rewards[t].isfinite()
        )
        clean = (clean | unroll.inputs.resets[t]) & row_is_good
        assert finite[t][clean].all()


def test_what_a_step_pays_that_only_resets(monkeypatch):
    """It is seen nowhere, though it were no number. Mutation: the previous reward as a product with 0."""
    monkeypatch.setattr(counting, "RESET_REWARD", math.nan)
    actor = Actor(counting.CountingEnv([[3, 4, 2], [4, 1]]), counting.counting_network(), seed=0)
    unroll = actor.unroll(actor.allocate(30))
    assert not unroll.rewards.isfinite().all()
    assert unroll.inputs.prev_rewards.isfinite().all()
    assert unroll.behaviour_logits.isfinite().all()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_run_that_is_poisoned_goes_on(tmp_path):
    """It learns from what is good; its curve counts the rest, and has the others' points.

    Mutation: the mean of a curve over updates that were skipped, too.
    """
    words = ["--env", "planting:Poisoned-v0", "--env-opt", "reward_share=0.002", "observation_share=0.002"]
    words += ["--runner", "local", "--hidden-size", "6", "--encoder-size", "4", "--num-envs", "3"]
    words += ["--unroll-length", "11", "--total-steps", "4k", "--log-every-steps", "400"]
    assert train.main([*words, "--log-dir", str(tmp_path), "--max-skipped-updates", "1000"]) == 0
    (path,) = tmp_path.rglob("metrics.jsonl")
    points = [json.loads(line) for line in path.read_text().splitlines()]
    assert 5 < points[-1]["learner/skipped_updates"] < points[-1]["speed/updates"] / 2
    assert all("loss/total" in point for point in points)
    (tensors,) = (load_checkpoint(path)[0]["learner"]["network"] for path in tmp_path.rglob("checkpoints"))
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_run_that_is_poisoned_too_often_ends(tmp_path, capsys):
    """Exit 3, one line that says where, and the unroll to look at.

    Mutations: another exit code; the unroll not saved; nothing saved.
    """
    words = ["--env", "planting:Poisoned-v0", "--env-opt", "reward_share=1", "--runner", "local"]
    words += ["--hidden-size", "6", "--num-envs", "3", "--unroll-length", "5", "--log-dir", str(tmp_path)]
    assert train.main([*words, "--max-skipped-updates", "15"]) == 3
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert said.err.startswith("train: update 16 skipped: ")
    assert "more than 15 updates skipped (--max-skipped-updates)" in said.err
    assert "10 in a row, so back to the weights of update 0" in said.out
    assert "--resume" in said.out
    (path,) = tmp_path.rglob("non-finite.safetensors")
    assert str(path) in said.out
    unroll = load_file(path)
    assert unroll["rewards"].shape == (5, 3)
    assert not unroll["rewards"].isfinite().all()
    assert unroll["inputs/observations"].shape == (6, 3, 2)
    assert load_checkpoint(path.parent / "checkpoints")[0]["learner"]["guard"]["skipped"] == 16
