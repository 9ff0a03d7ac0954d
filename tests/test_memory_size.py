"""memory_size against its rules written out, and its card against play."""

import numpy as np
import pytest
from episodes import assert_follows, results
from reference_tasks_literature import MemorySizeReference

from envs import make_vector_env
from envs.pcg64 import environment_seeds
from envs.tasks.memory_size import QUESTION, MemorySize


@pytest.mark.parametrize(("num_bits", "length"), [(1, 1), (3, 2), (40, 5), (62, 1)])
def test_rules_step_by_step(num_bits, length):
    """Every observation, reward and end of many episodes is the reference's, draws and resets included.

    Mutations: the question drawn before the bits; the bit after the one that is asked for; the context
    in 32 bits; the context shown at the question too; the answer read the other way round.
    """
    env = make_vector_env("memory-size", 6, seed=9, first_index=2, num_bits=num_bits, length=length)
    references = [
        MemorySizeReference(np.random.default_rng(s), num_bits, length) for s in environment_seeds(9, 2, 6)
    ]
    successes = assert_follows(env, references, 60 * (length + 2))
    assert 20 < successes.sum() < len(successes) - 20


def test_chance_is_the_best_without_memory():
    """The best answer to each question is right half the time, within what 20 000 episodes tell.

    All that a policy without memory sees when it answers is the question, so the best one has an answer
    for each. Mutations: the context shown at the question; the asked bit the first with a 1.
    """
    num_bits, num_envs = 4, 500
    env = make_vector_env("memory-size", num_envs, seed=3, num_bits=num_bits, copy=False)
    right, seen = np.zeros((num_bits, 2)), set()
    observations, _ = env.reset()
    for step in range(40 * (env.length + 2)):
        if step % (env.length + 2) == env.length:
            seen |= {row.tobytes() for row in observations}
            asked = observations[:, QUESTION : QUESTION + num_bits].argmax(1)
            np.add.at(right, (asked, env.cue()), 1)
        observations = env.step(np.zeros(num_envs, int))[0]
    card = MemorySize.card(num_bits=num_bits)
    assert len(seen) == num_bits
    assert right.sum() == 20_000
    assert card.chance == card.memoryless == 0.5
    assert abs(right.max(1).sum() / 20_000 - 0.5) < 0.015  # the larger of two counts is a little above half
    assert np.abs(right.sum(1) / 20_000 - 1 / num_bits).max() < 0.015


def test_random_answers_are_at_chance():
    """A random policy is right half the time, and its mean return 0 (4 standard deviations).

    Mutation: a wrong answer paid 0.
    """
    env, generator = make_vector_env("memory-size", 500, seed=3, num_bits=7), np.random.default_rng(0)
    success, returns = results(env, lambda _: generator.integers(2, size=500), 20_000)
    assert abs(success.mean() - 0.5) < 4 * np.sqrt(0.25 / len(success))
    assert abs(returns.mean()) < 4 * np.sqrt(1 / len(success))


def test_card_and_options():
    """Span and length follow the option; numbers out of range are refused by both doors."""
    card = MemorySize.card(num_bits=40, length=9)
    assert (card.span, card.episode_length, card.kind) == (9, 10, "memory")
    for option, message in [
        ({"num_bits": 0}, "num_bits must be at least 1, got 0"),
        ({"num_bits": 63}, "num_bits must be at most 62, got 63"),
        ({"length": 0}, "length must be at least 1, got 0"),
    ]:
        for refuse in (lambda o: MemorySize(3, **o), lambda o: MemorySize.card(**o)):
            with pytest.raises(ValueError, match=rf"^{message}$"):
                refuse(option)
