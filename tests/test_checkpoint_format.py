"""The files of a checkpoint: whatever is damaged, cut, missing, foreign or hostile is found out."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_states import (
    FILES,
    Bomb,
    assert_the_older_one_is_used,
    newest,
    save_two,
    sealed,
    torch_pickle,
)
from safetensors.torch import load_file, save_file

from agents import files
from agents.checkpoint import list_checkpoints, load_checkpoint
from agents.checkpoint_format import (
    FORMAT_VERSION,
    MIGRATIONS,
    CheckpointError,
    read_manifest,
    seal,
    split_state,
)
from agents.run_folder import read_config
from agents.training import Training


@pytest.fixture
def two(tmp_path):
    """A folder with checkpoints of steps 100 and 200."""
    return save_two(tmp_path)


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
    ("old", "new"), [(b"\n", b"\r"), (b"\n ", b"\n\t"), (b"\n}", b"}\n"), (b": 4,", b": 4.0,")]
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
        return open_(path, *arguments)

    open_ = os.open
    monkeypatch.setattr(files.os, "open", deny)
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


HOSTILE_TENSORS = {
    "a header of 2 GB": (2**31).to_bytes(8, "little") + b"{}",
    "a header longer than any of ours, in a file as long": (2**23).to_bytes(8, "little")
    + b"{}"
    + b" " * (2**23 - 2),
    "a header of 2^63 bytes": (2**63).to_bytes(8, "little") + b"{}",
    "overlapping": {"a": [0, 8], "b": [4, 12]},
    "beyond the end": {"a": [0, 8], "b": [8, 4000]},
    "backwards": {"a": [8, 0]},
    "empty": b"",
}
HOSTILE_VALUES = {
    "nested a million deep": b"[" * 10**6,
    "nested in strings and out of them": b'{"a\\"[": ' + b"[" * 65 + b"]" * 65 + b"}",
    "NaN": b'{"deep": NaN}',
    "too large": b'{"deep": "' + b"a" * 2**22 + b'"}',
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
    [
        b"[" * 10**6,
        b" " * 2**21,
        b"null",
        b"[]",
        b"{}",
        b'{"format_version": 1}',
        b'{"format_version": 99, "sha256": ""}',
    ],
    ids=["deep", "large", "null", "list", "empty", "half", "of the future"],
)
def test_hostile_manifests(content, two):
    """Mutations: the version not looked at; an AttributeError let through; no bound for its size."""
    (newest(two) / "manifest.json").write_bytes(content)
    assert_the_older_one_is_used(two, "manifest.json", "format" if b"99" in content else "")


def test_a_manifest_of_another_checkpoint(two):
    """Mutation: the sizes and checksums in the manifest not compared."""
    shutil.copy(two / f"step-{100:015d}" / "manifest.json", newest(two) / "manifest.json")
    assert_the_older_one_is_used(two, "sha256")


@pytest.mark.parametrize("name", [*FILES, ""], ids=[*FILES, "the folder"])
def test_links_and_pipes(name, two, tmp_path_factory):
    """What lies elsewhere is not read, though it be whole; a pipe keeps nobody waiting.

    Mutations: links followed; a pipe opened as a file is.
    """
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "copy"
    path = newest(two) / name
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert_the_older_one_is_used(two, name or "manifest.json", "is a link")
    path.unlink()
    os.mkfifo(path)
    assert_the_older_one_is_used(two, name or "manifest.json")


def test_a_newer_format(two):
    """One line, which names the file and both versions. Mutation: taken for damage."""
    path = newest(two) / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["sha256"]
    path.write_text(seal({**manifest, "format_version": FORMAT_VERSION + 1}))
    assert_the_older_one_is_used(
        two, f"of format {FORMAT_VERSION + 1}, newer than this program, which reads 1"
    )
    path.write_text(seal({**manifest, "format_version": 0}))
    assert_the_older_one_is_used(two, "of no format that ever was")


def test_every_format_since_the_first_can_be_read():
    """Mutation: a version without its migration."""
    assert sorted(MIGRATIONS) == list(range(1, FORMAT_VERSION))


@pytest.mark.parametrize("version", sorted(MIGRATIONS))
def test_a_run_of_an_older_format(tmp_path, version):
    """A run that an older format kept goes on: its tensors are those of the file, to the bit.

    Mutations: no migration; the last point of the curves taken for the beginning of the run.
    """
    run = Path(shutil.copytree(Path(__file__).parent / f"format_{version}", tmp_path / "run"))
    (path,) = (run / "checkpoints").iterdir()
    raw = load_file(path / "tensors.safetensors")
    training = Training(read_config(run))
    (line,) = training.restore(run)
    assert "resuming from" in line
    tensors, values = split_state(training.state_dict())
    assert len(raw) > 50
    for name, tensor in raw.items():
        assert torch.equal(tensors[name], tensor), name
    assert values["learner"]["env_steps"] == int(path.name[5:])
    old = json.loads((path / "state.json").read_text())
    point = old["curves"]["env_steps"] if "curves" in old else int(path.name[5:])
    assert values["curves"]["env_steps"] == point
    assert len((run / "metrics.jsonl").read_text().splitlines()) > 3  # none is taken back
    assert training.run()
    newest_one = list_checkpoints(run / "checkpoints")[0]
    assert read_manifest(newest_one)["format_version"] == FORMAT_VERSION
    assert read_manifest(path)["format_version"] == version
