"""Any Gymnasium environment as a vector environment with the contract of the native ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.checks import checked_actions, checked_mask, whole_number
from envs.gym_steppers import Together, num_workers, steps_slowly
from envs.gym_views import action_names, is_minigrid, make_viewed
from envs.gym_workers import Workers
from envs.minigrid_sprites import PALETTE
from envs.pcg64 import environment_seeds


class GymVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """N copies of a Gymnasium environment, with the contract of NativeVectorEnv but for state and oracle.

    Observations become one of three kinds: ``Box`` uint8 [H, W, C] (an image), ``Box`` float32 [K]
    (every other Box, flattened), or ``MultiDiscrete`` counted from 0: Discrete, MultiDiscrete, and
    MiniGrid's symbolic view [h, w, 3] of object, colour and state. Where MiniGrid's mission has something
    to choose, it is [h w 3 + M]: that view flattened, then the index of each choice among MiniGrid's own
    words. Its direction is left out, and so are missions of more than 10 000 combinations. Actions count
    from 0, whatever the environment's own offset.

    The environments step one after the other in this process or, each with its share of them, in worker
    processes, as many as there are processor cores. Nothing that is returned depends on which.

    Autoreset is NEXT_STEP and ``infos`` hold the keys of NativeVectorEnv alone. Success at an episode's
    end is the environment's own ``info["success"]`` or ``info["is_success"]``; in MiniGrid, a
    termination with positive reward; else, where the id has a reward threshold, a return that reaches
    it; NaN where nothing is known.

    Attributes:
        has_state: False: an environment outside our control cannot be saved.
        processes: whether worker processes step.
        action_names: as MiniGrid calls its actions; elsewhere their numbers.
        palette, egocentric, entry_names: as in NativeVectorEnv, for MiniGrid's symbolic view.
    """

    has_state = False

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        *,
        seed: int = 0,
        first_index: int = 0,
        copy: bool = True,
        processes: bool | None = None,
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
            processes: whether worker processes step. None: they do where there are several environments
                and processor cores, and a random step of one more environment, tried first, takes longer
                than a millisecond.
            **options: for the environment's constructor.

        Raises:
            ValueError: an unknown id or option, a missing package, an observation or action space that
                is not supported.
            RuntimeError: worker processes that do not start.
        """
        self.num_envs = whole_number("num_envs", num_envs, 1)
        self.first_index = whole_number("first_index", first_index, 0)
        if processes not in (None, True, False):
            raise ValueError(f"processes must be true or false, got {processes!r}")
        self._next_seeds: Sequence[int | None] | None = environment_seeds(
            whole_number("seed", seed, 0, None), self.first_index, num_envs
        )
        sample = make_viewed(env_id, options)
        try:
            self._describe(sample)
            if processes is None:
                processes = num_workers(num_envs) > 1 and steps_slowly(sample)
        finally:
            sample.close()
        self.processes = bool(processes)
        self._stepper: Any  # either has the methods of Together
        if self.processes:
            spaces = self.single_observation_space, self.single_action_space
            self._stepper = Workers(env_id, options, num_envs, copy, spaces)
        else:
            self._stepper = Together(env_id, options, num_envs, copy)
        self._ended = np.zeros(num_envs, np.bool_)  # by the last step: the next one only resets
        self._returns = np.zeros(num_envs, np.float64)
        self._lengths = np.zeros(num_envs, np.int32)

    def _describe(self, sample: Any) -> None:
        """Take over what all the environments have in common from one of them."""
        self.single_observation_space = sample.observation_space
        self.observation_space = batch_space(sample.observation_space, self.num_envs)
        self.single_action_space = sample.action_space
        self.action_space = batch_space(sample.action_space, self.num_envs)
        self.metadata = sample.metadata | {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.render_mode = sample.render_mode
        self._num_actions = int(sample.action_space.n)
        self._is_minigrid = is_minigrid(sample)
        self.action_names = action_names(sample, self._num_actions)
        self.egocentric = self._is_minigrid
        self.palette = PALETTE if self._is_minigrid else ()
        self.entry_names: tuple[str, ...] = ()
        self._threshold = sample.spec.reward_threshold if sample.spec else None

    @property
    def envs(self) -> list[Any]:
        """The environments, where this process steps them."""
        return self._stepper.envs

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a new episode in every environment; seeds as in NativeVectorEnv, options as they take them.

        Raises:
            ValueError: a negative seed, a sequence of another length than N, or a wrong ``reset_mask``.
        """
        seeds: Sequence[int | None] | None = self._next_seeds  # the constructor's hold for the first reset
        if isinstance(seed, Sequence | np.ndarray):
            seeds = [None if s is None else whole_number("seed", s, 0, None) for s in seed]
            if len(seeds) != self.num_envs:
                raise ValueError(f"a sequence of seeds must have length {self.num_envs}, got {len(seeds)}")
        elif seed is not None:
            seeds = environment_seeds(whole_number("seed", seed, 0, None), self.first_index, self.num_envs)
        others = dict(options or {})
        mask = checked_mask(others.pop("reset_mask", None), self.num_envs)
        observations = self._stepper.reset(list(seeds or [None] * self.num_envs), mask, others or None)
        self._next_seeds = None
        for array in (self._ended, self._returns, self._lengths):
            array[mask] = 0
        return observations, {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take one action in every environment; results, errors and infos as in NativeVectorEnv.

        Raises:
            ValueError: actions of another shape, dtype or range.
            RuntimeError: an environment failed in a worker process, or the process died.
        """
        chosen = checked_actions(actions, self.num_envs, self._num_actions)
        observations, rewards, terminated, truncated, told = self._stepper.step(chosen)
        self._returns = np.where(self._ended, 0, self._returns + rewards)
        self._lengths = np.where(self._ended, 0, self._lengths + 1).astype(np.int32)
        self._ended = ended = terminated | truncated
        infos: dict[str, Any] = {}
        if ended.any():
            success = np.where(np.isnan(told), self._success(rewards, terminated), told)
            infos["episode"] = {
                "r": np.where(ended, self._returns, 0).astype(np.float32),
                "l": np.where(ended, self._lengths, 0),
                "success": np.where(ended, success, 0).astype(np.float32),
            }
            infos["_episode"] = ended.copy()
        return observations, rewards.astype(np.float32), terminated, truncated, infos

    def _success(self, rewards: np.ndarray, terminated: np.ndarray) -> np.ndarray:
        """Return what is known of each environment's success, [N] float64, had its episode just ended."""
        if self._is_minigrid:
            return (terminated & (rewards > 0)).astype(np.float64)
        if self._threshold is not None:
            return (self._returns >= self._threshold).astype(np.float64)
        return np.full(self.num_envs, np.nan)

    def render(self) -> tuple[Any, ...] | None:
        """Return a frame of each environment, in the way of ``render_mode``."""
        return self._stepper.render()

    def close_extras(self, **kwargs: Any) -> None:
        """Close the environments, and end the processes."""
        if hasattr(self, "_stepper"):
            self._stepper.close()
