"""Scenes: what there is to see of one environment, as sprites on a grid, and their drawing.

A task says what to show in terms of sprites; nobody draws by hand. All of it lies outside a step's way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium.spaces import Box, MultiDiscrete, Space

from envs.sprites import NORTH, SLATE, Sprite, layer

Rows = Sequence[Sequence[Sprite]]
"""A sprite for every cell, row by row."""
Sparse = Mapping[tuple[int, int], Sprite]
"""Sprites in some cells, by (row, column)."""

DIMMED = 0.42
"""Share of darkness over what the agent does not see."""
MAX_COLUMNS = 8
"""Entries of an observation in one row."""
SHOWN, HIDDEN = Sprite("empty"), Sprite("outside")


@dataclass(frozen=True)
class Scene:
    """One moment of one environment."""

    ground: Rows
    """What lies lowest; its size is the scene's."""
    layers: tuple[Sparse, ...] = ()
    """What lies on it, bottom to top."""
    seen: np.ndarray | None = None
    """[rows, columns] bool: what the agent sees now, if it does not see everything."""
    caption: str = ""
    """The mission, or what else a viewer should know; one line."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.ground), len(self.ground[0])


def draw(scene: Scene, tile_size: int = 32) -> np.ndarray:
    """Draw a scene; what the agent does not see is darker.

    Args:
        scene: what to draw. Its caption is text and not drawn.
        tile_size: pixels of a cell.

    Returns:
        [rows * tile_size, columns * tile_size, 3] uint8.
    """
    rows, columns = scene.shape
    cells = np.empty((rows, columns, tile_size, tile_size, 3), np.float32)
    floor = layer(Sprite("empty"), tile_size)[..., :3]
    for row, sprites in enumerate(scene.ground):
        for column, sprite in enumerate(sprites):
            cells[row, column] = _over(layer(sprite, tile_size), floor)
    for sparse in scene.layers:
        for (row, column), sprite in sparse.items():
            cells[row, column] = _over(layer(sprite, tile_size), cells[row, column])
    if scene.seen is not None:
        dark = ~np.asarray(scene.seen, np.bool_)
        cells[dark] += DIMMED * (np.array(SLATE, np.float32) - cells[dark])
    pixels = cells.transpose(0, 2, 1, 3, 4).reshape(rows * tile_size, columns * tile_size, 3)
    return np.rint(pixels).astype(np.uint8)


def _over(top: np.ndarray, below: np.ndarray) -> np.ndarray:
    return top[..., :3] + below * (1 - top[..., 3:])


def symbols_scene(
    symbols: np.ndarray, counts: np.ndarray, palette: Sequence[Sprite], *, egocentric: bool = False
) -> Scene:
    """Show a grid of codes by a palette.

    Args:
        symbols: [h, w] or [h, w, C] integers.
        counts: how many values each has, of the same shape.
        palette: the sprites by mixed-radix number, see ``symbol_weights``.
        egocentric: MiniGrid's view: the first axis counts columns, and the agent stands in the middle of
            the lower edge and looks up.
    """
    shape = symbols.shape[:2]
    index = symbols.reshape(*shape, -1).astype(np.int64) @ symbol_weights(counts)
    if not egocentric:
        return Scene([[palette[i] for i in row] for row in index])
    agent = {(index.shape[1] - 1, index.shape[0] // 2): Sprite("agent", turn=NORTH)}
    return Scene([[palette[i] for i in row] for row in index.T], (agent,))


def symbol_weights(counts: np.ndarray) -> np.ndarray:
    """Return what each of a cell's C codes counts for in its number, [C] int64: the last counts for 1.

    Args:
        counts: [h, w] or [h, w, C]: how many values each code has, alike in all cells.
    """
    sizes = counts.reshape(*counts.shape[:2], -1)[0, 0].astype(np.int64)  # [C]
    return np.append(np.cumprod(sizes[:0:-1])[::-1], 1).astype(np.int64)


def observation_scene(
    observation: np.ndarray,
    space: Space,
    palette: Sequence[Sprite] = (),
    *,
    egocentric: bool = False,
    names: Sequence[str] = (),
) -> Scene:
    """Show any observation: a grid of codes by its palette, else a cell for each entry.

    A whole number is written down; any other stands as a bar, blue upwards and red for those below zero,
    full at its bound or at 1.

    Args:
        observation: of one environment.
        space: its space.
        palette: the sprites of its codes, where it is a grid of codes that has them.
        egocentric: such a grid is MiniGrid's view, see ``symbols_scene``.
        names: of the entries of a vector: the caption then says which are not zero.
    """
    values = np.asarray(observation)
    if palette and isinstance(space, MultiDiscrete):
        return symbols_scene(values, space.nvec, palette, egocentric=egocentric)
    flat = values.reshape(-1)
    if isinstance(space, Box):
        bounds = np.maximum(np.abs(space.low), np.abs(space.high)).reshape(-1)
        bounds = np.where(np.isfinite(bounds) & (bounds < 1e6) & (bounds > 0), bounds, 1.0)
        cells = [_bar(float(value / bound)) for value, bound in zip(flat, bounds, strict=True)]
    else:
        cells = [_number(int(value)) for value in flat]
    # An array keeps its rows; a vector is folded.
    columns = values.shape[-1] if values.ndim == 2 else min(MAX_COLUMNS, len(cells))
    places = [divmod(i, columns) for i in range(len(cells))]
    rows = places[-1][0] + 1
    ground = [
        [SHOWN if row * columns + column < len(cells) else HIDDEN for column in range(columns)]
        for row in range(rows)
    ]
    shown = {place: cell for place, cell in zip(places, cells, strict=True) if cell}
    return Scene(ground, (shown,), caption=_named(flat, names) if names else "")


def _named(values: np.ndarray, names: Sequence[str]) -> str:
    """Say which entries of a vector are not zero, and what they are where that is not 1."""
    parts = [
        name if value == 1 else f"{name} {value:.3g}"
        for name, value in zip(names, values, strict=True)
        if value
    ]
    return ", ".join(parts)


def _number(value: int) -> Sprite | None:
    """Return a number of one or two characters; a larger one as a bar."""
    return Sprite("mark", "blue", mark=str(value)) if -10 < value < 100 else _bar(value)


def _bar(share: float) -> Sprite | None:
    """Return a bar as full as a share of 1 says, or nothing for zero."""
    if not share:
        return None
    tenths = min(10, max(1, round(abs(share) * 10)))
    return Sprite("bar", "blue" if share > 0 else "red", mark=str(tenths))


def grid(rows: int, columns: int, sprite: Sprite = SHOWN) -> list[list[Sprite]]:
    """Return a ground of one sprite, to be changed cell by cell."""
    return [[sprite] * columns for _ in range(rows)]


def window(position: int, length: int, width: int) -> range:
    """Return which of ``length`` cells to show: ``width`` of them around a position, or all."""
    start = min(max(position - width // 2, 0), max(length - width, 0))
    return range(start, min(start + width, length))
