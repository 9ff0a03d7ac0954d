"""What a CUDA device needs of its host: streams, graphs, answers that are read later, rounding.

Source: the CUDA programming guide on streams and graphs, as torch.cuda gives them.

None of this has run on a GPU yet.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor

Precision = Literal["float32", "tf32", "bfloat16"]

WARM_UP = 3
"""Runs of a step before it is recorded: kernels are compiled, checked and chosen in them."""


def on(stream: torch.cuda.Stream | None) -> AbstractContextManager[object]:
    """Work that is asked for in the with block is done on a stream; without one, where it always is."""
    return torch.cuda.stream(stream) if stream is not None else nullcontext()


def graphed(
    step: Callable[[], None],
    prepare: Callable[[], object],
    stream: torch.cuda.Stream,
    tell: Callable[[str], None],
) -> Callable[[], None]:
    """Records a step as a CUDA graph, so that its kernels cost one launch.

    Args:
        step: works on tensors that stay where they are, and does not wait for the device.
        prepare: is called before each run that warms up; what these leave behind is the caller's to undo.
        stream: where the step runs.
        tell: is given a line where it can't be recorded.

    Returns:
        The same step, by replay; the step itself where it can't be recorded, as a core of the user's own may
        wait for the device.
    """
    with on(stream):
        for _ in range(WARM_UP):
            prepare()
            step()
        prepare()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    try:
        # Other threads may use the device meanwhile, as NCCL's does.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            step()
    except RuntimeError as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        tell(f"the acting step can't be recorded as a CUDA graph, so it costs a launch a kernel: {reason}")
        return step
    return graph.replay


class Later:
    """Whether something holds that a device is still to find out; the answer is sent to the host at once.

    Reading it waits for what led to it alone, not for what was asked of the device since.

    Attributes:
        is_here: reading it waits for nothing.
    """

    def __init__(self, answer: Tensor):
        """Sends a 0-dimensional tensor on its way."""
        self._answer, self._sent = answer, None
        self.is_here = not answer.is_cuda
        if not self.is_here:
            there = torch.empty(answer.shape, dtype=answer.dtype, pin_memory=True)
            self._answer = there.copy_(answer, non_blocking=True)
            self._sent = torch.cuda.Event()
            self._sent.record()

    def __bool__(self) -> bool:
        """Waits for the answer."""
        if self._sent is not None:
            self._sent.synchronize()
        return bool(self._answer)


def use_precision(precision: Precision, device: torch.device) -> None:
    """Decides how CUDA's float32 products and convolutions are rounded, in this process.

    Raises:
        ValueError: the device does not know the precision.
    """
    if device.type != "cuda":
        if precision != "float32":
            raise ValueError(f"--precision {precision} needs a CUDA device; on the CPU all is float32")
        return
    if precision != "float32" and torch.cuda.get_device_capability(device) < (8, 0):
        name = torch.cuda.get_device_name(device)
        raise ValueError(f"--precision {precision}: {name} has no such products; say float32")
    rounding = "ieee" if precision == "float32" else "tf32"
    torch.backends.cuda.matmul.fp32_precision = rounding
    torch.backends.cudnn.conv.fp32_precision = rounding  # type: ignore[attr-defined]
