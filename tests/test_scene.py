"""Scenes: what every native task shows, how it is drawn, and the frames of ``render``."""

import numpy as np
import pytest
from episodes import EVERY, NATIVE, make, random_actions
from gymnasium.spaces import Box, MultiDiscrete

from envs import ENVS, make_vector_env
from envs.grid import ACTION_NAMES
from envs.scene import Scene, draw, grid, observation_scene, symbol_weights, window
from envs.sprites import NORTH, SOUTH, Sprite, tile
from envs.tasks import match_rules, minigrid

native_env = pytest.mark.parametrize("env_id", NATIVE)


def things(scene, shape):
    """Where a scene shows a shape in its layers: (row, column) of each."""
    return [place for layer in scene.layers for place, sprite in layer.items() if sprite.shape == shape]


def play_by_oracle(env_id, steps, **options):
    """One environment after so many of the oracle's actions."""
    env = make_vector_env(env_id, 1, **options)
    env.reset()
    for _ in range(steps):
        env.step(env.oracle())
    return env


@native_env
def test_every_task_shows_something(env_id):
    """At every step of every episode: a whole grid, a caption, and something that moves or changes.

    Mutations: a row too short; a layer beside the grid; the scene of environment 0 for all.
    """
    env = make(env_id)
    env.reset()
    frames = set()
    for row in random_actions(env, 130):
        for i in (0, 3):
            scene = env.scene(i)
            rows, columns = scene.shape
            assert all(len(cells) == columns for cells in scene.ground)
            assert all(0 <= r < rows and 0 <= c < columns for layer in scene.layers for r, c in layer)
            assert scene.seen is None or scene.seen.shape == (rows, columns)
            assert "\n" not in scene.caption
            frames.add(draw(scene, 4).tobytes())
        env.step(row)
    assert len(frames) >= 4


@native_env
def test_action_names(env_id):
    """One name per action, no two alike.

    Mutation: a name left out.
    """
    env = make(env_id, 1)
    num_actions = env.single_action_space.n
    named = ACTION_NAMES if env_id in minigrid.TASKS else ENVS[env_id].action_names
    assert env.action_names == (named[:num_actions] or tuple(map(str, range(num_actions))))
    assert len(set(env.action_names)) == num_actions


@pytest.mark.parametrize("env_id", EVERY)
def test_foreign_action_names(env_id):
    """MiniGrid's have names; where nobody gave any, the numbers stand.

    Mutation: numbers for all.
    """
    env = make(env_id, 1)
    assert len(env.action_names) == env.single_action_space.n
    if env_id.startswith("MiniGrid"):
        assert env.action_names[:3] == ("left", "right", "forward")
    if env_id == "CartPole-v1":
        assert env.action_names == ("0", "1")


def test_drawing():
    """The ground, what lies on it, and darkness where the agent does not see.

    Mutation: ``seen`` taken for its opposite; rows and columns swapped; layers drawn from the top down.
    """
    ground = grid(2, 3)
    ground[1][2] = Sprite("wall")
    upper = {(0, 1): Sprite("ball", "red")}
    scene = Scene(ground, ({(0, 1): Sprite("box", "blue")}, upper), np.array([[1, 1, 0], [1, 1, 1]], bool))
    image = draw(scene, 16)
    assert (image.shape, image.dtype) == ((32, 48, 3), np.uint8)
    np.testing.assert_array_equal(image[16:, 32:], tile(Sprite("wall"), 16))
    np.testing.assert_array_equal(image[:16, :16], tile(Sprite("empty"), 16))
    centre = image[8, 24].astype(int)
    assert centre[0] > 2 * centre[2], "the red ball lies on the blue box"
    assert image[:16, 32:].max() < tile(Sprite("empty"), 16).min()


def test_tmaze_shows_the_cue_and_the_walk():
    """The arrow says where the flag is; it is lit at the first step only; the walker goes to the flag.

    Mutation: the cue's other arm; the arrow always lit.
    """
    for seed in range(4):
        env = make_vector_env("tmaze", 1, length=5, seed=seed)
        env.reset()
        scene = env.scene(0)
        (arrow,) = things(scene, "arrow")
        north = env.cue()[0] == 0
        assert scene.layers[0][arrow].turn == (NORTH if north else SOUTH)
        assert scene.ground[1 if north else 3][6].shape == "goal"
        assert scene.ground[3 if north else 1][6].shape == "empty"
        assert scene.seen[arrow]
        assert things(scene, "walker") == [(2, 1)]
        for step in range(1, 6):
            env.step(env.oracle())
            assert things(env.scene(0), "walker") == [(2, 1 + step)]
            assert not env.scene(0).seen[arrow]
        env.step(env.oracle())
        assert things(env.scene(0), "walker") == [(1 if north else 3, 6)]


def test_a_long_tmaze_is_shown_in_part():
    """Always with the walker in view; the window follows, and both ends come into it.

    Mutation: a window that starts at the walker.
    """
    env = make_vector_env("tmaze", 1, length=200)
    env.reset()
    columns = []
    for _ in range(201):
        scene = env.scene(0)
        assert scene.shape == (5, 17)
        ((_, column),) = things(scene, "walker")
        columns.append(column)
        env.step(env.oracle())
    assert columns[0] == 1
    assert columns[200] == 15
    assert set(columns[10:190]) == {8}


def test_memory_len_shows_the_bit_and_the_question():
    """Mutation: the other bit; a question one step early."""
    env = play_by_oracle("memory-len", 0, length=6)
    signs = env.scene(0).layers[0]
    assert signs == {
        (0, 0): Sprite("mark", "blue", mark=str(env.cue()[0])),
        (0, 6): Sprite("mark", "purple", mark="?"),
    }
    env = play_by_oracle("memory-len", 6, length=6)
    assert things(env.scene(0), "walker") == [(1, 6)]
    np.testing.assert_array_equal(np.argwhere(env.scene(0).seen), [[0, 6], [1, 6]])
    env.step(env.oracle())
    assert env.scene(0).ground[0][7].shape == "goal"


@pytest.mark.parametrize("env_id", ["passive-match", "active-match", "key-to-door"])
def test_match_shows_its_board(env_id):
    """The lit cells are the agent's crop: 5 x 5 around it; they show what the observation says.

    Mutation: rows and columns of the agent swapped; a crop of 3 x 3.
    """
    env = make_vector_env(env_id, 1, delay=9)
    env.reset()
    for row in random_actions(env, 60):
        scene, observation = env.scene(0), env.observations[0]
        ((y, x),) = things(scene, "walker")
        for r, c in np.ndindex(scene.shape):
            inside = max(abs(r - y), abs(c - x)) <= 2
            assert scene.seen[r, c] == inside
            if inside:
                code = observation[r - y + 2, c - x + 2]
                assert (scene.ground[r][c].shape == "apple") == (code == match_rules.APPLE)
        env.step(row)


def test_colours_of_a_match_agree():
    """The target's colour on the wall, on its pad, in the caption and in the agent's palette is one.

    Mutation: a palette of colours in another order.
    """
    for seed in range(5):
        env = make_vector_env("passive-match", 1, seed=seed, delay=3)
        env.reset()
        (wall,) = {s.colour for row in env.scene(0).ground for s in row if s.shape == "wall"} - {"grey"}
        (seen,) = {s.colour for row in env.view(0).ground for s in row if s.shape == "pad"}
        assert wall == seen
        assert f"target {wall}" in env.scene(0).caption
        for _ in range(18):
            env.step(env.oracle())
        pads = {s.colour for row in env.scene(0).ground for s in row if s.shape == "pad"}
        assert wall in pads
        assert len(pads) == 3


def test_the_door_opens_with_the_key():
    """Mutation: the door drawn open for all."""
    for steps, has_key in ((18, True), (0, False)):
        env = play_by_oracle("key-to-door", steps, delay=3)
        while env.state["phase"][0] < 2:
            env.step(np.zeros(1, int))
        assert env.state["has_key"][0] == has_key
        assert env.scene(0).ground[1][5].shape == ("door-open" if has_key else "door-locked")


def test_observations_as_cells():
    """Numbers are written; others are bars of their size, red below zero, nothing at zero.

    Mutation: bars that start at the lower bound; the sign lost.
    """
    box = Box(np.array([-4, 0, -1, -np.inf], np.float32), np.array([4, 2, 1, np.inf], np.float32))
    (cells,) = observation_scene(np.array([-2, 2, 0, 0.33]), box).layers
    assert cells == {
        (0, 0): Sprite("bar", "red", mark="5"),
        (0, 1): Sprite("bar", "blue", mark="10"),
        (0, 3): Sprite("bar", "blue", mark="3"),
    }
    (cells,) = observation_scene(np.arange(10) * 3, MultiDiscrete([30] * 10)).layers
    assert (cells[0, 1].mark, cells[1, 1].mark) == ("3", "27")
    named = observation_scene(np.array([1, 0, 0.25]), Box(0, 1, (3,)), names=("a", "b", "c"))
    assert named.caption == "a, c 0.25"


def test_minigrids_view_is_shown_upright():
    """Its first axis counts columns; the agent stands below and looks up.

    Mutation: the axes not exchanged.
    """
    env = make("MiniGrid-Empty-Random-5x5-v0", 1)
    observation = np.ones((7, 7, 3), np.uint8)
    observation[5, 0] = (5, 2, 0)
    scene = observation_scene(
        observation, env.single_observation_space, env.palette, egocentric=env.egocentric
    )
    assert scene.ground[0][5] == Sprite("key", "blue")
    assert scene.layers == ({(6, 3): Sprite("agent", turn=NORTH)},)


def test_weights_are_mixed_radix():
    """Mutation: the weights in opposite order."""
    counts = np.broadcast_to([11, 6, 3], (7, 7, 3))
    np.testing.assert_array_equal(symbol_weights(counts), [18, 3, 1])
    np.testing.assert_array_equal(symbol_weights(np.full((5, 5), 9)), [1])


def test_windows():
    """All of a short row; of a long one the middle, and never beyond its ends.

    Mutation: no clip at the right end.
    """
    assert window(3, 5, 9) == range(5)
    assert window(0, 50, 9) == range(9)
    assert window(25, 50, 9) == range(21, 30)
    assert window(49, 50, 9) == range(41, 50)


@native_env
def test_render(env_id):
    """One frame per environment with the render mode, nothing without; a wrong one is refused.

    Mutation: the frame of environment 0 for all.
    """
    env = make(env_id, render_mode="rgb_array")
    env.reset()
    for row in random_actions(env, 3):
        env.step(row)
    frames = env.render()
    assert isinstance(frames, tuple)
    assert len(frames) == env.num_envs
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, draw(env.scene(i), 32))
    assert len({frame.tobytes() for frame in frames}) > 1
    assert "rgb_array" in env.metadata["render_modes"]
    assert make(env_id).render() is None
    with pytest.raises(ValueError, match=r"^render_mode must be rgb_array, got 'human'$"):
        make(env_id, render_mode="human")


@native_env
def test_looking_changes_nothing(env_id):
    """Mutation: a scene that writes into the state."""
    env = make(env_id)
    env.reset()
    before = env.state_dict()
    for i in range(env.num_envs):
        env.scene(i), env.view(i)
    np.testing.assert_equal(env.state_dict(), before)
