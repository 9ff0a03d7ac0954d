"""One picture of many tasks: each one's scene beside what its agent sees."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from agents.recording.charts import FAINT, INK, PAPER, font, shorten
from agents.recording.frames import place
from envs.scene import Scene

COLUMNS = 2
WIDTH, HEIGHT = 640, 236
SCENE, VIEW = (0, 46, 440, 184), (448, 46, 164, 184)
"""Left, top, width and height within a task's part."""
MARGIN = 14


class Exhibit(NamedTuple):
    """What is shown of a task."""

    name: str
    scene: Scene
    view: Scene


def gallery(exhibits: Sequence[Exhibit]) -> np.ndarray:
    """Draws tasks in two columns, [H, W, 3] uint8."""
    rows = -(-len(exhibits) // COLUMNS)
    size = (COLUMNS * WIDTH + MARGIN, rows * HEIGHT + MARGIN)
    image = Image.new("RGB", size, PAPER)
    for i, exhibit in enumerate(exhibits):
        row, column = divmod(i, COLUMNS)
        image.paste(_part(exhibit), (MARGIN + column * WIDTH, MARGIN + row * HEIGHT))
    return np.asarray(image)


def _part(exhibit: Exhibit) -> Image.Image:
    image = Image.new("RGB", (WIDTH - MARGIN, HEIGHT), PAPER)
    pen = ImageDraw.Draw(image)
    pen.text((0, 0), exhibit.name, INK, font(18))
    pen.text((0, 25), shorten(exhibit.scene.caption, 13, SCENE[2]), FAINT, font(13))
    pen.text((VIEW[0], 25), "what the agent sees", FAINT, font(13))
    place(image, exhibit.scene, SCENE)
    place(image, exhibit.view, VIEW)
    text = shorten(exhibit.view.caption, 13, VIEW[2] - 12)
    pen.text((VIEW[0] + VIEW[2] // 2, VIEW[1] + VIEW[3] - 14), text, INK, font(13), anchor="mm")
    return image
