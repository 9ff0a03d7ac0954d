"""The active T-maze against its rules written out, and its card against play."""

import itertools

import numpy as np
import pytest
from episodes import assert_follows, results
from reference_tasks_literature import TMazeActiveReference

from envs import make_vector_env
from envs.pcg64 import environment_seeds
from envs.tasks.tmaze_active import CUE_NORTH, EAST, JUNCTION, NORTH, SOUTH, WEST, TMazeActive


@pytest.mark.parametrize("length", [1, 2, 7])
def test_rules_step_by_step(length):
    """Every observation, reward and end of many episodes is the reference's, draws and resets included.

    Mutations: the penalty for x < t; the cue in view at every visit; an episode one action shorter or
    longer; the start at the oracle; south leading out of the south arm; the arms shown as the junction.
    """
    env = make_vector_env("tmaze-active", 6, seed=9, first_index=2, length=length)
    seeds = environment_seeds(9, 2, 6)
    references = [TMazeActiveReference(np.random.default_rng(s), length) for s in seeds]
    successes = assert_follows(env, references, 60 * (length + 4))
    assert 20 < successes.sum() < len(successes) - 20


def test_returns():
    """Oracle first: 1. Straight to the junction and into the south arm: 1 or 0. Never from the start: -1.

    Mutations: a penalty for who skips the oracle; one on the last action.
    """
    env = make_vector_env("tmaze-active", 40, length=8)
    success, returns = results(env, lambda _: env.oracle(), 40)
    assert (success == 1).all()
    np.testing.assert_allclose(returns, 1)
    success, returns = results(env, lambda seen: np.where(seen[:, JUNCTION] == 1, SOUTH, EAST), 40)
    np.testing.assert_allclose(returns, success)
    np.testing.assert_allclose(results(env, lambda _: np.full(40, NORTH), 40)[1], -1, rtol=1e-6)


def test_chance():
    """East, then always north, succeeds as often as the card says (4 standard deviations).

    Mutation: the cue drawn from three values, or always north.
    """
    card = TMazeActive.card(length=4)
    env = make_vector_env("tmaze-active", 500, seed=3, length=4, copy=False)
    success, _ = results(env, lambda seen: np.where(seen[:, JUNCTION] == 1, NORTH, EAST), 20_000)
    assert len(success) == 20_000
    assert abs(success.mean() - card.chance) < 4 * np.sqrt(0.25 / len(success))


def test_the_cue_is_of_use_only_to_who_fetches_it_at_once():
    """All walks of 5 actions in a maze of length 2: with the cue seen, one reaches an arm in time.

    So no policy has a step left in which its position could hold the cue. Mutation: an episode one
    action longer.
    """
    walks = np.array(list(itertools.product(range(4), repeat=5)))
    env = TMazeActive(len(walks), length=2)
    observations, _ = env.reset()
    informed = np.zeros(len(walks), bool)
    for t in range(5):
        observations, _, ended, _, infos = env.step(walks[:, t])
        informed |= observations[:, CUE_NORTH:].any(1)
    assert ended.all()
    in_time = informed & (env.state["arm"] >= 0)
    assert {tuple(walk) for walk in walks[in_time].tolist()} == {
        (WEST, EAST, EAST, EAST, arm) for arm in (NORTH, SOUTH)
    }
    np.testing.assert_array_equal(infos["episode"]["success"], env.state["arm"] == env.state["cue"])


def test_no_memoryless_policy_beats_the_card():
    """All 4^7 maps from observation to action, on both cues: the best is right on one cue only.

    The seven: the oracle without a cue and with either, corridor, junction, both arms. A policy that
    draws its action is no better: whichever walk it takes to the arms, the test above says that it does
    not depend on the cue. Mutation: the cue in view at the junction, which makes it two kinds.
    """
    length = 2
    policies = np.array(list(itertools.product(range(4), repeat=7)))
    rows = {1: 0, 33: 1, 65: 2, 2: 3, 4: 4, 8: 5, 16: 6}  # an observation as a binary number
    table = np.full(128, -1)
    table[list(rows)] = list(rows.values())
    env = TMazeActive(2 * len(policies), length=length, copy=False)
    observations, _ = env.reset()
    env.state["cue"] = np.repeat([NORTH, SOUTH], len(policies))
    policy, places = np.tile(policies, (2, 1)), np.arange(2 * len(policies))
    for _ in range(length + 3):
        kinds = table[(observations @ (1 << np.arange(7))).astype(int)]
        assert kinds.min() >= 0
        infos = env.step(policy[places, kinds])[4]
    right = infos["episode"]["success"].reshape(2, -1).sum(0)
    assert right.max() / 2 == TMazeActive.card(length=length).memoryless == 0.5


def test_card_and_options():
    """Span and length follow the option; a length out of range is refused; there is nothing for recall."""
    card = TMazeActive.card(length=50)
    assert (card.span, card.episode_length, card.kind) == (51, 53, "memory")
    for refuse in (lambda: TMazeActive(3, length=0), lambda: TMazeActive.card(length=0)):
        with pytest.raises(ValueError, match=r"^length must be at least 1, got 0$"):
            refuse()
    with pytest.raises(NotImplementedError, match="TMazeActive has no question"):
        _ = TMazeActive(3).question_step
