"""MiniGrid's tasks about doors in one room: GoToDoor and RedBlueDoors."""

import numpy as np

from envs.checks import whole_number
from envs.compiled import part
from envs.grid import (
    BLUE,
    CLOSED,
    DONE,
    KEY_BOX,
    OPEN,
    RANK,
    RED,
    TOGGLE,
    at,
    between,
    clear,
    draw_colour,
    out_of_time,
    place_agent,
    prize,
    put,
    take_action,
    walls,
)
from envs.pcg64 import integers
from envs.step_kernel import step_kernel
from envs.tasks.minigrid.task import NAMES, MiniGridTask, World, variant
from envs.view import observe, observe_with_mission


@part
def begin_go_to_door(s, rules):
    """Draw the room's size, a door in each wall, their colours, then the agent and the door to go to."""
    clear(s, rules)
    width = between(s, 5, rules.width + 1)
    height = between(s, 5, rules.height + 1)
    walls(s, rules, 0, 0, width, height)
    for n in range(4):  # north, south, west, east
        upright = n >= 2
        along = between(s, 2, (height if upright else width) - 2)
        across = 0 if n % 2 == 0 else (width if upright else height) - 1
        s.doors[n, 0] = across if upright else along
        s.doors[n, 1] = along if upright else across
    for n in range(4):
        s.colours[n] = draw_colour(s)
        while is_among(s.colours[n], s.colours, n):
            s.colours[n] = draw_colour(s)
    for n in range(4):
        put(s, rules, s.doors[n, 0], s.doors[n, 1], CLOSED + s.colours[n])
    place_agent(s, rules, 0, 0, width, height)
    chosen = integers(s.rng, 4)
    s.target_x = s.doors[chosen, 0]
    s.target_y = s.doors[chosen, 1]
    s.mission[0] = RANK[s.colours[chosen]]


@part
def is_among(item, items, count):
    """Tell whether an item is one of the first ``count``."""
    found = False
    for n in range(count):
        found |= items[n] == item
    return found


@part
def act_go_to_target(s, action, rules):
    """Be done one step from the target; being done elsewhere, or opening anything, ends the episode too."""
    take_action(s, action, rules)
    late = out_of_time(s, rules)
    if action == DONE and abs(s.x - s.target_x) + abs(s.y - s.target_y) == 1:
        s.success = 1.0
        return prize(s, rules), True, late
    return 0.0, action in (DONE, TOGGLE), late


TARGET_FIELDS = [("target_x", np.int16), ("target_y", np.int16)]


class GoToDoor(MiniGridTask):
    """Stand before the door of the colour that the mission names, and say so."""

    kernel = step_kernel(begin_go_to_door, act_go_to_target, observe_with_mission)

    @classmethod
    def world(cls, *, size: int = 5) -> World:
        """Return a room of at most ``size`` × ``size``."""
        whole_number("size", size, 5)
        return World(
            size,
            size,
            4 * size**2,
            see_through=True,
            fields=[*TARGET_FIELDS, ("doors", np.int16, (4, 2)), ("colours", np.uint8, (4,))],
            mission="go to the {} door",
            choices=[NAMES],
        )


@part
def begin_red_blue_doors(s, rules):
    """Draw the agent's cell in the middle room, the red door in its west wall, the blue one in the east."""
    clear(s, rules)
    size = rules.height
    walls(s, rules, 0, 0, 2 * size, size)
    walls(s, rules, size // 2, 0, size, size)
    place_agent(s, rules, size // 2, 0, size, size)
    s.red = at(rules, size // 2, between(s, 1, size - 1))
    s.grid[s.red] = CLOSED + RED
    s.blue = at(rules, size // 2 + size - 1, between(s, 1, size - 1))
    s.grid[s.blue] = CLOSED + BLUE


@part
def is_open(cell):
    """Tell whether a cell is an open door."""
    return cell >= OPEN and cell < KEY_BOX


@part
def act_red_blue_doors(s, action, rules):
    """Open the red door, then the blue one; the blue one first ends the episode."""
    red_before = is_open(s.grid[s.red])
    take_action(s, action, rules)
    late = out_of_time(s, rules)
    if not is_open(s.grid[s.blue]):
        return 0.0, False, late
    if red_before:
        s.success = 1.0
        return prize(s, rules), True, late
    return 0.0, True, late


class RedBlueDoors(MiniGridTask):
    """Open the red door of a room, then the blue one."""

    kernel = step_kernel(begin_red_blue_doors, act_red_blue_doors, observe)

    @classmethod
    def world(cls, *, size: int = 8) -> World:
        """Return a room of ``size`` × ``size`` between two others."""
        whole_number("size", size, 4)
        fields = [("red", np.int32), ("blue", np.int32)]
        mission = "open the red door then the blue door"
        return World(2 * size, size, 20 * size**2, fields=fields, mission=mission)


TASKS = {
    **{
        f"MiniGrid-GoToDoor-{n}x{n}-v0": variant(GoToDoor, f"MiniGrid-GoToDoor-{n}x{n}-v0", size=n)
        for n in (5, 6, 8)
    },
    **{
        f"MiniGrid-RedBlueDoors-{n}x{n}-v0": variant(
            RedBlueDoors, f"MiniGrid-RedBlueDoors-{n}x{n}-v0", size=n
        )
        for n in (6, 8)
    },
}
"""MiniGrid's ids."""
