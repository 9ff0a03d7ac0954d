"""One contract for every environment, native or Gymnasium's: each test here runs on all of them."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv

from envs import ENVS, make_vector_env

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

every_env = pytest.mark.parametrize("env_id", EVERY)
native_env = pytest.mark.parametrize("env_id", NATIVE)


def make(env_id, num_envs=N, **options):
    """Build an environment of this file's options."""
    return make_vector_env(env_id, num_envs, **(EVERY[env_id] | options))


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


def test_every_native_task_is_tested():
    """No native task is left out of this file."""
    assert ENVS.keys() == NATIVE.keys()


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
        if env.has_state and t == 3:  # native episodes are all of one length: put two of them out of step
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


@native_env
def test_native_buffers_are_all_reused(env_id):
    """Mutation: a copy left in the path without copies."""
    env = make(env_id, copy=False)
    env.reset()
    one, other = env.step(np.zeros(N, int)), env.step(np.ones(N, int))
    assert all(mine is theirs for mine, theirs in zip(one[:4], other[:4], strict=True))


@native_env
def test_state_dict_continues_bit_for_bit(env_id):
    """At any moment, the one before a reset included, another environment takes over from plain arrays.

    Mutation: any field left out of ``_arrays`` (tried: rng, ended), or loaded by reference.
    """
    env = make(env_id, seed=1)
    env.reset()
    pending = False
    for t, row in enumerate(random_actions(env, 75)):
        env.step(row)
        if t % 5 and not env.state["ended"].any():
            continue
        pending |= env.state["ended"].any()
        saved = env.state_dict()
        assert all(type(array) is np.ndarray and array.dtype.kind in "biuf" for array in saved.values())
        actions = random_actions(env, 60, seed=t)
        run = play(env, actions, reset=False)
        other = make(env_id, seed=99)
        for env_that_continues in (other, env):
            env_that_continues.load_state_dict(saved)
            assert_same(play(env_that_continues, actions, reset=False), run)
        env.load_state_dict(saved)
    assert pending


@native_env
def test_wrong_states_are_refused(env_id):
    """A refused state changes nothing. Mutation: arrays assigned one by one before all are checked."""
    env = make(env_id)
    env.reset()
    saved = env.state_dict()
    other = make(env_id, seed=7)
    other.reset()
    before = other.state_dict()
    wrong = [
        (saved | {"rng": saved["rng"][:-1]}, "state 'rng' must be uint64[7, 5], got uint64[6, 5]"),
        (
            saved | {"success": saved["success"].astype(np.int8)},
            "state 'success' must be bool[7], got int8[7]",
        ),
        ({k: v for k, v in saved.items() if k != "rng"}, "the state must hold ["),
        (saved | {"more": saved["rng"]}, "the state must hold ["),
    ]
    for state, message in wrong:
        with pytest.raises(ValueError) as error:  # noqa: PT011 - compared below
            other.load_state_dict(state)
        assert str(error.value).startswith(message)
        np.testing.assert_equal(other.state_dict(), before)


@native_env
def test_oracle_and_card(env_id):
    """The oracle reaches the card's success; episodes have the card's length and end by termination.

    Mutations, one per task: the oracle answers with the opposite of the cue, or goes to the colour after
    the target's.
    """
    env = make(env_id, 64)
    card = type(env).card(**NATIVE[env_id])
    assert card.name == env_id
    env.reset()
    success, episodes = 0.0, 0
    for _ in range(6 * (card.episode_length + 1)):
        _, _, terminated, truncated, infos = env.step(env.oracle())
        assert not truncated.any()
        if infos:
            np.testing.assert_array_equal(terminated, infos["_episode"])
            assert set(infos["episode"]["l"][terminated]) == {card.episode_length}
            success += infos["episode"]["success"].sum()
            episodes += terminated.sum()
    assert episodes == 6 * 64
    assert success / episodes == card.oracle == 1.0


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


@native_env
def test_seeds_one_by_one(env_id):
    """A sequence seeds each environment by its own number; None leaves a stream alone.

    Mutation: the numbers mixed with the index.
    """
    env, other = make(env_id), make(env_id)
    actions = random_actions(env, 60)
    env.reset(seed=[4, 5, 6, 7, 8, 9, 2])
    other.reset(seed=[8, 4, 4, 4, 4, 4, 4])
    other.reset(seed=[4, 5, 6, 7, 8, 9, None])
    env.reset(seed=[4, 5, 6, 7, 8, 9, None])
    one, two = play(env, actions), play(other, actions)
    for mine, theirs in zip(one[:3], two[:3], strict=True):
        np.testing.assert_array_equal(mine[:, :6], theirs[:, :6])


def test_reset_knows_no_options():
    """An option that would be ignored is refused."""
    with pytest.raises(ValueError, match=r"^reset knows no options, got 'reset_mask'$"):
        make("tmaze").reset(options={"reset_mask": np.ones(N, bool)})


def test_state_needs_a_reset():
    """Before the first reset there is no state to save."""
    with pytest.raises(gymnasium.error.ResetNeeded):
        make("tmaze").state_dict()


def test_kernels_are_found_without_python(monkeypatch):
    """With several tasks in one process each call goes straight to its compiled code.

    numba looks it up in C by the arguments' types; for tuples of numbers that look-up can fail and cost
    100 µs a call. Mutation: the results handed to the kernel as one NamedTuple.
    """
    envs = [make(env_id) for env_id in NATIVE]
    for env in envs:
        env.reset()

    def slow(*_):
        raise AssertionError("the look-up went through Python")

    for env in envs:
        monkeypatch.setattr(env._kernel, "_compile_for_args", slow)
        env.step(np.zeros(N, int))
