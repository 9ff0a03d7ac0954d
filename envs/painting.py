"""Grids of codes painted as RGB, by one compiled call for all environments."""

from collections.abc import Sequence

import numpy as np
from gymnasium.spaces import Box, Space

from envs.checks import whole_number
from envs.compiled import compiled
from envs.scene import symbol_weights
from envs.sprites import Sprite, atlas

MAX_TILE_SIZE = 64


def _paint(symbols, weights, tiles, out):
    """Write the tile of every cell.

    Args:
        symbols: [N, h, w, C] integers.
        weights: [C] int64: the number of a cell is the sum of its codes times these.
        tiles: [n, t, 3 t] uint8: rows of pixels, their colours on end.
        out: [N, h, t, w, 3 t] uint8, overwritten.
    """
    for i in range(symbols.shape[0]):
        for row in range(symbols.shape[1]):
            for column in range(symbols.shape[2]):
                number = 0
                for channel in range(symbols.shape[3]):
                    number += symbols[i, row, column, channel] * weights[channel]
                for y in range(tiles.shape[1]):
                    for x in range(tiles.shape[2]):
                        out[i, row, y, column, x] = tiles[number, y, x]


paint = compiled(_paint)
"""The compiled form of ``_paint``. It checks no bounds: a code beyond its count reads what it should not."""


class Painter:
    """Keeps the codes of N environments and paints them.

    Attributes:
        space: of one environment's picture, Box uint8 [h t, w t, 3].
        pictures: [N, h t, w t, 3] uint8: what ``paint`` writes, always the same array.
    """

    def __init__(
        self,
        symbols: np.ndarray,
        space: Space,
        palette: Sequence[Sprite],
        tile_size: int,
        egocentric: bool = False,
    ) -> None:
        """Draw the tiles.

        Args:
            symbols: [N, h, w] or [N, h, w, C] integers: the codes, read again at every ``paint``.
            space: their space, a MultiDiscrete.
            palette: a sprite for every combination of a cell's codes, see ``scene.symbol_weights``.
            tile_size: t, pixels of a cell.
            egocentric: the first axis counts columns, as in MiniGrid's view; pictures have rows first.

        Raises:
            ValueError: ``tile_size`` out of range, or a task without a palette.
        """
        size = whole_number("tile_size", tile_size, 1)
        if size > MAX_TILE_SIZE:
            raise ValueError(f"tile_size must be at most {MAX_TILE_SIZE}, got {size}")
        if not palette:
            raise ValueError("tile_size is for tasks whose observation is a grid of codes")
        counts = space.nvec  # type: ignore[attr-defined]
        self._weights = symbol_weights(counts)
        assert len(palette) == np.prod(counts.reshape(*counts.shape[:2], -1)[0, 0])
        cells = symbols.reshape(*symbols.shape[:3], -1)  # a view
        self._symbols = cells.swapaxes(1, 2) if egocentric else cells
        num_envs, height, width = self._symbols.shape[:3]
        self._tiles = atlas(palette, size).reshape(len(palette), size, -1)
        self.space = Box(0, 255, (height * size, width * size, 3), np.uint8)
        self.pictures: np.ndarray = np.zeros((num_envs, *self.space.shape), np.uint8)
        self._cells = self.pictures.reshape(num_envs, height, size, width, -1)  # a view

    def paint(self) -> None:
        """Write the pictures of the present codes."""
        paint(self._symbols, self._weights, self._tiles, self._cells)
