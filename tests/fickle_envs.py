"""Environments for actors in other processes: they count, know who and when they are, and fail on demand."""

import os
import time
from functools import partial
from pathlib import Path

import gymnasium
import numpy as np
import torch
from counting import CountingEnv, counting_network

from agents.runners.worker import Recipe

LENGTHS = [[3, 4, 2], [4, 1, 6, 1, 1], [9, 2, 3]]
A = 4
ERAS = 180
ERA = 10_000
"""Episodes of one actor are numbered from (its seed modulo ERAS) * ERA + 1: no two actors' are the same."""
BIT = 2.0**-10
"""What a network of `tell_version` adds to the first logit for each version."""


def lengths_of(index):
    """Lengths of the episodes of an environment in the whole run."""
    return LENGTHS[index % len(LENGTHS)]


class NumberedEnv(CountingEnv):
    """Observes (environment in the whole run, era and episode, step); a file tells it to fail once.

    The file bears the index of the first environment, and says "raise", "exit", "sleep" or, to whoever
    begins anew, "sleep in reset".
    """

    def __init__(self, folder, num_envs, seed, first_index):
        self.first, self.era = first_index, seed % ERAS
        self.file = Path(folder) / str(first_index)
        super().__init__([lengths_of(first_index + i) for i in range(num_envs)], A)

    def _see(self, b):
        super()._see(b)
        self.buffers[0][b, :2] += self.first, self.era * ERA

    def fail(self, *faults):
        if not self.file.exists() or (fault := self.file.read_text()) not in faults:
            return
        self.file.with_suffix(".begun").write_text(str(self.episode.sum()))
        self.file.unlink()
        if fault == "raise":
            raise KeyError("100 %\nbroken")
        if fault == "exit":
            os._exit(7)
        time.sleep(600)

    def reset(self, **words):
        self.fail("sleep in reset")
        return super().reset(**words)

    def step(self, actions):
        self.fail("raise", "exit", "sleep")
        return super().step(actions)


def telling_network(space, num_actions):
    """A network on a counting core whose logits tell nothing but the version of its weights."""
    network = counting_network(num_actions)
    with torch.no_grad():
        network.policy.weight.zero_()
        network.policy.bias.zero_()
    return network


def tell_version(network, version):
    """Makes the weights of a telling network those of a version."""
    with torch.no_grad():
        network.policy.bias[0] = version * BIT


def numbered_recipe(folder):
    """How actors on numbered environments are built."""
    return Recipe(partial(NumberedEnv, str(folder)), telling_network, 0.5)


def check_column(batch, b, local):
    """Checks that a column holds one stretch of a numbered environment, whole, with its core state.

    Returns:
        The environment in the whole run, its first and its last row with whether they are resets, and the
        lengths of the episodes that ended.
    """
    T = len(batch.actions)
    rows = [tuple(map(int, row)) for row in batch.inputs.observations[:, b].tolist()]
    resets, valid = batch.inputs.resets[:, b].tolist(), batch.valid[:, b].tolist()
    actions, rewards = batch.actions[:, b].tolist(), batch.rewards[:, b].tolist()
    number_of_env, episode, n = rows[0]
    assert [row[0] for row in rows] == [number_of_env] * (T + 1)
    assert [row[2] == 0 for row in rows] == resets
    if not resets[0]:
        assert batch.core_state[0][b].tolist() == [n]
        sums = [n * number_of_env, n * episode, n * (n - 1) / 2]
        assert batch.core_state[1][b, :3].tolist() == sums
    ended, lengths = [], lengths_of(number_of_env - 1)
    for t in range(T):
        (_, episode, step), (_, next_episode, next_step) = rows[t : t + 2]
        number = episode % ERA
        over = step == lengths[(number - 1) % len(lengths)]
        assert valid[t] == (not over)
        assert (next_episode, next_step) == ((episode + 1, 0) if over else (episode, step + 1))
        assert batch.inputs.prev_actions[t + 1, b] == (0 if over else actions[t])
        assert batch.inputs.prev_rewards[t + 1, b] == (0 if over else rewards[t])
        if not over:
            assert rewards[t] == 0.5 * (1000 * local + 100 * number + next_step)
            ends = next_step == lengths[(number - 1) % len(lengths)]
            assert batch.terminated[t, b] == (ends and number % 2 == 0)
            ended += [next_step] if ends else []
    episodes = batch.episodes
    assert episodes.lengths[episodes.envs == b].tolist() == ended
    return number_of_env - 1, (rows[0], resets[0]), (rows[-1], resets[-1]), ended


class BreaksEnv(gymnasium.Env):
    """Fails in its tenth step."""

    observation_space = gymnasium.spaces.Box(0, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    num_steps = 0

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.num_steps += 1
        if self.num_steps == 10:
            raise OSError("the tenth\nstep")
        return np.zeros(2, np.float32), 0.0, False, False, {}


gymnasium.register("Breaks-v0", BreaksEnv)


class WaitsEnv(gymnasium.Env):
    """Waits in each step, from some step on."""

    observation_space = gymnasium.spaces.Box(0, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    num_steps = 0

    def __init__(self, after=0, seconds=600.0):
        self.after, self.seconds = after, seconds

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.num_steps += 1
        until = time.monotonic() + self.seconds
        while self.num_steps > self.after and time.monotonic() < until:
            time.sleep(0.01)
        return np.zeros(2, np.float32), 0.0, False, False, {}


for name, options in {
    "Sleeps-v0": {},
    "Slow-v0": {"after": 35, "seconds": 2.0},
    "Stuck-v0": {"after": 7},
}.items():
    gymnasium.register(name, WaitsEnv, kwargs=options)


class FailsEnv(gymnasium.Env):
    """Episodes whose return is the process's id. The first environment of a process fails now and then.

    It is stepped before the others, so that its count of episodes is that of the last whole step.
    """

    observation_space = gymnasium.spaces.Box(0, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    first, num_begun = None, 0
    """In this process."""

    def __init__(self, folder, share=0.0001):
        self.file, self.share = Path(folder) / "failed", share

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        FailsEnv.first = FailsEnv.first or self
        FailsEnv.num_begun += 1
        self.left = self.np_random.integers(1, 30)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        if self is FailsEnv.first and np.random.default_rng().uniform() < 8 * self.share:
            with open(self.file, "a") as file:
                file.write(f"{os.getpid()} {FailsEnv.num_begun}\n")
            raise OSError("the game crashed")
        self.left -= 1
        over = self.left == 0
        return np.zeros(2, np.float32), float(os.getpid() * over), bool(over), False, {}


gymnasium.register("Fails-v0", FailsEnv, disable_env_checker=True)
