"""Gymnasium's environments behind our contract: what test_contract.py does not reach."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

from envs import make_vector_env
from envs.gym_vector import GymVectorEnv
from envs.pcg64 import environment_seeds


class Scripted(gymnasium.Env):
    """An environment with any spaces; its episodes are three steps, and the last one's info is given."""

    def __init__(self, observation_space, action_space=None, info=None, rewards=(1.0, 2.0, 3.0)):
        self.observation_space = observation_space
        self.action_space = action_space or Discrete(3, start=-1)
        self.info, self.rewards, self.actions = info or {}, rewards, []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(int(self.np_random.integers(1000)))
        self.steps = 0
        self.observation = self.observation_space.sample()
        return self.observation, {"success": "not a number"}

    def step(self, action):
        self.actions.append(action)
        self.steps += 1
        self.observation = self.observation_space.sample()
        last = self.steps == 3
        return (
            self.observation,
            self.rewards[self.steps - 1],
            last,
            False,
            self.info if last else {"ragged": [1] * self.steps},
        )


@pytest.fixture
def scripted():
    """Register environments for one test; return a function that makes a vector of one."""
    made = []

    def make(num_envs=2, threshold=None, **options):
        made.append(f"Scripted{len(made)}-v0")
        gymnasium.register(made[-1], lambda: Scripted(**options), reward_threshold=threshold)
        return GymVectorEnv(made[-1], num_envs)

    yield make
    for env_id in made:
        del gymnasium.registry[env_id]


@pytest.mark.parametrize(
    ("given", "space", "convert"),
    [
        (Box(-1, 1, (3,), np.float64), Box(-1, 1, (3,), np.float32), np.float32),
        (Box(0, 9, (2, 3), np.int64), Box(0, 9, (6,), np.float32), lambda o: o.reshape(6).astype(np.float32)),
        (Box(0, 255, (4, 5, 3), np.uint8), Box(0, 255, (4, 5, 3), np.uint8), np.asarray),
        (
            Box(0, 255, (4, 5), np.uint8),
            Box(0, 255, (20,), np.float32),
            lambda o: o.reshape(20).astype(np.float32),
        ),
        (
            Box(-np.inf, np.inf, (), np.float64),
            Box(-np.inf, np.inf, (1,), np.float32),
            lambda o: np.float32([o]),
        ),
        (Discrete(5, start=-2), MultiDiscrete([5], dtype=np.uint8), lambda o: np.uint8([o + 2])),
        (Discrete(300), MultiDiscrete([300]), lambda o: np.int64([o])),
        (MultiDiscrete([3, 4], start=[1, -4]), MultiDiscrete([3, 4], dtype=np.uint8), lambda o: o - [1, -4]),
    ],
)
def test_observation_kinds(scripted, given, space, convert):
    """Each kind of space becomes one of three, value for value.

    Mutations: the start not subtracted; an image flattened; a matrix kept.
    """
    env = scripted(observation_space=given)
    assert env.single_observation_space == space
    observations, _ = env.reset()
    for _ in range(5):
        assert observations.dtype == space.dtype
        for row, inner in zip(observations, env.envs, strict=True):
            np.testing.assert_array_equal(row, convert(inner.unwrapped.observation))
        observations = env.step(np.zeros(2, int))[0]


def test_actions_count_from_zero(scripted):
    """Mutation: the offset left out."""
    env = scripted(observation_space=Discrete(2))
    assert env.single_action_space == Discrete(3)
    env.reset()
    env.step(np.array([0, 2]))
    assert [inner.unwrapped.actions for inner in env.envs] == [[-1], [1]]


@pytest.mark.parametrize(
    ("info", "threshold", "expected"),
    [
        ({"success": True}, None, 1.0),
        ({"is_success": 0.25}, None, 0.25),
        ({"success": np.bool_(False)}, 0.0, 0.0),
        ({}, 6.0, 1.0),
        ({}, 6.5, 0.0),
        ({}, None, np.nan),
    ],
)
def test_success(scripted, info, threshold, expected):
    """The environment's word first, then its threshold, else unknown.

    Mutations: > for >=; the threshold before the info; 0 for unknown.
    """
    env = scripted(observation_space=Discrete(2), info=info, threshold=threshold)
    env.reset()
    for _ in range(3):
        infos = env.step(np.zeros(2, int))[4]
    np.testing.assert_array_equal(infos["episode"]["success"], [expected] * 2)
    np.testing.assert_array_equal(infos["episode"]["r"], [6.0] * 2)


def test_minigrid_success_is_reward_at_the_end():
    """In the empty room, reaching the goal counts and running out of time does not.

    Mutation: success read from truncation, or from any end.
    """
    env = make_vector_env("MiniGrid-Empty-5x5-v0", 2, backend="gymnasium", max_steps=6)
    env.reset()
    forward, right = 2, 1
    for action in (forward, forward, right, forward, forward):  # the goal is two cells right and two down
        _, _, terminated, truncated, infos = env.step(np.array([action, right]))
    assert (terminated.tolist(), truncated.tolist()) == ([True, False], [False, False])
    assert infos["episode"]["success"].tolist() == [1.0, 0.0]
    _, _, _, truncated, infos = env.step(np.array([right, right]))
    assert truncated.tolist() == [False, True]
    assert infos["_episode"].tolist() == [False, True]
    assert infos["episode"]["success"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("view", [3, 7])
def test_minigrid_view_is_its_symbolic_image(view):
    """Mutation: the channels in another order."""
    env = make_vector_env("MiniGrid-MemoryS7-v0", 2, backend="gymnasium", agent_view_size=view)
    assert env.single_observation_space.shape == (view, view, 3)
    assert env.single_observation_space.nvec[0, 0].tolist() == [11, 6, 3]
    observations, _ = env.reset()
    for row, inner in zip(observations, env.envs, strict=True):
        np.testing.assert_array_equal(row, inner.unwrapped.gen_obs()["image"])


def test_seeds_reach_gymnasium():
    """Environment i is Gymnasium's own, reset with the seed of (seed, first_index + i).

    Mutation: Gymnasium's rule, seed + i.
    """
    env = make_vector_env("CartPole-v1", 3, seed=5, first_index=2)
    observations, _ = env.reset()
    for row, seed in zip(observations, environment_seeds(5, 2, 3), strict=True):
        np.testing.assert_array_equal(row, gymnasium.make("CartPole-v1").reset(seed=seed)[0])


def test_masked_reset_counts_anew_where_it_resets():
    """Mutation: returns and lengths cleared everywhere."""
    env = make_vector_env("CartPole-v1", 2)
    env.reset()
    env.step(np.array([0, 1]))
    env.reset(options={"reset_mask": np.array([True, False])})
    lengths = {}
    for t in range(1, 30):
        infos = env.step(np.array([0, 0]))[4]
        for i in np.flatnonzero(infos.get("_episode", [])):
            lengths.setdefault(i, (infos["episode"]["l"][i], infos["episode"]["r"][i], t))
    (length, pay, t), (kept_length, kept_pay, kept_t) = lengths[0], lengths[1]
    assert (length, pay) == (t, t)
    assert (kept_length, kept_pay) == (kept_t + 1, kept_t + 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"observation_space": Dict(a=Discrete(2))},
            "has the observation space Dict('a': Discrete(2)): only Box, ",
        ),
        (
            {"observation_space": Discrete(2), "action_space": Box(-1, 1, (2,))},
            "has the action space Box(-1.0, 1.0, (2,), float32): only Discrete is supported",
        ),
    ],
)
def test_unsupported_spaces(scripted, options, message):
    """One line says what is supported."""
    with pytest.raises(ValueError, match="only") as error:
        scripted(**options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("env_id", "options", "message"),
    [
        (
            "MiniGrid-MemoryS7-v0",
            {"agent_view_siz": 3},
            "MiniGrid-MemoryS7-v0 has no option 'agent_view_siz'; did you mean agent_view_size",
        ),
        (
            "CartPole-v1",
            {"foo": 1},
            "CartPole-v1 has no option 'foo'; its options are max_episode_steps, render_mode",
        ),
        (
            "MiniGrid-MemoryS7-v0",
            {"agent_view_size": 2},
            "cannot make MiniGrid-MemoryS7-v0 with {'agent_view_size': 2}: AssertionError",
        ),
        (
            "envs:longhold/TMaze-v0",
            {"lenght": 1},
            "cannot make envs:longhold/TMaze-v0 with {'lenght': 1}: tmaze has no option 'lenght'; did",
        ),
        (
            "gymnasium:CartPole-v1",
            {"foo": 1},
            "gymnasium:CartPole-v1 has no option 'foo'; its options are max_episode_steps, render_mode",
        ),
        (
            "no_such_module:Some-v0",
            {},
            "cannot make no_such_module:Some-v0: No module named 'no_such_module'",
        ),
    ],
)
def test_what_cannot_be_made(env_id, options, message):
    """One line says why."""
    with pytest.raises(ValueError) as error:  # noqa: PT011 - compared below
        make_vector_env(env_id, 2, backend="gymnasium", **options)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_no_state():
    """Code outside our control cannot be saved, and does not pretend."""
    assert make_vector_env("CartPole-v1", 2).has_state is False
    assert not hasattr(make_vector_env("CartPole-v1", 2), "state_dict")


def test_lengths_of_later_episodes():
    """They count actions, and not the step that only resets. Mutation: counted from one after a reset."""
    env = make_vector_env("CartPole-v1", 2, seed=3)
    env.reset()
    lengths, ended, seen = np.zeros(2, int), np.zeros(2, bool), [0, 0]
    for _ in range(200):
        lengths = np.where(ended, 0, lengths + 1)
        _, _, terminated, truncated, infos = env.step(np.array([1, 0]))
        ended = terminated | truncated
        for i in np.flatnonzero(ended):
            assert infos["episode"]["l"][i] == lengths[i]
            seen[i] += 1
    env.close()
    assert min(seen) > 5
