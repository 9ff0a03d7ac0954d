"""MiniGrid's missions as integer codes beside the view."""

import gymnasium
import minigrid  # noqa: F401 - registers its environments
import numpy as np
import pytest
from minigrid.core.constants import COLOR_NAMES
from minigrid.core.mission import MissionSpace

from envs import make_vector_env
from envs.gym_views import MAX_MISSIONS, mission_codes

FETCH = ["get a", "go get a", "fetch a", "go fetch a", "you must fetch a"]


def obj(env):
    return COLOR_NAMES.index(env.obj.color)


MISSIONS = {
    "MiniGrid-Fetch-5x5-N2-v0": (
        [5, 6, 2],
        lambda e: [
            [e.mission.startswith(f"{words} {e.targetColor}") for words in FETCH].index(True),
            COLOR_NAMES.index(e.targetColor),
            e.obj_types.index(e.targetType),
        ],
    ),
    "MiniGrid-GoToDoor-5x5-v0": ([6], lambda e: [COLOR_NAMES.index(e.target_color)]),
    "MiniGrid-PutNear-6x6-N2-v0": (
        [6, 3, 6, 3],
        lambda e: [
            COLOR_NAMES.index(e.moveColor),
            e.obj_types.index(e.move_type),
            COLOR_NAMES.index(e.target_color),
            e.obj_types.index(e.target_type),
        ],
    ),
    "MiniGrid-LockedRoom-v0": (
        [6, 6, 6],
        lambda e: [COLOR_NAMES.index(w) for w in e.mission.split() if w in COLOR_NAMES],
    ),
    "MiniGrid-UnlockPickup-v0": ([6], lambda e: [obj(e)]),
    "MiniGrid-KeyCorridorS3R1-v0": ([6], lambda e: [obj(e)]),
}


@pytest.mark.parametrize("env_id", MISSIONS)
def test_view_and_codes(env_id):
    """The view in C order, then each choice's index in MiniGrid's own list, as the environment itself has it.

    Mutations: the placeholders reversed; the view's axes swapped; one choice counted as a placeholder.
    """
    choices, wanted = MISSIONS[env_id]
    env = make_vector_env(env_id, 3, seed=1, backend="gymnasium")
    space = env.single_observation_space
    assert space.dtype == np.uint8
    assert space.shape == (7 * 7 * 3 + len(choices),)
    assert space.nvec.tolist() == [11, 6, 3] * 49 + choices
    seen = []
    for seed in range(25):
        observations = env.reset(seed=seed)[0]
        assert observations.dtype == np.uint8
        for _ in range(3):
            for row, inner in zip(observations, env.envs, strict=True):
                assert space.contains(row)
                own = inner.unwrapped.gen_obs()
                np.testing.assert_array_equal(row[:147], own["image"].flatten())
                assert row[147:].tolist() == wanted(inner.unwrapped)
                seen.append(tuple(row[147:]))
            observations = env.step(np.array([0, 1, 2]))[0]
    assert len(set(seen)) > 4
    env.close()


@pytest.mark.parametrize("env_id", ["MiniGrid-MemoryS7-v0", "MiniGrid-ObstructedMaze-1Dl-v0"])
def test_nothing_to_choose(env_id):
    """Without placeholders, or with one choice at each, the view keeps its shape."""
    env = make_vector_env(env_id, 2, backend="gymnasium")
    assert env.single_observation_space.shape == (7, 7, 3)
    assert env.reset()[0].shape == (2, 7, 7, 3)


def test_every_mission_of_minigrid_is_in_its_table():
    """No text stands for two combinations, and no environment has a mission beside its own space."""
    num_checked = 0
    for env_id in sorted(gymnasium.registry):
        if env_id.startswith("MiniGrid-") and "ObstructedMaze" not in env_id and "MultiRoom" not in env_id:
            env = gymnasium.make(env_id, disable_env_checker=True)
            space = env.observation_space["mission"]
            choices, table = mission_codes(space)
            assert len(table) == (np.prod(choices) if choices else 0)
            for seed in range(3 if choices else 0):
                assert env.reset(seed=seed)[0]["mission"] in table
                num_checked += 1
    assert num_checked > 30


def test_tables():
    """A text of two combinations stands for the first; too many combinations, or none, have no codes.

    Mutations: the last of two; the limit applied to one place alone.
    """
    twice = MissionSpace(lambda a, b: f"{a or 'any'}", [["x", "y"], ["p", "q"]])
    choices, table = mission_codes(twice)
    assert choices == [2, 2]
    assert {text: codes.tolist() for text, codes in table.items()} == {"x": [0, 0], "y": [1, 0]}
    many = [str(i) for i in range(101)]
    assert MAX_MISSIONS == 100 * 100
    assert mission_codes(MissionSpace(lambda a, b: f"{a} {b}", [many[:100]] * 2))[0] == [100, 100]
    assert mission_codes(MissionSpace(lambda a, b: f"{a} {b}", [many[:100], many])) == ([], {})
    assert mission_codes(MissionSpace(lambda: "go")) == ([], {})
    assert mission_codes(gymnasium.spaces.Text(9)) == ([], {})


def test_a_mission_from_nowhere():
    """It is no error of ours to guess at. Mutation: a code of zeros for it."""
    env = make_vector_env("MiniGrid-GoToDoor-5x5-v0", 2, backend="gymnasium")
    env.reset()
    env.envs[0].unwrapped.mission = "go home"
    with pytest.raises(ValueError, match=r"^the mission 'go home' is none of its own mission space$"):
        env.step(np.zeros(2, int))
