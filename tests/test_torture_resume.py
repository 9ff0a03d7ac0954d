"""Runs that are killed or stopped anywhere go on as if nothing had been: R4, R5 and R19, also in short."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from programs import ROOT, TESTS_IN_PATH
from runs import assert_same_runs, finish, resumed, small, train

from agents.actor import Actor, make_envs
from agents.evaluation import collect, load_run
from cores import CORES

SAVE_EVERY_S = 0.1
NUM_CUTS = 20
TASKS = {
    "passive-match": ("delay=3",),
    "MiniGrid-MemoryS7-v0": ("agent_view_size=3",),
    "memory-len": ("length=3",),
    "repeat-previous": ("delay=2",),
    "concentration": ("pairs=2",),
    "MiniGrid-DoorKey-5x5-v0": (),
}


def kill_often(folder, kills, total_steps, longest_s):
    """Kills a run so often, lets it end, and compares it with one that nobody killed; tells what was lost."""
    config = small(
        folder / "killed", total_steps=total_steps, log_every_steps=60, checkpoint_every_s=SAVE_EVERY_S
    )
    run = train(config, stop_after=2).folder
    words = [sys.executable, "tests/kill_often.py", str(run), str(kills), "0", str(longest_s)]
    killed = subprocess.run(words, env=TESTS_IN_PATH, cwd=ROOT, capture_output=True, text=True, check=False)
    assert killed.returncode == 0, killed.stderr[-2000:]
    found = [json.loads(line) for line in killed.stdout.splitlines()]
    assert all(row["refused"] == 0 and row["in_order"] for row in found)
    steps = [row["env_steps"] for row in found]
    assert steps == sorted(steps)
    assert steps[-1] > steps[0]
    again, _ = resumed(run)
    again.close()
    assert_same_runs(again, train(small(folder / "whole", total_steps=total_steps, log_every_steps=60)))
    return found


def test_killed_now_and_then(tmp_path):
    """Mutations: a checkpoint written in place; points after the checkpoint left in the curves."""
    assert len(kill_often(tmp_path, 4, 8_000, 0.5)) >= 2  # of four, where it does not end before


@pytest.mark.slow
def test_killed_a_hundred_times(tmp_path, figure):
    """R4: what is lost is what came after the newest checkpoint: the interval, and the time it takes to save.

    Mutations: as above.
    """
    found = kill_often(tmp_path, 100, 400_000, 1.2)
    assert len(found) == 100
    lost = sorted(row["lost_s"] for row in found)
    saving = sum(row["saving"] for row in found)
    reached = f"100 of 100, {saving} while saving; lost {lost[50]:.2f} s, {lost[-1]:.2f} s at most"
    figure("R4", f"100 of 100 kills; lost at most one interval of {SAVE_EVERY_S} s and one save", reached)
    assert saving >= 5


def cut(folder, cuts, **changes):
    """Compares a run with those that stopped after so many updates and went on."""
    whole = train(small(folder / "whole", **changes))
    for update in cuts:
        half = train(small(folder / str(update), **changes), stop_after=update)
        again, lines = resumed(half.folder)
        assert len(lines) == 1
        finish(again)
        assert_same_runs(whole, again)
    return whole.learner.version


@pytest.mark.parametrize("env", ["passive-match", "MiniGrid-MemoryS7-v0"])
def test_a_resumed_run_of_other_tasks(tmp_path, env):
    """Mutation: one of the environment's fields, or its generator, left out of its state."""
    cut(tmp_path, [3, 8], env=env, env_opt=TASKS[env], total_steps=180)


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_every_core_cut_anywhere(tmp_path, core, figure):
    """R5. Mutation: a part of the core's state, or of the optimiser's, left out."""
    updates = cut(tmp_path, range(1, NUM_CUTS + 1), core=core)
    assert updates > NUM_CUTS
    figure("R5", f"{core}: bit-identical at 20 cut points", f"{NUM_CUTS} of {NUM_CUTS}")


@pytest.mark.slow
@pytest.mark.parametrize("env", TASKS)
def test_every_kind_of_task_cut_anywhere(tmp_path, env, figure):
    """R5. Mutation: as in short."""
    task = {"env": env, "env_opt": TASKS[env], "core": "ur-lstm", "total_steps": 360}
    updates = cut(tmp_path, range(1, NUM_CUTS + 1), **task)
    assert updates > NUM_CUTS
    figure("R5", f"{env}: bit-identical at 20 cut points", f"{NUM_CUTS} of {NUM_CUTS}")


def episodes_of(steps, actions, num_episodes):
    """Actions of the first episodes, column by column.

    Args:
        steps: [S, B] bool: a real transition, not the step that only resets.
        actions: [S, B].
        num_episodes: how many.
    """
    found = []
    for column in range(steps.shape[1]):
        ends = np.flatnonzero(~steps[:, column])
        found += [part[1:] if k else part for k, part in enumerate(np.split(actions[:, column], ends))][:-1]
    assert len(found) >= num_episodes
    return found[:num_episodes]


@pytest.mark.parametrize("num_episodes", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_evaluation_acts_as_training_does(tmp_path, num_episodes, figure):
    """R19: from one checkpoint, in the same environments, episode for episode the same actions are drawn.

    Mutations: evaluation's state not reset at an episode's end; the likeliest action taken; other weights;
    the previous reward unscaled.
    """
    run = train(small(tmp_path, reward_scale=0.5, total_steps=3000)).folder
    training, _ = resumed(run)
    trained = Actor(make_envs(training.config, 3, 5), training.runner.actor.network, seed=7, reward_scale=0.5)
    buffers, parts = trained.allocate(training.unroll_length), []
    for _ in range(8 * num_episodes // training.unroll_length):
        unroll = trained.unroll(buffers)
        parts.append((unroll.valid.numpy().copy(), unroll.actions.numpy().copy()))
    training.close()
    expected = episodes_of(*map(np.concatenate, zip(*parts, strict=True)), num_episodes)

    config, network, env_steps, refused = load_run(run)
    assert (env_steps, refused) == (training.learner.env_steps, [])
    actor = Actor(make_envs(config, 3, 5), network, seed=7, reward_scale=config.reward_scale)
    unroll, evaluated = actor.unroll, []

    def recorded(out):
        unroll(out)
        evaluated.append((out.valid.numpy().copy(), out.actions.numpy().copy()))
        return out

    actor.unroll = recorded
    collect(actor, 8 * num_episodes)
    found = episodes_of(*map(np.concatenate, zip(*evaluated, strict=True)), num_episodes)
    same = sum(map(np.array_equal, expected, found))
    assert len({len(actions) for actions in expected}) >= 1
    assert len({tuple(actions) for actions in expected}) > 3
    if num_episodes == 100:
        figure("R19", "100 of 100 episodes with identical actions", f"{same} of 100")
    assert same == num_episodes
    assert torch.equal(network.policy.weight, training.network.policy.weight.cpu())
