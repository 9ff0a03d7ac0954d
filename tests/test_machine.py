"""What the machine has."""

import os

import pytest
import torch

from agents import machine
from agents.machine import check_device_name, memory_bytes, num_cores, resolve_device


def test_devices():
    """Mutation: auto taken for CUDA where there is none."""
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("cpu:0", "cpu:00"):
        assert resolve_device(name) == torch.device("cpu", 0)
    assert resolve_device("cpu:") == torch.device("cpu")
    count = torch.cuda.device_count()
    with pytest.raises(
        ValueError, match=f"^--device cuda:99: this machine has {count} of that kind; auto takes"
    ):
        resolve_device("cuda:99")


@pytest.mark.parametrize(
    "name", ["", "tpu", "cpu:x", "cuda:-1", "cuda:99999", "cuda:²", "auto:0", "CPU", "cuda:1 "]
)
def test_what_is_no_device(name):
    """Mutations: digits of other scripts; a number of any length (int refuses 5000 digits)."""
    for function, flag in ((check_device_name, ""), (resolve_device, "--device ")):
        with pytest.raises(ValueError, match=f"^{flag}must be auto, cpu, cuda or cuda:N, got "):
            function(name)


def test_cores_and_memory(tmp_path, monkeypatch):
    """A container's limit counts where it is below the machine's memory; "max" is none.

    Mutations: the greater of both; "max" as an error.
    """
    assert 1 <= num_cores() <= os.cpu_count()
    monkeypatch.setattr(machine, "MEMORY_LIMITS", (str(tmp_path / "missing"),))
    whole = memory_bytes()
    assert whole > 2**28
    for text, size in (("max\n", whole), ("1048576\n", 2**20), (f"{2**62}\n", whole)):
        (tmp_path / "limit").write_text(text)
        monkeypatch.setattr(machine, "MEMORY_LIMITS", (str(tmp_path / "missing"), str(tmp_path / "limit")))
        assert memory_bytes() == size
