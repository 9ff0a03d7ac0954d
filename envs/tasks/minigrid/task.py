"""What all native MiniGrid tasks share: options, spaces, missions."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
from gymnasium.spaces import MultiDiscrete

from envs.card import TaskCard
from envs.checks import whole_number
from envs.engine import EngineOptions, NativeVectorEnv
from envs.grid import ACTION_NAMES, COLOURS, ENCODING, OBJECTS, grid_fields, grid_rules
from envs.minigrid_sprites import PALETTE
from envs.scene import Scene, symbols_scene
from envs.sprites import Sprite
from envs.view import VIEW_SIZES

NAMES = tuple(sorted(COLOURS))
"""The colours, in the order of their codes in a mission."""
LARGEST = 1000
"""Cells along an edge of the largest grid: places in it fit the record."""


@dataclass(frozen=True)
class World:
    """What a task's options make of it.

    Attributes:
        width: cells of the grid, as ``height``.
        height: see there.
        max_steps: of an episode, unless the user says otherwise.
        see_through: whether one sees through walls.
        rules: the task's own, for its kernel.
        fields: the task's own, of a record.
        num_actions: the first of MiniGrid's seven.
        mission: MiniGrid's text, with a place for each choice.
        choices: the words for each place.
    """

    width: int
    height: int
    max_steps: int
    see_through: bool = False
    rules: dict[str, bool | int | float] = field(default_factory=dict)
    fields: Sequence[tuple[Any, ...]] = ()
    num_actions: int = 7
    mission: str = ""
    choices: Sequence[Sequence[str]] = ()


class MiniGridTask(NativeVectorEnv):
    """A MiniGrid environment: the package's rules, layouts and random draws, seed for seed, compiled.

    Actions: 0 left, 1 right, 2 forward, 3 pickup, 4 drop, 5 toggle, 6 done. Observation:
    [v, v, 3] uint8, the egocentric view ahead of the agent, v = ``agent_view_size`` (3, 5, 7, 9 or 11);
    each cell is (object, colour, state) by MiniGrid's numbers, (0, 0, 0) where a wall is in the way.
    Where the mission has words to choose, the observation is flat, [3 v² + M] uint8: the view, then the
    place of each such word in MiniGrid's list of choices. Direction is left out. A success pays
    1 - 0.9 t / ``max_steps``, and an episode is truncated after ``max_steps`` actions.

    A subclass has a ``kernel`` and a ``world`` that tells what its options mean; ``variant`` gives it
    one of MiniGrid's ids.
    """

    kernel: ClassVar[Callable[..., int]]
    world: ClassVar[Callable[..., World]]
    """A class method: the task's options, each a keyword, to its world; ValueError if one is out of range."""
    palette = PALETTE
    egocentric = True
    name: ClassVar[str] = ""
    preset: ClassVar[dict[str, Any]] = {}

    def __init__(
        self, num_envs: int, *, max_steps: int | None = None, agent_view_size: int = 7, **options: Any
    ) -> None:
        """Build N grids.

        Args:
            num_envs: N.
            max_steps: after which an episode is truncated; None: MiniGrid's own number.
            agent_view_size: edge of the view.
            **options: the task's own (see its ``world``), and NativeVectorEnv's.

        Raises:
            ValueError: a grid that is too large, or an option out of range.
        """
        own = {name: value for name, value in options.items() if name not in EngineOptions.__annotations__}
        engine: Any = {name: value for name, value in options.items() if name not in own}
        world = self.world(**self.preset | own)
        if agent_view_size not in VIEW_SIZES:
            sizes = ", ".join(map(str, VIEW_SIZES))
            raise ValueError(f"agent_view_size must be one of {sizes}, got {agent_view_size!r}")
        if max(world.width, world.height) > LARGEST:
            raise ValueError(f"a grid has at most {LARGEST} cells along an edge")
        self.max_steps = whole_number("max_steps", world.max_steps if max_steps is None else max_steps, 1)
        self.agent_view_size = agent_view_size
        self._mission, self._choices = world.mission, world.choices
        counts = [len(words) for words in world.choices if len(words) > 1]
        grid = (world.width, world.height, agent_view_size)
        self.action_names = ACTION_NAMES[: world.num_actions]
        super().__init__(
            num_envs,
            observation_space=_space(agent_view_size, counts),
            num_actions=world.num_actions,
            fields=[*world.fields, *grid_fields(*grid, len(counts))],
            kernel=type(self).kernel,
            rules=world.rules | grid_rules(*grid, self.max_steps, world.see_through),
            **engine,
        )

    @classmethod
    def option_defaults(cls) -> dict[str, Any]:
        """Return the task's own options by name, with what each is unless the user says otherwise."""
        own = {p.name: p.default for p in inspect.signature(cls.world).parameters.values()}
        return own | cls.preset | {"max_steps": None, "agent_view_size": 7, "tile_size": 0}

    @classmethod
    def card(cls, *, max_steps: int | None = None, agent_view_size: int = 7, **own: Any) -> TaskCard | None:
        """Return None: what memory is worth here nobody has measured."""
        cls.world(**cls.preset | own)
        return None

    def missions(self) -> list[str]:
        """Return the present missions in MiniGrid's words, one for each environment."""
        counts = [len(words) for words in self._choices]
        if max(counts, default=1) == 1:
            return [self._mission.format(*(words[0] for words in self._choices))] * self.num_envs
        places = np.zeros((self.num_envs, len(counts)), np.int64)
        places[:, [count > 1 for count in counts]] = self.state["mission"]
        return [
            self._mission.format(*(words[k] for words, k in zip(self._choices, row, strict=True)))
            for row in places
        ]

    def view(self, i: int) -> Scene:
        """Return what the agent of environment i sees; the mission is the caption."""
        shape = (self.agent_view_size, self.agent_view_size, 3)
        symbols = self._symbols[i].reshape(-1)[: np.prod(shape)].reshape(shape)
        seen = symbols_scene(symbols, _space(self.agent_view_size, []).nvec, self.palette, egocentric=True)
        return replace(seen, caption=self.missions()[i])

    def scene(self, i: int) -> Scene:
        """Return the whole grid of environment i, bright where its agent sees it."""
        s, rules = self.state[i], self._rules[0]
        width, height, margin = rules["width"], rules["height"], rules["margin"]
        rows = margin + np.arange(height)[:, None]
        codes = ENCODING[s["grid"][rows * rules["stride"] + margin + np.arange(width)]]
        index = ((codes & 255) * len(COLOURS) + (codes >> 8 & 255)) * 3 + (codes >> 16)
        agent = {(int(s["y"]), int(s["x"])): Sprite("agent", turn=int(s["direction"]))}
        ground = [[self.palette[k] for k in row] for row in index]
        return Scene(ground, (agent,), self._seen(i), self.missions()[i])

    def _seen(self, i: int) -> np.ndarray:
        """Return which cells of the grid are in the view, [height, width] bool."""
        s, rules, size = self.state[i], self._rules[0], self.agent_view_size
        symbols = self._symbols[i].reshape(-1)[: 3 * size**2].reshape(size, size, 3)
        right, ahead = np.nonzero(symbols[..., 0])
        right, ahead = right - size // 2, size - 1 - ahead
        d = int(s["direction"])
        dx, dy = (1, 0, -1, 0)[d], (0, 1, 0, -1)[d]
        x, y = s["x"] + dx * ahead - dy * right, s["y"] + dy * ahead + dx * right
        inside = (x >= 0) & (x < rules["width"]) & (y >= 0) & (y < rules["height"])
        seen = np.zeros((rules["height"], rules["width"]), np.bool_)
        seen[y[inside], x[inside]] = True
        return seen


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
    names: Any = {"__doc__": task.__doc__, "__module__": task.__module__, "name": env_id, "preset": preset}
    made: Any = type(task.__name__, (task,), names)
    return made
