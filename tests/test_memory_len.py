"""memory_len against its rules written out, and its card against play."""

import numpy as np
import pytest
from reference_tasks import MemoryLenReference

from envs import make_vector_env
from envs.pcg64 import environment_seeds
from envs.tasks.memory_len import QUESTION, MemoryLen


@pytest.mark.parametrize("length", [1, 2, 7])
def test_rules_step_by_step(length):
    """Every observation, reward and end of many episodes is the reference's, draws and resets included.

    Mutations: the context shown at the question too; the question one step early; the answer read the
    other way round; the time left counted from 1 + 1/N.
    """
    num_envs = 6
    env = make_vector_env("memory-len", num_envs, seed=9, first_index=2, length=length)
    references = [
        MemoryLenReference(np.random.default_rng(s), length) for s in environment_seeds(9, 2, num_envs)
    ]
    observations, _ = env.reset()
    np.testing.assert_array_equal(observations, [r.reset() for r in references])
    generator, resetting = np.random.default_rng(0), [False] * num_envs
    for _ in range(40 * (length + 1)):
        actions = generator.integers(2, size=num_envs)
        observations, rewards, terminated, truncated, infos = env.step(actions)
        assert not truncated.any()
        for i, reference in enumerate(references):
            expected = (reference.reset(), 0.0, False) if resetting[i] else reference.step(actions[i])
            np.testing.assert_allclose(observations[i], expected[0], atol=1e-6)
            assert (rewards[i], terminated[i]) == expected[1:]
            resetting[i] = expected[2]
            if resetting[i]:
                assert infos["episode"]["success"][i] == reference.success


def test_chance_is_the_best_without_memory():
    """At the question all contexts look alike: without memory an answer is right half the time.

    Mutation: the context shown at the question, or drawn from three values.
    """
    length, num_envs = 3, 500
    env = make_vector_env("memory-len", num_envs, seed=3, length=length, copy=False)
    observations, _ = env.reset()
    success, episodes, questions = 0.0, 0, set()
    for _ in range(40 * (length + 2)):
        questions |= {row.tobytes() for row in observations[observations[:, QUESTION] == 1]}
        infos = env.step(np.ones(num_envs, int))[4]
        if infos:
            success += infos["episode"]["success"].sum()
            episodes += infos["_episode"].sum()
    card = MemoryLen.card(length=length)
    assert len(questions) == 1
    assert episodes == 20_000
    assert card.chance == card.memoryless == 0.5
    assert abs(success / episodes - card.chance) < 4 * np.sqrt(0.25 / episodes)


def test_card_and_options():
    """Span and length follow the option; a length out of range is refused."""
    card = MemoryLen.card(length=50)
    assert (card.span, card.episode_length, card.kind) == (50, 51, "memory")
    with pytest.raises(ValueError, match=r"^length must be at least 1, got -3$"):
        MemoryLen(3, length=-3)
