"""MiniGrid's Obstructed Maze: locked doors with balls in their way and keys hidden in boxes."""

import numpy as np

from envs.compiled import part
from envs.grid import BALL, BLUE, GREEN, GREY, KEY, KEY_BOX, NUM_COLOURS, draw_colours, put
from envs.pcg64 import integers
from envs.step_kernel import step_kernel
from envs.tasks.minigrid.rooms import (
    DX,
    DY,
    EAST,
    add_door,
    add_object,
    begin_rooms,
    number,
    place_agent_in_room,
    room_fields,
    room_rules,
)
from envs.tasks.minigrid.task import MiniGridTask, World, variant
from envs.tasks.minigrid.unlock import act_pick_up
from envs.view import observe

ROOM_SIZE = 6
SIDES = np.array([(2, 1), (1, 2), (0, 1), (1, 0)])
CORNERS = np.array([(2, 0), (2, 2), (0, 2), (0, 0)])
"""Rooms beside the middle one, and the corners between them: (column, row)."""


@part
def add_locked_door(s, rules, i, j, wall, colour):
    """Put a locked door into a wall, and perhaps a ball before it."""
    add_door(s, rules, i, j, wall, colour, True)
    if rules.blocked:
        here = number(rules, i, j)
        x, y = s.door_x[here, wall] - DX[wall], s.door_y[here, wall] - DY[wall]
        put(s, rules, x, y, BALL + GREEN)


@part
def add_key(s, rules, i, j, colour):
    """Put a key into a room, perhaps in a box."""
    boxed = KEY_BOX + NUM_COLOURS * GREY + colour
    add_object(s, rules, i, j, boxed if rules.key_in_box else KEY + colour)


@part
def begin_one_door(s, rules):
    """Draw the door, its key, the ball to find behind it, and the agent's cell."""
    begin_rooms(s, rules)
    draw_colours(s, s.colours)
    add_locked_door(s, rules, 0, 0, EAST, s.colours[0])
    add_key(s, rules, 0, 0, s.colours[0])
    s.wanted = BALL + BLUE
    add_object(s, rules, 1, 0, s.wanted)
    place_agent_in_room(s, rules, 0, 0)


@part
def begin_maze(s, rules):
    """Draw the doors and keys of each quarter, then the corner where the ball is, and the agent's cell."""
    begin_rooms(s, rules)
    draw_colours(s, s.colours)
    for n in range(rules.num_quarters):
        add_door(s, rules, 1, 1, n, s.colours[n], False)
        i, j = SIDES[n, 0], SIDES[n, 1]
        for k in (-1, 1):
            colour = s.colours[(n + k) % NUM_COLOURS]
            add_locked_door(s, rules, i, j, (n + k) % 4, colour)
            if not rules.keys_last:
                add_key(s, rules, i, j, colour)
        for k in (-1, 1):
            if rules.keys_last:
                add_key(s, rules, i, j, s.colours[(n + k) % NUM_COLOURS])
    corner = integers(s.rng, rules.num_quarters)
    s.wanted = BALL + BLUE
    add_object(s, rules, CORNERS[corner, 0], CORNERS[corner, 1], s.wanted)
    place_agent_in_room(s, rules, rules.agent_column, 1)


def maze_world(num_rows: int, num_cols: int, num_rooms_visited: int, rules: dict) -> World:
    """Return the world of so many rooms; time is allowed for those to be visited."""
    return World(
        num_cols * (ROOM_SIZE - 1) + 1,
        num_rows * (ROOM_SIZE - 1) + 1,
        4 * num_rooms_visited * ROOM_SIZE**2,
        rules=room_rules(ROOM_SIZE, num_rows, num_cols) | rules,
        fields=[*room_fields(num_rows, num_cols), ("wanted", np.uint8), ("colours", np.uint8, (6,))],
        mission="pick up the blue ball",
    )


class OneDoorMaze(MiniGridTask):
    """A ball behind one locked door; ``key_in_box`` hides its key, ``blocked`` puts a ball before it."""

    kernel = step_kernel(begin_one_door, act_pick_up, observe)

    @classmethod
    def world(cls, *, key_in_box: bool = True, blocked: bool = True) -> World:
        """Return two rooms of 6 × 6."""
        return maze_world(1, 2, 2, {"key_in_box": bool(key_in_box), "blocked": bool(blocked)})


class ObstructedMaze(MiniGridTask):
    """A ball in a corner of 3 × 3 rooms, behind doors as in OneDoorMaze.

    ``num_quarters`` of the maze can be entered. The agent starts in the middle row, in column
    ``agent_column``. With ``keys_last``, as in version 1 of MiniGrid's ids, a ball never lies on a key.
    """

    kernel = step_kernel(begin_maze, act_pick_up, observe)

    @classmethod
    def world(
        cls,
        *,
        agent_column: int = 1,
        key_in_box: bool = True,
        blocked: bool = True,
        num_quarters: int = 4,
        num_rooms_visited: int = 25,
        keys_last: bool = False,
    ) -> World:
        """Return nine rooms of 6 × 6."""
        rules = {
            "agent_column": agent_column,
            "key_in_box": bool(key_in_box),
            "blocked": bool(blocked),
            "num_quarters": num_quarters,
            "keys_last": bool(keys_last),
        }
        if not (1 <= num_quarters <= 4 and 0 <= agent_column <= 2 and num_rooms_visited >= 1):
            raise ValueError(
                "num_quarters must lie in 1 … 4, agent_column in 0 … 2, num_rooms_visited from 1"
            )
        return maze_world(3, 3, num_rooms_visited, rules)


ONE_DOOR = {"1Dl": (False, False), "1Dlh": (True, False), "1Dlhb": (True, True)}
QUARTERS = {
    "2Dl-v0": (2, False, False, 1, 4),
    "2Dlh-v0": (2, True, False, 1, 4),
    "2Dlhb-v0": (2, True, True, 1, 4),
    "1Q-v0": (1, True, True, 1, 5),
    "2Q-v0": (2, True, True, 2, 11),
    "Full-v0": (1, True, True, 4, 25),
    "2Dlhb-v1": (2, True, True, 1, 4),
    "1Q-v1": (1, True, True, 1, 5),
    "2Q-v1": (2, True, True, 2, 11),
    "Full-v1": (1, True, True, 4, 25),
}
TASKS = {
    **{
        f"MiniGrid-ObstructedMaze-{name}-v0": variant(
            OneDoorMaze, f"MiniGrid-ObstructedMaze-{name}-v0", key_in_box=boxed, blocked=blocked
        )
        for name, (boxed, blocked) in ONE_DOOR.items()
    },
    **{
        f"MiniGrid-ObstructedMaze-{name}": variant(
            ObstructedMaze,
            f"MiniGrid-ObstructedMaze-{name}",
            agent_column=column,
            key_in_box=boxed,
            blocked=blocked,
            num_quarters=quarters,
            num_rooms_visited=visited,
            keys_last=name.endswith("v1"),
        )
        for name, (column, boxed, blocked, quarters, visited) in QUARTERS.items()
    },
}
"""MiniGrid's ids."""
