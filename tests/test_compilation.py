"""What a user is told while kernels are compiled."""

import time

import pytest
from numba.core import event

from agents import compilation
from agents.compilation import CompilationClock, saying_of_compilation


def begin(clock):
    clock.on_start(event.Event("numba:compiler_lock", event.EventStatus.START))


def end(clock):
    clock.on_end(event.Event("numba:compiler_lock", event.EventStatus.END))


def test_the_clock(monkeypatch):
    """Several compilations add up, one within another counts once, and the one under way counts.

    Mutations: inner ones added; each compilation from zero; only whole ones counted.
    """
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = CompilationClock()
    assert clock.seconds() == 0
    for wait, act, total in (
        (5, begin, 0),
        (1, begin, 1),
        (1, end, 2),
        (1, end, 3),
        (9, begin, 3),
        (2, end, 5),
    ):
        now[0] += wait
        act(clock)
        assert clock.seconds() == total
    begin(clock)
    now[0] += 4
    assert clock.seconds() == 9


@pytest.mark.parametrize("compiles", [True, False])
def test_it_is_said_once(compiles, monkeypatch, capsys):
    """Mutations: said whatever is waited for; said at every look."""
    monkeypatch.setattr(compilation, "PATIENCE_S", 0.0 if compiles else 60.0)
    monkeypatch.setattr(compilation, "LOOK_EVERY_S", 0.001)
    said = []

    def say(line):
        said.append(line)

    monkeypatch.setattr(compilation, "say", say)
    with saying_of_compilation():
        event.start_event("numba:compiler_lock")
        until = time.monotonic() + (10 if compiles else 0.1)
        while not said and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(0.05)
        event.end_event("numba:compiler_lock")
    assert said == ["compiling kernels, once"] * compiles
