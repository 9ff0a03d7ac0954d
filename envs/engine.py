"""The batched engine: N environments as one array of records, stepped together by one compiled kernel.

A task is a file in ``envs/tasks`` with three short compiled functions (begin an episode, take an action,
observe) and a subclass of NativeVectorEnv that names its fields, its options and its card. The rest is here
and in ``step_kernel``, once: seeds, automatic resets, accounting, validation, state.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypedDict

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.card import TaskCard
from envs.checks import action_array, check_range, checked_autoreset_mode, checked_reset_mask, whole_number
from envs.cue import Cued
from envs.pcg64 import chosen_seeds, seeded_streams
from envs.step_kernel import EPISODE_FIELDS, episode_infos, record_dtype, rules_record
from envs.visible import RENDERING, Visible, checked_render_mode


class EngineOptions(TypedDict, total=False):
    """What every task's constructor takes beside its own options; see NativeVectorEnv."""

    seed: int
    first_index: int
    copy: bool
    autoreset_mode: AutoresetMode
    render_mode: str | None
    tile_size: int


class NativeVectorEnv(Visible, Cued, VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """N environments of one task, stepped by one compiled call, with the contract of Gymnasium's VectorEnv.

    Autoreset is NEXT_STEP unless told otherwise: the step after an episode's end ignores its action,
    returns the next episode's first observation and reward 0. What environment i does depends on its
    seed and its actions alone, never on ``num_envs``, on threads or on the other environments.

    On a step where an episode ended, ``infos["episode"]`` holds "r" (return, [N] float32), "l" (length
    in actions, [N] int32) and "success" ([N] float32 in 0 … 1), and ``infos["_episode"]`` [N] bool says
    for which environments; entries of the others are 0. On every other step infos is empty. In
    SAME_STEP, ``infos["final_obs"]`` and its mask are there too, as in Gymnasium's vector environments.

    Attributes:
        has_state: ``state_dict`` and ``load_state_dict`` work.
        copy: True: every call returns fresh arrays. False: it returns the buffers that the next call
            overwrites.
        state: [N] structured array, one record per environment: the task's fields, then EPISODE_FIELDS.
    """

    has_state = True

    def __init__(
        self,
        num_envs: int,
        *,
        observation_space: Box | MultiDiscrete,
        num_actions: int,
        fields: Sequence[tuple[Any, ...]],
        kernel: Callable[..., int],
        rules: dict[str, bool | int | float],
        seed: int = 0,
        first_index: int = 0,
        copy: bool = True,
        autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        tile_size: int = 0,
    ) -> None:
        """Lay out the state and seed the streams; ``reset`` begins the first episodes.

        Args:
            num_envs: N.
            observation_space: of one environment.
            num_actions: the actions are 0 … num_actions - 1.
            fields: the task's own fields of a record, as ``numpy.dtype`` takes them.
            kernel: the compiled loop, of ``step_kernel``.
            rules: the task's options by name, as the kernel's ``rules``.
            seed: the run's seed.
            first_index: index of environment 0 in the whole run.
            copy: whether results are fresh arrays.
            autoreset_mode: NEXT_STEP, SAME_STEP, or DISABLED (``reset`` by a mask begins episodes).
            render_mode: "rgb_array": ``render`` gives frames.
            tile_size: where the observation is a grid of codes, t > 0 shows each as a tile of t × t
                pixels: the observation is then RGB, [h t, w t, 3] uint8. 0: the codes themselves.

        Raises:
            ValueError: ``num_envs`` below 1, ``seed`` or ``first_index`` negative, an unknown
                ``render_mode``, or a ``tile_size`` out of range or for a task without a grid of codes.
        """
        self.num_envs = whole_number("num_envs", num_envs, 1)
        self.first_index = whole_number("first_index", first_index, 0)
        self.copy = copy
        self.metadata = {"autoreset_mode": checked_autoreset_mode(autoreset_mode), **RENDERING}
        self.render_mode = checked_render_mode(render_mode)
        self._lay_out(observation_space, tile_size)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.single_action_space = Discrete(num_actions)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.state = np.zeros(num_envs, record_dtype([*fields, *EPISODE_FIELDS], align=True))
        self._kernel = kernel
        self._rules = rules_record(rules)
        self._num_actions = num_actions
        self.action_names = self.action_names or tuple(map(str, range(num_actions)))
        self._no_actions = np.zeros(num_envs, np.int64)
        self._rows = self._symbols.reshape(num_envs, -1)
        self._rewards = np.zeros(num_envs, np.float32)
        self._terminated, self._truncated = np.zeros((2, num_envs), np.bool_)
        mode = self.metadata["autoreset_mode"]
        self._same_step, self._disabled = mode == AutoresetMode.SAME_STEP, mode == AutoresetMode.DISABLED
        self._begun = False
        self._waiting = False  # with autoreset disabled: an episode has ended that no reset has followed
        self._seed(seed)

    card: ClassVar[Callable[..., TaskCard | None]]
    """A class method: the task's own options, each a keyword, to its card, without building anything; None
    where nobody wrote one."""

    @classmethod
    def option_defaults(cls) -> dict[str, Any]:
        """Return the task's own options by name, with what each is unless the user says otherwise."""
        own = {p.name: p.default for p in inspect.signature(cls.card).parameters.values()}
        return own | ({"tile_size": 0} if cls.palette else {})

    def oracle(self) -> np.ndarray:
        """Return the scripted best actions, [N] int64; they may use all of the state, its hidden part too."""
        raise NotImplementedError(f"{type(self).__name__} has no oracle")

    @property
    def observations(self) -> np.ndarray:
        """The present observations, [N, ...]: a copy."""
        return self._observations.copy()

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a new episode in every environment, or in some.

        Args:
            seed: an integer seeds environment i from (seed, first_index + i); a sequence of N integers
                seeds environment i as NumPy's default generator with ``seed[i]``; None, or None in the
                sequence, lets the stream run on.
            options: ``reset_mask`` ([N] bool, one True at least): begin an episode in these alone, and
                seed no others.

        Returns:
            The first observations [N, ...] and empty infos.

        Raises:
            ValueError: a negative seed, a sequence of another length than N, or wrong options.
            gymnasium.error.ResetNeeded: the first reset leaves an environment out.
        """
        chosen = checked_reset_mask(options, self.num_envs)
        whole = bool(chosen.all())
        if not (whole or self._begun):
            raise gymnasium.error.ResetNeeded("the first reset() must begin an episode everywhere")
        if seed is not None:
            self._seed(seed, chosen)
        if whole:
            self.state["ended"] = True  # so the kernel begins an episode everywhere
            self._run(self._no_actions)
            self._begun = True
        else:
            self._begin(chosen)
        self._waiting = self._disabled and bool(self.state["ended"].any())
        return (self._observations.copy() if self.copy else self._observations), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take one action in every environment; where an episode has just ended, begin the next one instead.

        Args:
            actions: [N] of any integer dtype, each in 0 … A - 1. Where an episode has just ended the
                value has no effect.

        Returns:
            Observations [N, ...], rewards [N] float32, terminated [N] bool, truncated [N] bool, infos
            (see the class).

        Raises:
            ValueError: actions of another shape, dtype or range.
            gymnasium.error.ResetNeeded: ``reset`` has not been called, or, with autoreset disabled, an
                episode has ended.
        """
        if not self._begun or self._waiting:
            self._need_reset()
        chosen = action_array(actions, self.num_envs)
        num_ended = self._run(chosen)
        if num_ended < 0:  # the kernel has looked at every action before it took one
            check_range(chosen, self._num_actions)
        infos = self._end_episodes() if num_ended else {}
        observations, rewards = self._observations, self._rewards
        terminated, truncated = self._terminated, self._truncated
        if self.copy:
            return observations.copy(), rewards.copy(), terminated.copy(), truncated.copy(), infos
        return observations, rewards, terminated, truncated, infos

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of all that the future depends on: one array per field, and the observations.

        Raises:
            gymnasium.error.ResetNeeded: ``reset`` has not been called.
        """
        if not self._begun:
            self._need_reset()
        return {name: array.copy() for name, array in self._arrays().items()}

    def load_state_dict(self, state_dict: dict[str, np.ndarray]) -> None:
        """Continue bit for bit from where ``state_dict`` was taken.

        Args:
            state_dict: of an environment of the same task, options and ``num_envs``.

        Raises:
            ValueError: a missing or unknown name, or an array of another shape or dtype. Nothing is
                changed then.
        """
        own = self._arrays()
        if own.keys() != state_dict.keys():
            raise ValueError(f"the state must hold {sorted(own)}, got {sorted(state_dict)}")
        for name, array in own.items():
            new = state_dict[name]
            if (new.shape, new.dtype) != (array.shape, array.dtype):
                need, got = f"{array.dtype}{list(array.shape)}", f"{new.dtype}{list(new.shape)}"
                raise ValueError(f"state {name!r} must be {need}, got {got}")
        for name, array in own.items():
            array[...] = state_dict[name]
        self._refresh()
        self._begun = True
        self._waiting = self._disabled and bool(self.state["ended"].any())

    def _arrays(self) -> dict[str, np.ndarray]:
        """Return views of the state by name: plain arrays, which a checkpoint can hold without pickle."""
        fields = {name: self.state[name] for name in self.state.dtype.names or ()}
        return {**fields, "observations": self._symbols}

    def _run(self, actions: np.ndarray) -> int:
        """Step every environment; return how many episodes ended."""
        results = (self._rewards, self._terminated, self._truncated)
        num_ended = self._kernel(self.state, actions, self._num_actions, self._rows, *results, self._rules)
        self._refresh()
        return num_ended

    def _begin(self, chosen: np.ndarray) -> None:
        """Begin an episode where ``chosen`` [N] bool says, and nothing else; results stay as they are."""
        state, rows = self.state[chosen], self._rows[chosen]
        state["ended"] = True
        count = len(state)
        actions, rewards = self._no_actions[:count], np.zeros(count, np.float32)
        ends = np.zeros((2, count), np.bool_)
        self._kernel(state, actions, 1, rows, rewards, ends[0], ends[1], self._rules)
        self.state[chosen], self._rows[chosen] = state, rows
        self._refresh()

    def _need_reset(self) -> None:
        """Raise ResetNeeded: there is nothing to go on from."""
        if not self._begun:
            raise gymnasium.error.ResetNeeded("call reset() first")
        ended = "an episode has ended and autoreset is disabled: call reset() with a reset_mask"
        raise gymnasium.error.ResetNeeded(ended)

    def _seed(self, seed: int | Sequence[int | None], mask: np.ndarray | None = None) -> None:
        """Seed the streams of the environments in ``mask`` [N] bool, or all."""
        chosen, numbers = chosen_seeds(seed, self.first_index, self.num_envs, mask)
        self.state["rng"][chosen] = seeded_streams(numbers)

    def _end_episodes(self) -> dict[str, Any]:
        """Return the infos of a step that ended episodes; in SAME_STEP, begin the next ones."""
        self._waiting = self._disabled
        infos = episode_infos(self.state)
        if self._same_step:
            ended = infos["_episode"]
            final = np.full(self.num_envs, None, object)
            for i in np.flatnonzero(ended):
                final[i] = self._observations[i].copy()
            infos |= {"final_obs": final, "_final_obs": ended.copy()}
            self._begin(ended)
        return infos
