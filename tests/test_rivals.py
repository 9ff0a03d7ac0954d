"""Tests of the race between Longhold and its rivals, with contestants that print what they are told to."""

import json
import os
import sys

import numpy as np
import pytest

from benchmarks.rivals import __main__ as rivals
from benchmarks.rivals import contestants, venvs
from benchmarks.rivals import race as race_module
from benchmarks.rivals.race import Clock, Fallen, rate, take_turn
from benchmarks.rivals.table import table
from benchmarks.rivals.view import make_env

CLOCK = Clock(warm_up_s=3, seconds=4, deadline_s=60)

TRAINER = """
import json, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(json.dumps({"env_steps": child.pid, "time": time.time()}), flush=True)
for k in range(1, 9):
    print(json.dumps({"env_steps": child.pid + 100 * k, "time": time.time() + k}), flush=True)
time.sleep(600)
"""
"""Tells its child's process by the first env steps, and of eight seconds to come at 100 steps per second."""


def lines(*updates):
    return "".join(json.dumps({"env_steps": steps, "time": at}) + "\n" for steps, at in updates)


def test_the_rate_is_that_between_warm_up_and_end():
    """Mutations: the warm-up counted; seconds from the start of the command; the last line taken in."""
    text = lines((10, 102.0), (20, 104.0), (50, 105.5), (80, 107.0), (120, 109.6), (999, 110.0))
    found = rate(text, 100.0, CLOCK)
    assert found == {"steps_per_s": pytest.approx((120 - 50) / (109.6 - 105.5)), "first_update_s": 2.0}
    assert rate(lines((10, 102.0), (50, 105.5), (80, 107.0)), 100.0, CLOCK) is None
    half = lines((10, 102.0), (50, 105.5)) + '{"env_steps": 99, "time": 1'
    assert rate(half, 100.0, CLOCK) is None
    assert rate("", 100.0, CLOCK) is None


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="this system has no /proc")
def test_a_turn_ends_all_that_it_began(monkeypatch):
    """Mutation: children of a contestant left behind."""
    monkeypatch.setattr(race_module, "GRACE_S", 0.5)
    before = set(os.listdir("/proc"))
    found = take_turn([sys.executable, "-c", TRAINER], CLOCK)
    assert found["steps_per_s"] == pytest.approx(100, rel=0.05)
    assert found["memory_mib"] > 1
    left = {pid for pid in os.listdir("/proc") if pid.isdigit()} - before
    sleepers = [pid for pid in left if b"time.sleep(600)" in read(f"/proc/{pid}/cmdline")]
    assert not sleepers


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def test_who_falls_says_why():
    """Mutation: a traceback in place of its last line; a wait without end."""
    with pytest.raises(Fallen, match=r"exit code 1: ValueError: no such thing$"):
        take_turn([sys.executable, "-c", "raise ValueError('no such thing')"], CLOCK)
    with pytest.raises(Fallen, match=r"took more than 0\.1 s"):
        take_turn([sys.executable, "-c", "import time; time.sleep(600)"], Clock(1, 1, 0.1))


def test_longhold_takes_part():
    """Mutation: no line after an update, or one on a stream that nobody reads."""
    words = ["--hidden-size", "4", "--num-cores", "1"]
    found = take_turn([sys.executable, "-m", "benchmarks.rivals.longhold", *words], Clock(0.01, 0.01, 300))
    assert found["steps_per_s"] > 0
    assert found["first_update_s"] > 0.1


def test_rivals_see_minigrid_s_view():
    """Mutation: the view scaled by another number, or cut."""
    env = make_env()
    observation, _ = env.reset(seed=1)
    image = env.unwrapped.gen_obs()["image"]
    env.close()
    assert observation.shape == env.observation_space.shape == (7 * 7 * 3,)
    assert env.observation_space.contains(observation)
    np.testing.assert_allclose(observation.reshape(7, 7, 3) * 10, image, rtol=1e-6)


def row(rival, contestant, repeat, steps_per_s, **more):
    found = {"steps_per_s": steps_per_s, "first_update_s": 2.0, "memory_mib": 300.0}
    size = {"hidden_size": 6, "version": ""}
    return {"rival": rival, "contestant": contestant, "repeat": repeat, **size, **found, **more}


def test_the_table():
    """Ratios are of medians, and Longhold's own are those beside that rival.

    Mutation: Longhold's turns beside all rivals taken together.
    """
    rows = [row("a", "Longhold", k, rate) for k, rate in enumerate((90.0, 100.0, 300.0))]
    rows += [row("a", "A", k, rate, version="1.2") for k, rate in enumerate((1.0, 5.0, 9.0))]
    rows += [row("b", "Longhold", 0, 800.0)]
    rows += [{"rival": "b", "contestant": "B", "version": "", "hidden_size": 6, "fallen": "ended | badly"}]
    text = table(rows)
    assert "| A 1.2 | 6 | 5 (1 … 9) | 100 | 20.0 x | 2.0 s | 300 MiB |" in text
    assert "| B | 6 | ended / badly | | | | |" in text
    assert "| **Longhold** | 6 | 200 (90 … 800) |" in text
    assert len({line.count("|") for line in text.splitlines()}) == 1


@pytest.fixture
def race(monkeypatch, tmp_path):
    """Runs the program with turns that are noted and not taken; sample-factory's always fall."""
    taken = []

    def fake(command, clock):
        taken.append(command[2].rpartition(".")[2] + " " + command[4])
        if "sample_factory" in command[2]:
            raise Fallen("it fell")
        return {"steps_per_s": 10.0, "first_update_s": 1.0, "memory_mib": 1.0}

    monkeypatch.setattr(rivals, "take_turn", fake)
    monkeypatch.setattr(rivals, "python_of", lambda contestant, folder: sys.executable)

    def run(*words):
        taken.clear()
        assert rivals.main([*words, "--out", str(tmp_path / "r")]) == 0
        return list(taken)

    return run


def test_turns_alternate_and_are_taken_once(race, tmp_path):
    """Mutations: Longhold's turns first; a fallen turn not tried again; other settings taken as the same."""
    words = ["--rivals", "rllib", "sample-factory", "--hidden-sizes", "6", "--repeats", "2"]
    pairs = ["longhold 6", "rllib 6"] * 2 + ["longhold 6", "sample_factory_appo 6"] * 2
    assert race(*words) == pairs
    assert race(*words) == ["sample_factory_appo 6"] * 2
    assert len(race(*words[:2], *words[3:], "--seconds", "1")) == 4
    with open(tmp_path / "r.jsonl", "a") as file:
        file.write('{"rival": "cut o')
    assert race(*words) == ["sample_factory_appo 6"] * 2
    text = (tmp_path / "r.md").read_text()
    assert "| RLlib IMPALA" in text
    assert "it fell" in text


def test_bad_words_are_one_line(tmp_path, capsys):
    """Mutation: a file of something else appended to."""
    for words, part in (
        (["--rivals", "rlib"], "did you mean rllib?"),
        (["--seconds", "nan"], "--seconds"),
        (["--num-cores", "-1"], "--num-cores"),
        (["--repeats", "0"], "--repeats"),
        (["--hidden-sizes"], "--hidden-sizes"),
    ):
        out = ["--out", str(tmp_path / "r")]
        with pytest.raises(SystemExit) as caught:
            rivals.main([*words, *out])
        said = capsys.readouterr().err
        assert (caught.value.code, said.count("\n"), part in said) == (2, 1, True), said
    (tmp_path / "notes.jsonl").write_text("my notes\n")
    with pytest.raises(SystemExit):
        rivals.main(["--out", str(tmp_path / "notes")])
    assert "holds no results of this program" in capsys.readouterr().err
    assert (tmp_path / "notes.jsonl").read_text() == "my notes\n"


def test_what_can_t_be_installed_is_one_line(monkeypatch, tmp_path):
    """Mutation: pip's failure passed over."""
    (tmp_path / "none.txt").write_text("/no/such/folder/none-1.0-py3-none-any.whl\n")
    monkeypatch.setattr(contestants, "REQUIREMENTS", tmp_path)
    rival = contestants.Contestant("None", "none", "none")
    with pytest.raises(Fallen, match=r"^not installed: .*no/such/folder") as caught:
        venvs.python_of(rival, tmp_path / "venvs")
    assert "\n" not in str(caught.value)


def test_every_rival_is_pinned():
    """Mutation: a requirement without its version; torch, whose builds differ, left open."""
    for rival in contestants.RIVALS.values():
        if rival.requirements:
            pins = rival.requirements.read_text().splitlines()
            assert all("==" in pin for pin in pins)
            assert "torch==2.13.0" in pins
            assert rival.version
