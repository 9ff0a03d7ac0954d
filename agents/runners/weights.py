"""Weights that one process publishes and others read, without locks: a dead reader holds nothing up."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from agents.runners.arena import Arena


class PublishedWeights:
    """The newest weights in two buffers, which the publisher fills in turn.

    A reader copies the newer one. Only a publisher that begins to fill that very buffer meanwhile, the
    publication after the next, spoils the copy; it announces that first, so the reader finds out and copies
    again.
    """

    def __init__(self, weights: Mapping[str, Tensor]):
        """Publishes the first weights (a network's state_dict) as version 0."""
        layout = {name: ((2, *tensor.shape), tensor.cpu().numpy().dtype) for name, tensor in weights.items()}
        # "begun" and "ready" count publications; "version" is the learner's, for each buffer.
        counters = {name: ((1,), np.dtype(np.int64)) for name in ("/begun", "/ready")}
        self._names = list(weights)
        self._arena = Arena({**layout, **counters, "/version": ((2,), np.dtype(np.int64))})
        self.publish(weights, 0)

    def _buffer(self, index: int) -> list[Tensor]:
        return [torch.from_numpy(self._arena[name][index, ...]) for name in self._names]

    @torch.no_grad()
    def publish(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Makes these weights the newest; one process alone may do so."""
        number = int(self._arena["/ready"][0]) + 1
        self._arena["/begun"][0] = number
        for own, tensor in zip(
            self._buffer(number % 2), [weights[name] for name in self._names], strict=True
        ):
            own.copy_(tensor)
        self._arena["/version"][number % 2] = version
        self._arena["/ready"][0] = number

    @torch.no_grad()
    def read(self, into: Mapping[str, Tensor]) -> int:
        """Copies the newest weights into tensors by name; returns their version."""
        targets = [into[name] for name in self._names]
        while True:
            number = int(self._arena["/ready"][0])
            torch._foreach_copy_(targets, self._buffer(number % 2))
            version = int(self._arena["/version"][number % 2])
            if self._arena["/begun"][0] < number + 2:
                return version
