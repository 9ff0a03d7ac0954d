"""Curves and bars of one frame, drawn by Pillow at twice the size and then reduced: smooth, and fast."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Band = Sequence[tuple[float, float]]

PAPER, PANEL, INK, FAINT = (255, 255, 255), (236, 235, 230), (33, 36, 46), (104, 108, 120)
BLUE, ORANGE, GREEN, RED = (25, 95, 190), (208, 110, 20), (16, 140, 103), (200, 50, 40)
LINE = (212, 210, 204)
FINE = 2
"""How much larger curves are drawn than they are shown."""


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font that Pillow brings along: the same on every machine."""
    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found


def pale(colour: Colour) -> Colour:
    """A colour for areas: four parts of the panel's and one of its own."""
    red, green, blue = ((4 * panel + own) // 5 for panel, own in zip(PANEL, colour, strict=True))
    return red, green, blue


def shorten(text: str, size: int, width: int) -> str:
    """A text cut to a width in pixels."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


@dataclass(frozen=True)
class Curve:
    """One line of a chart, with a band around it where there is one."""

    name: str
    colour: Colour
    values: Sequence[float]
    """One per decision."""
    band: Band = ()
    """Low and high per decision."""


class Chart:
    """Curves over an episode's decisions, drawn up to the present one."""

    def __init__(
        self,
        size: tuple[int, int],
        curves: Sequence[Curve],
        limits: tuple[float, float],
        rewards: Sequence[float] = (),
    ):
        """Lays the chart out.

        Args:
            size: width and height in pixels.
            curves: at least one; all of one length.
            limits: least and greatest value on the y axis.
            rewards: what each decision paid: a tick where it is not zero.
        """
        self._rewards = rewards
        self._size, self._curves = size, curves
        self._low, self._high = limits
        self._last = max(len(curves[0].values) - 1, 1)
        self._left, self._top, self._bottom = 40, 22, size[1] - 18
        self._right = size[0] - 10

    def draw(self, now: int) -> Image.Image:
        """The chart up to a decision."""
        image = Image.new("RGB", (self._size[0] * FINE, self._size[1] * FINE), PANEL)
        pen = ImageDraw.Draw(image)
        for level in self._levels():
            y = self._y(level)
            pen.line([(self._left * FINE, y), (self._right * FINE, y)], LINE, FINE)
        for t, reward in enumerate(self._rewards[:now]):
            if reward:
                foot = (self._x(t + 1), self._bottom * FINE)
                pen.line([foot, (foot[0], foot[1] - 9 * FINE)], GREEN if reward > 0 else RED, 2 * FINE)
        for curve in self._curves:
            if curve.band and now:
                low = [(self._x(t), self._y(curve.band[t][0])) for t in range(now + 1)]
                high = [(self._x(t), self._y(curve.band[t][1])) for t in range(now + 1)]
                pen.polygon(low + high[::-1], pale(curve.colour))
        for curve in self._curves:
            points = [(self._x(t), self._y(curve.values[t])) for t in range(now + 1)]
            if now:
                pen.line(points, curve.colour, 2 * FINE, joint="curve")
            x, y = points[-1]
            pen.ellipse((x - 3 * FINE, y - 3 * FINE, x + 3 * FINE, y + 3 * FINE), curve.colour)
        image = image.reduce(FINE)
        self._write(ImageDraw.Draw(image), now)
        return image

    def _write(self, pen: ImageDraw.ImageDraw, now: int) -> None:
        x = self._left
        for curve in self._curves:
            text = f"{curve.name} {curve.values[now]:.2f}"
            pen.text((x, 3), text, curve.colour, font(13))
            x += int(font(13).getlength(text)) + 16
        for level in self._levels():
            y = self._y(level) / FINE
            pen.text((self._left - 5, y), f"{level:.2g}", FAINT, font(10), anchor="rm")
        pen.text((self._left, self._bottom + 3), "start", FAINT, font(11))
        pen.text((self._right, self._bottom + 3), "end", FAINT, font(11), anchor="ra")

    def _levels(self) -> list[float]:
        middle = 0.0 if self._low < 0 < self._high else (self._low + self._high) / 2
        return [self._low, middle, self._high]

    def _x(self, t: int) -> float:
        return FINE * (self._left + (self._right - self._left) * t / self._last)

    def _y(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return FINE * (self._bottom - (self._bottom - self._top) * min(max(share, 0.0), 1.0))


def limits_of(values: Sequence[float]) -> tuple[float, float]:
    """The y axis of values that have no natural one: from or to zero, to a round number beyond them."""
    low, high = 0.0 - round_up(-min(values)), round_up(max(values))
    return low, high if high > low else 1.0


def round_up(value: float) -> float:
    """The next round number; 0 for what is below zero or next to nothing."""
    if value < 1e-6:
        return 0.0
    power = 10.0 ** np.floor(np.log10(value))
    steps = (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10)
    return float(next(step for step in steps if step * power >= value * (1 - 1e-9)) * power)


MAX_BARS = 10


def draw_bars(
    size: tuple[int, int], names: Sequence[str], shares: np.ndarray, chosen: int | None
) -> Image.Image:
    """Probabilities as bars, the action that is taken in another colour.

    Args:
        size: width and height in pixels.
        names: one per bar; of many only the likeliest are shown.
        shares: [A] in 0 … 1.
        chosen: which one is taken, None for none.
    """
    image = Image.new("RGB", size, PANEL)
    pen = ImageDraw.Draw(image)
    shown = np.sort(np.argsort(-shares, kind="stable")[:MAX_BARS])
    height = min(26, (size[1] - 28) // len(shown))
    text_size = min(13, height - 2)
    name_width = min(110, 8 + max(int(font(text_size).getlength(names[i])) for i in shown))
    left, right = 10 + name_width, size[0] - 46
    pen.text((10, 4), "policy", FAINT, font(13))
    for place, i in enumerate(shown):
        y = 26 + place * height
        colour = ORANGE if i == chosen else BLUE
        middle = y + height / 2 - 1
        label = shorten(names[i], text_size, name_width - 6)
        pen.text((10, middle), label, ORANGE if i == chosen else INK, font(text_size), anchor="lm")
        pen.rectangle((left, y + 3, right, y + height - 4), LINE)
        if shares[i] > 0.002:
            pen.rectangle((left, y + 3, left + (right - left) * float(shares[i]), y + height - 4), colour)
        pen.text((right + 6, middle), f"{shares[i]:.2f}", INK, font(text_size), anchor="lm")
    return image
