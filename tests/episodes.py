"""The environments that the contract is tested on, and how tests play them."""

import numpy as np

from envs import make_vector_env

NATIVE = {
    "tmaze": {"length": 8},
    "memory-len": {"length": 4},
    "passive-match": {"delay": 23},
    "active-match": {"delay": 9},
    "key-to-door": {"delay": 4},
}
FOREIGN = {
    "CartPole-v1": {},
    "MiniGrid-MemoryS7-v0": {"max_steps": 14, "agent_view_size": 3},
    "MiniGrid-Empty-Random-5x5-v0": {"max_steps": 11},
    "FrozenLake-v1": {},
}
EVERY = NATIVE | FOREIGN
N = 7


def make(env_id, num_envs=N, **options):
    """Build an environment of this file's options."""
    backend = "gymnasium" if env_id in FOREIGN else "auto"
    return make_vector_env(env_id, num_envs, backend=backend, **(EVERY[env_id] | options))


def random_actions(env, steps, seed=0):
    """Return [steps, N] actions, the same for the same seed."""
    return np.random.default_rng(seed).integers(env.single_action_space.n, size=(steps, env.num_envs))


def play(env, actions, seed=None, reset=True):
    """Return observations [T+1, N, ...], rewards [T, N], ends [T, N] and the infos under these actions."""
    first = env.reset(seed=seed)[0] if reset else env.observations
    steps = [[np.array(x) for x in step[:4]] + [step[4]] for step in map(env.step, actions)]
    observations = np.stack([first, *(step[0] for step in steps)])
    return (
        observations,
        np.stack([s[1] for s in steps]),
        np.stack([s[2] | s[3] for s in steps]),
        [s[4] for s in steps],
    )


def assert_same(one, other):
    """Compare what ``play`` returned, bit for bit."""
    for mine, theirs in zip(one[:3], other[:3], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(one[3], other[3], strict=True):
        np.testing.assert_equal(mine, theirs)
