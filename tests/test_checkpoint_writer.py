"""Checkpoints written beside the training: of the moment they were asked for, and no error unheard."""

import threading

import numpy as np
import pytest
import torch
from checkpoint_states import assert_same, new_state

from agents import checkpoint_writer, console
from agents.checkpoint import load_checkpoint
from agents.checkpoint_writer import CheckpointWriter, SaveError


@pytest.fixture
def disk(monkeypatch):
    """A disk that waits until it is let go, and takes nothing while it is full."""

    class Disk:
        def __init__(self):
            self.go, self.error, self.steps = threading.Event(), None, []
            self.go.set()

        def publish(self, folder, snapshot, **words):
            assert self.go.wait(30)
            self.steps.append(snapshot.env_steps)
            if self.error is not None:
                raise self.error
            return publish(folder, snapshot, **words)

    publish, disk = checkpoint_writer.publish, Disk()
    monkeypatch.setattr(checkpoint_writer, "publish", disk.publish)
    yield disk
    disk.go.set()


@pytest.fixture
def writer(tmp_path):
    writer = CheckpointWriter(tmp_path / "checkpoints", keep=3)
    yield writer
    writer.close()


def wait(writer):
    """Until nothing is being written, as the training does when it ends."""
    writer.close()
    assert not writer.busy


def test_the_state_of_the_moment_is_written(writer, disk, tmp_path):
    """Whatever the run does meanwhile. Mutations: no copy; the copy made in the thread."""
    disk.go.clear()
    state = new_state(3)
    writer.save(state, 3, {"episodes": 7})
    assert writer.busy
    state["deep"]["float64"][:] = 0
    state["scalar"].zero_()
    state["list"].append(4)
    disk.go.set()
    wait(writer)
    found, path, _ = load_checkpoint(tmp_path / "checkpoints")
    assert_same(found, new_state(3))
    assert path.name == f"step-{3:015d}"


def test_memory_is_used_again(writer, tmp_path):
    """Also by states of other shapes, kinds and names. Mutations: a tensor of before left in; shapes kept."""
    writer.prepare({"a": torch.zeros(3), "b": torch.zeros(2), "c": np.zeros(2)})
    before = writer._memory["a"].data_ptr()
    for step, state in enumerate(
        (
            {"a": torch.arange(3.0), "b": torch.ones(2, 2), "c": np.zeros(2, np.int32)},
            {"a": torch.arange(3.0) + 1, "d": torch.tensor(True)},
        )
    ):
        writer.save(state, step, {})
        wait(writer)
        assert writer._memory["a"].data_ptr() == before
        assert_same(load_checkpoint(tmp_path / "checkpoints")[0], state)


def test_one_at_a_time(writer, disk, tmp_path):
    """The last one waits for the one before, and is on the disk when `finish` returns.

    Mutation: both written at once, into the same memory.
    """
    disk.go.clear()
    writer.save(new_state(1), 1, {})
    threading.Timer(0.05, disk.go.set).start()
    writer.finish(new_state(2), 2, {})
    assert disk.steps == [1, 2]
    assert_same(load_checkpoint(tmp_path / "checkpoints")[0], new_state(2))
    assert_same(load_checkpoint(tmp_path / "checkpoints", "1")[0], new_state(1))


def test_a_full_disk(writer, disk, tmp_path, monkeypatch, capsys):
    """One warning a minute, which tells what stands; training goes on, and hears when space returns.

    Mutations: a warning for each; none; the error raised; the good news told each time.
    """
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    writer.save(new_state(1), 1, {})
    wait(writer)
    disk.error = OSError(28, "No space left on device")
    said = []
    for step in range(2, 6):
        now[0] += 25
        writer.save(new_state(step), step, {})
        wait(writer)
        said.append(capsys.readouterr().out)
    assert [bool(text) for text in said] == [True, False, False, True]
    assert said[0].startswith(
        "warning: the checkpoint of 2 env steps was not written (No space left on device)"
    )
    assert f"the newest one is {tmp_path / 'checkpoints'}" in said[0]
    assert said[0].count("\n") == 1
    assert_same(load_checkpoint(tmp_path / "checkpoints")[0], new_state(1))
    disk.error = None
    for step in (6, 7):
        writer.save(new_state(step), step, {})
        wait(writer)
    assert capsys.readouterr().out == "checkpoints are written again, the newest at 6 env steps\n"
    assert_same(load_checkpoint(tmp_path / "checkpoints")[0], new_state(7))


def test_a_last_one_that_fails(writer, disk, tmp_path):
    """Mutation: a warning, as for the others."""
    disk.error = OSError(30, "Read-only file system")
    with pytest.raises(SaveError, match=r"of 1,234 env steps, was NOT written \(Read-only.*there is none in"):
        writer.finish(new_state(1), 1234, {})


def test_an_error_of_ours_is_not_lost(writer, disk):
    """It ends the run at the next save. Mutation: taken for one of the disk."""
    disk.error = ZeroDivisionError("a fault")
    writer.save(new_state(1), 1, {})
    wait(writer)
    with pytest.raises(ZeroDivisionError):
        writer.save(new_state(2), 2, {})


def test_what_no_file_can_hold(writer):
    """Mutation: written as NaN, which no reader of ours takes."""
    with pytest.raises(ValueError, match="JSON"):
        writer.save({"share": float("nan")}, 1, {})


def test_who_interrupts_twice_does_not_wait(writer, disk):
    """Mutation: the thread joined whatever the error."""
    disk.go.clear()
    writer.save(new_state(1), 1, {})
    try:
        try:
            raise KeyboardInterrupt
        finally:
            writer.close()
            assert writer.busy
            disk.go.set()
    except KeyboardInterrupt:
        pass
