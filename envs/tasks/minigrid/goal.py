"""MiniGrid's tasks whose one rule is to reach the goal.

Empty, DistShift, LavaGap, FourRooms, DoorKey, LockedRoom.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from envs.checks import whole_number
from envs.compiled import part
from envs.grid import (
    CLOSED,
    EMPTY,
    GOAL,
    GREEN,
    GREY,
    KEY,
    LAVA,
    LOCKED,
    RANK,
    WALL,
    YELLOW,
    act_towards_goal,
    agent_at,
    between,
    draw_colours,
    place,
    place_agent,
    place_anywhere,
    put,
    room,
)
from envs.pcg64 import integers
from envs.step_kernel import step_kernel
from envs.tasks.minigrid.task import NAMES, MiniGridTask, World, variant
from envs.view import observe, observe_with_mission

EAST = 0
GOAL_MISSION = "get to the green goal square"


def goal_kernel(begin: Callable[..., Any]) -> Any:
    """Compile the step of a task with this beginning and a mission that never changes."""
    return step_kernel(begin, act_towards_goal, observe)


@part
def begin_empty(s, rules):
    """Put the goal in the far corner."""
    room(s, rules)
    put(s, rules, rules.width - 2, rules.height - 2, GOAL + GREEN)
    if rules.random_start:
        place_agent(s, rules, 0, 0, rules.width, rules.height)
    else:
        agent_at(s, 1, 1, EAST)


class Empty(MiniGridTask):
    """An empty room with a goal in the corner; ``random_start``: the agent starts anywhere."""

    kernel = goal_kernel(begin_empty)

    @classmethod
    def world(cls, *, size: int = 8, random_start: bool = False) -> World:
        """Return a room of ``size`` × ``size``."""
        whole_number("size", size, 4)
        return World(
            size,
            size,
            4 * size**2,
            see_through=True,
            rules={"random_start": bool(random_start)},
            mission=GOAL_MISSION,
        )


@part
def begin_dist_shift(s, rules):
    """Lay two strips of lava, the second where the rules say."""
    room(s, rules)
    put(s, rules, rules.width - 2, 1, GOAL + GREEN)
    for x in range(3, rules.width - 3):
        put(s, rules, x, 1, LAVA)
        put(s, rules, x, rules.second_strip, LAVA)
    agent_at(s, 1, 1, EAST)


class DistShift(MiniGridTask):
    """A goal behind two strips of lava, the second in the row ``strip2_row``."""

    kernel = goal_kernel(begin_dist_shift)

    @classmethod
    def world(cls, *, strip2_row: int = 2) -> World:
        """Return a room of 9 × 7."""
        row = whole_number("strip2_row", strip2_row, 2)
        if row > 5:
            raise ValueError(f"strip2_row must lie in 2 … 5, got {row}")
        return World(9, 7, 4 * 9 * 7, see_through=True, rules={"second_strip": row}, mission=GOAL_MISSION)


@part
def begin_lava_gap(s, rules):
    """Lay a column of lava with one gap."""
    room(s, rules)
    agent_at(s, 1, 1, EAST)
    put(s, rules, rules.width - 2, rules.height - 2, GOAL + GREEN)
    x = between(s, 2, rules.width - 2)
    gap = between(s, 1, rules.height - 1)
    for y in range(1, rules.height - 1):
        if y != gap:
            put(s, rules, x, y, LAVA)


class LavaGap(MiniGridTask):
    """A wall of lava with one gap between the agent and the goal."""

    kernel = goal_kernel(begin_lava_gap)

    @classmethod
    def world(cls, *, size: int = 7) -> World:
        """Return a room of ``size`` × ``size``."""
        whole_number("size", size, 5)
        return World(size, size, 4 * size**2, mission=f"avoid the lava and {GOAL_MISSION}")


@part
def begin_four_rooms(s, rules):
    """Draw a gap in each of the four walls between the rooms, then the agent's cell and the goal's."""
    room(s, rules)
    half_x = rules.width // 2
    half_y = rules.height // 2
    for j in range(2):
        for i in range(2):
            left, top = i * half_x, j * half_y
            if i == 0:
                for y in range(top, top + half_y):
                    put(s, rules, half_x, y, WALL + GREY)
                put(s, rules, half_x, between(s, top + 1, top + half_y), EMPTY)
            if j == 0:
                for x in range(left, left + half_x):
                    put(s, rules, x, half_y, WALL + GREY)
                put(s, rules, between(s, left + 1, left + half_x), half_y, EMPTY)
    place_agent(s, rules, 0, 0, rules.width, rules.height)
    place_anywhere(s, rules, GOAL + GREEN)


class FourRooms(MiniGridTask):
    """Four rooms joined by gaps, the agent and the goal anywhere."""

    kernel = goal_kernel(begin_four_rooms)

    @classmethod
    def world(cls) -> World:
        """Return four rooms in 19 × 19 cells."""
        return World(19, 19, 100, mission="reach the goal")


@part
def begin_door_key(s, rules):
    """Draw the wall between the rooms, then the agent, the door and the key."""
    room(s, rules)
    size = rules.width
    put(s, rules, size - 2, size - 2, GOAL + GREEN)
    wall = between(s, 2, size - 2)
    for y in range(size):
        put(s, rules, wall, y, WALL + GREY)
    place_agent(s, rules, 0, 0, wall, size)
    put(s, rules, wall, between(s, 1, size - 2), LOCKED + YELLOW)
    place(s, rules, KEY + YELLOW, 0, 0, wall, size)


class DoorKey(MiniGridTask):
    """A goal behind a locked door whose key lies in the agent's room."""

    kernel = goal_kernel(begin_door_key)

    @classmethod
    def world(cls, *, size: int = 8) -> World:
        """Return two rooms in ``size`` × ``size`` cells."""
        whole_number("size", size, 5)
        mission = "use the key to open the door and then get to the goal"
        return World(size, size, 10 * size**2, mission=mission)


@part
def begin_locked_room(s, rules):
    """Draw the locked room and its goal, the doors' colours, the key's room and its place, then the agent."""
    room(s, rules)
    size = rules.width
    west, east, third = size // 2 - 2, size // 2 + 2, size // 3
    for y in range(size):
        put(s, rules, west, y, WALL + GREY)
        put(s, rules, east, y, WALL + GREY)
    for n in range(3):
        for x in range(size):
            if x < west or x >= east:
                put(s, rules, x, n * third, WALL + GREY)
    locked = integers(s.rng, 6)
    x, y = cell_of_room(s, locked, west, east, third)
    put(s, rules, x, y, GOAL + GREEN)
    draw_colours(s, s.colours)
    for n in range(6):
        door = (LOCKED if n == locked else CLOSED) + s.colours[n]
        put(s, rules, east if n % 2 else west, n // 2 * third + 3, door)
    home = integers(s.rng, 6)
    while home == locked:
        home = integers(s.rng, 6)
    x, y = cell_of_room(s, home, west, east, third)
    put(s, rules, x, y, KEY + s.colours[locked])
    place_agent(s, rules, west, 0, east - west, size)
    s.mission[0] = RANK[s.colours[locked]]
    s.mission[1] = RANK[s.colours[home]]
    s.mission[2] = RANK[s.colours[locked]]


@part
def cell_of_room(s, n, west, east, third):
    """Draw a cell of one of the six rooms, which lie west and east in turn."""
    left = east if n % 2 else 0
    x = between(s, left + 1, left + west)
    top = n // 2 * third
    return x, between(s, top + 1, top + third)


class LockedRoom(MiniGridTask):
    """Six rooms along a hallway; the goal is in the one that is locked, its key in another."""

    kernel = step_kernel(begin_locked_room, act_towards_goal, observe_with_mission)

    @classmethod
    def world(cls) -> World:
        """Return six rooms in 19 × 19 cells."""
        mission = "get the {} key from the {} room, unlock the {} door and go to the goal"
        colours = [("colours", np.uint8, (6,))]
        return World(19, 19, 190, fields=colours, mission=mission, choices=[NAMES] * 3)


TASKS = {
    **{
        f"MiniGrid-Empty-{name}-v0": variant(
            Empty, f"MiniGrid-Empty-{name}-v0", size=size, random_start=drawn
        )
        for name, size, drawn in [
            ("5x5", 5, False),
            ("Random-5x5", 5, True),
            ("6x6", 6, False),
            ("Random-6x6", 6, True),
            ("8x8", 8, False),
            ("16x16", 16, False),
        ]
    },
    **{
        f"MiniGrid-DistShift{n}-v0": variant(DistShift, f"MiniGrid-DistShift{n}-v0", strip2_row=row)
        for n, row in [(1, 2), (2, 5)]
    },
    **{
        f"MiniGrid-LavaGapS{size}-v0": variant(LavaGap, f"MiniGrid-LavaGapS{size}-v0", size=size)
        for size in (5, 6, 7)
    },
    "MiniGrid-FourRooms-v0": variant(FourRooms, "MiniGrid-FourRooms-v0"),
    **{
        f"MiniGrid-DoorKey-{n}x{n}-v0": variant(DoorKey, f"MiniGrid-DoorKey-{n}x{n}-v0", size=n)
        for n in (5, 6, 8, 16)
    },
    "MiniGrid-LockedRoom-v0": variant(LockedRoom, "MiniGrid-LockedRoom-v0"),
}
"""MiniGrid's ids."""
