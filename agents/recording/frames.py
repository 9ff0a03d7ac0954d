"""Frames of a film: the world, what the agent sees, its policy, its value and its gates, side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from agents.recording.charts import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PANEL,
    PAPER,
    RED,
    Chart,
    Curve,
    draw_bars,
    font,
    limits_of,
    shorten,
)
from agents.recording.playback import Episode, Moment, Picture
from envs.scene import Scene, draw

WIDTH, HEIGHT = 960, 576
"""Pixels of a frame; even, as video codecs want them."""
WORLD, VIEW, BARS = (16, 64, 600, 328), (632, 64, 312, 180), (632, 260, 312, 132)
CHARTS = (16, 408, 928, 120)
"""Left, top, width and height of each panel."""
MAX_TILE = 48
SMOOTH_WIDTH = 96
"""Images of at least this size are made larger smoothly; the pixels of smaller ones stay square."""
GAP = 16


@dataclass(frozen=True)
class Title:
    """What stands over every frame of an episode."""

    text: str
    """Task, core, episode."""
    action_names: tuple[str, ...]


def episode_frames(episode: Episode, title: Title) -> Iterator[np.ndarray]:
    """The frames of an episode, [HEIGHT, WIDTH, 3] uint8, one per moment."""
    charts = make_charts(episode)
    total = 0.0
    for t, moment in enumerate(episode.moments):
        total += moment.reward
        frame = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
        pen = ImageDraw.Draw(frame)
        pen.text((16, 10), title.text, INK, font(19))
        pen.text((16, 38), shorten(moment.caption, 14, WIDTH - 32), FAINT, font(14))
        place(frame, moment.world, WORLD)
        place(frame, moment.view, VIEW, "what the agent sees")
        decision = min(t, episode.num_actions - 1)  # at the end, still the last one
        chosen = episode.moments[decision].action
        bars = draw_bars(BARS[2:], title.action_names, moment.probabilities, chosen)
        frame.paste(bars, BARS[:2])
        left = CHARTS[0]
        for chart, width in charts:
            frame.paste(chart.draw(decision), (left, CHARTS[1]))
            left += width + GAP
        write_figures(pen, episode, t, moment, total, title.action_names)
        yield np.asarray(frame)


def make_charts(episode: Episode) -> list[tuple[Chart, int]]:
    """The charts under the pictures with their widths: the value, and the gates where a core has them."""
    moments = episode.moments[:-1]
    values = [moment.value for moment in moments]
    rewards = [moment.reward for moment in episode.moments[1:]]
    width = (CHARTS[2] - GAP) // 2 if moments[0].gates else CHARTS[2]
    charts = [(Chart((width, CHARTS[3]), [Curve("value", INK, values)], limits_of(values), rewards), width)]
    if moments[0].gates:
        curves = []
        for name, colour in (("forget", BLUE), ("input", ORANGE)):
            if name in moments[0].gates:
                spreads = [moment.gates[name] for moment in moments]
                band = [(low, high) for _, low, high in spreads] if name == "forget" else []
                curves.append(Curve(f"{name} gate", colour, [mean for mean, _, _ in spreads], band))
        charts.append((Chart((width, CHARTS[3]), curves, (0.0, 1.0)), width))
    return charts


def write_figures(
    pen: ImageDraw.ImageDraw,
    episode: Episode,
    t: int,
    moment: Moment,
    total: float,
    names: Sequence[str],
) -> None:
    """The line under the charts: where the episode stands, and at its end how it went."""
    y = HEIGHT - 22
    reward_colour = INK if not moment.reward else GREEN if moment.reward > 0 else RED
    taken = episode.moments[t - 1].action if t else None
    last = "-" if taken is None else names[taken]
    x = 16
    for text, colour in (
        (f"action {t} of {episode.num_actions}", INK),
        (f"last: {last}", INK),
        (f"reward {moment.reward:+.3g}" if moment.reward else "reward 0", reward_colour),
        (f"return {total:.3g}", INK),
    ):
        pen.text((x, y), text, colour, font(17), anchor="lm")
        x += 190
    if moment.action is not None:
        return
    verdict, colour = verdict_of(episode)
    box = (WIDTH - 16 - 176, y - 16, WIDTH - 16, y + 16)
    pen.rounded_rectangle(box, 8, colour)
    pen.text(((box[0] + box[2]) / 2, y), verdict, PAPER, font(19), anchor="mm")


def verdict_of(episode: Episode) -> tuple[str, tuple[int, int, int]]:
    """How an episode ended, in a word, and the colour of the word."""
    if not episode.ended:
        return "cut off", FAINT
    if np.isnan(episode.success):
        return "end", FAINT
    if 0 < episode.success < 1:
        return f"success {episode.success:.2f}", BLUE
    return ("success", GREEN) if episode.success else ("failure", RED)


def place(frame: Image.Image, picture: Picture, panel: tuple[int, int, int, int], title: str = "") -> None:
    """Puts a picture into the middle of a panel, as large as fits."""
    left, top, width, height = panel
    pen = ImageDraw.Draw(frame)
    pen.rectangle((left, top, left + width - 1, top + height - 1), PANEL)
    if title:
        pen.text((left + 10, top + 4), title, FAINT, font(13))
        top, height = top + 22, height - 22
    if isinstance(picture, Scene) and title and picture.caption:
        text = shorten(picture.caption, 13, width - 20)
        pen.text((left + width // 2, top + height - 11), text, INK, font(13), anchor="mm")
        height -= 22
    image = fitted(picture, width - 12, height - 10)
    frame.paste(image, (left + (width - image.width) // 2, top + (height - image.height) // 2))


def fitted(picture: Picture, width: int, height: int) -> Image.Image:
    """A picture as large as fits; scenes are drawn at that size, small images keep their pixels."""
    if isinstance(picture, Scene):
        rows, columns = picture.shape
        tile_size = max(1, min(MAX_TILE, width // columns, height // rows))
        image = Image.fromarray(draw(picture, tile_size))
        if image.width <= width and image.height <= height:
            return image
    else:
        image = Image.fromarray(np.ascontiguousarray(picture))
    scale = min(width / image.width, height / image.height)
    if scale < 1 or max(image.size) >= SMOOTH_WIDTH:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        return image.resize(size, Image.Resampling.LANCZOS)
    return image.resize((image.width * int(scale), image.height * int(scale)), Image.Resampling.NEAREST)
