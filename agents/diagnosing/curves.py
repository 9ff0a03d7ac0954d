"""A diagnosis as curves of TensorBoard. Their step axis is a lag or a step of the episode: tags say which."""

import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import summary

from agents.curves import next_events_file

Curve = tuple[list[int], list[float]]


def curves_of(found: dict[str, Any]) -> dict[str, Curve]:
    """Steps and values of each curve by its tag.

    Args:
        found: as `agents.diagnosing.record` describes it.
    """
    curves: dict[str, Curve] = {}
    cue, clearing, gradient, gates = (found[part] for part in ("cue", "clearing", "gradient", "gates"))
    if cue:
        for name in ("state", "observation"):
            curves[f"cue_by_lag/{name}"] = cue["lag"], cue[name]
    if clearing:
        curves[f"{found['measure']}_by_step_of_clearing/mean"] = clearing["step"], clearing["mean"]
    if gradient:
        curves["gradient_by_lag/norm"] = gradient["lag"], gradient["norm"]
    if gates:
        for name in ("forget", "input", "time_scale"):
            for quantile, values in gates.get(name, {}).items():
                curves[f"gates_by_step_of_episode/{name}_{quantile}"] = gates["step"], values
    return curves


def write_curves(folder: Path, found: dict[str, Any]) -> None:
    """Writes them into a folder, in place of those of an earlier diagnosis.

    Raises:
        OSError: it can't be written.
    """
    old = list(folder.glob("events.out.tfevents.*"))
    now = time.time()
    with open(next_events_file(folder), "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(file_version="brain.Event:2", wall_time=now).SerializeToString())
        for tag, (steps, values) in curves_of(found).items():
            for step, value in zip(steps, values, strict=True):
                event = Event(step=step, summary=summary.scalar(tag, value), wall_time=now)
                writer.write(event.SerializeToString())
    for path in old:
        path.unlink()
