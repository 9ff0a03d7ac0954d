"""How each group is drawn, in every report and every probe: colour and line by the name of its core.

Of the twelve LSTMs the colour tells how the forget gate starts, the line what helps it: a refine gate solid,
a master gate dashes and dots, nothing dashed. ur-lstm has the line of r-lstm, and the colour of u-lstm.
"""

import colorsys
import itertools
import re
from collections.abc import Collection, Iterator, Sequence

from cores import CORES

Look = tuple[str, str]
"""Colour and line."""
Style = dict[str, str]
"""The same as matplotlib takes it."""

BLUE, ORANGE, GREEN, MAGENTA, OLIVE, VIOLET = "#2561dd", "#f07f27", "#56b69b", "#b42486", "#736309", "#c78bfb"
"""Of the main cores: of six, those furthest apart in OKLab for the eye that confuses them most, be it without
red, green or blue cones, where each has a contrast of 2.4 at least to a white page and to a dark one."""
RED, SLATE, BROWN = "#e4405e", "#887abd", "#934951"
SPARE = ("#3486e7", "#9850b6", "#b46c8c")
"""Of what is no core of Longhold's, or one of them with options; all furthest from those above."""
COLOURS = (*SPARE, BLUE, ORANGE, GREEN, MAGENTA, OLIVE, VIOLET, RED, SLATE, BROWN)
GREY = "#8a8f99"
"""Of controls."""
GREYS = (GREY, "#6b707b", "#a9adb5")
LINES = ("-", "--", "-.", ":")
CONTROLS = {"memoryless": (GREY, "-"), "frame-stack": (GREY, "--")}
LOOKS: dict[str, Look] = {
    "lstm": (ORANGE, "--"),
    "chrono": (GREEN, "--"),
    "ur-lstm": (BLUE, "-"),
    "on-lstm": (MAGENTA, "-"),
    "gru": (OLIVE, "--"),
    "ur-gru": (VIOLET, "-"),
    "o-lstm": (RED, "--"),
    "u-lstm": (BLUE, "--"),
    "r-lstm": (ORANGE, "-"),
    "cr-lstm": (GREEN, "-"),
    "or-lstm": (RED, "-"),
    "m-lstm": (ORANGE, "-."),
    "cm-lstm": (GREEN, "-."),
    "om-lstm": (RED, "-."),
    "um-lstm": (BLUE, "-."),
    "mingru": (SLATE, "-"),
    "lru": (BROWN, "-"),
    **CONTROLS,
}


def core_of(label: str) -> str:
    """The core in a group's name: what stands before its options and settings."""
    return re.split("[ ,]", label, maxsplit=1)[0]


def styles_of(labels: Sequence[str]) -> dict[str, Style]:
    """How each group of a report is drawn, no two alike, in the order of the labels.

    A core has the same look in every report, with options too where it is the only group of its core. Every
    other group has one that is no core's, of a colour of its own while there are such; controls, and they
    alone, are grey.
    """
    known = looks_of_cores()
    cores = [core_of(label) for label in labels]
    looks = {}
    for label, core in zip(labels, cores, strict=True):
        if core in known and (label == core or cores.count(core) == 1):
            looks[label] = known[core]
    taken = set(known.values())
    for label in sorted(label for label in labels if label not in looks):  # not by what they came to
        seen = [colour for colour, _ in looks.values()]
        looks[label] = free_look(GREYS if core_of(label) in CONTROLS else COLOURS, taken, seen)
        taken.add(looks[label])
    return {label: {"color": looks[label][0], "linestyle": looks[label][1]} for label in labels}


def looks_of_cores() -> dict[str, Look]:
    """The look of each of `cores.CORES`; a core without one of its own takes a free one, in their order."""
    looks = dict(LOOKS)
    for core in CORES:
        if core not in looks:
            looks[core] = free_look(COLOURS, looks.values())
    return looks


def free_look(colours: Sequence[str], taken: Collection[Look], seen: Collection[str] = ()) -> Look:
    """The first look that nothing has, of a colour not yet seen if there is one.

    Args:
        colours: with a solid line first, then with each other; then come colours around the circle.
        taken: looks that something has.
        seen: colours that are better avoided.
    """
    free = [(colour, line) for line in LINES for colour in colours if (colour, line) not in taken]
    free.sort(key=lambda look: look[0] in seen)
    more = (look for look in looks_around(set(colours) <= set(GREYS)) if look not in taken)
    return next(itertools.chain(free, more))


def looks_around(grey: bool) -> Iterator[Look]:
    """Ever more colours around the circle, or greys, with every line."""
    for k in itertools.count():
        turn = k * 0.618 % 1
        rgb = (0.3 + 0.5 * turn,) * 3 if grey else colorsys.hls_to_rgb(turn, 0.5, 0.6)
        colour = "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
        yield from ((colour, line) for line in LINES)
