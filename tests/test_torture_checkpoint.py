"""Checkpoints on bad disks and from bad people: R7, R8 and R9 in full."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
from checkpoint_states import (
    FILES,
    Bomb,
    assert_the_older_one_is_used,
    newest,
    save_two,
    sealed,
    torch_pickle,
)
from programs import ROOT, TESTS_IN_PATH
from runs import small, train

pytestmark = pytest.mark.slow


def test_a_thousand_flips(tmp_path, figure):
    """R7: 1 000 single bytes, 200 truncations, each file deleted; the file is named, the one before is used.

    Mutations: any of the checksums not compared.
    """
    save_two(tmp_path)
    generator = np.random.default_rng(0)
    wholes = {name: (newest(tmp_path) / name).read_bytes() for name in FILES}
    flips, cuts, deleted = 0, 0, 0
    for number in range(1200):
        name = FILES[number % 3]
        damaged = bytearray(wholes[name])
        place = int(generator.integers(len(damaged)))
        if number < 1000:
            damaged[place] ^= int(generator.integers(1, 256))
        else:
            del damaged[place:]
        (newest(tmp_path) / name).write_bytes(damaged)
        assert_the_older_one_is_used(tmp_path, name)
        (newest(tmp_path) / name).write_bytes(wholes[name])
        flips, cuts = flips + (number < 1000), cuts + (number >= 1000)
    for name in FILES:
        (newest(tmp_path) / name).unlink()
        assert_the_older_one_is_used(tmp_path, name)
        (newest(tmp_path) / name).write_bytes(wholes[name])
        deleted += 1
    goal = "1000 flips, 200 truncations, 3 files deleted, all found and named"
    figure("R7", goal, f"{flips}, {cuts}, {deleted}")


def tensors(fields, size=12, pad=b""):
    """A file of tensors with this header."""
    header = json.dumps(fields).encode() + pad
    return len(header).to_bytes(8, "little") + header + bytes(size)


def field(start, end, shape=2, dtype="F32"):
    return {"dtype": dtype, "shape": [shape], "data_offsets": [start, end]}


MANY = {f"x{n}": field(0, 0, 0) for n in range(10**5)}
HOSTILE = {
    "a header of 2 GB": {"tensors": (2**31).to_bytes(8, "little") + b"{}"},
    "a header of 2 GB in a file as large": {
        "tensors": (2**31).to_bytes(8, "little") + b"{}",
        "grow": 2**31 + 99,
    },
    "a header of 2^63 bytes": {"tensors": (2**63).to_bytes(8, "little")},
    "a tensor of 8 GB that is there": {
        "tensors": tensors({"a": field(0, 2**33, 2**31)}, 0),
        "grow": 2**33 + 60,
    },
    "a header of 9 MB": {"tensors": tensors(MANY, 0)},
    "a header nested a million deep": {"tensors": tensors({}, 0, b"[" * 10**6)},
    "overlapping": {"tensors": tensors({"a": field(0, 8), "b": field(4, 12)})},
    "a gap": {"tensors": tensors({"a": field(0, 4, 1), "b": field(8, 12, 1)})},
    "beyond the end": {"tensors": tensors({"a": field(0, 8), "b": field(8, 4000, 998)})},
    "backwards": {"tensors": tensors({"a": field(8, 0)})},
    "a shape that overflows": {"tensors": tensors({"a": {**field(0, 8), "shape": [2**40, 2**40]}}, 8)},
    "a negative shape": {"tensors": tensors({"a": field(0, 8, -2)}, 8)},
    "an unknown dtype": {"tensors": tensors({"a": field(0, 8, 2, "F33")}, 8)},
    "names out of the folder": {"tensors": tensors({"../../../tmp/x": field(0, 8)}, 8)},
    "no tensors of this run": {"tensors": tensors({"a": field(0, 8)}, 8)},
    "values nested a million deep": {"values": b"[" * 10**6},
    "values of tables a million deep": {"values": b'{"learner":' * 10**6},
    "values of 1 GB": {"values": b"[", "grow values": 2**30},
    "values of empty lists": {"values": b"[" + b"[]," * 10**7 + b"[]]"},
    "values that are NaN": {"values": b'{"learner": NaN}'},
    "values that are text": {"values": b'{"learner": "x"}'},
}


def spoil(checkpoint, kind):
    """Puts the hostile files in the place of a checkpoint's; its manifest vouches for them."""
    parts = HOSTILE[kind]
    files = {"tensors": tensors({}, 0), "values": b"{}"} | {k: v for k, v in parts.items() if " " not in k}
    files.pop("grow", None)
    shutil.rmtree(checkpoint)
    if "grow" in parts or "grow values" in parts:
        checkpoint.mkdir()
        for name, content in (("tensors.safetensors", files["tensors"]), ("state.json", files["values"])):
            (checkpoint / name).write_bytes(content)
        grown = FILES[0] if "grow" in parts else FILES[1]
        os.truncate(checkpoint / grown, parts.get("grow", parts.get("grow values")))
        contents = dict.fromkeys(FILES[:2])
        seal_as_it_is(checkpoint, contents)
    else:
        sealed(checkpoint, **files)


def seal_as_it_is(checkpoint, names):
    """Writes the manifest of the files that are there."""
    from agents import checkpoint_format

    files = {name: checkpoint_format.measure(checkpoint / name) for name in names}
    manifest = {"format_version": checkpoint_format.FORMAT_VERSION, "env_steps": 9, "files": files}
    (checkpoint / FILES[2]).write_text(checkpoint_format.seal(manifest))


def peak_mib(words, cwd):
    """Runs a program: its exit code, what it said on standard error, and its peak memory."""
    with subprocess.Popen(
        [sys.executable, *words], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as p:
        said = p.stderr.read().decode()
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
    return p.returncode, said, usage.ru_maxrss / (1024 if sys.platform == "linux" else 2**20)


def test_hostile_files(tmp_path, figure):
    """R8: exit 5 (2 for the configuration), one line, nothing executed, memory as if there were nothing.

    Mutations: no bound of the header, of the values' size, of their depth; a pickle opened.
    """
    run = train(small(tmp_path, total_steps=60)).folder
    (checkpoint,) = (run / "checkpoints").iterdir()
    program = ["-m", "scripts.evaluate", str(run), "--episodes", "3"]
    code, said, honest = peak_mib(program, ROOT)
    assert (code, said) == (0, "")
    found = {}
    bombs = {"a pickle": pickle.dumps(Bomb(tmp_path / "exploded")), "torch.save": torch_pickle(tmp_path)}
    for kind in [*HOSTILE, *bombs]:
        if kind in bombs:
            shutil.rmtree(checkpoint)
            sealed(checkpoint, tensors=bombs[kind], values=b"{}")
        else:
            spoil(checkpoint, kind)
        found[kind] = peak_mib(program, ROOT)
    for constant in ("NaN", "Infinity", "[" * 10**6, '"' + "x" * 2**21 + '"'):
        (run / "config.json").write_text(f'{{"learning_rate": {constant}}}')
        code, said, memory = peak_mib(program, ROOT)
        assert (code, said.count("\n")) == (2, 1), said
        found[f"config {constant[:9]}"] = 5, said, memory
    assert not (tmp_path / "exploded").exists()
    wrong = {
        kind: (code, said) for kind, (code, said, _) in found.items() if code != 5 or said.count("\n") != 1
    }
    peak = max(memory for *_, memory in found.values())
    reached = (
        f"{len(found) - len(wrong)} of {len(found)}; {peak:.0f} MiB at most, an honest one {honest:.0f} MiB"
    )
    figure("R8", "all refused, nothing executed, within 64 MiB of an honest one's memory", reached)
    assert not wrong
    assert peak < honest + 64


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk")
def test_a_disk_that_fills_up(tmp_path, figure):
    """R9: training goes on, one warning a minute, the older checkpoint stays, all is well when space returns.

    Mutations: the error of a save, or of the curves, let through; a save in place of the older one.
    """
    words = [sys.executable, str(ROOT / "tests" / "full_disk.py"), str(tmp_path)]
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system mounts nothing for its users")
    done = subprocess.run(
        ["unshare", "-rm", *words], env=TESTS_IN_PATH, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    figure("R9", "full, then read-only: trains on, 1 warning each a minute, recovers", str(found))
    for kind in ("full", "read-only"):
        assert found[kind] == {"updates": 40, "warnings": 1, "older": True, "recovered": True, "exit": 1}
    assert found["curves"]
