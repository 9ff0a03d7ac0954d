"""One step with what a user wrote, before anything is made: what is wrong with it in one line, and where."""

import inspect
import os
import re
import site
import sysconfig
from pathlib import Path
from traceback import extract_tb

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from cores.core import RecurrentCore

MAX_SHOWN = 300
"""Characters of what was raised; compilers write pages."""
ROOT = Path(__file__).parent.parent
OURS = tuple(f"{ROOT / package}{os.sep}" for package in ("agents", "cores", "envs", "scripts"))
OTHERS = (*site.getsitepackages(), sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))
"""Folders of code that no user of Longhold wrote."""

_PLACE = re.compile(r'File "([^"]+)", line (\d+)')
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


def step_core(core: RecurrentCore) -> None:
    """Takes the first step of two episodes; whatever the core raises passes."""
    like = next(core.parameters(), torch.empty(0))
    inputs = like.new_zeros(1, 2, core.input_size)
    with torch.no_grad(), torch.random.fork_rng():
        core(inputs, core.initial_state(2), torch.ones(1, 2, dtype=torch.bool))


def step_envs(envs: VectorEnv) -> None:
    """Begins an episode in each and takes one action; whatever they raise passes."""
    envs.reset()
    envs.step(np.zeros(envs.num_envs, np.int64))


def told(error: Exception, core: RecurrentCore | None = None) -> str:
    """What was raised, in one line that ends with file and line.

    Args:
        error: by the user's code, or for want of it.
        core: which raised it, if one did.
    """
    message = " ".join(_COLOUR.sub("", str(error)).split())
    message = message if len(message) <= MAX_SHOWN else f"{message[:MAX_SHOWN]}..."
    if core is not None and isinstance(error, NotImplementedError) and "must define" in message:
        return f"{message} ({definition_of(core)})"
    kind = type(error).__name__
    return f"{kind}: {message} ({place_of(error)})" if message else f"{kind} ({place_of(error)})"


def place_of(error: Exception) -> str:
    """Where it was raised: the innermost line of the user's, if there is one, else the innermost of all."""
    frames = [(frame.filename, frame.lineno or 0) for frame in extract_tb(error.__traceback__)]
    frames += [(file, int(line)) for file, line in _PLACE.findall(_COLOUR.sub("", str(error)))]  # of numba
    files = [(os.path.abspath(file), line) for file, line in frames if os.path.exists(file)]
    own = [place for place in files if not place[0].startswith((*OURS, *OTHERS))]
    file, line = (own or files)[-1]
    return f"{near(file)}:{line}"


def definition_of(core: RecurrentCore) -> str:
    """Where a user's class begins, perhaps one of a stack."""
    kinds = [type(part) for part in core.modules()]
    kind = next((kind for kind in kinds if not kind.__module__.startswith(("cores.", "torch."))), kinds[0])
    return f"{near(inspect.getfile(kind))}:{inspect.getsourcelines(kind)[1]}"


def near(file: str) -> str:
    """A file's name from where the user is, if it lies below."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file
