"""The fused unroll: the same functions as the reference unrolls of the cores, faster.

Source: none. This file decides whether an unroll can be fused, and imports numba only once one is.
"""

import logging
from functools import cache

import torch

from cores.kernels.gru_unroll import GRUCell, fused_gru_unroll
from cores.kernels.scan_unroll import Scan, fused_lru_scan, fused_mingru_unroll
from cores.kernels.unroll import Cell, Weights, fused_unroll

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
    "lru_scan",
    "mingru_scan",
]

HELPS = ("none", "refine", "master")
"""In the order of the codes in `cores.kernels.lstm_gates`."""


def fusable(*tensors: torch.Tensor) -> bool:
    """Tells whether the fused unroll can take the place of the reference one.

    Args:
        *tensors: inputs, state and weights of an unroll.

    Returns:
        Whether all are plain tensors on the CPU, of one dtype, float32 or float64, and nothing else is to be
        done with the operations than to compute them: no autocast, no torch.compile, no torch.func.
    """
    dtype = tensors[0].dtype
    for tensor in tensors:  # a loop and not all(...): an actor comes by here at every step
        if tensor.dtype != dtype or not tensor.is_cpu:
            return False
    return (
        dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
    )


@cache
def gated_lstm_cell(cumax: bool, help: str, chunk: int) -> Cell | None:
    """Finds the pointwise half of one place of the LSTM grid; the first call imports numba.

    Args:
        cumax: whether the forget gate is cumax, and not sigma, of its pre-activation.
        help: "none", "refine" or "master".
        chunk: C, units that share one entry of a master gate.

    Returns:
        The cell; None where numba cannot be imported, which is logged once.
    """
    return _gated_lstm(cumax, HELPS.index(help), chunk) if _numba_is_there() else None


def _gated_lstm(cumax: bool, help: int, chunk: int) -> Cell:
    from cores.kernels import gated_lstm as lstm
    from cores.kernels.products import panels

    return Cell(lstm.forward, lstm.backward, lstm.step, (cumax, help, chunk), panels)


@cache
def gated_gru_cell(help: str) -> GRUCell | None:
    """Finds the pointwise half of a GRU; the first call imports numba.

    Args:
        help: "none" or "refine".

    Returns:
        The cell; None where numba cannot be imported, which is logged once.
    """
    return _gated_gru(help == "refine") if _numba_is_there() else None


def _gated_gru(refined: bool) -> GRUCell:
    from cores.kernels import gated_gru as gru
    from cores.kernels.products import panels

    return GRUCell(gru.forward, gru.backward, gru.activate_gates, gru.update, refined, panels)


@cache
def mingru_scan() -> Scan | None:
    """Finds the minGRU's scan; the first call imports numba.

    Returns:
        The scan; None where numba cannot be imported, which is logged once.
    """
    return _scan("mingru") if _numba_is_there() else None


@cache
def lru_scan() -> Scan | None:
    """Finds the LRU's scan; the first call imports numba.

    Returns:
        The scan; None where numba cannot be imported, which is logged once.
    """
    return _scan("lru") if _numba_is_there() else None


def _scan(name: str) -> Scan:
    from cores.kernels import scans

    return Scan(getattr(scans, f"{name}_forward"), getattr(scans, f"{name}_backward"))


@cache
def _numba_is_there() -> bool:
    try:
        import numba  # noqa: F401
    except ImportError as error:
        reason = " ".join(str(error).split())
        logging.getLogger("longhold").warning("cores run unfused, and slower: no numba (%s)", reason)
        return False
    return True
