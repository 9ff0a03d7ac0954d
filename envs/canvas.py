"""A square to draw on: a few figures in one colour each, drawn large and then averaged down to a tile."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]

FINE_PIXELS = 128
"""Least width at which figures are drawn: small tiles are averages of many samples, not a few."""


class Canvas:
    """A square of side 1, x to the right and y down, transparent until something is drawn.

    Every figure covers what lies under it.
    """

    def __init__(self, size: int) -> None:
        """Make a canvas for a tile of ``size`` × ``size`` pixels."""
        self.size = size
        self._fine = max(4, -(-FINE_PIXELS // size))
        centres = (np.arange(size * self._fine, dtype=np.float32) + 0.5) / (size * self._fine)
        self._x, self._y = np.meshgrid(centres, centres)
        self._rgba = np.zeros((*self._x.shape, 4), np.float32)

    def pixels(self) -> np.ndarray:
        """Return the tile, [size, size, 4] float32: red, green, blue (0 … 255) times alpha, and alpha."""
        parts = self._rgba.reshape(self.size, self._fine, self.size, self._fine, 4)
        return parts.mean((1, 3))

    def fill(self, colour: Colour) -> None:
        """Cover everything."""
        self._paint(np.ones(self._x.shape, np.bool_), colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Draw a disc around (x, y)."""
        self._paint((self._x - x) ** 2 + (self._y - y) ** 2 <= radius**2, colour)

    def rect(
        self, left: float, top: float, right: float, bottom: float, colour: Colour, round_: float = 0.0
    ) -> None:
        """Draw a rectangle, its corners rounded with a radius."""
        inside_x = np.maximum(np.maximum(left + round_ - self._x, self._x - right + round_), 0)
        inside_y = np.maximum(np.maximum(top + round_ - self._y, self._y - bottom + round_), 0)
        self._paint(inside_x**2 + inside_y**2 <= round_**2, colour)

    def polygon(self, points: Points, colour: Colour) -> None:
        """Draw a polygon, whose last point is joined to its first."""
        inside = np.zeros(self._x.shape, np.bool_)
        for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
            if y0 != y1:  # a ray to the right crosses this edge once
                crosses = (y0 > self._y) != (y1 > self._y)
                inside ^= crosses & (self._x < x0 + (self._y - y0) / (y1 - y0) * (x1 - x0))
        self._paint(inside, colour)

    def stroke(self, points: Points, width: float, colour: Colour) -> None:
        """Draw a line through points, with round ends."""
        inside = np.zeros(self._x.shape, np.bool_)
        for (x0, y0), (x1, y1) in pairwise(points):
            length2 = max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-12)
            along = ((self._x - x0) * (x1 - x0) + (self._y - y0) * (y1 - y0)) / length2
            along = np.clip(along, 0, 1)
            away2 = (self._x - x0 - along * (x1 - x0)) ** 2 + (self._y - y0 - along * (y1 - y0)) ** 2
            inside |= away2 <= (width / 2) ** 2
        self._paint(inside, colour)

    def _paint(self, where: np.ndarray, colour: Colour) -> None:
        self._rgba[where] = (*colour, 1.0)


def arc(
    x: float, y: float, radius_x: float, radius_y: float, start: float, stop: float
) -> list[tuple[float, float]]:
    """Return points along an ellipse around (x, y), from one angle to another: turns, clockwise from east."""
    turns = np.linspace(start, stop, 17) * 2 * np.pi
    return [(x + radius_x * float(np.cos(t)), y + radius_y * float(np.sin(t))) for t in turns]
