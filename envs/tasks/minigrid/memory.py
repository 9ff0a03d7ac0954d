"""MiniGrid's Memory: see an object, walk down a hallway, turn to the side where its like lies."""

from typing import Any

import numpy as np

from envs.card import NOT_YET, TaskCard
from envs.checks import whole_number
from envs.compiled import part
from envs.grid import (
    BALL,
    EMPTY,
    FORWARD,
    GREEN,
    GREY,
    KEY,
    LEFT,
    PICKUP,
    RIGHT,
    TOGGLE,
    WALL,
    agent_at,
    between,
    out_of_time,
    prize,
    put,
    room,
    take_action,
    walls,
)
from envs.pcg64 import integers
from envs.step_kernel import step_kernel
from envs.tasks.minigrid.task import MiniGridTask, World, variant
from envs.view import observe

FIELDS = [
    ("end", np.int16),  # x of the hallway's end
    ("cue", np.int8),  # what lies in the start room: 0 key, 1 ball
    ("up", np.bool_),  # whether its like lies north of the hallway's end
]
EAST, SOUTH, NORTH = 0, 1, 3

BUDGETS = {
    ("MiniGrid-MemoryS7-v0", 7): "500 k steps, ur-lstm (docs/results)",
    ("MiniGrid-MemoryS9-v0", 3): "800 k steps, ur-lstm (docs/results)",
    ("MiniGrid-MemoryS9-v0", 7): "800 k steps, ur-lstm (docs/results)",
    ("MiniGrid-MemoryS11-v0", 7): "2 M steps, ur-lstm (docs/results)",
    ("MiniGrid-MemoryS11-v0", 3): "2 M steps, ur-lstm (docs/results)",
    ("MiniGrid-MemoryS13-v0", 7): "3 M steps, ur-lstm (docs/results)",
    ("MiniGrid-MemoryS17Random-v0", 7): "3 M steps, ur-lstm (docs/results)",
}
"""What solves a task in a view: see `TaskCard`."""


@part
def begin(s, rules):
    """Draw the hallway's end, where the agent stands, the cue, and the order of the objects at the end."""
    room(s, rules)
    size = rules.width
    middle = size // 2
    s.end = between(s, 4, size - 2) if rules.random_length else size - 3
    for x in range(1, 5):
        put(s, rules, x, middle - 2, WALL + GREY)
        put(s, rules, x, middle + 2, WALL + GREY)
    for x in range(4, s.end):
        put(s, rules, x, middle - 1, WALL + GREY)
        put(s, rules, x, middle + 1, WALL + GREY)
    walls(s, rules, s.end, 0, 3, size)
    put(s, rules, s.end, middle, EMPTY)
    agent_at(s, between(s, 1, s.end + 1), middle, EAST)
    s.cue = integers(s.rng, 2)
    key_first = integers(s.rng, 2) == 1
    s.up = key_first == (s.cue == 0)
    put(s, rules, 1, middle - 1, (KEY if s.cue == 0 else BALL) + GREEN)
    put(s, rules, s.end + 1, middle - 2, (KEY if key_first else BALL) + GREEN)
    put(s, rules, s.end + 1, middle + 2, (BALL if key_first else KEY) + GREEN)


@part
def act(s, action, rules):
    """Take an action (pickup toggles); standing beside an object at the hallway's end ends the episode."""
    take_action(s, TOGGLE if action == PICKUP else action, rules)
    middle = rules.height // 2
    over = s.x == s.end + 1 and (s.y == middle - 1 or s.y == middle + 1)
    if over and s.up == (s.y < middle):
        s.success = 1.0
        return prize(s, rules), True, out_of_time(s, rules)
    return 0.0, over, out_of_time(s, rules)


class Memory(MiniGridTask):
    """MiniGrid's Memory: an object in the start room, a hallway, two objects at its end, one of them alike.

    A key or a ball lies in the start room. The hallway ends in a crossing with a key on one side and a
    ball on the other. Standing before the object that is like the first pays; before the other pays 0;
    either ends the episode. The agent starts facing east anywhere from the start room to the end of the
    hallway, so it may have to turn round to see the first object. ``random_length`` draws the hallway's
    end anew in every episode. The view, the actions and the reward: see MiniGridTask.

    Card: chance 0.5: walk to the crossing and turn to either side. The first object is in view from as
    far as ``agent_view_size`` - 1 steps. Where the hallway is longer, no policy without memory does better
    than chance: everyone comes to the crossing through one cell, facing east, and what is seen from there
    on says nothing of the first object. Where it is as short (S7 and S9 with the default view of 7), both
    ends are in view at once from the crossing, and a policy without memory that hesitates long enough
    there succeeds nearly always (tested). The memory span is short in the default view, too: turning
    round in place takes one from the first object to the last two. A view of 3 makes it long. The oracle
    1.0.
    """

    num_cues = 2
    kernel = step_kernel(begin, act, observe)

    @classmethod
    def world(cls, *, size: int = 8, random_length: bool = False) -> World:
        """Return a world of ``size`` × ``size``, odd; ``random_length``: the hallway's length is drawn."""
        if whole_number("size", size, 7) % 2 == 0:
            raise ValueError(f"size must be odd, got {size}")
        return World(
            width=size,
            height=size,
            max_steps=5 * size**2,
            rules={"random_length": bool(random_length)},
            fields=FIELDS,
            mission="go to the matching object at the end of the hallway",
        )

    @classmethod
    def card(cls, *, max_steps: int | None = None, agent_view_size: int = 7, **own: Any) -> TaskCard:
        """Return the card of a hallway in this view."""
        world, view = cls.world(**cls.preset | own), agent_view_size
        ends = range(4, world.width - 2) if world.rules["random_length"] else [world.width - 3]
        # The furthest sight of the cue, two turns, and the way to the first sight of the choice: from the
        # hallway itself, or in a view of 3 after a turn at the crossing.
        spans = [2 + max(0, end + 1 - (view - 1) - view) if view > 3 else end + 1 for end in ends]
        both = sum(end < view for end in ends) / len(ends)
        steps = world.max_steps if max_steps is None else max_steps
        return TaskCard(
            name=cls.name,
            summary="see an object, then find its like at the end of a hallway",
            kind="partial" if both else "memory",
            span=max(spans),
            chance=0.5,
            memoryless=0.5 + 0.48 * both,
            oracle=1.0,
            episode_length=None,
            ends=f"termination before an object at the crossing; truncation after {steps} actions",
            known_budget=BUDGETS.get((cls.name, view), NOT_YET),
        )

    def cue(self) -> np.ndarray:
        """Return what lies in the start room: 0 a key, 1 a ball."""
        return self.state["cue"].astype(np.int64)

    def shows_cue(self) -> np.ndarray:
        """Return whether the object in the start room is in view."""
        s, size = self.state, self.agent_view_size
        east, south = 1 - s["x"].astype(np.int64), self._rules[0]["height"] // 2 - 1 - s["y"].astype(np.int64)
        turns = s["direction"]
        ahead = np.choose(turns, [east, south, -east, -south])
        right = np.choose(turns, [south, -east, -south, east])
        i, j = right + size // 2, size - 1 - ahead
        near = (i >= 0) & (i < size) & (j >= 0) & (j < size)
        seen = self._symbols[np.arange(self.num_envs), i.clip(0, size - 1), j.clip(0, size - 1), 0]
        return near & (seen != 0)

    def oracle(self) -> np.ndarray:
        """Walk east to the crossing, then turn to the side of the object that matches."""
        s = self.state
        heading = np.where(s["x"] <= s["end"], EAST, np.where(s["up"], NORTH, SOUTH))
        turns = (heading - s["direction"]) % 4
        return np.choose(turns, [FORWARD, RIGHT, RIGHT, LEFT])


TASKS = {
    f"MiniGrid-MemoryS{size}{'Random' * drawn}-v0": variant(
        Memory, f"MiniGrid-MemoryS{size}{'Random' * drawn}-v0", size=size, random_length=drawn
    )
    for size, drawn in [(17, True), (13, True), (13, False), (11, False), (9, False), (7, False)]
}
"""MiniGrid's ids."""
