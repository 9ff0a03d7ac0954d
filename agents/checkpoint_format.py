"""What a checkpoint is on the disk: its three files, how they are sealed, verified and brought up to date.

A checkpoint is a folder of `tensors.safetensors` (all tensors, by path: "learner/network/policy.weight"),
`state.json` (all other values, nested) and `manifest.json` (format version, env steps, figures of the last
episodes, size and sha256 of the other two, and its own sha256). The format's history is `MIGRATIONS`.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from agents.files import open_plainly, parse_json, read_bounded

FORMAT_VERSION = 4
TENSORS, VALUES, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"
MAX_MANIFEST_BYTES, MAX_VALUES_BYTES, MAX_HEADER_BYTES = 2**20, 2**22, 2**22
"""Of what is parsed: a hostile file must not claim memory. The header is that of the tensors: their names,
shapes and places."""

State = dict[str, Any]


class CheckpointError(Exception):
    """A checkpoint that is missing or does not verify; the message says which file and why."""


@dataclass(frozen=True)
class Snapshot:
    """A state at one moment, apart from the run that goes on."""

    tensors: dict[str, Tensor]
    """By path, on the CPU, each with memory of its own."""
    values: str
    """The rest, as JSON."""
    env_steps: int
    figures: dict[str, float]
    """How the run's last episodes went: "episodes", and their mean "success" and "return" where known."""


def take_snapshot(
    state: State, env_steps: int, figures: dict[str, float], memory: dict[str, Tensor] | None = None
) -> Snapshot:
    """Copies a state.

    Args:
        state: nested dicts of tensors, arrays, and values that JSON can hold; keys without "/".
        env_steps: the state's age.
        figures: to be kept with it.
        memory: tensors of an earlier snapshot that nobody needs any more: used again, which spares the
            system to find and clear new pages, most of the time that a copy takes; brought up to date.
    """
    memory = {} if memory is None else memory
    tensors, values = split_state(state)
    for path in memory.keys() - tensors.keys():
        del memory[path]
    for path, tensor in tensors.items():
        old = memory.get(path)
        if old is None or (old.shape, old.dtype) != (tensor.shape, tensor.dtype):
            memory[path] = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
        memory[path].copy_(tensor)
    return Snapshot(memory, json.dumps(values, allow_nan=False), env_steps, figures)


def write_checkpoint(folder: Path, snapshot: Snapshot) -> None:
    """Writes the three files into an empty folder, and waits until they are on the disk.

    Raises:
        OSError: the disk is full or can't be written.
    """
    try:
        save_file(snapshot.tensors, folder / TENSORS)
    except SafetensorError as error:
        raise OSError(f"{error}") from None
    (folder / VALUES).write_text(snapshot.values)
    files = {name: measure(folder / name) for name in (TENSORS, VALUES)}
    for name in files:
        flush(folder / name)
    manifest = {"format_version": FORMAT_VERSION, "env_steps": snapshot.env_steps}
    (folder / MANIFEST).write_text(seal({**manifest, "figures": snapshot.figures, "files": files}))
    flush(folder / MANIFEST)
    flush(folder)


def read_manifest(checkpoint: Path) -> dict[str, Any]:
    """What the manifest of a checkpoint says, if it is whole.

    Raises:
        CheckpointError: it is missing, damaged, or of a format that is not known here.
    """
    path = checkpoint / MANIFEST
    try:
        if checkpoint.is_symlink():
            raise ValueError(f"{checkpoint.name} is a link")
        data = read_bounded(path, MAX_MANIFEST_BYTES)
        manifest = parse_json(data)
        version = manifest["format_version"]
        if type(version) is int and version > FORMAT_VERSION:
            raise CheckpointError(f"{path}: of format {version}, newer than this program, which reads 1 …"
                                  f" {FORMAT_VERSION}")  # fmt: skip
        del manifest["sha256"]
        if data.decode() != seal(manifest):
            raise CheckpointError(f"{path}: damaged, its sha256 is not its own")
        if type(version) is not int or version < 1:
            raise CheckpointError(f"{path}: of no format that ever was, {version!r}")
        return manifest
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: unreadable ({type(error).__name__}: {error})") from None


def read_checkpoint(checkpoint: Path) -> State:
    """Reads one checkpoint, in today's format.

    Raises:
        CheckpointError: a file is missing, unreadable or not what the manifest says.
    """
    manifest = read_manifest(checkpoint)
    path = checkpoint / TENSORS
    try:
        for name in (TENSORS, VALUES):
            path = checkpoint / name
            if measure(path) != manifest["files"][name]:
                raise CheckpointError(f"{path}: damaged, its sha256 is not the manifest's")
        values = parse_json(read_bounded(path, MAX_VALUES_BYTES))
        path = checkpoint / TENSORS
        check_header(path)
        tensors = load_file(path)  # whose parser finds overlaps, gaps and places beyond the file
        path = checkpoint / VALUES
        state = join_state(tensors, values)
        for version in range(manifest["format_version"], FORMAT_VERSION):
            state = MIGRATIONS[version](state)
        return state
    except CheckpointError:
        raise
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"{path}: unreadable ({type(error).__name__}: {error})") from None


def check_header(path: Path) -> None:
    """Looks how long the header of the tensors says it is: their parser makes room for it.

    Raises:
        ValueError: longer than the file, or than any header of ours.
    """
    with open_plainly(path) as file:
        length, size = int.from_bytes(file.read(8), "little"), os.fstat(file.fileno()).st_size
    if length > min(size - 8, MAX_HEADER_BYTES):
        raise ValueError(f"its header claims {length:,} bytes")


def from_1(state: State) -> State:
    """Format 1 kept nothing of what waited for its point, and nothing of the last episodes."""
    env_steps = state["learner"]["env_steps"]
    return {**state, "curves": {"env_steps": env_steps, "gates_period": 0, "gathered": {}}}


def from_2(state: State) -> State:
    """Format 2 had no mean code of foresight, no replay and no count of skipped updates: they begin anew."""
    learner = state["learner"]
    guard = learner.get("guard", {"updates": learner["version"], "skipped": 0})
    network = dict(learner["network"])
    if "foresight.head.bias" in network:
        network["foresight.code_sum"] = torch.zeros_like(network["foresight.head.bias"])
        network["foresight.reward_sum"] = torch.zeros(())
    return {"replay": {}, **state, "learner": {**learner, "network": network, "guard": guard}}


def from_3(state: State) -> State:
    """Format 3 did not say how many updates in a row had just been skipped."""
    learner = state["learner"]
    return {**state, "learner": {**learner, "guard": {**learner["guard"], "in_a_row": 0}}}


MIGRATIONS: dict[int, Callable[[State], State]] = {1: from_1, 2: from_2, 3: from_3}
"""By version: makes a state of that format one of the next."""


def measure(path: Path) -> dict[str, Any]:
    """Size in bytes and sha256 of a file."""
    with open_plainly(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"size": file.tell(), "sha256": digest}


def seal(manifest: dict[str, Any]) -> str:
    """The text of a manifest: its fields, then the sha256 of their text."""
    digest = hashlib.sha256(json.dumps(manifest).encode()).hexdigest()
    return json.dumps({**manifest, "sha256": digest}, indent=1)


def flush(path: Path) -> None:
    """Waits until a file's or folder's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def split_state(state: State, prefix: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Parts nested dicts into tensors by path ("a/b/c"), which are not copied, and the nested rest."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for key, value in state.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict):
            inner, values[key] = split_state(value, path + "/")
            tensors.update(inner)
        elif isinstance(value, Tensor | np.ndarray):
            tensors[path] = torch.as_tensor(value).detach()
        else:
            values[key] = value
    return tensors, values


def join_state(tensors: dict[str, Tensor], values: dict[str, Any]) -> State:
    """The inverse of `split_state`; arrays come back as tensors."""
    state = values
    for path, tensor in tensors.items():
        *parents, key = path.split("/")
        inner = state
        for parent in parents:
            inner = inner[parent]
        inner[key] = tensor
    return state
