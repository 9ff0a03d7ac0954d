"""What all native MiniGrid tasks share: options, spaces, missions."""

from collections.abc import Callable, Sequence
from functools import partial, partialmethod
from typing import Any, ClassVar, TypedDict, TypeVar, Unpack

import numpy as np
from gymnasium.spaces import MultiDiscrete

from envs.checks import whole_number
from envs.engine import EngineOptions, NativeVectorEnv
from envs.grid import COLOURS, OBJECTS, grid_fields, grid_rules
from envs.view import VIEW_SIZES

NAMES = tuple(sorted(COLOURS))
"""The colours, in the order of their codes in a mission."""
LARGEST = 1000
"""Cells along an edge of the largest grid: places in it fit the record."""


class GridOptions(EngineOptions, total=False):
    """What every MiniGrid task takes beside its own options; see MiniGridTask."""

    max_steps: int | None
    agent_view_size: int


class World(TypedDict, total=False):
    """How a task describes its world to MiniGridTask."""

    width: int
    height: int
    max_steps: int
    """Unless the user says otherwise."""
    see_through: bool
    """Whether one sees through walls."""
    rules: dict[str, bool | int | float]
    """The task's own, for its kernel."""
    fields: Sequence[tuple[Any, ...]]
    """The task's own, of a record."""
    num_actions: int


class MiniGridTask(NativeVectorEnv):
    """A MiniGrid environment: the package's rules, layouts and random draws, seed for seed, compiled.

    Actions: 0 left, 1 right, 2 forward, 3 pickup, 4 drop, 5 toggle, 6 done. Observation:
    [v, v, 3] uint8, the egocentric view ahead of the agent, v = ``agent_view_size`` (3, 5, 7, 9 or 11);
    each cell is (object, colour, state) by MiniGrid's numbers, (0, 0, 0) where a wall is in the way.
    Where the mission has words to choose, the observation is flat, [3 v² + M] uint8: the view, then the
    place of each such word in MiniGrid's list of choices. Direction is left out. A success pays
    1 - 0.9 t / ``max_steps``, and an episode is truncated after ``max_steps`` actions.

    Attributes:
        mission: MiniGrid's text, with a place for each choice.
        choices: the words for each place.
    """

    kernel: ClassVar[Callable[..., int]]
    mission: ClassVar[str]
    choices: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def __init__(self, num_envs: int, world: World, **options: Unpack[GridOptions]) -> None:
        """Build N grids.

        Args:
            num_envs: N.
            world: the task's.
            **options: ``max_steps``, ``agent_view_size`` and NativeVectorEnv's.

        Raises:
            ValueError: a grid that is too large, or an option out of range.
        """
        view = options.pop("agent_view_size", 7)
        asked = options.pop("max_steps", None)
        max_steps = whole_number("max_steps", world["max_steps"] if asked is None else asked, 1)
        if view not in VIEW_SIZES:
            raise ValueError(f"agent_view_size must be one of {', '.join(map(str, VIEW_SIZES))}, got {view!r}")
        width, height = world["width"], world["height"]
        if max(width, height) > LARGEST:
            raise ValueError(f"a grid has at most {LARGEST} cells along an edge, got {max(width, height)}")
        self.max_steps, self.agent_view_size = max_steps, view
        self._free = [words for words in self.choices if len(words) > 1]
        see_through = world.get("see_through", False)
        super().__init__(
            num_envs,
            observation_space=_space(view, [len(words) for words in self._free]),
            num_actions=world.get("num_actions", 7),
            fields=[*grid_fields(width, height, view, len(self._free)), *world.get("fields", ())],
            kernel=type(self).kernel,
            rules=grid_rules(width, height, view, max_steps, see_through) | world.get("rules", {}),
            **options,
        )

    def missions(self) -> list[str]:
        """Return the present missions in MiniGrid's words, one for each environment."""
        if not self._free:
            return [self.mission.format(*(words[0] for words in self.choices))] * self.num_envs
        texts = []
        for codes in self.state["mission"]:
            left = iter(codes)
            words = [words[next(left)] if len(words) > 1 else words[0] for words in self.choices]
            texts.append(self.mission.format(*words))
        return texts


def _space(view: int, counts: Sequence[int]) -> MultiDiscrete:
    """Return the space of a view, and of a mission's codes after it."""
    byte: Any = np.uint8  # Gymnasium takes any integer type here, but announces int64 only
    # Three states, those of a door: the agent, whose state would be its direction, is not in its own view.
    cells = np.broadcast_to([len(OBJECTS), len(COLOURS), 3], (view, view, 3))
    if not counts:
        return MultiDiscrete(cells, dtype=byte)
    return MultiDiscrete(np.concatenate([cells.ravel(), counts]), dtype=byte)


Task = TypeVar("Task", bound=type[MiniGridTask])


def variant(task: Task, env_id: str, **preset: Any) -> Task:
    """Return a task under one of MiniGrid's ids, with the options that this id stands for as defaults."""
    made: Any = type(task.__name__, (task,), {"__doc__": task.__doc__, "name": env_id})
    made.__init__ = partialmethod(task.__init__, **preset)
    made.card = staticmethod(partial(task.card.__func__, made, **preset))  # type: ignore[attr-defined]
    return made
