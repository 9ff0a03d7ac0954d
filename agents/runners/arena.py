"""Arrays in memory that several processes share, and that nobody has to clean up.

The memory is a file without a name. The system frees it with the last process that has it open, however
that ends, and the small /dev/shm of a container does not limit it.
"""

import math
import mmap
import os
import tempfile
from collections.abc import Mapping
from multiprocessing import reduction
from typing import Any

import numpy as np

ALIGNMENT = 64
"""Bytes of a cache line: two arrays never share one."""

Layout = Mapping[str, tuple[tuple[int, ...], np.dtype]]
"""Shape and dtype of each array by name."""


class NamelessFile:
    """An open file in memory; a process that is being spawned may be given it."""

    def __init__(self, size: int = 0):
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("longhold")
        else:  # not Linux
            with tempfile.TemporaryFile() as file:
                self.fd = os.dup(file.fileno())
        os.ftruncate(self.fd, size)

    def size(self) -> int:
        """Bytes in it."""
        return os.fstat(self.fd).st_size

    def read(self, start: int = 0) -> str:
        """What was written to it, from a byte on."""
        return os.pread(self.fd, self.size() - start, start).decode(errors="replace")

    def close(self) -> None:
        """Closes it in this process."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __getstate__(self) -> Any:
        return reduction.DupFd(self.fd)

    def __setstate__(self, descriptor: Any) -> None:
        self.fd = descriptor.detach()

    def __del__(self) -> None:
        if getattr(self, "fd", -1) >= 0:
            self.close()


class Arena:
    """Arrays by name, at the same place for every process that was given it; all 0 at first."""

    def __init__(self, layout: Layout):
        """Lays the arrays out."""
        self._layout = dict(layout)
        self._file = NamelessFile(max(1, self._end()))
        self._map()

    def _starts(self) -> dict[str, int]:
        starts, end = {}, 0
        for name, (shape, dtype) in self._layout.items():
            starts[name] = end
            end += -(-math.prod(shape) * np.dtype(dtype).itemsize // ALIGNMENT) * ALIGNMENT
        return starts | {"": end}

    def _end(self) -> int:
        return self._starts()[""]

    def _map(self) -> None:
        memory, starts = mmap.mmap(self._file.fd, max(1, self._end())), self._starts()
        self._arrays = {
            name: np.ndarray(shape, dtype, memory, starts[name])
            for name, (shape, dtype) in self._layout.items()
        }

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def __getstate__(self) -> Any:
        return self._layout, self._file

    def __setstate__(self, state: Any) -> None:
        self._layout, self._file = state
        self._map()
        self._file.close()  # a map needs no open file
