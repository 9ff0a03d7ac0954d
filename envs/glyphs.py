"""Characters as a few strokes: what cards, bits and questions need, without a font."""

from envs.canvas import Canvas, Colour, Points, arc

HALF = 0.5
GLYPHS: dict[str, tuple[Points, ...]] = {
    "0": (arc(0.5, 0.5, 0.42, 0.5, 0, 1),),
    "1": ([(0.2, 0.22), (0.55, 0), (0.55, 1)], [(0.22, 1), (0.88, 1)]),
    "2": ([*arc(0.5, 0.28, 0.4, 0.28, 0.5, 1.08), (0.06, 1), (0.94, 1)],),
    "3": (arc(0.46, 0.25, 0.38, 0.25, 0.55, 1.25), arc(0.46, 0.74, 0.44, 0.26, -0.25, 0.45)),
    "4": ([(0.68, 1), (0.68, 0), (0.06, 0.7), (0.96, 0.7)],),
    "5": ([(0.86, 0), (0.2, 0), (0.14, 0.44), *arc(0.46, 0.68, 0.44, 0.32, 0.66, 1.42)],),
    "6": ([(0.74, 0), (0.2, 0.48)], arc(0.5, 0.68, 0.41, 0.32, 0, 1)),
    "7": ([(0.06, 0), (0.92, 0), (0.36, 1)],),
    "8": (arc(0.5, 0.25, 0.35, 0.25, 0, 1), arc(0.5, 0.74, 0.42, 0.26, 0, 1)),
    "9": (arc(0.5, 0.32, 0.41, 0.32, 0, 1), [(0.8, 0.52), (0.26, 1)]),
    "A": ([(0.04, 1), (0.5, 0), (0.96, 1)], [(0.22, 0.64), (0.78, 0.64)]),
    "J": ([(0.76, 0), (0.76, 0.7), *arc(0.44, 0.7, 0.32, 0.3, 0, 0.5)],),
    "Q": (arc(0.5, 0.48, 0.42, 0.48, 0, 1), [(0.6, 0.7), (0.94, 1.04)]),
    "K": ([(0.14, 0), (0.14, 1)], [(0.9, 0), (0.16, 0.56)], [(0.38, 0.42), (0.92, 1)]),
    "?": ([*arc(0.5, 0.28, 0.38, 0.28, 0.5, 1.2), (0.5, 0.68)], [(0.5, 0.96), (0.5, 1.0)]),
    "-": ([(0.1, 0.5), (0.9, 0.5)],),
}
"""By character: its strokes, in a box from (0, 0) top left to (1, 1)."""

SUITS = ("spade", "heart", "club", "diamond")


def draw_mark(canvas: Canvas, mark: str, height: float, colour: Colour) -> None:
    """Draw a suit, or one or two characters, in the middle of a canvas.

    Raises:
        KeyError: a character that there is no glyph for.
    """
    if mark in SUITS:
        _suit(canvas, mark, height, colour)
        return
    width = height * (0.62 if len(mark) < 2 else 0.46)
    gap = 0.28 * width
    left = HALF - (len(mark) * width + (len(mark) - 1) * gap) / 2
    for i, character in enumerate(mark):
        for line in GLYPHS[character]:
            points = [(left + i * (width + gap) + x * width, HALF + (y - HALF) * height) for x, y in line]
            canvas.stroke(points, 0.2 * height, colour)


def _suit(canvas: Canvas, suit: str, height: float, colour: Colour) -> None:
    """Draw a suit of cards, one figure for each of ``SUITS``."""

    def at(x: float, y: float) -> tuple[float, float]:
        return HALF + x * height, HALF + y * height

    if suit == "diamond":
        canvas.polygon([at(0, -0.55), at(0.42, 0), at(0, 0.55), at(-0.42, 0)], colour)
        return
    if suit == "heart":
        for x in (-0.235, 0.235):
            canvas.disc(*at(x, -0.19), 0.26 * height, colour)
        canvas.polygon([at(-0.455, -0.05), at(0, 0.52), at(0.455, -0.05), at(0, -0.2)], colour)
        return
    canvas.polygon([at(0, 0), at(0.2, 0.55), at(-0.2, 0.55)], colour)  # the stem of the other two
    if suit == "club":
        for x, y in ((0, -0.29), (-0.27, 0.1), (0.27, 0.1)):
            canvas.disc(*at(x, y), 0.23 * height, colour)
        return
    for x in (-0.225, 0.225):
        canvas.disc(*at(x, 0.13), 0.24 * height, colour)
    canvas.polygon([at(-0.43, 0.02), at(0, -0.55), at(0.43, 0.02), at(0, 0.2)], colour)
