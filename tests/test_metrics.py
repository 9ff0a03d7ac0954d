"""What a run tells: its curves, its lines, and what it takes back when it goes on from a checkpoint."""

import io
import math
import os

import numpy as np
import pytest
import torch
from rich.console import Console

from agents import console
from agents.console import Display, clock, describe, say, short
from agents.metrics import Stopwatch, episode_metrics, mean_metrics
from agents.run_folder import make_unique, safe_name
from agents.trajectory import Episodes


@pytest.fixture
def now(monkeypatch):
    """A clock that the test sets: a list of one number."""
    time = [100.0]
    monkeypatch.setattr(console.time, "perf_counter", lambda: time[0])
    return time


def test_stopwatch(now):
    """Shares of the time since the last lap, by part; a lap begins anew.

    Mutations: the parts not cleared; the lap's start not moved.
    """
    stopwatch = Stopwatch()
    for seconds, part in ((3, "acting"), (1, "learning"), (2, "acting")):
        with stopwatch(part):
            now[0] += seconds
    now[0] += 4
    assert stopwatch.lap() == (10, {"acting": 0.5, "learning": 0.1})
    with stopwatch("logging"):
        now[0] += 2
    assert stopwatch.lap() == (2, {"logging": 1.0})


def test_plain_lines(capsys, now):
    """Where no terminal is: a line at the first point, then one each ten seconds, and one at the end.

    Mutations: a line for each update; the time left from the start of the run, not of the session.
    """
    display = Display(1000, 400)
    point = {"speed/env_steps_per_s": 12_345.0, "speed/share_acting": 0.25, "episode/success": 0.5}
    now[0] += 1
    display.update(450)
    assert capsys.readouterr().out == ""
    now[0] += 1
    display.update(500, point)
    line = capsys.readouterr().out
    assert line.startswith(" 50 %  500/1.0k steps  left 10s  12.3k steps/s  success 0.50  return -")
    assert "acting 25%" in line
    now[0] += 9
    display.update(600, point)
    assert capsys.readouterr().out == ""
    now[0] += 1
    display.update(700, point)
    assert capsys.readouterr().out.startswith(" 70 %")
    display.update(1010)
    assert capsys.readouterr().out.startswith("100 %  1.0k/1.0k steps  left 0s")
    display.close()


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (950, "950"), (1000, "1.0k"), (12_345, "12.3k"), (1_250_000, "1.25M"), (3.2e9, "3.20G")],
)
def test_short(number, text):
    """Mutation: another unit."""
    assert short(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (42.4, "42s"), (59.6, "1m00s"), (187, "3m07s"), (3600, "1h00m"), (7500, "2h05m")],
)
def test_clock(seconds, text):
    """Mutation: 59.6 seconds shown as 60s."""
    assert clock(seconds) == text


POINT = {
    "speed/env_steps_per_s": 65_432.0,
    "speed/share_envs": 0.05,
    "speed/share_learning": 0.951,
    "episode/success": 0.996,
    "episode/return": -1.5,
}


def test_figures_of_a_point():
    """Mutation: what is not known shown as nan."""
    assert describe(POINT) == "65.4k steps/s  success 1.00  return -1.50  envs 5% learning 95%"
    unknown = {**POINT, "episode/success": math.nan, "episode/return": math.nan}
    assert "success -  return -  " in describe(unknown)


@pytest.mark.parametrize("width", [30, 80])
def test_in_a_terminal(width, monkeypatch, now):
    """A bar and, below it, the figures, one line each however narrow it is; both stay at the end.

    Mutation: figures that wrap (the display would jump).
    """
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=width, highlight=False)
    monkeypatch.setattr(console, "Console", lambda **kwargs: terminal)
    display = Display(1000, 0)
    display.update(400, POINT)
    display.update(1000)
    lines = terminal.render_lines(display._live.get_renderable(), terminal.options.update(width=width))
    display.close()
    assert len(lines) == 2
    last = screen.getvalue().split("\n")
    assert "65.4k steps/s" in last[-2]
    assert "100 %" in last[-3] or width < 80


def test_saying_to_nobody(monkeypatch):
    """Mutation: a BrokenPipeError let through."""

    class Closed:
        def write(self, text):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

        def fileno(self):
            return descriptor

    descriptor = os.open(os.devnull, os.O_WRONLY)
    monkeypatch.setattr("sys.stdout", Closed())
    say("nobody hears this")
    os.close(descriptor)


def test_a_terminal_that_goes_away(monkeypatch, now):
    """The run goes on, and writes there no more. Mutation: the error let through."""

    class Terminal(io.StringIO):
        gone = False

        def write(self, text):
            if self.gone:
                raise OSError(5, "Input/output error")
            return super().write(text)

    screen = Terminal()
    terminal = Console(file=screen, force_terminal=True, width=80)
    monkeypatch.setattr(console, "Console", lambda **kwargs: terminal)
    display = Display(1000, 0)
    display.update(400, POINT)
    screen.gone = True
    display.update(1000, POINT)
    assert display._live is None
    display.close()


@pytest.mark.parametrize("stream", [io.TextIOWrapper(io.BytesIO(), encoding="ascii"), None])
def test_saying_in_another_encoding_or_nowhere(stream, monkeypatch):
    """Mutation: the line printed as it is."""
    monkeypatch.setattr("sys.stdout", stream)
    say("steps 1 … 3 ±")
    if stream is not None:
        stream.flush()
        assert stream.buffer.getvalue().startswith(b"steps 1 ")


def test_mean_of_updates():
    """Tensors and numbers alike, in the order of the first update.

    Mutations: the last update alone; the order of a set.
    """
    updates = [{"b": torch.tensor(1.0), "a": 2.0, "c": torch.tensor(5.0)}]
    updates.append({"b": torch.tensor(2.0), "a": 3.0, "c": torch.tensor(7.0)})
    assert mean_metrics(updates) == {"b": 1.5, "a": 2.5, "c": 6.0}


def test_episodes():
    """Means over what ended; success over those that know it, and none where nobody does.

    Mutation: NaN in the mean.
    """
    nan = np.float32(np.nan)
    envs = np.int64([0, 1, 2])
    some = Episodes(np.float32([1, 2, 6]), np.int32([3, 4, 8]), np.float32([1, nan, 0]), envs)
    assert episode_metrics(some) == {"episode/success": 0.5, "episode/return": 3.0, "episode/length": 5.0}
    unknown = some._replace(successes=np.full(3, nan))
    assert episode_metrics(unknown) == {"episode/return": 3.0, "episode/length": 5.0}
    assert episode_metrics(Episodes.concatenate([])) == {}


def test_names_of_folders(tmp_path):
    """Mutations: a name that leads out of the folder; a folder of another run used again."""
    names = ["tmaze", "a/b:C", "..", "", "../../x", "module:Class-v0"]
    assert [safe_name(name) for name in names] == ["tmaze", "a-b-C", "-", "-", "-..-x", "module-Class-v0"]
    made = [make_unique(tmp_path, "seed0") for _ in range(3)]
    assert [path.name for path in made] == ["seed0", "seed0-2", "seed0-3"]
