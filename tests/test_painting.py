"""RGB observations: painted as a slow loop would paint them, restored bit for bit, learnt from."""

import json

import numpy as np
import pytest
import torch
from episodes import NATIVE, N, assert_same, make, play, random_actions
from gymnasium.spaces import Box, MultiDiscrete
from gymnasium.vector import AutoresetMode

from agents.actor import Actor, make_envs
from agents.config import Config
from agents.encoders import Convolution
from agents.network import make_network
from envs import ENVS, make_vector_env, task_card
from envs.minigrid_sprites import PALETTE
from envs.painting import Painter
from envs.sprites import tile
from scripts import train

PAINTED = [name for name in NATIVE if ENVS[name].palette and name != "MiniGrid-Fetch-5x5-N2-v0"]
"""Tasks whose observation is a grid of codes; Fetch's holds a mission beside the view."""
painted_env = pytest.mark.parametrize("env_id", PAINTED)


def painted_slowly(symbols, counts, palette, size, egocentric=False):
    """One grid of codes as RGB: cell by cell, tile by tile."""
    if egocentric:
        symbols = symbols.swapaxes(0, 1)
    height, width = symbols.shape[:2]
    image = np.zeros((height * size, width * size, 3), np.uint8)
    for row in range(height):
        for column in range(width):
            codes = np.atleast_1d(symbols[row, column])
            number = 0
            for code, count in zip(codes, counts, strict=True):
                number = number * count + int(code)
            top, left = row * size, column * size
            image[top : top + size, left : left + size] = tile(palette[number], size)
    return image


@pytest.mark.parametrize("size", [1, 3, 4, 8])
@pytest.mark.parametrize("egocentric", [False, True])
def test_paint_against_a_slow_loop(size, egocentric):
    """Several codes a cell, more rows than columns, several environments.

    Mutations: a channel's weight wrong; x and y of a tile swapped; the tile of the cell before.
    """
    counts = np.broadcast_to([11, 6, 3], (5, 4, 3))
    symbols = np.random.default_rng(0).integers(counts, size=(3, 5, 4, 3)).astype(np.uint8)
    space = MultiDiscrete(counts, dtype=np.uint8)
    painter = Painter(symbols, space, PALETTE, size, egocentric)
    for _ in range(2):
        painter.paint()
        for i in range(3):
            slow = painted_slowly(symbols[i], [11, 6, 3], PALETTE, size, egocentric)
            np.testing.assert_array_equal(painter.pictures[i], slow)
            assert painter.space.contains(painter.pictures[i])
        symbols[:] = symbols[::-1].copy()  # it reads its caller's array anew


def slowly(env, symbols):
    """The picture of an environment's codes, with tiles of 3 pixels."""
    counts = env.single_observation_space.nvec
    return painted_slowly(
        symbols, counts.reshape(*counts.shape[:2], -1)[0, 0], env.palette, 3, env.egocentric
    )


@painted_env
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_painted_observations(env_id, mode):
    """What is seen is the picture of what the same environment shows as codes; all else is equal.

    Mutations: no painting after a reset in the same step; the last step's picture.
    """
    task, options = ENVS[env_id], NATIVE[env_id] | {"autoreset_mode": mode}
    codes, pixels = task(N, **options), task(N, tile_size=3, **options)
    height, width = codes.single_observation_space.shape[:2]
    assert pixels.single_observation_space == Box(0, 255, (3 * height, 3 * width, 3), np.uint8)
    seen = [codes.reset()[0], pixels.reset()[0]]
    for row in random_actions(codes, 70):
        for symbols, picture in zip(*seen, strict=True):
            np.testing.assert_array_equal(picture, slowly(codes, symbols))
        assert pixels.observation_space.contains(seen[1])
        one, other = codes.step(row), pixels.step(row)
        for mine, theirs in zip(one[1:4], other[1:4], strict=True):
            np.testing.assert_array_equal(mine, theirs)
        if "final_obs" in one[4]:
            for i in np.flatnonzero(one[4]["_final_obs"]):
                final = slowly(codes, one[4]["final_obs"][i])
                np.testing.assert_array_equal(other[4]["final_obs"][i], final)
        seen = [one[0], other[0]]


@painted_env
def test_painted_state(env_id):
    """The state holds codes and no pictures, and gives the pictures back.

    Mutation: no painting after a state is loaded.
    """
    env = make(env_id, tile_size=2, seed=1)
    env.reset()
    play(env, random_actions(env, 21), reset=False)
    saved, actions = env.state_dict(), random_actions(env, 40, seed=2)
    assert saved["observations"].shape == make(env_id).observation_space.shape
    pictures, run = env.observations, play(env, actions, reset=False)
    other = make(env_id, tile_size=2, seed=9)
    other.reset()
    other.load_state_dict(saved)
    np.testing.assert_array_equal(other.observations, pictures)
    assert_same(play(other, actions, reset=False), run)


def test_tile_sizes():
    """Whole numbers from 0 to 64, for tasks that have a grid of codes; 0 is the codes themselves.

    Mutation: no upper limit, so that a typing error takes all memory.
    """
    assert isinstance(make("passive-match", tile_size=0).single_observation_space, MultiDiscrete)
    for size, message in (
        (-1, "tile_size must be at least 0, got -1"),
        (65, "tile_size must be at most 64, got 65"),
        (2.5, "tile_size must be a whole number, got 2.5"),
    ):
        with pytest.raises(ValueError, match=f"^{message}$"):
            make("passive-match", tile_size=size)
    with pytest.raises(ValueError, match=r"^tmaze has no option 'tile_size'"):
        make_vector_env("tmaze", 1, tile_size=2)
    assert task_card("passive-match", delay=9, tile_size=4) == task_card("passive-match", delay=9)


def test_an_agent_sees_the_pixels():
    """The encoder is convolutional, and the rows it learns from are the environment's pictures.

    Mutation: the codes' space announced to the network.
    """
    config = Config(env="passive-match", env_opt=("delay=3", "tile_size=2"), hidden_size=6, encoder_size=7)
    envs = make_envs(config, 3, 0)
    network = make_network(config, envs.single_observation_space, 4)
    assert isinstance(network.encoder[0], Convolution)
    actor = Actor(envs, network, seed=1)
    rows = actor.unroll(actor.allocate(5)).inputs.observations
    assert (rows.shape, rows.dtype) == ((6, 3, 10, 10, 3), torch.uint8)
    np.testing.assert_array_equal(rows[-1].numpy(), envs.observations)
    assert len(np.unique(rows.numpy())) > 9, "colours, not codes"


def test_training_on_pixels(tmp_path):
    """A run with pictures goes from the first word to its evaluation.

    Mutation: the card asked with an option that it does not take.
    """
    words = "--env key-to-door --env-opt delay=2 tile_size=2 --total-steps 300 --num-envs 3 --device cpu"
    sizes = "--hidden-size 6 --encoder-size 7 --unroll-length 20"
    assert train.main([*words.split(), *sizes.split(), "--log-dir", str(tmp_path)]) == 0
    (figures,) = tmp_path.rglob("evaluation.json")
    assert json.loads(figures.read_text())["episodes"] == 1000
