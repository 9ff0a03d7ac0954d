"""Whether freed memory is kept, and what the C library is told for it."""

import subprocess
import sys

import pytest

from agents import allocation

WORDS = """
import resource, sys
from agents import training
from agents.config import Config

if sys.argv[1] == "given back":
    training.keep_freed_memory = lambda: None
pages = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
run = training.Training(Config(hidden_size=128, num_envs=128))
for _ in range(4):
    run.step()
before = pages()
for _ in range(8):
    run.step()
print(pages() - before)
run.runner.close()
"""


class Library:
    """A C library that writes down what its allocator is told."""

    def __init__(self):
        self.told = {}

    def mallopt(self, parameter, value):
        self.told[parameter] = value
        return 1


def num_faults(how):
    """New pages that eight updates need after the first four."""
    done = subprocess.run([sys.executable, "-c", WORDS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_an_update_needs_few_new_pages():
    """Seen: 20 to 1 200 in place of some 35 000. Mutation: either parameter left as it was."""
    assert 5 * num_faults("kept") < num_faults("given back")


def test_both_parameters_are_set(monkeypatch):
    """Mutation: either left as it was."""
    library = Library()
    monkeypatch.setattr(allocation.ctypes, "CDLL", lambda name: library)
    allocation.keep_freed_memory()
    assert library.told == {-1: 2**31 - 1, -3: 2**30}  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h


@pytest.mark.parametrize("found", [OSError("no library"), TypeError("no name"), object()], ids=repr)
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
