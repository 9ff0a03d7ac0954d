"""One Gymnasium environment as agents take it: observations of three kinds, actions counted from 0.

What differs between environments (spaces, missions, action offsets, reports of success) ends here.
"""

import enum
import inspect
import itertools
import math
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

from envs.checks import check_options

View = tuple[gymnasium.Space[Any], Callable[[Any], np.ndarray]]
"""An observation space and the function that brings an environment's observation into it."""

EXTRAS = ("popgym",)
"""Packages whose environments an extra of the same name installs."""
MAX_MISSIONS = 10_000
"""Missions of more combinations than this are left out: a table holds them all."""


class Viewed(gymnasium.Wrapper[np.ndarray, Any, Any, Any]):
    """An environment with observations of a kind that agents take, actions from 0, and hardly any info.

    Info is empty but for "success" at an episode's end, where the environment tells it as
    ``info["success"]`` or ``info["is_success"]``: what else it tells costs time, and may not fit in arrays.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], view: View) -> None:
        """Wrap an environment with Discrete actions."""
        super().__init__(env)
        self.observation_space, self._view = view
        actions: Any = env.action_space
        self._first = int(actions.start)
        self.action_space = Discrete(int(actions.n))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode."""
        return self._view(self.env.reset(seed=seed, options=options)[0]), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take one action."""
        observation, reward, terminated, truncated, info = self.env.step(int(action) + self._first)
        told: dict[str, Any] = {}
        if terminated or truncated:
            for key in ("is_success", "success"):  # the latter counts where both are there
                if key in info:
                    told["success"] = float(info[key])
        return self._view(observation), float(reward), terminated, truncated, told


def make_viewed(env_id: str, options: dict[str, Any]) -> Viewed:
    """Build one environment as agents take it; raises as GymVectorEnv does."""
    is_registered(env_id)
    try:
        env = gymnasium.make(env_id, disable_env_checker=True, **options)
    except (gymnasium.error.Error, ImportError, TypeError, ValueError, AssertionError) as error:
        if isinstance(error, TypeError):
            check_options(env_id, options, option_names(env_id))
        cause = error.__cause__ if isinstance(error.__cause__, ModuleNotFoundError) else error
        unknown = isinstance(cause, gymnasium.error.UnregisteredEnv | ModuleNotFoundError)
        given = f" with {options}" if options and not unknown else ""
        reason = " ".join(str(cause).split()) or type(cause).__name__
        hint = where_to_start(cause, env_id.partition(":")[0])
        raise ValueError(f"cannot make {env_id}{given}: {reason}{hint}") from error
    actions = env.action_space
    if not isinstance(actions, Discrete):
        raise ValueError(f"{env_id} has the action space {actions}: only Discrete is supported")
    try:
        view = viewed(env)
    except ValueError as error:
        raise ValueError(f"{env_id} has {error}") from None
    return Viewed(env, view)


def is_minigrid(env: gymnasium.Env[Any, Any]) -> bool:
    """Tell whether an environment is MiniGrid's, without importing MiniGrid for those that are not."""
    return any(c.__module__ == "minigrid.minigrid_env" for c in type(env.unwrapped).__mro__)


def action_names(env: gymnasium.Env[Any, Any], num_actions: int) -> tuple[str, ...]:
    """Return what an environment calls its actions, in the way of MiniGrid, or their numbers."""
    actions = getattr(env.unwrapped, "actions", None)
    if isinstance(actions, type) and issubclass(actions, enum.IntEnum) and len(actions) >= num_actions:
        return tuple(actions(i).name for i in range(num_actions))
    return tuple(map(str, range(num_actions)))


def viewed(env: gymnasium.Env[Any, Any]) -> View:
    """Choose how an environment's observations are given to an agent.

    Raises:
        ValueError: the space has no such form.
    """
    space = env.observation_space
    if is_minigrid(env) and isinstance(space, Dict):
        return _minigrid(space)
    if isinstance(space, Discrete):
        return _codes(np.array([space.n]), np.array([space.start]), np.atleast_1d)
    if isinstance(space, MultiDiscrete):
        return _codes(space.nvec, space.start, np.asarray)
    if isinstance(space, Box) and space.dtype == np.uint8 and len(space.shape) == 3:
        return space, np.asarray
    if isinstance(space, Box):
        size = int(np.prod(space.shape))
        with np.errstate(over="ignore"):  # float64's largest number stands for infinity
            low, high = (bound.astype(np.float32).reshape(size) for bound in (space.low, space.high))
        return Box(low, high, dtype=np.float32), lambda o: np.asarray(o, np.float32).reshape(size)
    raise ValueError(
        f"the observation space {space}: only Box, Discrete, MultiDiscrete and MiniGrid's are supported"
    )


def _minigrid(space: Dict) -> View:
    """Return the view of MiniGrid's symbolic image, with the mission's codes where it has any."""
    from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX, STATE_TO_IDX

    shape: Any = space["image"].shape
    # Not 4 states for the agent's direction: the agent is not drawn in its own view.
    counts = np.broadcast_to([len(OBJECT_TO_IDX), len(COLOR_TO_IDX), len(STATE_TO_IDX)], shape)
    choices, codes = mission_codes(space["mission"])
    if not choices:
        return _codes(counts, np.zeros(shape, np.int64), lambda observation: observation["image"])
    flat = np.append(counts.reshape(-1), choices)

    def view(observation: Any) -> np.ndarray:
        mission = codes.get(observation["mission"])
        if mission is None:
            raise ValueError(f"the mission {observation['mission']!r} is none of its own mission space")
        return np.concatenate([observation["image"].reshape(-1), mission])

    return MultiDiscrete(flat, dtype=np.uint8), view


def mission_codes(space: Any) -> tuple[list[int], dict[str, np.ndarray]]:
    """Return how many choices a mission has at each place, and which of them each mission's text stands for.

    Args:
        space: MiniGrid's MissionSpace, or any other.

    Returns:
        The number of choices of each placeholder that has more than one, in their order, [M], and the
        table from the text to the indices of its choices, [M] uint8 each. Where two combinations give one
        text it stands for the first of them. Both are empty where there is nothing to choose, or there
        are more than MAX_MISSIONS combinations, or more than 256 choices at one place.
    """
    placeholders = getattr(space, "ordered_placeholders", None) or []
    counts = [len(words) for words in placeholders]
    choices = [count for count in counts if count > 1]
    if not choices or math.prod(counts) > MAX_MISSIONS or max(choices) > 256:
        return [], {}
    table: dict[str, np.ndarray] = {}
    for indices in itertools.product(*map(range, counts)):
        text = space.mission_func(*(words[i] for words, i in zip(placeholders, indices, strict=True)))
        codes = [i for i, count in zip(indices, counts, strict=True) if count > 1]
        table.setdefault(text, np.array(codes, np.uint8))
    return choices, table


def _codes(counts: np.ndarray, starts: np.ndarray, read: Callable[[Any], np.ndarray]) -> View:
    """Return the view of codes counted from 0, in uint8 where they fit."""
    dtype: Any = np.uint8 if counts.max() <= 256 else np.int64
    space = MultiDiscrete(counts, dtype=dtype)
    return space, lambda observation: (read(observation) - starts).astype(dtype)


def is_registered(env_id: str) -> bool:
    """Tell whether Gymnasium knows an id, or will once it is made; imports MiniGrid where that may help."""
    if ":" in env_id or env_id in gymnasium.registry:
        return True  # "module:id" registers itself while it is made
    import minigrid  # noqa: F401 - registers its environments

    return env_id in gymnasium.registry


def is_id_without_version(name: str) -> bool:
    """Tell whether Gymnasium knows an id of this name, with a version or without."""
    return any(re.sub(r"-v\d+$", "", known) == name for known in gymnasium.registry)


def classes_of(module: ModuleType) -> list[str]:
    """Return the names of the classes that a module defines itself."""
    return [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__ and isinstance(value, type)
    ]


def where_to_start(error: BaseException, module: str) -> str:
    """Return what helps against an error of an import: "" if nothing is known to.

    Args:
        error: what was raised.
        module: which the user named.
    """
    missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    package = missing.partition(".")[0]
    if package in EXTRAS:
        return f"; it comes with pip install -e '.[{package}]'"
    if missing and f"{module}.".startswith(f"{missing}."):
        return "; start from its folder, or set PYTHONPATH"
    return ""


def option_names(env_id: str) -> set[str]:
    """Return the options that an environment's constructor takes by name, and those of ``gymnasium.make``."""
    names = set(inspect.signature(gymnasium.make).parameters) - {"id", "kwargs", "disable_env_checker"}
    entry: Any = gymnasium.spec(env_id.rpartition(":")[2]).entry_point
    creator = gymnasium.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
    for owner in getattr(creator, "__mro__", [creator]):
        parameters = inspect.signature(owner).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
        if all(p.kind != p.VAR_KEYWORD for p in parameters):
            break  # only **kwargs hand what is left to the next constructor
    return names
