"""The sheet of a report: its pictures and rows, and what is drawn of runs without a point."""

from unittest.mock import MagicMock

import numpy as np
import pytest
from planted_runs import plant, plant_all

from agents.reporting.contents import rows_of
from agents.reporting.groups import notes, sort_runs
from agents.reporting.horizon import find_horizons
from agents.reporting.pictures import write_png
from agents.reporting.runs import read_runs
from scripts import report


def tasks_of(*folders):
    return sort_runs(read_runs(folders))


@pytest.mark.parametrize(("count", "num_rows"), [(6, 1 + 6 + 1), (7, 1 + 1)])
def test_of_many_delays_the_sheet_shows_the_horizon_alone(count, num_rows, tmp_path):
    """In a row of its own, and the curves of all other tasks by twos.

    Mutations: six delays taken for many; all curves left out; an empty place beside the horizon.
    """
    for length in range(1, count + 1):
        plant_all(tmp_path / str(length), {"lstm": [0.5]}, env_opt=(f"length={length}",))
    plant_all(tmp_path / "other", {"lstm": [1.0]}, env="memory-size")
    rows = [[title for title, _ in row] for row in rows_of(tasks_of(tmp_path), {})]
    assert len(rows) == num_rows
    assert rows[0] == ["tmaze: memory horizon"]
    assert rows.count(["memory-size"] * 2) == 1
    assert all(len(row) == 2 for row in rows[1:])


def test_runs_that_have_told_nothing(tmp_path, capsys):
    """They are named, and nothing is drawn or tabled of them: no axes around nothing, no rows of no delay.

    Mutations: axes drawn for them; the horizon of no finished run; a note that they are in the curves; a
    sheet of no rows, which can't be made.
    """
    for length in (5, 9):
        plant(tmp_path / "runs" / str(length), None, env_opt=(f"length={length}",), points=[])
    tasks = tasks_of(tmp_path / "runs")
    names = f"{tmp_path / 'runs' / '5'}; {tmp_path / 'runs' / '9'}"
    assert notes(tasks)[0] == f"2 runs have neither a point nor an evaluation yet: {names}"
    assert "not finished" not in "".join(notes(tasks))
    assert find_horizons(tasks) == []
    ((title, draw),) = rows_of(tasks, {})[0]
    axes = MagicMock()
    draw(axes)
    assert (title, axes.set_axis_off.called, axes.plot.called) == ("", True, False)
    assert report.main([str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    page, told = ((tmp_path / f"out{ending}").read_text() for ending in (".html", ".md"))
    assert "<figure>" not in page
    assert '<ul class="legend">' not in page
    assert "<table>" not in page
    assert "| core |" not in told
    plant(tmp_path / "runs" / "more", None, env_opt=("length=9",))
    rows = [[title for title, _ in row] for row in rows_of(tasks_of(tmp_path / "runs"), {})]
    assert rows == [["tmaze length=9"] * 2]


def draw_line(axes):
    axes.plot([0, 1], [0, 1])


@pytest.fixture
def edges(monkeypatch):
    """Left and right edge of each picture of the sheet that is written, as shares of its width."""
    edges = []

    def measured(figure, *words, **options):
        figure.draw_without_rendering()
        corners = [axes.get_position() for axes in figure.axes]
        edges.extend((corner.x0, corner.x1) for corner in corners)

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", measured)
    return edges


@pytest.mark.parametrize("counts", [(1, 2, 2), (1,), (1, 1), (2, 1)])
def test_no_half_of_the_sheet_is_empty(counts, tmp_path, edges):
    """A picture that is alone in its row takes all of its width. Mutation: half of it, as beside another."""
    rows = [[("title", draw_line)] * count for count in counts]
    write_png(rows, {"lstm": {"color": "red", "linestyle": "-"}}, tmp_path / "x.png")
    assert len(edges) == sum(counts)
    left, right = min(left for left, _ in edges), max(right for _, right in edges)
    for start, count in zip(np.cumsum((0, *counts)), counts, strict=False):
        assert edges[start][0] == pytest.approx(left, abs=0.02)
        assert edges[start + count - 1][1] == pytest.approx(right, abs=0.02)
    assert right > 0.75 or max(counts) == 1


def test_long_names_leave_the_pictures_room(tmp_path, edges):
    """Of a group told by many options. Mutation: its name in one line of the legend, however long."""
    label = "lstm" + ", exploration-cost 5e-05" * 8
    write_png([[("title", draw_line)] * 2], {label: {"color": "red", "linestyle": "-"}}, tmp_path / "x.png")
    assert edges[1][1] > 0.7
