"""The environments that the contract is tested on, and how tests play them."""

import numpy as np

from envs import make_vector_env

OWN = {
    "tmaze": {"length": 8},
    "tmaze-active": {"length": 6},
    "memory-len": {"length": 4},
    "memory-size": {"num_bits": 5, "length": 3},
    "passive-match": {"delay": 23},
    "active-match": {"delay": 9},
    "key-to-door": {"delay": 4},
    "repeat-previous": {"delay": 3},
    "repeat-first": {"length": 8},
    "autoencode": {"length": 5},
    "concentration": {"pairs": 3},
}
MINIGRID = {
    "MiniGrid-MemoryS9-v0": {"max_steps": 14, "agent_view_size": 3},
    "MiniGrid-Fetch-5x5-N2-v0": {"max_steps": 11},
    "MiniGrid-Dynamic-Obstacles-5x5-v0": {},
    "MiniGrid-MultiRoom-N2-S4-v0": {"max_steps": 12, "agent_view_size": 9},
}
NATIVE = OWN | MINIGRID
GRADED = {"repeat-previous", "repeat-first", "autoencode"}
"""Tasks of many questions: success is the share of right answers; elsewhere it is 0 or 1."""
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


def assert_follows(env, references, steps, seed=0):
    """Hold every observation, reward, end and success against the literal rules; return the successes.

    Environment i is played by the oracle with a probability of its own, 0.1 … 0.9, and at random
    otherwise: the one reaches what the other does not.
    """
    eager = np.linspace(0.1, 0.9, env.num_envs)
    generator, resetting, successes = np.random.default_rng(seed), [False] * env.num_envs, []
    observations, _ = env.reset()
    np.testing.assert_allclose(observations, [r.reset() for r in references], atol=1e-6)
    for _ in range(steps):
        wander = generator.integers(env.single_action_space.n, size=env.num_envs)
        actions = np.where(generator.random(env.num_envs) < eager, env.oracle(), wander)
        observations, rewards, terminated, truncated, infos = env.step(actions)
        assert not truncated.any()
        for i, reference in enumerate(references):
            expected = (reference.reset(), 0.0, False) if resetting[i] else reference.step(actions[i])
            np.testing.assert_allclose(observations[i], expected[0], atol=1e-6)
            np.testing.assert_allclose(rewards[i], expected[1], rtol=1e-6)
            assert terminated[i] == expected[2]
            resetting[i] = expected[2]
            if resetting[i]:
                successes.append(infos["episode"]["success"][i])
                np.testing.assert_allclose(successes[-1], reference.success, rtol=1e-6)
    return np.array(successes)


def results(env, choose, episodes):
    """Play with ``choose(observations)``; return success and return of at least so many episodes.

    Every environment counts with as many of them: the short ones are not over-represented.
    """
    observations, _ = env.reset()
    played, kept, rounds = np.zeros(env.num_envs, int), [], -(-episodes // env.num_envs)
    while (played < rounds).any():
        observations, _, _, _, infos = env.step(choose(observations))
        if infos:
            counts = infos["_episode"] & (played < rounds)
            played += counts
            kept.append(np.stack([infos["episode"]["success"][counts], infos["episode"]["r"][counts]]))
    return np.concatenate(kept, 1)


def assert_same(one, other):
    """Compare what ``play`` returned, bit for bit."""
    for mine, theirs in zip(one[:3], other[:3], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(one[3], other[3], strict=True):
        np.testing.assert_equal(mine, theirs)
