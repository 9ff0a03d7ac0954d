"""Curves on the disk: the same points in both files, none twice, none lost to a disk that was full."""

import json
import math

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

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
