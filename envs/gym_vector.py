"""Any Gymnasium environment as a vector environment with the contract of the native ones.

One process, one environment after the other, on Gymnasium's SyncVectorEnv. What differs between environments
(observation spaces, action offsets, what counts as success) ends here.
"""

import enum
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from envs.checks import check_options, checked_actions, whole_number
from envs.minigrid_sprites import PALETTE
from envs.pcg64 import environment_seeds

View = tuple[gymnasium.Space[Any], Callable[[Any], np.ndarray]]
"""An observation space and the function that brings an environment's observation into it."""


class GymVectorEnv(SyncVectorEnv):
    """N copies of a Gymnasium environment, with the contract of NativeVectorEnv but for state and oracle.

    Observations become one of three kinds: ``Box`` uint8 [H, W, C] (an image), ``Box`` float32 [K]
    (every other Box, flattened), or ``MultiDiscrete`` counted from 0 (Discrete, MultiDiscrete, and
    MiniGrid's symbolic view [h, w, 3]: object, colour, state; its direction and mission text are left
    out). Actions count from 0, whatever the environment's own offset.

    Autoreset is NEXT_STEP and ``infos`` hold the keys of NativeVectorEnv alone. Success at an episode's
    end is the environment's own ``info["success"]`` or ``info["is_success"]``; in MiniGrid, a
    termination with positive reward; else, where the id has a reward threshold, a return that reaches
    it; NaN where nothing is known.

    Attributes:
        has_state: False: an environment outside our control cannot be saved.
        action_names: as MiniGrid calls its actions; elsewhere their numbers.
        palette, egocentric, entry_names: as in NativeVectorEnv, for MiniGrid's symbolic view.
    """

    has_state = False

    _success_keys = ("is_success", "success")

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        *,
        seed: int = 0,
        first_index: int = 0,
        copy: bool = True,
        **options: Any,
    ) -> None:
        """Build the environments; the first ``reset`` seeds them.

        Args:
            env_id: a registered id, or "module:id".
            num_envs: N.
            seed: the run's seed.
            first_index: index of environment 0 in the whole run: environment i depends on
                (seed, first_index + i) alone.
            copy: False: observations are a buffer that the next call overwrites.
            **options: for the environment's constructor.

        Raises:
            ValueError: an unknown id or option, a missing package, an observation or action space that
                is not supported.
        """
        whole_number("num_envs", num_envs, 1)
        self.first_index = whole_number("first_index", first_index, 0)
        self._next_seeds: Sequence[int | None] | None = environment_seeds(
            whole_number("seed", seed, 0), self.first_index, num_envs
        )
        super().__init__(
            [lambda: make_viewed(env_id, options)] * num_envs,
            copy=copy,
            autoreset_mode=AutoresetMode.NEXT_STEP,
        )
        actions: Any = self.single_action_space
        self._num_actions = int(actions.n)
        self._is_minigrid = is_minigrid(self.envs[0])
        self.action_names = action_names(self.envs[0], self._num_actions)
        self.egocentric = self._is_minigrid
        self.palette = PALETTE if self._is_minigrid else ()
        self.entry_names: tuple[str, ...] = ()
        spec = self.envs[0].spec
        self._threshold = spec.reward_threshold if spec else None
        self._returns = np.zeros(num_envs, np.float64)
        self._lengths = np.zeros(num_envs, np.int32)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a new episode in every environment; seeds as in NativeVectorEnv, options as they take them.

        Raises:
            ValueError: a negative seed, or a sequence of another length than N.
        """
        seeds: Any = self._next_seeds  # the constructor's seed holds for the first reset only
        if isinstance(seed, Sequence | np.ndarray):
            seeds = [None if s is None else whole_number("seed", s, 0) for s in seed]
        elif seed is not None:
            seeds = environment_seeds(whole_number("seed", seed, 0), self.first_index, self.num_envs)
        observations, _ = super().reset(seed=seeds, options=dict(options) if options else None)
        self._next_seeds = None
        begun = (options or {}).get("reset_mask", slice(None))
        self._returns[begun] = 0
        self._lengths[begun] = 0
        return observations, {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take one action in every environment; results, errors and infos as in NativeVectorEnv."""
        resetting = self._autoreset_envs
        chosen = checked_actions(actions, self.num_envs, self._num_actions)
        observations, rewards, terminated, truncated, raw = super().step(chosen)
        self._returns = np.where(resetting, 0, self._returns + rewards)
        self._lengths = np.where(resetting, 0, self._lengths + 1).astype(np.int32)
        ended = terminated | truncated
        infos: dict[str, Any] = {}
        if ended.any():
            success = self._success(rewards, terminated, raw)
            infos["episode"] = {
                "r": np.where(ended, self._returns, 0).astype(np.float32),
                "l": np.where(ended, self._lengths, 0),
                "success": np.where(ended, success, 0).astype(np.float32),
            }
            infos["_episode"] = ended
        return observations, rewards.astype(np.float32), terminated, truncated, infos

    def _success(self, rewards: np.ndarray, terminated: np.ndarray, raw: dict[str, Any]) -> np.ndarray:
        """Return each environment's success, [N] float64, as if its episode had just ended."""
        if self._is_minigrid:
            success = (terminated & (rewards > 0)).astype(np.float64)
        elif self._threshold is not None:
            success = (self._returns >= self._threshold).astype(np.float64)
        else:
            success = np.full(self.num_envs, np.nan)
        for key in self._success_keys:
            if key in raw:
                success = np.where(raw[f"_{key}"], np.asarray(raw[key], np.float64), success)
        return success

    def _add_info(
        self, vector_infos: dict[str, Any], env_info: dict[str, Any], env_num: int
    ) -> dict[str, Any]:
        """Gather what is used of the environments' infos: the rest costs time, and may not fit in arrays."""
        used = {key: env_info[key] for key in self._success_keys if key in env_info}
        return super()._add_info(vector_infos, used, env_num)


def make_viewed(env_id: str, options: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    """Build one environment with observations of a kind that agents take; raises as GymVectorEnv does."""
    is_registered(env_id)
    try:
        env = gymnasium.make(env_id, disable_env_checker=True, **options)
    except (gymnasium.error.Error, ImportError, TypeError, ValueError, AssertionError) as error:
        if isinstance(error, TypeError):
            check_options(env_id, options, option_names(env_id))
        given = f" with {options}" if options else ""
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"cannot make {env_id}{given}: {reason}") from error
    actions = env.action_space
    if not isinstance(actions, Discrete):
        raise ValueError(f"{env_id} has the action space {actions}: only Discrete is supported")
    try:
        space, view = viewed(env)
    except ValueError as error:
        raise ValueError(f"{env_id} has {error}") from None
    env = gymnasium.wrappers.TransformObservation(env, view, space)
    first = int(actions.start)
    return gymnasium.wrappers.TransformAction(
        env, lambda action: int(action) + first, Discrete(int(actions.n))
    )


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
        from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX, STATE_TO_IDX

        shape: Any = space["image"].shape
        # Not 4 states for the agent's direction: the agent is not drawn in its own view.
        counts = np.broadcast_to([len(OBJECT_TO_IDX), len(COLOR_TO_IDX), len(STATE_TO_IDX)], shape)
        return _codes(counts, np.zeros(shape, np.int64), lambda observation: observation["image"])
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


def option_names(env_id: str) -> set[str]:
    """Return the options that an environment's constructor takes by name, and those of ``gymnasium.make``."""
    names = set(inspect.signature(gymnasium.make).parameters) - {"id", "kwargs", "disable_env_checker"}
    entry: Any = gymnasium.spec(env_id).entry_point
    creator = gymnasium.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
    for owner in getattr(creator, "__mro__", [creator]):
        parameters = inspect.signature(owner).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
        if all(p.kind != p.VAR_KEYWORD for p in parameters):
            break  # only **kwargs hand what is left to the next constructor
    return names
