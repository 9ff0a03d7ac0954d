"""The fused unroll: the same functions as the reference unrolls of the cores, faster.

Source: none. This file decides whether an unroll can be fused, and by what: numba on the CPU, Triton on CUDA.
It imports either only once an unroll is fused by it.
"""

import logging
from functools import cache
from typing import Any

import torch

from cores.kernels import gru_unroll, scan_unroll, unroll
from cores.kernels.gru_unroll import GRUCell
from cores.kernels.scan_unroll import Scan
from cores.kernels.stepping import gru_stepper, lstm_stepper
from cores.kernels.unroll import Cell, Weights

__all__ = [
    "Cell",
    "GRUCell",
    "Scan",
    "Weights",
    "fusable",
    "fused_gru_unroll",
    "fused_lru_scan",
    "fused_mingru_unroll",
    "fused_unroll",
    "gated_gru_cell",
    "gated_lstm_cell",
    "gru_stepper",
    "lru_scan",
    "lstm_stepper",
    "mingru_scan",
]

HELPS = ("none", "refine", "master")
"""In the order of the codes in `cores.kernels.lstm_gates`."""


def fusable(*tensors: torch.Tensor) -> bool:
    """Tells whether the fused unroll can take the place of the reference one.

    Args:
        *tensors: inputs, state and weights of an unroll.

    Returns:
        Whether all are plain tensors of one dtype on one device, the CPU (float32 or float64) or a CUDA GPU
        (float32), and nothing else is to be done with the operations than to compute them: no autocast, no
        torch.compile, no torch.func.
    """
    dtype = tensors[0].dtype
    for tensor in tensors:  # a loop and not all(...): an actor comes by here at every step
        if tensor.dtype != dtype or not tensor.is_cpu:
            return _fusable_on_cuda(tensors) and _nothing_else("cuda")
    return dtype in (torch.float32, torch.float64) and _nothing_else("cpu")


def _fusable_on_cuda(tensors: tuple[torch.Tensor, ...]) -> bool:
    """In float64, which is for checks, the reference unroll is good enough."""
    device = tensors[0].device
    return device.type == "cuda" and all(t.device == device and t.dtype == torch.float32 for t in tensors)


def _nothing_else(device: str) -> bool:
    return (
        not torch.is_autocast_enabled(device)
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
    )


def fused_unroll(
    cell: Any, inputs: torch.Tensor, h: torch.Tensor, c: torch.Tensor, reset: torch.Tensor, weights: Weights
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Unrolls an LSTM, as `cores.kernels.unroll.fused_unroll`, on the inputs' device.

    Args:
        cell: of `gated_lstm_cell`, for the same device.
        inputs: [T, B, I]: inputs.
        h: [B, H]: output before inputs[0].
        c: [B, H]: cell before inputs[0].
        reset: [T, B] bool: h and c are replaced by zeros before step t.
        weights: the core's.

    Returns:
        out [T, B, H], and h and c [B, H] after the last step.
    """
    if inputs.is_cpu:
        return unroll.fused_unroll(cell, inputs, h, c, reset, weights)
    from cores.kernels import cuda_unroll

    return cuda_unroll.unroll(cell, inputs, h, c, reset, weights)


def fused_gru_unroll(
    cell: Any, inputs: torch.Tensor, h: torch.Tensor, reset: torch.Tensor, weights: Weights
) -> tuple[torch.Tensor, torch.Tensor]:
    """Unrolls a GRU, as `cores.kernels.gru_unroll.fused_gru_unroll`, on the inputs' device.

    Args:
        cell: of `gated_gru_cell`, for the same device.
        inputs: [T, B, I]: inputs.
        h: [B, H]: output before inputs[0].
        reset: [T, B] bool: h is replaced by zeros before step t.
        weights: the core's.

    Returns:
        out [T, B, H], and h [B, H] after the last step.
    """
    if inputs.is_cpu:
        return gru_unroll.fused_gru_unroll(cell, inputs, h, reset, weights)
    from cores.kernels import cuda_unroll

    return cuda_unroll.gru_unroll(cell, inputs, h, reset, weights)


def fused_mingru_unroll(
    scan: Any,
    inputs: torch.Tensor,
    h: torch.Tensor,
    reset: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Unrolls a minGRU, as `cores.kernels.scan_unroll.fused_mingru_unroll`, on the inputs' device.

    Args:
        scan: of `mingru_scan`, for the same device.
        inputs: [T, B, I]: inputs.
        h: [B, H]: output before inputs[0].
        reset: [T, B] bool: h is replaced by zeros before step t.
        weight: [2 H, I]: the core's input weights.
        bias: [2 H]: its biases.

    Returns:
        out [T, B, H], and h [B, H] after the last step.
    """
    if inputs.is_cpu:
        return scan_unroll.fused_mingru_unroll(scan, inputs, h, reset, weight, bias)
    from cores.kernels import cuda_scan

    return cuda_scan.mingru_unroll(inputs, h, reset, weight, bias)


def fused_lru_scan(
    scan: Any, driven: torch.Tensor, before: torch.Tensor, eigenvalues: torch.Tensor, reset: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Runs the LRU's recurrence, as `cores.kernels.scan_unroll.fused_lru_scan`, on the inputs' device.

    Args:
        scan: of `lru_scan`, for the same device.
        driven: [T, B, 2 H]: what the inputs add.
        before: [B, 2 H]: the state before step 0.
        eigenvalues: [2 H]: lambda.
        reset: [T, B] bool: the state is replaced by zeros before step t.

    Returns:
        The states [T, B, 2 H], and the last of them, [B, 2 H].
    """
    if driven.is_cpu:
        return scan_unroll.fused_lru_scan(scan, driven, before, eigenvalues, reset)
    from cores.kernels import cuda_scan

    return cuda_scan.scan(driven, before, eigenvalues, reset)


@cache
def gated_lstm_cell(cumax: bool, help: str, chunk: int, device: str = "cpu") -> Any:
    """Finds what is particular to one place of the LSTM grid; the first call imports numba or Triton.

    Args:
        cumax: whether the forget gate is cumax, and not sigma, of its pre-activation.
        help: "none", "refine" or "master".
        chunk: C, units that share one entry of a master gate.
        device: "cpu" or "cuda".

    Returns:
        The cell, for `fused_unroll`; None where numba or Triton is missing, or where the GPU does not say
        what the CPU says (`cuda_check`): that is logged, once.
    """
    if device == "cpu":
        return _gated_lstm(cumax, HELPS.index(help), chunk) if _numba_is_there() else None
    if not _triton_is_there():
        return None
    from cores.kernels import cuda_check, cuda_unroll

    cell = cuda_unroll.LSTMCell(cumax, help, chunk)
    wrong = cuda_check.lstm_complaint(cell, _gated_lstm(cumax, HELPS.index(help), chunk), device)
    return cell if wrong is None else _refused("Triton kernel to rely on", wrong)


def _gated_lstm(cumax: bool, help: int, chunk: int) -> Cell:
    from cores.kernels import gated_lstm as lstm
    from cores.kernels.products import panels

    return Cell(lstm.forward, lstm.backward, lstm.act, (cumax, help, chunk), panels)


@cache
def gated_gru_cell(help: str, device: str = "cpu") -> Any:
    """Finds what is particular to a GRU; the first call imports numba or Triton.

    Args:
        help: "none" or "refine".
        device: "cpu" or "cuda".

    Returns:
        The cell, for `fused_gru_unroll`; None as in `gated_lstm_cell`.
    """
    if device == "cpu":
        return _gated_gru(help == "refine") if _numba_is_there() else None
    if not _triton_is_there():
        return None
    from cores.kernels import cuda_check, cuda_unroll

    cell = cuda_unroll.GRUCell(help == "refine")
    wrong = cuda_check.gru_complaint(cell, _gated_gru(cell.refined), device)
    return cell if wrong is None else _refused("Triton kernel to rely on", wrong)


def _gated_gru(refined: bool) -> GRUCell:
    from cores.kernels import gated_gru as gru
    from cores.kernels.products import panels

    return GRUCell(gru.forward, gru.backward, gru.act, refined, panels)


@cache
def mingru_scan(device: str = "cpu") -> Any:
    """Finds the minGRU's scan; the first call imports numba or Triton.

    Args:
        device: "cpu" or "cuda".

    Returns:
        The scan, for `fused_mingru_unroll`; None as in `gated_lstm_cell`.
    """
    return _scan("mingru", device)


@cache
def lru_scan(device: str = "cpu") -> Any:
    """Finds the LRU's scan; the first call imports numba or Triton.

    Args:
        device: "cpu" or "cuda".

    Returns:
        The scan, for `fused_lru_scan`; None as in `gated_lstm_cell`.
    """
    return _scan("lru", device)


def _scan(name: str, device: str) -> Any:
    if not (_numba_is_there() if device == "cpu" else _triton_is_there()):
        return None
    from cores.kernels import scans

    scan = Scan(getattr(scans, f"{name}_forward"), getattr(scans, f"{name}_backward"))
    if device == "cpu":
        return scan
    from cores.kernels import cuda_check

    wrong = cuda_check.scan_complaint(name, scan, device)
    return name if wrong is None else _refused("Triton kernel to rely on", wrong)


@cache
def _numba_is_there() -> bool:
    try:
        import numba  # noqa: F401
    except ImportError as error:
        _refused("numba", error)
        return False
    return True


@cache
def _triton_is_there() -> bool:
    if torch.version.hip is not None:  # the kernels have been compiled for NVIDIA only
        _refused("CUDA", "torch is built for ROCm")
        return False
    try:
        import triton  # noqa: F401
    except ImportError as error:
        _refused("triton", error)
        return False
    return _numba_is_there()  # the CPU's unroll is what the kernels are checked against


def _refused(lacking: str, reason: object) -> None:
    words = " ".join(str(reason).split())
    logging.getLogger("longhold").warning("cores run unfused, and slower: no %s (%s)", lacking, words)
