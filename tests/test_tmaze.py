"""The T-maze against its rules written out, and its card against play."""

import itertools

import numpy as np
import pytest
from reference_tasks import TMazeReference

from envs import make_vector_env
from envs.pcg64 import environment_seeds
from envs.tasks.tmaze import EAST, JUNCTION, NORTH, SOUTH, TMaze


@pytest.mark.parametrize("length", [1, 2, 7])
def test_rules_step_by_step(length):
    """Every observation, reward and end of many episodes is the reference's, draws and resets included.

    Mutations: the penalty for x <= t; the cue shown while x == 0; an episode one action shorter; west at
    the start leading out; the reward of the wrong arm.
    """
    num_envs = 6
    env = make_vector_env("tmaze", num_envs, seed=9, first_index=2, length=length)
    references = [TMazeReference(np.random.default_rng(s), length) for s in environment_seeds(9, 2, num_envs)]
    observations, _ = env.reset()
    np.testing.assert_array_equal(observations, [r.reset() for r in references])
    generator, resetting = np.random.default_rng(0), [False] * num_envs
    successes = 0
    for _ in range(60 * (length + 1)):
        actions = np.where(
            generator.random(num_envs) < 0.7, env.oracle(), generator.integers(4, size=num_envs)
        )
        observations, rewards, terminated, truncated, infos = env.step(actions)
        assert not truncated.any()
        for i, reference in enumerate(references):
            expected = (reference.reset(), 0.0, False) if resetting[i] else reference.step(actions[i])
            np.testing.assert_array_equal(observations[i], expected[0])
            np.testing.assert_allclose(rewards[i], expected[1], rtol=1e-6)
            assert terminated[i] == expected[2]
            resetting[i] = expected[2]
            if resetting[i]:
                assert infos["episode"]["success"][i] == reference.success
                successes += reference.success
    assert successes > 20


def test_return_of_the_oracle_and_of_standing_still():
    """The fastest walk pays 1 in all, staying at the start pays -1.

    Mutation: the penalty doubled, or also on the last action.
    """
    env = make_vector_env("tmaze", 4, length=8)
    for act, expected in [(env.oracle, 1.0), (lambda: np.full(4, NORTH), -1.0)]:
        env.reset()
        for _ in range(9):
            infos = env.step(act())[4]
        np.testing.assert_allclose(infos["episode"]["r"], expected, rtol=1e-6)


def test_chance():
    """East, then always north, succeeds as often as the card says (4 standard deviations).

    Mutation: the cue drawn from three values, or always north.
    """
    card = TMaze.card(length=4)
    env = make_vector_env("tmaze", 500, seed=3, length=4, copy=False)
    observations, _ = env.reset()
    success, episodes = 0.0, 0
    for _ in range(40 * (card.episode_length + 1)):
        observations, _, _, _, infos = env.step(np.where(observations[:, JUNCTION] == 1, NORTH, EAST))
        if infos:
            success += infos["episode"]["success"].sum()
            episodes += infos["_episode"].sum()
    assert episodes == 20_000
    assert abs(success / episodes - card.chance) < 4 * np.sqrt(0.25 / episodes)


def test_no_memoryless_policy_beats_the_card():
    """All 4^5 maps from observation to action, on both cues: the best is right on one cue only.

    A policy that draws its action is no better: it is right on both cues with probabilities that sum to
    at most 1, since both face the same junction. Mutation: the cue shown at the junction (the best
    policy is then right on both).
    """
    length = 3
    policies = np.array(list(itertools.product(range(4), repeat=5)))  # one action per kind of observation
    env = TMaze(2 * len(policies), length=length, copy=False)
    observations, _ = env.reset()
    env.state["cue"] = np.repeat([NORTH, SOUTH], len(policies))
    policy = np.tile(policies, (2, 1))
    kinds = np.array([1, 2, 4, 8, 16])  # an observation as a binary number
    rows = {9: 0, 17: 1, 1: 2, 2: 3, 4: 4}  # start with either cue, start, corridor, junction
    observations[:, 3:] = np.eye(2)[env.state["cue"]]
    for _ in range(length + 1):
        kind = np.vectorize(rows.__getitem__)((observations @ kinds).astype(int))
        infos = env.step(policy[np.arange(len(policy)), kind])[4]
    right = infos["episode"]["success"].reshape(2, -1).sum(0)
    assert right.max() / 2 == TMaze.card(length=length).memoryless == 0.5


def test_card_and_options():
    """Span and length follow the option; a length out of range is refused."""
    card = TMaze.card(length=50)
    assert (card.span, card.episode_length, card.kind) == (50, 51, "memory")
    with pytest.raises(ValueError, match=r"^length must be at least 1, got 0$"):
        TMaze(3, length=0)
    with pytest.raises(ValueError, match=r"^length must be at least 1, got 0$"):
        TMaze.card(length=0)
