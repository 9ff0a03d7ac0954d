"""The checks of an installation: each finds nothing here, and finds what is planted."""

import importlib.metadata
import platform
import resource
import shutil
import sys
from pathlib import Path

import pytest
import torch
from torch.utils import tensorboard

from agents import installation
from agents.installation import Finding, carry_out, checks
from agents.runners import arena


@pytest.mark.parametrize("name", checks(Path("runs")))
def test_nothing_is_wrong_here(name, tmp_path, monkeypatch):
    """Mutation: a check that fails where all is well."""
    monkeypatch.setattr(installation, "CACHE", tmp_path / "cache")
    finding = carry_out(checks(tmp_path / "runs")[name])
    assert finding.state != "failed", finding
    assert finding.found
    assert "\n" not in finding.found
    assert bool(finding.remedy) == (finding.state != "ok")
    assert not (tmp_path / "runs").exists()


def test_old_python(monkeypatch):
    """Mutation: versions compared as text ("3.9" is above "3.11")."""
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    monkeypatch.setattr(platform, "python_version", lambda: "3.9.1")
    finding = installation.python()
    assert (finding.state, finding.found.split()[0]) == ("failed", "3.9.1")
    assert "3.11 or later" in finding.remedy


def test_packages(tmp_path, monkeypatch):
    """A wrong version is a warning, a missing package a failure; torch's local part is none of its version.

    Mutations: the missing one passed over; "+cu130" taken for another version.
    """
    right = {"torch": "2.13.0+cu130", "numpy": "2.4.6"}

    def version(name):
        if name not in right:
            raise importlib.metadata.PackageNotFoundError
        return right[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(installation, "NEEDED", "torch numpy")
    monkeypatch.setattr(installation, "CONSTRAINTS", tmp_path / "constraints.txt")
    assert installation.packages().state == "warning"
    (tmp_path / "constraints.txt").write_text("torch==2.13.0\nnumpy==2.4.6\nav==1.0\n")
    assert installation.packages() == Finding("ok", "torch 2.13.0, 2 packages as in constraints.txt")
    right["numpy"] = "1.9"
    finding = installation.packages()
    assert (finding.state, finding.found) == (
        "warning",
        "other versions than those tested: numpy 1.9 for 2.4.6",
    )
    del right["numpy"]
    assert installation.packages()[:2] == ("failed", "missing: numpy")


def test_machine(monkeypatch):
    """Mutation: the limit compared the other way round."""
    monkeypatch.setattr(installation, "memory_bytes", lambda: 2**30)
    assert installation.computing().state == "warning"
    monkeypatch.setattr(installation, "memory_bytes", lambda: 2**34)
    assert installation.computing().state == "ok"


def test_cuda(monkeypatch):
    """A GPU that torch does not reach, and one without Triton.

    Mutation: both passed over.
    """
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/nvidia0")
    assert installation.cuda().state == "warning"
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert installation.cuda() == Finding("ok", "none; the CPU is used")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "A card")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "3.7")
    assert installation.cuda() == Finding("ok", "A card, Triton 3.7")

    def missing(name):
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert installation.cuda().state == "warning"


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    """Also for root, who may write everywhere but not below a file.

    Mutation: the error let through, or the size of the files wrong.
    """
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(installation, "CACHE", tmp_path / "file" / "cache")
    finding = installation.kernel_cache()
    assert finding.state == "warning"
    assert "XDG_CACHE_HOME" in finding.remedy
    monkeypatch.setattr(installation, "CACHE", tmp_path / "cache")
    (tmp_path / "cache" / "a").mkdir(parents=True)
    (tmp_path / "cache" / "a" / "b").write_bytes(b"x" * 3 * 2**20)
    assert ", 3 MiB;" in installation.kernel_cache().found


def test_no_shared_memory(monkeypatch):
    """Mutation: an error that ends the doctor."""

    def refuse(size=0):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(arena, "NamelessFile", refuse)
    finding = carry_out(installation.shared_memory)
    assert (finding.state, "Function not implemented" in finding.found) == ("failed", True)


def test_disk(tmp_path, monkeypatch):
    """Mutations: the two limits exchanged; a file taken for a folder."""
    (tmp_path / "file").write_text("")
    assert installation.disk(tmp_path / "file" / "runs").state == "failed"
    usage = shutil.disk_usage(tmp_path)
    for free, state in ((2**31, "ok"), (2**29, "warning"), (2**20, "failed")):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: usage._replace(free=free))
        assert installation.disk(tmp_path / "a" / "b").state == state


def test_open_files(monkeypatch):
    """Mutation: no limit (-1) taken for a low one."""
    for limit, state in ((resource.RLIM_INFINITY, "ok"), (4096, "ok"), (64, "warning")):
        monkeypatch.setattr(resource, "getrlimit", lambda which, limit=limit: (limit, limit))
        assert installation.open_files().state == state


def test_events_that_are_lost(monkeypatch):
    """Mutation: the point not looked for."""
    monkeypatch.setattr(tensorboard.SummaryWriter, "add_scalar", lambda *args: None)
    assert installation.events().state == "failed"


def test_terminal(monkeypatch):
    """Mutation: latin-1 passed over."""

    class Latin:
        encoding = "latin-1"

        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdout", Latin())
    assert installation.terminal().state == "warning"


def test_an_error_is_a_finding():
    """Mutation: a broken package ends the doctor with a traceback."""

    def broken():
        raise ImportError("no\nlibfoo")

    assert carry_out(broken)[:2] == ("failed", "ImportError: no libfoo")
