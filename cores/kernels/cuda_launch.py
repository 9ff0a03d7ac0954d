"""How the Triton kernels are launched: how the work is cut into programs, on which device, how precisely.

Source: none.

A program owns a block of environments for all steps, so that a step costs no launch, and a reset nothing. It
is then bound by the one multiprocessor that it runs on, which reads the recurrent weights from the L2 cache
at every step: at 256 units a megabyte, some 9 us on an H100 if it reads 64 bytes a clock. Where the blocks
are fewer than the multiprocessors, several programs therefore share a block, each a part of the weights, and
meet twice a step, the GRU's four times (`triton_parts.meet`), which should cost 1 us or so each time. They
wait for each other, so that launch is cooperative: the driver refuses it where not all of them fit on the
device at once, and none waits for a program that cannot start. With "ieee", large batches should be bound by
float32 arithmetic outside the tensor cores.

None of this has run on a GPU yet. These numbers, and the sizes below, are estimates.
"""

from contextlib import nullcontext
from typing import Any, NamedTuple

import torch

BLOCK_B = 16
"""Environments of a block: the rows of a tensor core's product."""

TILE = 2048
"""Lanes of a row-wise phase, over environments and units: 8 or 16 a thread."""

LANES = 128
"""Lanes of a program of a scan: few, so that small batches still spread over the device."""


class Cut(NamedTuple):
    """How an unroll is cut into programs; the names are the kernels'.

    Attributes:
        blocks: blocks of environments.
        SHARING: programs of a block.
        BLOCK_K: terms of a product taken at once.
        ROWS: environments of a row-wise phase taken at once.
        BLOCK_H: lanes for H units.
        num_warps: warps of a program.
    """

    blocks: int
    SHARING: int
    BLOCK_K: int
    ROWS: int
    BLOCK_H: int
    num_warps: int


def cut(B: int, H: int, num_processors: int) -> Cut:
    """Cuts an unroll into programs.

    Args:
        B: environments.
        H: units.
        num_processors: multiprocessors of the device.

    Returns:
        At most as many programs as multiprocessors, except one for each block.
    """
    blocks, lanes = -(-B // BLOCK_B), 1 << (H - 1).bit_length()
    wanted = min(num_processors // blocks, -(-H // 16), BLOCK_B)  # each has 16 columns of d_h, and a row
    sharing = 1 << (max(wanted, 1).bit_length() - 1)
    rows = max(1, min(BLOCK_B // sharing, TILE // lanes))
    terms, num_warps = (64, 4) if sharing > 1 else (32, 8)
    return Cut(blocks, sharing, terms, rows, lanes, num_warps)


def precision() -> str:
    """Returns how `tl.dot` multiplies float32: as torch's own products on the same device do."""
    return "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "ieee"


def launch_steps(
    kernel: Any, tensors: tuple[torch.Tensor, ...], T: int, B: int, H: int, **options: Any
) -> None:
    """Launches one of the kernels with products: all steps at once.

    Args:
        kernel: of `triton_lstm` or `triton_gru`.
        tensors: its arguments before `counters`; contiguous and on one device.
        T: steps.
        B: environments.
        H: units.
        **options: its arguments from `G` to the one before `PRECISION`.
    """
    device = tensors[0].device
    blocks, sharing, *sizes, num_warps = cut(B, H, _num_processors(device))
    counters = torch.zeros(blocks, dtype=torch.int32, device=device)
    names = Cut._fields[2:-1]
    with _on(device):
        kernel[(blocks * sharing,)](
            *tensors,
            counters,
            T,
            B,
            H=H,
            PRECISION=precision(),
            SHARING=sharing,
            BLOCK_B=BLOCK_B,
            **dict(zip(names, sizes, strict=True)),
            **options,
            num_warps=num_warps,
            launch_cooperative_grid=sharing > 1,
        )


def launch_scan(kernel: Any, tensors: tuple[torch.Tensor, ...], T: int, B: int, H: int) -> None:
    """Launches a kernel of `triton_scans`: all steps at once.

    Args:
        kernel: the kernel.
        tensors: its arguments before `T`; contiguous and on one device.
        T: steps.
        B: environments.
        H: units.
    """
    with _on(tensors[0].device):
        kernel[(-(-B * H // LANES),)](*tensors, T, B, H=H, BLOCK=LANES, num_warps=LANES // 32)


def _num_processors(device: torch.device) -> int:
    if device.type != "cuda":
        return 1  # Triton's interpreter: one program after the other
    return torch.cuda.get_device_properties(device).multi_processor_count


def _on(device: torch.device) -> Any:
    """Makes a device the current one, to which Triton launches."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
