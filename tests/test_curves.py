"""Curves on the disk: the same points in both files, none twice, none lost to a disk that was full."""

import json
import math
import os

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents import curves
from agents.curves import CurveWriter, drop_points_after


def read(folder):
    """The lines of metrics.jsonl."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_points_go_to_both(tmp_path):
    """The same numbers at the same env steps; what is not finite is left out of both.

    Mutations: NaN written (no JSON, and a hole in the curve); the step left out.
    """
    writer = CurveWriter(tmp_path)
    writer.write(10, {"loss/a": 1.5, "loss/b": math.nan}, {"memory/gate": np.linspace(0, 1, 5)})
    writer.write(
        20, {"loss/a": np.float32(2), "loss/b": math.inf}, {"memory/gate": np.array([0.5, math.nan])}
    )
    writer.close()
    assert read(tmp_path) == [{"env_steps": 10, "loss/a": 1.5}, {"env_steps": 20, "loss/a": 2.0}]
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["scalars"] == ["loss/a"]
    assert [(event.step, event.value) for event in events.Scalars("loss/a")] == [(10, 1.5), (20, 2.0)]
    assert [event.step for event in events.Histograms("memory/gate")] == [10]


def test_every_point_can_be_read_at_once(tmp_path):
    """A point is in the file as soon as it is written: a run that is killed loses none.

    Mutation: the line left in a buffer.
    """
    writer = CurveWriter(tmp_path)
    writer.write(10, {"loss/a": 1.0}, {})
    assert len(read(tmp_path)) == 1
    assert EventAccumulator(str(tmp_path)).Reload().Scalars("loss/a")[0].step == 10
    writer.close()


def test_a_resumed_run_takes_back_what_lies_after_its_checkpoint(tmp_path):
    """No step stands twice, neither in the lines nor in TensorBoard, and the point at the checkpoint stays.

    Mutations: the purge at the checkpoint's own step, or none; lines kept.
    """
    writer = CurveWriter(tmp_path)
    for step in (10, 20, 30, 40):
        writer.write(step, {"loss/a": step}, {})
    writer.close()
    writer = CurveWriter(tmp_path, resume_at=20)
    for step in (25, 30):
        writer.write(step, {"loss/a": -step}, {})
    writer.close()
    expected = [(10, 10), (20, 20), (25, -25), (30, -30)]
    assert [(row["env_steps"], row["loss/a"]) for row in read(tmp_path)] == expected
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("loss/a")
    assert [(event.step, event.value) for event in events] == expected


def test_a_half_written_line_is_dropped(tmp_path):
    """Mutation: the error of a broken line let through."""
    path = tmp_path / "metrics.jsonl"
    drop_points_after(path, 10)
    assert not path.exists()
    path.write_text('{"env_steps": 5}\n[1]\n{"no": 1}\n{"env_steps": 11}\n{"env_steps": 10}\n{"env_st')
    drop_points_after(path, 10)
    assert path.read_text() == '{"env_steps": 5}\n{"env_steps": 10}\n'


def test_the_configuration_is_shown(tmp_path):
    """Mutation: a field left out of the table."""
    writer = CurveWriter(tmp_path)
    writer.write_config({"core": "ur-lstm", "seed": 3, "env_opt": ("a=1",)})
    writer.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    (text,) = events.Tensors("config/text_summary")
    shown = text.tensor_proto.string_val[0].decode()
    for row in ("| `core` | `ur-lstm` |", "| `seed` | `3` |", "| `env_opt` | `('a=1',)` |"):
        assert row in shown


class Disk:
    """A disk with room for so many bytes."""

    def __init__(self, monkeypatch):
        self.room = math.inf
        write = os.write

        def bounded(descriptor, data):
            if not self.room:
                raise OSError(28, "No space left on device")
            written = write(descriptor, data[: min(len(data), self.room)])
            self.room -= written
            return written

        monkeypatch.setattr(curves.os, "write", bounded)


@pytest.mark.parametrize("room", [0, 1, 7, 300])
def test_a_full_disk(room, tmp_path, monkeypatch, capsys):
    """Points wait, and follow in order when there is room again; half a record is taken back.

    One warning a minute for each file; a reader sees whole records at every moment.

    Mutations: the error let through; the half record left; the point dropped; a warning each time.
    """
    disk = Disk(monkeypatch)
    writer = CurveWriter(tmp_path)
    writer.write(10, {"loss/a": 10}, {})
    disk.room = room
    for step in (20, 30, 40):
        writer.write(step, {"loss/a": step}, {})
        assert read_whole_lines(tmp_path)[0]["env_steps"] == 10
        disk.room = 0
    said = capsys.readouterr().out.splitlines()
    assert all("can't be written (No space left on device)" in line for line in said)
    assert 1 <= len(said) <= 2
    disk.room = math.inf
    writer.write(50, {"loss/a": 50}, {})
    writer.close()
    steps = [10, 20, 30, 40, 50]
    assert [row["env_steps"] for row in read(tmp_path)] == steps
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("loss/a")
    assert [(event.step, event.value) for event in events] == [(step, step) for step in steps]


def read_whole_lines(folder):
    """The lines that end."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().split("\n")[:-1]]


def test_only_so_many_points_wait(tmp_path, monkeypatch):
    """Mutation: all of them, until the memory is full too."""
    monkeypatch.setattr(curves, "MAX_WAITING", 3)
    disk = Disk(monkeypatch)
    writer = CurveWriter(tmp_path)
    disk.room = 0
    for step in range(1, 9):
        writer.write(step, {}, {})
    disk.room = math.inf
    writer.write(9, {}, {})
    writer.close()
    assert [row["env_steps"] for row in read(tmp_path)] == [7, 8, 9]


def test_a_run_that_was_killed_while_it_wrote(tmp_path):
    """Half a record at the end of the events hides none before it and none of the run that goes on.

    Mutation: events appended to the file of the run that was killed.
    """
    writer = CurveWriter(tmp_path)
    for step in (10, 20, 30):
        writer.write(step, {"loss/a": step}, {})
    writer.close()
    (events,) = tmp_path.glob("events*")
    os.truncate(events, events.stat().st_size - 5)
    writer = CurveWriter(tmp_path, resume_at=20)
    for step in (25, 40):
        writer.write(step, {"loss/a": -step}, {})
    writer.close()
    scalars = EventAccumulator(str(tmp_path)).Reload().Scalars("loss/a")
    assert [(event.step, event.value) for event in scalars] == [(10, 10), (20, 20), (25, -25), (40, -40)]


def test_files_are_read_in_the_order_of_the_runs(tmp_path, monkeypatch):
    """Whatever the clock says, and other programs' files too. Mutation: the time alone."""
    (tmp_path / "events.out.tfevents.2000000000.host.77.0").touch()
    monkeypatch.setattr(curves.time, "time", lambda: 1_900_000_000.0)
    names = []
    for _ in range(3):
        CurveWriter(tmp_path).close()
        names.append(max(path.name for path in tmp_path.glob("events*")))
    assert names == sorted(set(names))
    assert len(list(tmp_path.glob("events*"))) == 4


def test_hostile_lines(tmp_path):
    """Mutations: a parser that calls itself for each bracket; a link written through."""
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"[" * 10**6 + b'\n{"env_steps": NaN}\n{"env_steps": 5}\n\xff\n')
    drop_points_after(path, 10)
    assert path.read_text() == '{"env_steps": 5}\n'
