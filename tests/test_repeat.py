"""Repeat Previous and Repeat First against their rules written out, and their cards against play."""

import numpy as np
import pytest
from episodes import assert_follows, results
from reference_tasks_literature import RepeatReference

from envs import make_vector_env
from envs.pcg64 import environment_seeds
from envs.tasks.deck import best_guess
from envs.tasks.repeat import RepeatFirst, RepeatPrevious

DECKS = {1: 1, 4: 1, 31: 1, 32: 2, 64: 3, 255: 8}


@pytest.mark.parametrize("delay", DECKS)
def test_previous_step_by_step(delay):
    """Every observation, reward and end of many episodes is the reference's, draws and resets included.

    Mutations: the card after the one that is asked for; a question one step early; a ring of 255; the
    decks counted by delay // 33; an episode that ends one card early; rewards of 1/cards.
    """
    env = make_vector_env("repeat-previous", 6, seed=9, first_index=2, delay=delay)
    seeds = environment_seeds(9, 2, 6)
    references = [RepeatReference(np.random.default_rng(s), DECKS[delay], delay=delay) for s in seeds]
    successes = assert_follows(env, references, 2000)
    assert successes.min() < 0.5 < successes.max()


@pytest.mark.parametrize(("length", "decks"), [(1, 1), (9, 1), (50, 1), (51, 2), (414, 8)])
def test_first_step_by_step(length, decks):
    """Every observation, reward and end of many episodes is the reference's, draws and resets included.

    Mutations: the first action counted as an answer; the second card asked for; a deck too few, where
    the cards just fit; an episode one answer longer.
    """
    env = make_vector_env("repeat-first", 6, seed=9, first_index=2, length=length)
    references = [
        RepeatReference(np.random.default_rng(s), decks, length=length) for s in environment_seeds(9, 2, 6)
    ]
    successes = assert_follows(env, references, 2000)
    assert successes.min() < 0.5 < successes.max()


@pytest.mark.parametrize(
    ("task", "options"), [("repeat-previous", {"delay": 4}), ("repeat-first", {"length": 50})]
)
def test_the_best_answer_to_each_observation_is_the_cards_chance(task, options):
    """Whatever suit is in view, each of the three others is right as often as the card says.

    All that a policy without memory sees is the suit, and the answer is counted here for each. The
    suit in view is right less often, since one of its 13 cards is gone. Mutations: cards drawn with
    replacement; the question asked while its card is in view, at step 0 or with a delay of 0.
    """
    env = make_vector_env(task, 2000, seed=5, copy=False, **options)
    card = type(env).card(**options)
    counts, (observations, _), rounds = np.zeros((4, 4)), env.reset(), 8
    first = options.get("delay", 1)
    for step in range(rounds * (card.episode_length + 1)):
        if first <= step % (card.episode_length + 1) < card.episode_length:
            np.add.at(counts, (observations[:, 0], env.oracle()), 1)
        observations = env.step(np.zeros(2000, int))[0]
    assert counts.sum() == rounds * 2000 * (card.episode_length - first)
    shares = counts / counts.sum(1, keepdims=True)
    # Answers of an episode go together: the tolerance is four deviations of Repeat First's 16 000 episodes.
    tolerance = 4 * np.sqrt(0.25 * 0.75 / (rounds * 2000))
    assert np.abs(shares[~np.eye(4, dtype=bool)] - 13 / 51).max() < tolerance
    assert np.abs(np.diag(shares) - 12 / 51).max() < tolerance
    assert abs(np.trace(counts) / counts.sum() - 12 / 51) < 0.003  # which is 12 of 51 in every whole deck
    assert card.chance == card.memoryless == best_guess(1) == 13 / 51
    assert abs(counts.max(1).sum() / counts.sum() - card.memoryless) < 0.01


@pytest.mark.parametrize("task", ["repeat-previous", "repeat-first"])
def test_memoryless_and_random_players(task):
    """The next suit after the one in view reaches the card's chance, a random player a quarter.

    Returns are twice the success less one. Mutation: a wrong answer paid 0.
    """
    env, generator = make_vector_env(task, 1000, seed=2, copy=False), np.random.default_rng(0)
    for choose, expected in [
        (lambda seen: (seen[:, 0].astype(int) + 1) % 4, type(env).card().memoryless),
        (lambda seen: generator.integers(4, size=len(seen)), 0.25),
    ]:
        success, returns = results(env, choose, 10_000)
        assert abs(success.mean() - expected) < 4 * success.std() / np.sqrt(len(success))
        np.testing.assert_allclose(returns, 2 * success - 1, atol=1e-6)


def test_a_deck_is_dealt_to_its_last_card():
    """With 50 answers all 52 cards are seen, 13 of each suit, in an order that favours none.

    Mutations: ``left`` not counted down; the draw from one card less than are left.
    """
    env = make_vector_env("repeat-first", 3000, seed=4)
    seen = [env.reset()[0], *(env.step(np.zeros(3000, int))[0] for _ in range(51))]
    suits = np.stack(seen)[:, :, 0]  # [52, N]
    for suit in range(4):
        assert ((suits == suit).sum(0) == 13).all()
        assert np.abs((suits == suit).mean(1) - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 3000)


def test_cards_and_options():
    """Spans and lengths follow the options; POPGym's levels are whole decks; what does not fit is refused."""
    assert [RepeatPrevious.card(delay=k).episode_length for k in (4, 32, 64)] == [51, 103, 155]
    assert [RepeatFirst.card(length=n).episode_length for n in (50, 414, 830)] == [51, 415, 831]
    assert (RepeatPrevious.card(delay=32).span, RepeatFirst.card(length=414).span) == (32, 414)
    assert RepeatPrevious.card(delay=32).chance == RepeatFirst.card(length=102).chance == 26 / 103
    for task, option, message in [
        (RepeatPrevious, {"delay": 0}, "delay must be at least 1, got 0"),
        (RepeatPrevious, {"delay": 256}, "delay must be at most 255, got 256"),
        (RepeatFirst, {"length": 0}, "length must be at least 1, got 0"),
    ]:
        for refuse in (lambda task, o: task(3, **o), lambda task, o: task.card(**o)):
            with pytest.raises(ValueError, match=rf"^{message}$"):
                refuse(task, option)
