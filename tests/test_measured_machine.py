"""Tests of what is told of the machine and of memory."""

import mmap
import multiprocessing
import os
import sys

import pytest

from agents.machine import num_cores
from agents.speed.machine import family, kib_of, machine_facts, peak_rss_mib, pss_mib

needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="this system has no /proc")


def hold(size, told):
    """Touches some memory, tells so, and waits to be killed."""
    memory = mmap.mmap(-1, size)
    memory.write(b"1" * size)
    told.set()
    multiprocessing.Event().wait()


@pytest.fixture
def child():
    """A process that holds 64 MiB."""
    context = multiprocessing.get_context("fork")
    told = context.Event()
    process = context.Process(target=hold, args=(2**26, told))
    process.start()
    assert told.wait(60)
    yield process
    process.kill()
    process.join()


def test_facts_are_told():
    """Mutation: a fact left out."""
    facts = machine_facts()
    assert set(facts) == {"cpu", "cores", "load", "system", "python", "torch", "date", "command"}
    assert all(facts[name] != "" for name in ("cpu", "torch", "date", "command"))
    assert facts["cores"] == num_cores() >= 1
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))


@needs_proc
def test_memory_of_children_counts(child):
    """Mutation: the process's own memory alone."""
    with_child = peak_rss_mib()
    child.kill()
    child.join()
    assert with_child - peak_rss_mib() > 60


@needs_proc
def test_a_family_is_a_process_and_all_below_it(child):
    """Mutations: children left out; processes of others taken in; a dead one's memory an error."""
    pids = {pid for pid, _ in family(os.getpid())}
    assert {os.getpid(), child.pid} <= pids
    assert os.getppid() not in pids
    assert {pid for pid, _ in family(child.pid)} == {child.pid}
    assert pss_mib([child.pid]) > 60
    child.kill()
    child.join()
    assert family(child.pid) == set()
    assert kib_of(child.pid, "status", "VmRSS") == 0
