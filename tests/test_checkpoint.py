"""Checkpoints: what goes in comes out, and whatever is damaged, cut, missing or foreign is found out."""

import json
import math
import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from agents import checkpoint
from agents.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

FILES = ("tensors.safetensors", "state.json", "manifest.json")


def new_state(step=0):
    """Everything that a run keeps, and what it might."""
    generator = np.random.default_rng(step)
    shared = torch.arange(10.0)
    return {
        "version": step,
        "nothing": None,
        "flag": True,
        "name": "ur-lstm, σ",
        "share": 0.1 + step,
        "list": [1, 2.5, "a", None, [3]],
        "empty": {},
        "scalar": torch.tensor(3.5),
        "mask": torch.tensor([True, False]),
        "strided": torch.arange(12).reshape(3, 4).t()[1:],
        "shared": shared,
        "view": shared[2:5],
        "none of them": torch.zeros(0, 3),
        "deep": {
            "array": generator.integers(0, 2**64, (3, 5), np.uint64),
            "ended": np.array([False, True]),
            "bytes": torch.arange(256, dtype=torch.uint8),
            "float64": generator.normal(size=(2, 2)),
            "weight": torch.full((2, 2), math.nan, requires_grad=True),
            "deeper": {"empty": {}, "count": 2**60, "half": torch.tensor([0.5], dtype=torch.bfloat16)},
        },
    }


def assert_same(ours, theirs, path="state"):
    """Compares nested values by type, dtype, shape and bits; arrays come back as tensors."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict), path
        assert ours.keys() == theirs.keys(), path
        for key in theirs:
            assert_same(ours[key], theirs[key], f"{path}/{key}")
    elif isinstance(theirs, torch.Tensor | np.ndarray):
        theirs = torch.as_tensor(theirs).detach()
        assert isinstance(ours, torch.Tensor), path
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), path
        assert torch.equal(ours.isnan(), theirs.isnan()), path
        assert torch.equal(ours[~ours.isnan()], theirs[~theirs.isnan()]), path
    else:
        assert (type(ours), ours) == (type(theirs), theirs), path


@pytest.fixture
def two(tmp_path):
    """A folder with checkpoints of steps 100 and 200."""
    for step in (100, 200):
        save_checkpoint(tmp_path, new_state(step), step)
    return tmp_path


def newest(folder):
    """The folder of the newest checkpoint."""
    return folder / f"step-{200:015d}"


def assert_the_older_one_is_used(folder, *words):
    """Loads, and looks for words in the line about the newer one."""
    state, path, refused = load_checkpoint(folder)
    assert path.name == f"step-{100:015d}"
    assert_same(state, new_state(100))
    (line,) = refused
    assert "\n" not in line
    for word in words:
        assert word in line, line


def test_round_trip(tmp_path):
    """Nested dicts come back with every type, dtype, shape and bit; the newest is read.

    Mutations: empty dicts dropped; views saved as the whole they look into; the oldest read first.
    """
    for step in (1000, 999, 20_000):
        path = save_checkpoint(tmp_path, new_state(step), step)
        assert sorted(file.name for file in path.iterdir()) == sorted(FILES)
    state, path, refused = load_checkpoint(tmp_path)
    assert path.name == f"step-{20_000:015d}"
    assert_same(state, new_state(20_000))
    assert refused == []


def test_a_state_is_not_changed_by_saving(tmp_path):
    """Mutation: tensors taken out of the caller's own dicts."""
    state = new_state()
    save_checkpoint(tmp_path, state, 0)
    assert_same(load_checkpoint(tmp_path)[0], state)
    assert state["deep"]["weight"].requires_grad


def test_the_newest_three_are_kept(tmp_path):
    """Mutation: the oldest kept."""
    for step in (1, 2, 30, 4, 500):
        save_checkpoint(tmp_path, {"step": step}, step)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"step-{step:015d}" for step in (4, 30, 500)]


def test_the_same_step_again(two):
    """A second save of one step replaces the first: a run that is resumed at its end saves there again.

    Mutation: the rename without making room.
    """
    save_checkpoint(two, new_state(7), 200)
    state, path, _ = load_checkpoint(two)
    assert path == newest(two)
    assert_same(state, new_state(7))
    assert len(list(two.iterdir())) == 2


def crash_points():
    """Names of what a save calls: at each call of each of them it may be stopped."""
    points = [("flush", n) for n in range(5)] + [("save_file", 0), ("measure", 0), ("measure", 1)]
    return [*points, ("seal", 0), ("write_text", 0), ("write_text", 1), ("rename", 0), ("rename", 1)]


@pytest.mark.parametrize(("function", "call"), crash_points())
@pytest.mark.parametrize("cleanup", [False, True], ids=["killed", "raised"])
@pytest.mark.parametrize("step", [200, 300], ids=["same step", "new step"])
def test_a_save_that_is_stopped(function, call, cleanup, step, two, monkeypatch):
    """Wherever a save is stopped, the older checkpoints stay, and what it left is neither read nor kept.

    The new one is read once its folder has its name, that is after the last rename, and not before.

    Mutations: files written into the folder of the final name; the old folder of a step removed first.
    """

    class Stop(BaseException):
        pass

    count = 0

    def stopping(*arguments, **keywords):
        nonlocal count
        count += 1
        if count == call + 1:
            raise Stop
        return original(*arguments, **keywords)

    owner = checkpoint.Path if function in ("write_text", "rename") else checkpoint
    original = getattr(owner, function)
    monkeypatch.setattr(owner, function, stopping)
    if not cleanup:  # as kill -9: nothing is tidied up
        monkeypatch.setattr(checkpoint.shutil, "rmtree", lambda *arguments, **keywords: None)
    stopped = False
    try:
        save_checkpoint(two, new_state(300), step)
    except Stop:
        stopped = True
    monkeypatch.undo()
    assert stopped == (count > call)

    state, path, refused = load_checkpoint(two)
    assert refused == []
    renamed = not stopped or (function, call) == ("flush", 4)
    expected = 300 if renamed else 100 if (function, call) == ("rename", 1) else 200
    assert_same(state, new_state(expected))
    assert path.name == f"step-{step if renamed else expected:015d}"
    # What is left of it goes with the next save.
    save_checkpoint(two, new_state(400), 400)
    assert all(path.name.startswith("step-") for path in two.iterdir())
    assert_same(load_checkpoint(two)[0], new_state(400))


def test_a_folder_under_a_temporary_name_is_not_read(two):
    """Mutation: every folder taken for a checkpoint."""
    for path in list(two.iterdir()):
        path.rename(two / f".{path.name}-new")
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        load_checkpoint(two)


@pytest.mark.parametrize("name", FILES)
def test_single_bytes_flipped(name, two):
    """Each flip is found, at whatever place, and the message names the file.

    Mutations: any of the checksums not compared (the manifest's own too).
    """
    generator = np.random.default_rng(FILES.index(name))
    path = newest(two) / name
    whole = path.read_bytes()
    places = [*generator.integers(len(whole), size=60).tolist(), 0, len(whole) - 1]
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= int(generator.choice([1 << bit for bit in range(8)] + [generator.integers(1, 256)]))
        path.write_bytes(flipped)
        assert_the_older_one_is_used(two, name)
    path.write_bytes(whole)
    assert load_checkpoint(two)[1:] == (newest(two), [])


@pytest.mark.parametrize(
    ("old", "new"), [(b"\n", b"\r"), (b"\n ", b"\n\t"), (b"\n}", b"}\n"), (b"1", b"1.0")]
)
def test_a_manifest_that_means_the_same(old, new, two):
    """Other bytes are damage, even where they stand for the same values.

    Mutation: the manifest read as text, where a carriage return is a new line.
    """
    path = newest(two) / "manifest.json"
    changed = path.read_bytes().replace(old, new, 1)
    assert json.loads(changed) == json.loads(path.read_bytes())
    path.write_bytes(changed)
    assert_the_older_one_is_used(two, "manifest.json")


@pytest.mark.parametrize("name", FILES)
def test_files_cut_emptied_and_deleted(name, two):
    """Mutation: a missing file's error let through."""
    path = newest(two) / name
    whole = path.read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert_the_older_one_is_used(two, name)
    path.unlink()
    assert_the_older_one_is_used(two, name)
    path.mkdir()
    assert_the_older_one_is_used(two, name)


def test_a_file_that_may_not_be_read(two, monkeypatch):
    """Mutation: errors of the disk let through."""

    def deny(path, *arguments):
        if str(path).startswith(str(newest(two))) and str(path).endswith("state.json"):
            raise PermissionError(13, "Permission denied")
        return open(path, *arguments)

    monkeypatch.setattr(checkpoint, "open", deny, raising=False)
    assert_the_older_one_is_used(two, "state.json", "Permission denied")


def test_none_verifies(two, tmp_path):
    """The error names every file that was refused; nothing starts from scratch in silence.

    Mutation: an empty state given back.
    """
    (newest(two) / "state.json").write_text("{}")
    (two / f"step-{100:015d}" / "manifest.json").unlink()
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(two)
    message = str(error.value)
    assert "verifies" in message
    assert str(newest(two) / "state.json") in message
    assert f"step-{100:015d}/manifest.json" in message
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        load_checkpoint(tmp_path / "empty")


def sealed(folder, **files):
    """Writes a checkpoint with these files and a manifest that vouches for them: a forger's work."""
    folder.mkdir()
    for name, content in files.items():
        (folder / {"tensors": FILES[0], "values": FILES[1]}[name]).write_bytes(content)
    manifest = {
        "format_version": checkpoint.FORMAT_VERSION,
        "env_steps": 200,
        "files": {name: checkpoint.measure(folder / name) for name in FILES[:2]},
    }
    (folder / FILES[2]).write_text(checkpoint.seal(manifest))
    return folder


class Bomb:
    """What a hostile pickle does when it is opened: it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_is_executed(two, tmp_path):
    """A pickle under the name of the tensors is refused and not opened, though the manifest vouches for it.

    Mutation: pickle tried where safetensors fails.
    """
    for content in (pickle.dumps(Bomb(tmp_path / "exploded")), torch_pickle(tmp_path)):
        shutil.rmtree(newest(two))
        sealed(newest(two), tensors=content, values=b"{}")
        assert_the_older_one_is_used(two, "tensors.safetensors")
    assert not (tmp_path / "exploded").exists()
    pickle.loads(pickle.dumps(Bomb(tmp_path / "exploded")))
    assert (tmp_path / "exploded").exists()  # so it does explode where it is opened


def torch_pickle(folder):
    """The same within what torch.save writes."""
    torch.save({"weights": Bomb(folder / "exploded")}, folder / "hostile.pt")
    content = (folder / "hostile.pt").read_bytes()
    (folder / "hostile.pt").unlink()
    return content


HOSTILE_TENSORS = {
    "a header of 2 GB": (2**31).to_bytes(8, "little") + b"{}",
    "a header of 2^63 bytes": (2**63).to_bytes(8, "little") + b"{}",
    "overlapping": {"a": [0, 8], "b": [4, 12]},
    "beyond the end": {"a": [0, 8], "b": [8, 4000]},
    "backwards": {"a": [8, 0]},
    "empty": b"",
}
HOSTILE_VALUES = {
    "nested a million deep": b"[" * 10**6,
    "no table": b"[1, 2]",
    "no text": b"\xff\xfe",
    "a text where a table must be": b'{"deep": "text"}',
}


@pytest.mark.parametrize("kind", HOSTILE_TENSORS)
def test_hostile_tensors(kind, two):
    """Mutation: only the loader's own errors caught."""
    content = HOSTILE_TENSORS[kind]
    if isinstance(content, dict):
        fields = {name: {"dtype": "F32", "shape": [2], "data_offsets": o} for name, o in content.items()}
        header = json.dumps(fields).encode()
        content = len(header).to_bytes(8, "little") + header + bytes(12)
    shutil.rmtree(newest(two))
    sealed(newest(two), tensors=content, values=b"{}")
    assert_the_older_one_is_used(two, "tensors.safetensors")


@pytest.mark.parametrize("kind", HOSTILE_VALUES)
def test_hostile_values(kind, two, tmp_path):
    """Mutation: a RecursionError or a TypeError let through."""
    save_file({"deep/array": torch.zeros(2), "deep/deeper/x": torch.zeros(2)}, tmp_path / "tensors")
    tensors = (tmp_path / "tensors").read_bytes()
    (tmp_path / "tensors").unlink()
    shutil.rmtree(newest(two))
    sealed(newest(two), tensors=tensors, values=HOSTILE_VALUES[kind])
    assert_the_older_one_is_used(two, "state.json")


@pytest.mark.parametrize(
    "content",
    [b"[" * 10**6, b"null", b"[]", b"{}", b'{"format_version": 1}', b'{"format_version": 99, "sha256": ""}'],
    ids=["deep", "null", "list", "empty", "half", "of the future"],
)
def test_hostile_manifests(content, two):
    """Mutation: the version not looked at; an AttributeError let through."""
    (newest(two) / "manifest.json").write_bytes(content)
    assert_the_older_one_is_used(two, "manifest.json", "format" if b"99" in content else "")


def test_a_manifest_of_another_checkpoint(two):
    """Mutation: the sizes and checksums in the manifest not compared."""
    shutil.copy(two / f"step-{100:015d}" / "manifest.json", newest(two) / "manifest.json")
    assert_the_older_one_is_used(two, "sha256")


def test_a_full_disk(two, monkeypatch):
    """The error comes through, the older checkpoints stay and nothing is left of the new one.

    Mutation: the temporary folder left behind.
    """

    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(two, new_state(300), 300)
    assert sorted(path.name for path in two.iterdir()) == [f"step-{step:015d}" for step in (100, 200)]
    assert_same(load_checkpoint(two)[0], new_state(200))
