"""Sprites: every one can be drawn at every size, and tells apart what it stands for."""

from itertools import combinations, product

import numpy as np
import pytest

from envs.glyphs import GLYPHS, SUITS
from envs.grid import OBJECTS
from envs.minigrid_sprites import PALETTE, STATE_NAMES, minigrid_sprite
from envs.sprites import COLOURS, SHAPES, Sprite, atlas, layer, tile
from envs.tasks.match import PassiveMatch

MARKED = {"card": "7", "mark": "0", "bar": "5"}
"""Shapes that are drawn with a mark."""
NORMAL = np.eye(3)
PROTANOPE = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
DEUTERANOPE = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
"""What is left of linear sRGB for those who see no red or no green (Viénot, Brettel & Mollon 1999)."""


def sprites_of_every_shape():
    return [Sprite(shape, "blue", mark=MARKED.get(shape, "")) for shape in SHAPES]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 32, 41])
def test_every_shape_at_every_size(size):
    """Tiles of the size that was asked for, opaque, the same each time; nobody can write into them.

    Mutations: a shape that needs a colour nobody named; tiles handed out for writing.
    """
    for sprite in sprites_of_every_shape():
        pixels = tile(sprite, size)
        assert (pixels.shape, pixels.dtype) == ((size, size, 3), np.uint8)
        assert tile(sprite, size) is pixels
        for shared in (pixels, layer(sprite, size)):
            with pytest.raises(ValueError, match="read-only"):
                shared[0, 0] = 0
        alpha = layer(sprite, size)[..., 3]
        assert 0 <= alpha.min() <= alpha.max() <= 1
    assert atlas(sprites_of_every_shape(), size).shape == (len(SHAPES), size, size, 3)


def lab(linear):
    """CIE L*a*b* of linear sRGB [3] under D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ np.clip(linear, 0.001, 1) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", [NORMAL, PROTANOPE, DEUTERANOPE], ids=["normal", "protanope", "deuteranope"])
def test_colours_differ_for_every_eye(eye):
    """Any two of the six colours are at least 20 apart in CIE L*a*b* (2 can just be seen).

    Mutation: green (0, 255, 0) beside yellow (255, 255, 0), as in the original, or grey (150, 150, 150).
    """
    points = {}
    for name, colour in COLOURS.items():
        share = np.array(colour) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        points[name] = lab(eye @ linear)
    for one, other in combinations(points, 2):
        assert np.linalg.norm(points[one] - points[other]) > 20, (one, other)


def test_a_tile_is_the_mean_of_a_finer_one():
    """Small tiles are averages, so that nothing is lost between two samples.

    Mutation: every k-th pixel in place of the mean.
    """
    for sprite in sprites_of_every_shape():
        fine = layer(sprite, 64).reshape(8, 8, 8, 8, 4).mean((1, 3))
        np.testing.assert_allclose(layer(sprite, 8), fine, atol=12)


@pytest.mark.parametrize("shape", ["agent", "arrow"])
def test_turns_are_clockwise(shape):
    """East, south, west, north: the tip's side has less ink than the tail's, or more for an arrow's head.

    Mutation: turned the other way.
    """
    east, south, west, north = (layer(Sprite(shape, turn=turn), 32) for turn in range(4))
    np.testing.assert_array_equal(south, np.rot90(east, -1))
    np.testing.assert_array_equal(west, east[::-1, ::-1])
    np.testing.assert_array_equal(north, np.rot90(east, 1))
    rows, columns = np.nonzero(south[..., 3])
    widths = [np.ptp(columns[rows == row]) for row in (rows.min() + 2, rows.max() - 2)]
    assert widths[0] > widths[1], "a south-looking arrowhead is narrow at its lower end"


@pytest.mark.parametrize("palette", [PALETTE, PassiveMatch.palette], ids=["minigrid", "match"])
@pytest.mark.parametrize("size", [3, 4, 6, 8])
def test_tiles_of_a_palette_differ(palette, size):
    """An agent that sees pixels can tell what one that sees codes can.

    Mutation: two codes with one picture (a locked door drawn as a closed one).
    """
    tiles = {sprite: tile(sprite, size).astype(int) for sprite in set(palette)}
    for one, other in combinations(tiles, 2):
        assert np.abs(tiles[one] - tiles[other]).max() > 20, (one, other)


def test_minigrid_numbers():
    """Our table follows MiniGrid's numbers, and its order is mixed radix.

    Mutation: the order (object, state, colour).
    """
    from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX, STATE_TO_IDX

    for names, numbers in (
        (OBJECTS, OBJECT_TO_IDX),
        (COLOURS, COLOR_TO_IDX),
        (STATE_NAMES, STATE_TO_IDX),
    ):
        assert dict(zip(names, range(len(names)), strict=True)) == numbers
    assert len(PALETTE) == 198
    assert PALETTE[np.ravel_multi_index((4, 1, 2), (11, 6, 3))] == Sprite("door-locked", "green")
    assert PALETTE[np.ravel_multi_index((5, 3, 0), (11, 6, 3))] == Sprite("key", "purple")
    assert minigrid_sprite(10, 0, 3) == Sprite("agent", turn=3)
    assert all(sprite.shape in SHAPES and sprite.colour in COLOURS for sprite in PALETTE)


def test_marks_differ():
    """Every character and suit can be drawn, alone and in pairs, and looks like no other.

    Mutation: the glyph of 6 given to 9.
    """
    marks = [*GLYPHS, *SUITS, "10", "-3"]
    tiles = {mark: tile(Sprite("card", "blue", mark=mark), 32).astype(int) for mark in marks}
    for one, other in combinations(marks, 2):
        assert np.abs(tiles[one] - tiles[other]).mean() > 1, (one, other)


def test_a_mark_stays_on_its_card():
    """Mutation: marks drawn at twice the height."""
    for mark, shape in product(["Q", "10", "spade", "-3"], ["card", "mark"]):
        pixels = tile(Sprite(shape, "blue", mark=mark), 32)
        floor = tile(Sprite("empty"), 32)
        for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
            np.testing.assert_array_equal(pixels[edge], floor[edge])
