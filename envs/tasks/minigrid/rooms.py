"""MiniGrid's grid of rooms: where the doors may be, doors, removed walls, things and the agent in a room."""

from typing import Any

import numpy as np

from envs.compiled import part
from envs.grid import (
    CLOSED,
    EMPTY,
    LOCKED,
    OPAQUE,
    ahead,
    between,
    clear,
    draw_colour,
    free_cell,
    place_agent,
    put,
    walls,
)
from envs.pcg64 import integers

EAST, SOUTH, WEST, NORTH = range(4)
"""The walls of a room, in the order of MiniGrid's directions."""
DX, DY = np.array([1, 0, -1, 0]), np.array([0, 1, 0, -1])


def room_fields(num_rows: int, num_cols: int) -> list[tuple[Any, ...]]:
    """Return the fields that the rooms need, which are numbered row by row."""
    count = num_rows * num_cols
    return [
        ("door_x", np.int16, (count, 4)),  # where the door of each wall is or would be
        ("door_y", np.int16, (count, 4)),
        ("joined", np.uint8, (count, 4)),  # by a door or because the wall is gone
        ("locked", np.uint8, (count,)),
        ("reached", np.uint8, (count,)),
    ]


def room_rules(room_size: int, num_rows: int, num_cols: int) -> dict[str, bool | int | float]:
    """Return the rules that every function here reads."""
    return {"room_size": room_size, "num_rows": num_rows, "num_cols": num_cols}


@part
def number(rules, i, j):
    """Return the number of the room in column i and row j."""
    return j * rules.num_cols + i


@part
def has_neighbour(rules, i, j, wall):
    """Tell whether a room lies beyond a wall."""
    i += DX[wall]
    j += DY[wall]
    return i >= 0 and i < rules.num_cols and j >= 0 and j < rules.num_rows


@part
def neighbour(rules, i, j, wall):
    """Return the number of the room beyond a wall."""
    return number(rules, i + DX[wall], j + DY[wall])


@part
def begin_rooms(s, rules):
    """Lay the walls, and draw a place for a door in each wall between two rooms; agent in the middle room."""
    clear(s, rules)
    step = rules.room_size - 1
    for n in range(len(s.locked)):
        s.locked[n] = 0
        for wall in range(4):
            s.joined[n, wall] = 0
    for j in range(rules.num_rows):
        for i in range(rules.num_cols):
            walls(s, rules, i * step, j * step, rules.room_size, rules.room_size)
    for j in range(rules.num_rows):
        for i in range(rules.num_cols):
            left, top = i * step, j * step
            if i < rules.num_cols - 1:
                set_door_place(s, rules, i, j, EAST, left + step, between(s, top + 1, top + step))
            if j < rules.num_rows - 1:
                set_door_place(s, rules, i, j, SOUTH, between(s, left + 1, left + step), top + step)
    s.x = rules.num_cols // 2 * step + rules.room_size // 2
    s.y = rules.num_rows // 2 * step + rules.room_size // 2
    s.direction = EAST


@part
def set_door_place(s, rules, i, j, wall, x, y):
    """Note where the door in a wall would be, for the rooms on both its sides."""
    here, there = number(rules, i, j), neighbour(rules, i, j, wall)
    s.door_x[here, wall] = x
    s.door_y[here, wall] = y
    s.door_x[there, (wall + 2) % 4] = x
    s.door_y[there, (wall + 2) % 4] = y


@part
def join(s, rules, i, j, wall):
    """Note that one can pass between two rooms."""
    s.joined[number(rules, i, j), wall] = 1
    s.joined[neighbour(rules, i, j, wall), (wall + 2) % 4] = 1


@part
def add_door(s, rules, i, j, wall, colour, locked):
    """Put a door into a wall."""
    here = number(rules, i, j)
    s.locked[here] = 1 if locked else 0
    door = (LOCKED if locked else CLOSED) + colour
    put(s, rules, s.door_x[here, wall], s.door_y[here, wall], door)
    join(s, rules, i, j, wall)


@part
def remove_north_wall(s, rules, i, j):
    """Take the wall between a room and the one north of it away."""
    step = rules.room_size - 1
    for x in range(i * step + 1, (i + 1) * step):
        put(s, rules, x, j * step, EMPTY)
    join(s, rules, i, j, NORTH)


@part
def add_object(s, rules, i, j, cell):
    """Put something on a free cell of a room that is not beside the agent."""
    step = rules.room_size - 1
    while True:
        x, y = free_cell(s, rules, i * step, j * step, rules.room_size, rules.room_size)
        if abs(s.x - x) + abs(s.y - y) >= 2:
            put(s, rules, x, y, cell)
            return


@part
def place_agent_in_room(s, rules, i, j):
    """Put the agent into a room, with nothing but a wall or an empty cell before it."""
    step = rules.room_size - 1
    while True:
        place_agent(s, rules, i * step, j * step, rules.room_size, rules.room_size)
        cell = s.grid[ahead(s, rules)]
        if cell == EMPTY or (cell >= OPAQUE and cell < CLOSED):
            return


@part
def connect_all(s, rules):
    """Draw doors until every room can be reached from the agent's."""
    step = rules.room_size - 1
    start = number(rules, s.x // step, s.y // step)
    while not all_reached(s, rules, start):
        i = integers(s.rng, rules.num_cols)
        j = integers(s.rng, rules.num_rows)
        wall = integers(s.rng, 4)
        here = number(rules, i, j)
        if not has_neighbour(rules, i, j, wall) or s.joined[here, wall]:
            continue
        if s.locked[here] or s.locked[neighbour(rules, i, j, wall)]:
            continue
        add_door(s, rules, i, j, wall, draw_colour(s), False)


@part
def all_reached(s, rules, start):
    """Tell whether every room can be reached from one."""
    for n in range(len(s.reached)):
        s.reached[n] = 1 if n == start else 0
    count, before = 1, 0
    while count > before:
        before = count
        for j in range(rules.num_rows):
            for i in range(rules.num_cols):
                here = number(rules, i, j)
                for wall in range(4):
                    if s.reached[here] and s.joined[here, wall]:
                        there = neighbour(rules, i, j, wall)
                        count += 0 if s.reached[there] else 1
                        s.reached[there] = 1
    return count == len(s.reached)
