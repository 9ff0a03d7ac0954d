"""A batch shared among threads: by OpenMP's, which torch brings along on Linux, and by Python's."""

import pytest
import torch
from test_kernels_others import EXACTLY, NAMES, arguments, build, fused, results

from cores.kernels import threads
from cores.kernels.threads import split_batch

ALL = [("ur-lstm", {}), ("om-lstm", {"chunk": 3}), *((name, {}) for name in NAMES)]


@pytest.mark.parametrize(("name", "options"), ALL)
@pytest.mark.usefixtures("either_kind")
def test_threads_change_nothing(name, options, monkeypatch):
    """Split over threads, outputs and all gradients are bit for bit those of one thread.

    Mutations: the last part left out of ``split_batch``; scratch of the first environment for all parts;
    a sum over environments within a part.
    """
    core = build(name, torch.float32, (16, 48), **options)
    call = arguments(core, (60, 31))
    alone = results(fused, core, *call)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)  # torch itself goes on with as many as it has
    torch.testing.assert_close(results(fused, core, *call), alone, **EXACTLY)


@pytest.fixture(params=["openmp", "python"])
def either_kind(request, monkeypatch):
    """Threads of OpenMP, where they are to be had, and of Python."""
    if request.param == "python":
        monkeypatch.setattr(threads, "_openmp", lambda: None)


def shared(batch_size, num_threads, monkeypatch):
    """Returns the parts of a batch, in order."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: num_threads)
    parts = []
    split_batch(lambda first, last, seen: seen.append((first, last)), batch_size, parts)
    return sorted(parts)


@pytest.mark.usefixtures("either_kind")
@pytest.mark.parametrize(("batch_size", "wanted"), [(1, 1), (4, 1), (5, 2), (12, 3), (64, 4)])
def test_every_environment_is_in_one_part(batch_size, wanted, monkeypatch):
    """Mutations: a part for each thread, however small; the last part left out; a part for every thread."""
    parts = shared(batch_size, 4, monkeypatch)
    assert len(parts) == wanted
    assert [first for first, _ in parts] == [0, *(last for _, last in parts[:-1])]
    assert parts[-1][1] == batch_size
    assert all(first < last for first, last in parts)


@pytest.mark.usefixtures("either_kind")
def test_an_error_comes_through(monkeypatch):
    """Mutation: ``errors`` not looked at."""

    def work(first, last):
        raise ValueError(f"in part {first}")

    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with pytest.raises(ValueError, match="in part"):
        split_batch(work, 16)
