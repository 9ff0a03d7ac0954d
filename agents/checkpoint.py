"""Checkpoints: atomic to write, verified to read, free of pickle.

A checkpoint is a folder `step-<env steps>` of three files: `tensors.safetensors` (all tensors), `state.json`
(all other values) and `manifest.json` (format version, size and sha256 of the other two, and its own sha256).
It is written under a temporary name, flushed to the disk and renamed, so that a folder with the final name is
whole.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

FORMAT_VERSION = 1
TENSORS, VALUES, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"


class CheckpointError(Exception):
    """A checkpoint that is missing or does not verify; the message says which file and why."""


def save_checkpoint(folder: Path, state: dict[str, Any], env_steps: int, *, keep: int = 3) -> Path:
    """Writes a checkpoint and then removes all but the newest.

    Args:
        folder: the run's folder of checkpoints; made where missing.
        state: nested dicts of tensors, arrays, and values that JSON can hold; keys without "/".
        env_steps: names the checkpoint.
        keep: how many stay.

    Returns:
        The checkpoint's folder.

    Raises:
        OSError: the disk is full or cannot be written; older checkpoints are untouched.
    """
    tensors, values = split_state(state)
    final = folder / f"step-{env_steps:015d}"
    for left in folder.glob(".step-*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    temporary, replaced = (folder / f".{final.name}-{end}" for end in ("new", "old"))
    temporary.mkdir(parents=True)
    try:
        save_file(tensors, temporary / TENSORS)
        (temporary / VALUES).write_text(json.dumps(values))
        files = {name: measure(temporary / name) for name in (TENSORS, VALUES)}
        for name in files:
            flush(temporary / name)
        manifest = {"format_version": FORMAT_VERSION, "env_steps": env_steps, "files": files}
        (temporary / MANIFEST).write_text(seal(manifest))
        flush(temporary / MANIFEST)
        flush(temporary)
        if final.exists():
            final.rename(replaced)
        temporary.rename(final)
        flush(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)
    for old in list_checkpoints(folder)[keep:]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def load_checkpoint(folder: Path) -> tuple[dict[str, Any], Path, list[str]]:
    """Reads the newest checkpoint that verifies.

    Args:
        folder: the run's folder of checkpoints.

    Returns:
        The state, the checkpoint's folder, and one line for each newer one that was refused.

    Raises:
        CheckpointError: there is none that verifies.
    """
    refused: list[str] = []
    for checkpoint in list_checkpoints(folder):
        try:
            return read_checkpoint(checkpoint), checkpoint, refused
        except CheckpointError as error:
            refused.append(str(error))
    if refused:
        raise CheckpointError(f"no checkpoint in {folder} verifies: " + "; ".join(refused))
    raise CheckpointError(f"no checkpoint in {folder}")


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def read_checkpoint(checkpoint: Path) -> dict[str, Any]:
    """Reads one checkpoint.

    Raises:
        CheckpointError: a file is missing, unreadable or not what the manifest says.
    """
    path = checkpoint / MANIFEST
    try:
        text = path.read_bytes().decode()
        manifest = json.loads(text)
        if manifest["format_version"] != FORMAT_VERSION:
            raise CheckpointError(f"{path}: not of format {FORMAT_VERSION}")
        del manifest["sha256"]
        if text != seal(manifest):
            raise CheckpointError(f"{path}: damaged, its sha256 is not its own")
        for name in (TENSORS, VALUES):
            path = checkpoint / name
            if measure(path) != manifest["files"][name]:
                raise CheckpointError(f"{path}: damaged, its sha256 is not the manifest's")
        path = checkpoint / TENSORS
        tensors = load_file(path)
        path = checkpoint / VALUES
        return join_state(tensors, json.loads(path.read_text()))
    except CheckpointError:
        raise
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, RecursionError) as error:
        raise CheckpointError(f"{path}: unreadable ({type(error).__name__}: {error})") from None


def measure(path: Path) -> dict[str, Any]:
    """Size in bytes and sha256 of a file."""
    with open(path, "rb") as file:
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


def split_state(state: dict[str, Any], prefix: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Parts nested dicts into tensors by path ("a/b/c") and the nested rest."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for key, value in state.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict):
            inner, values[key] = split_state(value, path + "/")
            tensors.update(inner)
        elif isinstance(value, Tensor | np.ndarray):
            # A copy: safetensors takes no views that share memory.
            tensors[path] = torch.as_tensor(value).detach().cpu().clone().contiguous()
        else:
            values[key] = value
    return tensors, values


def join_state(tensors: dict[str, Tensor], values: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `split_state`; arrays come back as tensors."""
    state = values
    for path, tensor in tensors.items():
        *parents, key = path.split("/")
        inner = state
        for parent in parents:
            inner = inner[parent]
        inner[key] = tensor
    return state
