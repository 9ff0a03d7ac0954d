"""Recurrent cores: memories for agents, usable without the rest of the project.

    >>> import torch
    >>> from cores import make_core
    >>> core = make_core("ur-lstm", input_size=4, hidden_size=6)
    >>> inputs = torch.randn(5, 3, 4)  # [T, B, I]
    >>> reset = torch.zeros(5, 3, dtype=torch.bool)  # [T, B]
    >>> reset[0] = True  # every environment begins an episode
    >>> out, state = core(inputs, core.initial_state(3), reset)
    >>> out.shape  # [T, B, H]
    torch.Size([5, 3, 6])

The names of the LSTMs follow Gu et al. 2020 (arXiv 1910.09890): first how the forget gate starts (nothing, C
chrono, O cumax, U uniform), then what helps it (nothing, R refine, M master). A new core is one file, and
one line in `CORES`; a core that lives elsewhere is reached as "package.module:Class".
"""

import importlib
import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial

from cores.controls import FrameStack, Memoryless
from cores.core import RecurrentCore, State, require_size
from cores.gates import effective_options
from cores.gru import GatedGRU
from cores.lru import LRU
from cores.lstm import GatedLSTM
from cores.mingru import MinGRU
from cores.ordered import OrderedLSTM
from cores.stack import Stack

__all__ = ["CORES", "RecurrentCore", "State", "make_core"]

CORES: dict[str, Callable[..., RecurrentCore]] = {
    "lstm": partial(GatedLSTM, start="standard", help="none"),
    "chrono": partial(GatedLSTM, start="chrono", help="none"),
    "o-lstm": partial(GatedLSTM, start="cumax", help="none"),
    "u-lstm": partial(GatedLSTM, start="uniform", help="none"),
    "r-lstm": partial(GatedLSTM, start="standard", help="refine"),
    "cr-lstm": partial(GatedLSTM, start="chrono", help="refine"),
    "or-lstm": partial(GatedLSTM, start="cumax", help="refine"),
    "ur-lstm": partial(GatedLSTM, start="uniform", help="refine"),
    "m-lstm": partial(GatedLSTM, start="standard", help="master"),
    "cm-lstm": partial(GatedLSTM, start="chrono", help="master"),
    "om-lstm": partial(GatedLSTM, start="cumax", help="master"),
    "um-lstm": partial(GatedLSTM, start="uniform", help="master"),
    "on-lstm": OrderedLSTM,
    "gru": partial(GatedGRU, start="standard", help="none"),
    "ur-gru": partial(GatedGRU, start="uniform", help="refine"),
    "mingru": MinGRU,
    "lru": LRU,
    "memoryless": Memoryless,
    "frame-stack": FrameStack,
}


def make_core(name: str, input_size: int, hidden_size: int, **options: object) -> RecurrentCore:
    """Builds a core by its name.

    Args:
        name: a key of `CORES`, or "package.module:Class" for a core of one's own.
        input_size: I, entries of one input.
        hidden_size: H, units.
        **options: what else the core's constructor takes, such as `t_max` for "chrono"; and for every core
            `layers`, how many of it stand one upon another, 1 if not given.

    Returns:
        The core, freshly initialised from torch's global generator.

    Raises:
        ValueError: in one line, if there is no such core or option, if an option is missing or a value out of
            range, or if a core of one's own cannot be imported or is no `RecurrentCore`.
    """
    factory = _import_core(name) if ":" in name else CORES.get(name)
    if factory is None:
        raise ValueError(f"unknown core {name!r}: {_suggest(name, list(CORES))}")
    valid = _valid_options(factory)
    layers = 1
    if valid is not None and "layers" not in valid:  # else it is an option of the core's own
        layers = require_size("layers", options.pop("layers", 1))
        valid.append("layers")
    _require_options(name, factory, options, valid)
    cores = [factory(input_size, hidden_size, **options)]
    while len(cores) < layers:
        cores.append(factory(cores[-1].output_size, hidden_size, **options))
    return cores[0] if layers == 1 else Stack(cores)


def _import_core(name: str) -> Callable[..., RecurrentCore]:
    module_name, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # whatever a stranger's module raises while it is imported
        reason = " ".join(str(error).split())
        missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
        if missing and f"{module_name}.".startswith(f"{missing}."):
            reason += "; start from its folder, or set PYTHONPATH"
        raise ValueError(f"core {name!r} cannot be imported: {type(error).__name__}: {reason}") from error
    if not (isinstance(factory, type) and issubclass(factory, RecurrentCore)):
        raise ValueError(f"core {name!r} is no subclass of cores.RecurrentCore")
    return factory


def _valid_options(factory: Callable[..., RecurrentCore]) -> list[str] | None:
    """Lists the options that a constructor takes and would not ignore; None if it takes any."""
    parameters = list(inspect.signature(factory).parameters.values())
    if isinstance(factory, partial) and factory.func in (GatedLSTM, GatedGRU):
        return effective_options(**factory.keywords)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters[2:]]  # the first two are the sizes


def _require_options(
    name: str, factory: Callable[..., RecurrentCore], options: dict[str, object], valid: list[str] | None
) -> None:
    """Refuses what the constructor does not take, or would silently ignore, and what it still lacks."""
    for option in options:
        if valid is not None and option not in valid:
            raise ValueError(f"core {name!r} has no option {option!r}: {_suggest(option, valid)}")
    try:
        inspect.signature(factory).bind("input_size", "hidden_size", **options)
    except TypeError as error:
        raise ValueError(f"core {name!r} cannot be made: {error}") from error


def _suggest(word: str, valid: list[str]) -> str:
    near = get_close_matches(word.lower(), valid, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(valid)}"
