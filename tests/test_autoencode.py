"""Autoencode against its rules written out, and its card against play."""

import numpy as np
import pytest
from episodes import assert_follows, results
from reference_tasks_literature import AutoencodeReference

from envs import make_vector_env
from envs.pcg64 import environment_seeds
from envs.tasks.autoencode import BLANK, Autoencode


@pytest.mark.parametrize("length", [1, 2, 9, 52, 53, 256])
def test_rules_step_by_step(length):
    """Every observation, reward and end of many episodes is the reference's, draws and resets included.

    Mutations: the answers asked for in the order of the cards; the last card shown while it is asked
    for; the first answer one step early; a deck too many where the cards just fit.
    """
    env = make_vector_env("autoencode", 6, seed=9, first_index=2, length=length)
    references = [AutoencodeReference(np.random.default_rng(s), length) for s in environment_seeds(9, 2, 6)]
    successes = assert_follows(env, references, max(400, 4 * length))
    assert successes.min() < 0.6 < successes.max()


def test_the_best_constant_answer_is_the_cards_chance():
    """All questions look alike, and each suit is right a quarter of the time at each of them.

    A policy without memory has one distribution of answers for the one blank it sees, so no answer that
    it could give is right more often than the best of the four here. Mutations: the last card shown
    while it is asked for; cards of three suits.
    """
    length, num_envs = 6, 4000
    env = make_vector_env("autoencode", num_envs, seed=3, length=length, copy=False)
    counts, (observations, _) = np.zeros((length, 4)), env.reset()
    for step in range(5 * (2 * length + 1)):
        place = step % (2 * length + 1) - length
        if 0 <= place < length:
            assert (observations == BLANK).all()
            counts[place] += np.bincount(env.oracle(), minlength=4)
        observations = env.step(np.zeros(num_envs, int))[0]
    card = Autoencode.card(length=length)
    assert card.chance == card.memoryless == 0.25
    assert counts.sum(1).tolist() == [5 * num_envs] * length
    assert np.abs(counts / counts.sum(1, keepdims=True) - 0.25).max() < 5 * np.sqrt(0.1875 / (5 * num_envs))


@pytest.mark.parametrize("length", [7, 52])
def test_players_without_memory(length):
    """One suit for ever and random suits are right a quarter of the time; returns follow from that.

    With a whole deck one suit is right exactly 13 times. Mutation: a wrong answer paid 0.
    """
    env = make_vector_env("autoencode", 1000, seed=2, length=length, copy=False)
    generator = np.random.default_rng(0)
    for choose in (lambda _: np.full(1000, 2), lambda _: generator.integers(4, size=1000)):
        success, returns = results(env, choose, 5000)
        assert abs(success.mean() - Autoencode.card(length=length).memoryless) < 0.006
        np.testing.assert_allclose(returns, 2 * success - 1, atol=1e-6)
    if length == 52:
        assert set(results(env, lambda _: np.full(1000, 2), 1000)[0]) == {0.25}


def test_card_and_options():
    """Span and length follow the option; POPGym's levels are whole decks; what does not fit is refused."""
    cards = [Autoencode.card(length=length) for length in (52, 104, 156)]
    assert [card.episode_length for card in cards] == [104, 208, 312]
    assert [card.span for card in cards] == [103, 207, 311]
    for length, bound in [(0, "at least 1"), (257, "at most 256")]:
        for refuse in (lambda n: Autoencode(3, length=n), lambda n: Autoencode.card(length=n)):
            with pytest.raises(ValueError, match=rf"^length must be {bound}, got {length}$"):
                refuse(length)
