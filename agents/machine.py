"""What the machine has that a run may use."""

import torch


def resolve_device(name: str) -> torch.device:
    """The torch device of a name, where "auto" is CUDA if there is one.

    Raises:
        ValueError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise ValueError(f"--device must be auto, cpu, cuda or cuda:N, got {name!r}")
    available = torch.cuda.device_count() if kind == "cuda" else 1
    if int(index or 0) >= available:
        raise ValueError(f"--device {name}: this machine has {available} of that kind")
    return torch.device(kind, int(index)) if index else torch.device(kind)
