"""One contract for every environment, native or Gymnasium's: each test here runs on all of them."""

import gymnasium
import numpy as np
import pytest
from episodes import EVERY, GRADED, OWN, N, assert_same, make, play, random_actions
from gymnasium.vector import AutoresetMode, VectorEnv

from envs import ENVS
from envs.tasks import minigrid

every_env = pytest.mark.parametrize("env_id", EVERY)


def test_every_native_task_is_tested():
    """No native task is left out of this file."""
    assert ENVS.keys() - minigrid.TASKS.keys() == OWN.keys()


@every_env
def test_spaces_and_dtypes(env_id):
    """Mutation: an observation buffer in another dtype than the space's."""
    env = make(env_id)
    assert isinstance(env, VectorEnv)
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    assert env.num_envs == N
    assert env.action_space.shape == (N,)
    assert env.observation_space.shape == (N, *env.single_observation_space.shape)
    observations, infos = env.reset()
    assert infos == {}
    env.action_space.seed(0)
    for _ in range(70):
        assert observations.dtype == env.single_observation_space.dtype
        assert observations.shape == env.observation_space.shape
        assert env.observation_space.contains(observations)
        assert all(env.single_observation_space.contains(row) for row in observations)
        observations, rewards, terminated, truncated, infos = env.step(env.action_space.sample())
        assert (rewards.dtype, terminated.dtype, truncated.dtype) == (np.float32, np.bool_, np.bool_)
        assert rewards.shape == terminated.shape == truncated.shape == (N,)
        assert isinstance(infos, dict)
    env.close()


@every_env
def test_a_reset_is_a_step_of_its_own(env_id):
    """After an end: reward 0, no end, and the action has no effect.

    Mutation: the ended record takes its action before it resets (its reward or observation shows it).
    """
    one, other = make(env_id), make(env_id)
    num_actions = one.single_action_space.n
    np.testing.assert_array_equal(one.reset()[0], other.reset()[0])
    resetting, seen = np.zeros(N, bool), 0
    for row in random_actions(one, 150):
        a = one.step(row)
        b = other.step(np.where(resetting, (row + 1) % num_actions, row))
        for mine, theirs in zip(a[:4], b[:4], strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert not any(result[resetting].any() for result in a[1:4])
        seen += resetting.sum()
        resetting = a[2] | a[3]
    assert seen >= 3


@every_env
def test_episode_infos(env_id):
    """Return and length agree with a count kept outside; the step that only resets is in neither.

    Mutations: ``episode_length`` not cleared at an episode's start; the reset counted as an action;
    infos given without the mask of what ended.
    """
    env = make(env_id)
    env.reset()
    returns, lengths, resetting, episodes = np.zeros(N), np.zeros(N, int), np.zeros(N, bool), 0
    for t, row in enumerate(random_actions(env, 150)):
        if env.has_state and t == 3:  # most native episodes are of one length: put two of them out of step
            resetting[[1, 3]] = env.state["ended"][[1, 3]] = True
        _, rewards, terminated, truncated, infos = env.step(row)
        returns = np.where(resetting, 0, returns + rewards)
        lengths = np.where(resetting, 0, lengths + 1)
        resetting = ends = terminated | truncated
        if not ends.any():
            assert infos == {}
            continue
        assert infos.keys() == {"episode", "_episode"}
        np.testing.assert_array_equal(infos["_episode"], ends)
        episode = infos["episode"]
        assert {key: value.dtype for key, value in episode.items()} == {"r": "f4", "l": "i4", "success": "f4"}
        np.testing.assert_allclose(episode["r"], np.where(ends, returns, 0), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(episode["l"], np.where(ends, lengths, 0))
        assert set(episode["success"][~ends]) <= {0.0}
        if env_id in GRADED:
            assert ((episode["success"] >= 0) & (episode["success"] <= 1)).all()
        else:
            assert set(episode["success"]) <= {0.0, 1.0}
        episodes += ends.sum()
    assert episodes >= 3


@every_env
def test_seeds(env_id):
    """The same seed gives the same run, in the constructor as in reset; without one the streams run on.

    Mutation: the constructor's seed ignored; ``reset(seed=None)`` seeding again.
    """
    one, other = make(env_id, seed=3), make(env_id, seed=3)
    actions = random_actions(one, 90)
    run, next_run = play(one, actions), play(one, actions)
    assert_same(play(other, actions), run)
    assert_same(play(other, actions), next_run)
    assert_same(play(make(env_id, seed=4), actions, seed=3), run)
    for different in (next_run, play(make(env_id, seed=4), actions)):
        with pytest.raises(AssertionError):
            assert_same(different, run)


@every_env
def test_batch_size_does_not_matter(env_id):
    """One batch of 7, batches of 3 and 4, and seven of 1 give the same seven runs.

    Mutation: ``first_index`` left out of the seeds; an environment that draws from its neighbour's stream.
    """
    whole = make(env_id, seed=2, first_index=4)
    actions = random_actions(whole, 80)
    observations, rewards, ends, infos = play(whole, actions)
    for splits in ([3, 4], [1] * N):
        start = 0
        for size in splits:
            part = slice(start, start + size)
            mine = play(make(env_id, size, seed=2, first_index=4 + start), actions[:, part])
            np.testing.assert_array_equal(mine[0], observations[:, part])
            np.testing.assert_array_equal(mine[1], rewards[:, part])
            np.testing.assert_array_equal(mine[2], ends[:, part])
            for t in np.flatnonzero(mine[2].any(1)):
                for key, value in mine[3][t]["episode"].items():
                    np.testing.assert_array_equal(value, infos[t]["episode"][key][part])
            start += size


@every_env
def test_copies_and_buffers(env_id):
    """With copy=True earlier results stay; with copy=False the next step writes into them, values the same.

    Mutation: one of the arrays returned without ``copy``.
    """
    fresh, reused = make(env_id), make(env_id, copy=False)
    kept, first = fresh.reset()[0], reused.reset()[0]
    before = kept.copy()
    actions = random_actions(fresh, 40)
    results = [(fresh.step(row), reused.step(row)[0].copy()) for row in actions]
    np.testing.assert_array_equal(kept, before)
    assert first is reused.step(actions[0])[0]
    again = play(make(env_id), actions)
    for t, (mine, seen) in enumerate(results):
        np.testing.assert_array_equal(mine[0], seen)
        np.testing.assert_array_equal(mine[0], again[0][t + 1])
        np.testing.assert_array_equal(mine[1], again[1][t])
        np.testing.assert_array_equal(mine[2] | mine[3], again[2][t])


@every_env
def test_misuse_is_told_in_one_line(env_id):
    """Steps before a reset, wrong actions, seeds and counts: one line each."""
    env = make(env_id)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(N, int))
    env.reset()
    for action, message in [
        (np.full(N, env.single_action_space.n), "actions must lie in 0 … "),
        (np.zeros(N), r"actions must be integers of shape \(7,\), got float64 of shape \(7,\)$"),
        (np.zeros(N + 1, int), r"actions must be integers of shape \(7,\), got int64 of shape \(8,\)$"),
    ]:
        with pytest.raises(ValueError, match=message):
            env.step(action)
    with pytest.raises(ValueError, match=r"^num_envs must be at least 1, got 0$"):
        make(env_id, 0)
    with pytest.raises(ValueError, match=r"^seed must be at least 0, got -1$"):
        env.reset(seed=-1)
    with pytest.raises(ValueError, match=r"^first_index must be at least 0, got -1$"):
        make(env_id, first_index=-1)
    with pytest.raises(ValueError, match="length") as error:
        env.reset(seed=[1, 2])
    assert "\n" not in str(error.value)
