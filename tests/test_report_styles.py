"""The looks of groups: one for each core in every report, no two alike in one, told apart by every eye."""

import itertools

import numpy as np
import pytest

from agents.probing import summary
from agents.probing.fitting import Point
from agents.probing.records import KEY, Record
from agents.probing.tasks import Choice, make_task
from agents.reporting import styles
from agents.reporting.page import named
from agents.reporting.styles import COLOURS, CONTROLS, GREYS, core_of, styles_of
from cores import CORES

MAIN = ("lstm", "chrono", "ur-lstm", "on-lstm", "gru", "ur-gru")
CONES = {
    "all": np.eye(3),
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""What an eye makes of linear sRGB (Machado et al. 2009)."""


def linear(colour):
    """[3]: linear sRGB of a colour in hexadecimal digits."""
    parts = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    """[3]: a colour in Ottosson's OKLab, where distances are those that one sees."""
    to_cones = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    to_lab = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return to_lab @ np.cbrt(to_cones @ np.clip(rgb, 0, 1))


def test_a_core_has_one_look_in_every_report():
    """Whoever it stands beside, whatever it came to; its options change nothing where it is alone.

    Mutations: colours by the order of the labels; by the number of groups; options taken for another core.
    """
    everywhere = styles_of(list(CORES))
    for core in CORES:
        assert styles_of([core]) == {core: everywhere[core]}
        assert styles_of(["x:Own", "lstm, cost 1", core])[core] == everywhere[core]
        for label in (f"{core},t_max=9", f"{core} (t_max=9)", f"{core}, cost 0"):
            assert core_of(label) == core
            assert styles_of(["x:Own", label])[label] == everywhere[core]
            assert styles_of([label, core])[core] == everywhere[core] != styles_of([label, core])[label]


@pytest.mark.parametrize("count", [3, 60, 300])
def test_no_two_groups_look_alike(count):
    """Not where there are more of them than colours and lines, and never like a core that is not there.

    The order, which is that of success, does not matter. Controls alone are grey.

    Mutations: looks taken round and round; controls without that; a look free only in this report.
    """
    own = [f"x:Own{k}" for k in range(count)]
    options = [f"{core} (a={k})" for k in range(count // 3) for core in ("chrono", "memoryless")]
    labels = [*own, *CORES, *options]
    found = styles_of(labels)
    assert list(found) == labels
    assert len({tuple(style.items()) for style in found.values()}) == len(labels)
    backwards = styles_of(labels[::-1])
    assert backwards == found
    assert all(style not in [styles_of([core])[core] for core in CORES] for style in styles_of(own).values())
    for label, style in found.items():
        rgb = linear(style["color"])
        assert (np.ptp(rgb) < 0.1) == (core_of(label) in CONTROLS)
        assert 'stroke-dasharray="' in named(label, found)
    assert found["memoryless"]["color"] == GREYS[0]


def test_few_groups_share_no_colour():
    """One core and its settings. Mutations: a next line before a next colour; colours off the palette."""
    labels = ["lstm", *(f"lstm, cost {k}" for k in range(7)), "gru"]
    found = styles_of(labels)
    assert len({style["color"] for style in found.values()}) == len(labels)
    assert {style["color"] for style in found.values()} <= set(COLOURS)


def test_a_new_core_gets_a_look(monkeypatch):
    """A core takes one line in `CORES`, and then has a look of its own everywhere.

    Mutation: those of the table alone known, so that its look depends on its neighbours.
    """
    monkeypatch.setitem(styles.CORES, "new", CORES["lstm"])
    monkeypatch.setitem(styles.CORES, "newer", CORES["lstm"])
    both = styles_of(["newer", "new", "a:Own"])
    assert both["newer"] == styles_of(["a:Own", "newer"])["newer"]
    assert len({tuple(style.items()) for style in both.values()}) == 3


def test_the_twelve_gates():
    """Colour by start, line by help. Mutation: two of them exchanged."""
    found = styles_of(list(CORES))
    starts, helps = ("", "c", "o", "u"), ("", "r", "m")
    names = {"": "lstm", "c": "chrono"}
    grid = [[found[names.get(s + h, f"{s}{h}-lstm")] for h in helps] for s in starts]
    assert [len({style["color"] for style in row}) for row in grid] == [1, 1, 1, 1]
    assert len({row[0]["color"] for row in grid}) == 4
    assert [{row[k]["linestyle"] for row in grid} for k in range(3)] == [{"--"}, {"-"}, {"-."}]


def test_the_main_colours_are_told_apart():
    """By an eye that lacks a kind of cones too, on a white page and on a dark one.

    Mutation: matplotlib's own colours.
    """
    colours = [style["color"] for style in styles_of(MAIN).values()]
    seen = {eye: [oklab(np.array(matrix) @ linear(c)) for c in colours] for eye, matrix in CONES.items()}
    for labs in seen.values():
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(labs, 2)) > 0.13
    bright = [float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in colours]
    assert 1.05 / (max(bright) + 0.05) > 2.4
    assert (min(bright) + 0.05) / (float(linear("#14161b") @ [0.2126, 0.7152, 0.0722]) + 0.05) > 2.4


def test_a_probe_looks_as_a_report_does(tmp_path, monkeypatch):
    """Mutation: matplotlib's colours by the order of success."""
    task = make_task(Choice("copy", 21))
    curve = [Point(0, 2.0, 0.1), Point(5, 1.0, 0.5)]
    names = ("um-lstm", "lstm", "chrono,t_max=9", "memoryless", "x:Own")
    values = {"task": "copy", "setting": task.setting, "seed": "1"}
    found = [Record(tuple({**values, "core": n}.get(key, "1") for key in KEY), curve, None) for n in names]
    drawn = {}
    monkeypatch.setattr(summary, "draw", lambda *words: drawn.update({words[-1]["label"]: words[-1]}))
    summary.plot(summary.grouped(found, [task]), [task], tmp_path / "x.png", "")
    assert drawn == {label: {"label": label, **style} for label, style in styles_of(names).items()}
