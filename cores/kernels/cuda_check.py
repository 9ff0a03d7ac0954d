"""A first look at the CUDA kernels on the machine at hand: do they say what the CPU says?

Source: none. A kernel that is right on one GPU, with one driver and one version of Triton, need not be right
on another. Before the first unroll of a kind, the kernel and the CPU's unroll do the same small work; where
they differ, the core runs unfused.
"""

from collections.abc import Callable

import torch

from cores.kernels import cuda_scan, cuda_unroll, gru_unroll, scan_unroll, unroll

T, B, X = 4, 19, 7
"""Steps, environments (two blocks, one of them not full) and inputs."""
UNITS = 256
"""At least: enough for many programs to share a block."""
TOLERANCE = 1e-2
"""Of the largest entry; in float32, and a GPU may be set to TF32. What is wrong is wrong by more."""

Unroll = Callable[..., tuple[torch.Tensor, ...]]


def lstm_complaint(cell: cuda_unroll.LSTMCell, twin: unroll.Cell, device: str) -> str | None:
    """Compares the kernels of an LSTM with the CPU's.

    Args:
        cell: for the kernels.
        twin: the same for the CPU.
        device: where the kernels run.

    Returns:
        As `complaint`.
    """
    H = -(-UNITS // cell.chunk) * cell.chunk
    G = 4 * H + (2 * H // cell.chunk if cell.help == "master" else 0)
    return complaint(
        lambda x, h, c, *weights, reset: cuda_unroll.unroll(cell, x, h, c, reset, unroll.Weights(*weights)),
        lambda x, h, c, *weights, reset: unroll.fused_unroll(twin, x, h, c, reset, unroll.Weights(*weights)),
        [(T, B, X), (B, H), (B, H), (G, X), (G, H), (G,)],
        device,
    )


def gru_complaint(cell: cuda_unroll.GRUCell, twin: gru_unroll.GRUCell, device: str) -> str | None:
    """Compares the kernels of a GRU with the CPU's.

    Args:
        cell: for the kernels.
        twin: the same for the CPU.
        device: where the kernels run.

    Returns:
        As `complaint`.
    """
    H, G = UNITS, (4 if cell.refined else 3) * UNITS
    return complaint(
        lambda x, h, *weights, reset: cuda_unroll.gru_unroll(cell, x, h, reset, unroll.Weights(*weights)),
        lambda x, h, *weights, reset: gru_unroll.fused_gru_unroll(
            twin, x, h, reset, unroll.Weights(*weights)
        ),
        [(T, B, X), (B, H), (G, X), (G, H), (G,)],
        device,
    )


def scan_complaint(name: str, twin: scan_unroll.Scan, device: str) -> str | None:
    """Compares the kernels of an elementwise recurrence with the CPU's.

    Args:
        name: "mingru" or "lru".
        twin: the same for the CPU.
        device: where the kernels run.

    Returns:
        As `complaint`.
    """
    if name == "mingru":
        return complaint(
            lambda x, h, *weights, reset: cuda_scan.mingru_unroll(x, h, reset, *weights),
            lambda x, h, *weights, reset: scan_unroll.fused_mingru_unroll(twin, x, h, reset, *weights),
            [(T, B, X), (B, UNITS), (2 * UNITS, X), (2 * UNITS,)],
            device,
        )
    return complaint(
        lambda driven, x, values, reset: cuda_scan.scan(driven, x, values, reset),
        lambda driven, x, values, reset: scan_unroll.fused_lru_scan(twin, driven, x, values, reset),
        [(T, B, 2 * UNITS), (B, 2 * UNITS), (2 * UNITS,)],
        device,
    )


def complaint(on_gpu: Unroll, on_cpu: Unroll, shapes: list[tuple[int, ...]], device: str) -> str | None:
    """Compares outputs, states and gradients of two unrolls.

    Args:
        on_gpu: takes tensors of the shapes and, by name, reset [T, B] bool, on the device; returns tensors.
        on_cpu: the same on the CPU; it is right.
        shapes: of what the unrolls take.
        device: where the first one runs.

    Returns:
        What is wrong, in one line; None if nothing is.
    """
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(shape, generator=generator) * 0.3 for shape in shapes]
    reset = torch.rand(T, B, generator=generator) < 0.3
    with torch.enable_grad():
        wanted = _results(on_cpu, tensors, reset)
        try:
            found = _results(on_gpu, [tensor.to(device) for tensor in tensors], reset.to(device))
        except Exception as error:  # of the compiler, or of the driver
            return f"{type(error).__name__}: {' '.join(str(error).split())}"
    for truth, value in zip(wanted, found, strict=True):
        apart = (value.cpu() - truth).abs().max().item() / truth.abs().max().item()
        if not apart < TOLERANCE:  # nor NaN
            return f"results differ from the CPU's by {apart:.1e} of the largest"
    return None


def _results(run: Unroll, tensors: list[torch.Tensor], reset: torch.Tensor) -> list[torch.Tensor]:
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    results = run(*leaves, reset=reset)
    total = sum((result.square().sum() for result in results), start=reset.new_zeros((), dtype=torch.float32))
    return [*(result.detach() for result in results), *torch.autograd.grad(total, leaves)]
