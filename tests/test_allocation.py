"""Whether freed memory is kept, and what the C library is told for it."""

import subprocess
import sys

import pytest

from agents import allocation

WORDS = """
import ctypes, sys
import torch
from agents import training
from agents.config import Config

FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"  # of malloc.h

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in FIELDS.split()]

mallinfo = ctypes.CDLL(None).mallinfo
mallinfo.restype = Info
if sys.argv[1] == "given back":
    training.keep_freed_memory = lambda: None
run = training.Training(Config(hidden_size=8, num_envs=2))
before = mallinfo()
block = torch.ones(2**26, dtype=torch.uint8)
during = mallinfo()
del block
after = mallinfo()
print(during.hblkhd - before.hblkhd >= 2**26, after.fordblks >= 2**26)
run.runner.close()
"""


class Library:
    """A C library that writes down what its allocator is told."""

    def __init__(self):
        self.told = {}

    def mallopt(self, parameter, value):
        self.told[parameter] = value
        return 1


def a_block_freed(how):
    """Whether 64 MiB come from outside of a training process's heap; whether it holds them once freed."""
    done = subprocess.run([sys.executable, "-c", WORDS, how], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_training_keeps_what_it_frees():
    """Mutation: either parameter left as it was; not called."""
    assert a_block_freed("given back") == ["True", "False"]
    assert a_block_freed("kept") == ["False", "True"]


def test_both_parameters_are_set(monkeypatch):
    """Mutation: either left as it was."""
    library = Library()
    monkeypatch.setattr(allocation.ctypes, "CDLL", lambda name: library)
    allocation.keep_freed_memory()
    assert library.told == {-1: 2**31 - 1, -3: 2**30}  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h


@pytest.mark.parametrize(
    "found",
    [OSError("no library"), TypeError("no name"), object()],
    ids=["no library", "no name", "no function"],
)
def test_where_there_is_no_such_allocator(monkeypatch, found):
    """It is looked for once, and no more is done. Mutation: an error let through on another system."""
    looked_for = []

    def library(name):
        looked_for.append(name)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(allocation.ctypes, "CDLL", library)
    allocation.keep_freed_memory()
    assert looked_for == [None]
