"""What a cell of a task may show, drawn in one style: light floor, dark walls, one outline round every thing.

Nothing here is in a step's way: tiles are drawn once and kept.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from envs.canvas import Canvas, Colour, arc
from envs.glyphs import draw_mark

COLOURS: dict[str, Colour] = {
    "red": (200, 50, 40),
    "green": (20, 170, 125),
    "blue": (25, 95, 190),
    "purple": (205, 130, 205),
    "yellow": (245, 205, 50),
    "grey": (95, 98, 112),
}
"""MiniGrid's colours by name, chosen to differ for those who see no red or no green too."""

FLOOR, LINE, OUTSIDE = (247, 245, 239), (226, 222, 212), (214, 213, 209)
DARK, SLATE, PALE = (33, 36, 46), (66, 71, 84), (255, 255, 255)

EAST, SOUTH, WEST, NORTH = range(4)
"""Quarter turns clockwise, as MiniGrid counts directions."""


class Sprite(NamedTuple):
    """One picture of one cell."""

    shape: str
    """A name in SHAPES."""
    colour: str = "grey"
    """A name in COLOURS; shapes of one look alone ignore it."""
    turn: int = 0
    """Quarter turns clockwise: an agent or an arrow looks east, south, west, north."""
    mark: str = ""
    """What a card or a mark shows: one or two of 0-9 A J Q K ? -, or a suit (spade, heart, club, diamond).
    How full a bar is: 0-10."""


@lru_cache(maxsize=4096)
def layer(sprite: Sprite, size: int) -> np.ndarray:
    """Draw a sprite alone: what lies under it shows where it covers nothing.

    Returns:
        [size, size, 4] float32, read-only: red, green and blue times alpha, then alpha in 0 … 1.
    """
    canvas = Canvas(size)
    SHAPES[sprite.shape](canvas, COLOURS[sprite.colour], sprite.mark)
    pixels = np.rot90(canvas.pixels(), -sprite.turn).copy()
    pixels.flags.writeable = False
    return pixels


@lru_cache(maxsize=4096)
def tile(sprite: Sprite, size: int) -> np.ndarray:
    """Draw a sprite on the empty floor, [size, size, 3] uint8, read-only."""
    over = layer(sprite, size)
    floor = layer(Sprite("empty"), size)
    pixels = np.rint(over[..., :3] + floor[..., :3] * (1 - over[..., 3:])).astype(np.uint8)
    pixels.flags.writeable = False
    return pixels


def atlas(sprites: Sequence[Sprite], size: int) -> np.ndarray:
    """Draw many sprites on the empty floor, [n, size, size, 3] uint8."""
    return np.stack([tile(sprite, size) for sprite in sprites])


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """Return a colour with a share of another in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def _empty(c: Canvas, ink: Colour, mark: str) -> None:
    c.fill(FLOOR)
    _grid_lines(c, LINE)


def _grid_lines(c: Canvas, colour: Colour) -> None:
    c.rect(0, 0, 1, 0.035, colour)
    c.rect(0, 0, 0.035, 1, colour)


def _outside(c: Canvas, ink: Colour, mark: str) -> None:
    c.fill(OUTSIDE)


def _unseen(c: Canvas, ink: Colour, mark: str) -> None:
    c.fill(mixed(SLATE, DARK, 0.7))
    for start in (-0.5, 0.0, 0.5, 1.0):
        c.stroke([(start - 0.1, 1.1), (start + 1.1, -0.1)], 0.06, SLATE)


def _floor(c: Canvas, ink: Colour, mark: str) -> None:
    c.fill(mixed(ink, FLOOR, 0.5))
    _grid_lines(c, mixed(ink, FLOOR, 0.3))


def _wall(c: Canvas, ink: Colour, mark: str) -> None:
    """Draw bricks; a coloured wall keeps a dark frame, so that it never looks like a floor or a pad."""
    plain = ink == COLOURS["grey"]
    face, mortar = (mixed(SLATE, PALE, 0.12), SLATE) if plain else (ink, mixed(ink, DARK, 0.55))
    c.fill(face)
    for y in (0.33, 0.66):
        c.rect(0, y - 0.025, 1, y + 0.025, mortar)
    for x, top in ((0.5, 0.0), (0.25, 0.33), (0.75, 0.33), (0.5, 0.66)):
        c.rect(x - 0.025, top, x + 0.025, top + 0.34, mortar)
    edge, width = (mortar, 0.03) if plain else (DARK, 0.09)
    c.rect(0, 0, 1, width, edge)
    c.rect(0, 1 - width, 1, 1, edge)
    c.rect(0, 0, width, 1, edge)
    c.rect(1 - width, 0, 1, 1, edge)


def _door_closed(c: Canvas, ink: Colour, mark: str) -> None:
    c.fill(DARK)
    c.rect(0.1, 0.07, 0.9, 1, ink)
    for left, right in ((0.2, 0.46), (0.54, 0.8)):
        c.rect(left, 0.17, right, 0.9, mixed(ink, DARK, 0.25), 0.03)
    c.disc(0.74, 0.55, 0.075, PALE)


def _door_locked(c: Canvas, ink: Colour, mark: str) -> None:
    c.fill(DARK)
    c.rect(0.1, 0.07, 0.9, 1, ink)
    c.rect(0.28, 0.26, 0.72, 0.84, PALE, 0.08)
    c.disc(0.5, 0.46, 0.1, DARK)
    c.polygon([(0.5, 0.4), (0.6, 0.74), (0.4, 0.74)], DARK)


def _door_open(c: Canvas, ink: Colour, mark: str) -> None:
    c.fill(FLOOR)
    c.rect(0, 0, 0.1, 1, DARK)
    c.rect(0.9, 0, 1, 1, DARK)
    c.rect(0, 0, 1, 0.07, DARK)
    c.polygon([(0.1, 0.07), (0.34, 0.22), (0.34, 1), (0.1, 1)], ink)
    c.disc(0.27, 0.6, 0.045, PALE)


def _key(c: Canvas, ink: Colour, mark: str) -> None:
    for wide, colour in ((0.09, DARK), (0.0, ink)):  # once as the outline, once as the thing
        c.disc(0.34, 0.34, 0.2 + wide / 2, colour)
        for line in ([(0.42, 0.42), (0.82, 0.82)], [(0.62, 0.62), (0.74, 0.5)], [(0.8, 0.8), (0.9, 0.7)]):
            c.stroke(line, 0.11 + wide, colour)
    c.disc(0.34, 0.34, 0.09 + 0.045, DARK)
    c.disc(0.34, 0.34, 0.09, FLOOR)


def _ball(c: Canvas, ink: Colour, mark: str) -> None:
    c.disc(0.5, 0.5, 0.35, DARK)
    c.disc(0.5, 0.5, 0.3, ink)
    c.disc(0.4, 0.39, 0.08, mixed(ink, PALE, 0.65))


def _box(c: Canvas, ink: Colour, mark: str) -> None:
    c.rect(0.13, 0.2, 0.87, 0.86, DARK, 0.05)
    c.rect(0.18, 0.25, 0.82, 0.42, ink)
    c.rect(0.18, 0.47, 0.82, 0.81, ink)
    c.rect(0.44, 0.25, 0.56, 0.81, PALE)


def _goal(c: Canvas, ink: Colour, mark: str) -> None:
    c.fill(mixed(COLOURS["green"], PALE, 0.55))
    _grid_lines(c, COLOURS["green"])
    c.stroke([(0.32, 0.14), (0.32, 0.88)], 0.08, DARK)
    c.polygon([(0.36, 0.14), (0.86, 0.32), (0.36, 0.52)], mixed(COLOURS["green"], DARK, 0.25))


def _lava(c: Canvas, ink: Colour, mark: str) -> None:
    c.fill((226, 78, 20))
    for y in (0.25, 0.55, 0.85):
        wave = [(x / 16, y + 0.07 * float(np.sin(x / 16 * 4 * np.pi))) for x in range(-2, 19)]
        c.stroke(wave, 0.1, (255, 214, 90))


def _agent(c: Canvas, ink: Colour, mark: str) -> None:
    """Draw an arrowhead: it tells where it looks even at a few pixels."""
    points = [(0.9, 0.5), (0.16, 0.13), (0.34, 0.5), (0.16, 0.87)]
    c.polygon(points, DARK)
    c.stroke([*points, points[0]], 0.13, PALE)
    c.polygon(points, DARK)


def _walker(c: Canvas, ink: Colour, mark: str) -> None:
    """Draw a person: an agent that looks everywhere alike."""
    body = [(0.26, 0.92), *arc(0.5, 0.76, 0.24, 0.26, 0.5, 1.0), (0.74, 0.92)]
    for grow, colour in ((0.1, PALE), (0.0, DARK)):
        c.polygon(body, colour)
        c.stroke([*body, body[0]], 0.02 + grow, colour)
        c.disc(0.5, 0.28, 0.17 + grow / 2, colour)


def _apple(c: Canvas, ink: Colour, mark: str) -> None:
    for grow, colour in ((0.045, DARK), (0.0, COLOURS["red"])):
        for x in (0.4, 0.6):
            c.disc(x, 0.58, 0.23 + grow, colour)
    c.stroke([(0.5, 0.42), (0.54, 0.2)], 0.07, DARK)
    c.stroke([(0.6, 0.24), (0.74, 0.16)], 0.13, mixed(COLOURS["green"], DARK, 0.3))


def _pad(c: Canvas, ink: Colour, mark: str) -> None:
    c.rect(0.08, 0.08, 0.92, 0.92, DARK, 0.14)
    c.rect(0.12, 0.12, 0.88, 0.88, ink, 0.1)
    c.rect(0.26, 0.26, 0.74, 0.74, mixed(ink, PALE, 0.7), 0.06)
    c.rect(0.33, 0.33, 0.67, 0.67, ink, 0.04)


def _card(c: Canvas, ink: Colour, mark: str) -> None:
    c.rect(0.13, 0.04, 0.87, 0.96, DARK, 0.1)
    c.rect(0.17, 0.08, 0.83, 0.92, PALE, 0.07)
    if mark:
        draw_mark(c, mark, 0.5, DARK if ink == COLOURS["grey"] else ink)


def _card_back(c: Canvas, ink: Colour, mark: str) -> None:
    c.rect(0.13, 0.04, 0.87, 0.96, DARK, 0.1)
    c.rect(0.17, 0.08, 0.83, 0.92, mixed(SLATE, PALE, 0.12), 0.07)
    for x, y in ((0.36, 0.3), (0.64, 0.3), (0.5, 0.5), (0.36, 0.7), (0.64, 0.7)):
        c.polygon([(x, y - 0.13), (x + 0.1, y), (x, y + 0.13), (x - 0.1, y)], OUTSIDE)


def _mark(c: Canvas, ink: Colour, mark: str) -> None:
    draw_mark(c, mark, 0.56, ink)


def _arrow(c: Canvas, ink: Colour, mark: str) -> None:
    for grow, colour in ((0.09, DARK), (0.0, ink)):
        head = [(0.88, 0.5), (0.52, 0.18), (0.52, 0.82)]
        c.polygon(head, colour)
        c.stroke([*head, head[0]], 0.02 + grow, colour)
        c.stroke([(0.16, 0.5), (0.56, 0.5)], 0.24 + grow, colour)


def _bar(c: Canvas, ink: Colour, mark: str) -> None:
    c.rect(0.2, 0.1, 0.8, 0.9, mixed(LINE, FLOOR, 0.4), 0.05)
    c.rect(0.2, 0.9 - 0.08 * int(mark), 0.8, 0.9, ink, 0.02)


def _none(c: Canvas, ink: Colour, mark: str) -> None:
    pass


SHAPES: dict[str, Callable[[Canvas, Colour, str], None]] = {
    "empty": _empty,
    "outside": _outside,
    "unseen": _unseen,
    "floor": _floor,
    "wall": _wall,
    "door-open": _door_open,
    "door-closed": _door_closed,
    "door-locked": _door_locked,
    "key": _key,
    "ball": _ball,
    "box": _box,
    "goal": _goal,
    "lava": _lava,
    "agent": _agent,
    "walker": _walker,
    "apple": _apple,
    "pad": _pad,
    "card": _card,
    "card-back": _card_back,
    "mark": _mark,
    "arrow": _arrow,
    "bar": _bar,
    "none": _none,
}
"""By name: what draws it. The agent has a direction; the walker is an agent without one."""
