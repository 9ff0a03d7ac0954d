"""States to save, checkpoints of them, and what a forger or a bad disk makes of these."""

import math
import os

import numpy as np
import torch

from agents import checkpoint_format
from agents.checkpoint import load_checkpoint, save_checkpoint

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


def save_two(folder):
    """Saves checkpoints of steps 100 and 200; gives the folder back."""
    for step in (100, 200):
        save_checkpoint(folder, new_state(step), step)
    return folder


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


def sealed(folder, **files):
    """Writes a checkpoint with these files and a manifest that vouches for them: a forger's work."""
    folder.mkdir()
    for name, content in files.items():
        (folder / {"tensors": FILES[0], "values": FILES[1]}[name]).write_bytes(content)
    manifest = {
        "format_version": checkpoint_format.FORMAT_VERSION,
        "env_steps": 200,
        "files": {name: checkpoint_format.measure(folder / name) for name in FILES[:2]},
    }
    (folder / FILES[2]).write_text(checkpoint_format.seal(manifest))
    return folder


class Bomb:
    """What a hostile pickle does when it is opened: it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def torch_pickle(folder):
    """The same within what torch.save writes."""
    torch.save({"weights": Bomb(folder / "exploded")}, folder / "hostile.pt")
    content = (folder / "hostile.pt").read_bytes()
    (folder / "hostile.pt").unlink()
    return content
