"""What the C library is told of memory. What it does with that depends on its version: see the module."""

import ctypes

import pytest

from agents import allocation


class Library:
    """A C library that writes down what its allocator is told."""

    def __init__(self):
        self.told = {}

    def mallopt(self, parameter, value):
        self.told[parameter] = value
        return 1


def test_both_parameters_are_set(monkeypatch):
    """Mutation: either left as it was."""
    library = Library()
    monkeypatch.setattr(allocation.ctypes, "CDLL", lambda name: library)
    allocation.keep_freed_memory()
    assert library.told == {-1: 2**31 - 1, -3: 2**30}  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h


@pytest.mark.parametrize("error", [OSError, TypeError])
def test_where_there_is_no_such_library(monkeypatch, error):
    """Mutation: an error let through on another system."""

    def none(name):
        raise error

    monkeypatch.setattr(allocation.ctypes, "CDLL", none)
    allocation.keep_freed_memory()


def test_where_the_allocator_is_another(monkeypatch):
    """Mutation: as above."""
    monkeypatch.setattr(allocation.ctypes, "CDLL", lambda name: object())
    allocation.keep_freed_memory()


def test_this_system_takes_it():
    """Nothing is raised here, whatever its C library is."""
    assert callable(ctypes.CDLL(None).malloc)
    allocation.keep_freed_memory()
