"""MiniGrid's world inside compiled code: its cells, its actions, and how it places things.

Source: Chevalier-Boisvert et al. 2023, "Minigrid & Miniworld: Modular & customizable reinforcement learning
environments for goal-oriented tasks", and the rules of its released package (3.x), reproduced draw by draw:
the same seed gives the same layout. What is seen of a grid is in ``envs.view``.

A cell is one byte, a number for each (object, colour, state) and for a box with a key in it. A grid is a
flat array of bytes in the record, with a margin of walls wide enough that no view ever leaves it.
"""

from typing import Any

import numpy as np

from envs.compiled import part
from envs.pcg64 import integers

OBJECTS = ("unseen", "empty", "wall", "floor", "door", "key", "ball", "box", "goal", "lava", "agent")
COLOURS = ("red", "green", "blue", "purple", "yellow", "grey")
"""MiniGrid's names, in the order of its codes."""
RED, GREEN, BLUE, PURPLE, YELLOW, GREY = range(6)
BY_NAME = np.array([COLOURS.index(name) for name in sorted(COLOURS)])
"""Colours in the order in which MiniGrid draws them, that of their names."""
RANK = np.argsort(BY_NAME)
"""Place of a colour in that order: its code in a mission."""

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)
ACTION_NAMES = ("left", "right", "forward", "pickup", "drop", "toggle", "done")

NUM_COLOURS = len(COLOURS)
UNSEEN, EMPTY = 0, 1
FLOOR, KEY, BALL, BOX, GOAL = range(2, 32, 6)
LAVA, OPEN, KEY_BOX = 32, 33, 39
OPAQUE = 128  # this bit is set in what nobody sees through
WALL, CLOSED, LOCKED = range(128, 146, 6)
"""Numbers of cells. From FLOOR on, and but for LAVA, the first of six: the colour is added. KEY_BOX holds a
key: 6 × the box's colour + the key's colour is added."""

OVERLAP, CARRY = 1, 2
"""Traits of a cell: one can walk on it; one can pick it up."""


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Return, for every number of a cell, (object, colour, state) as three bytes [256] uint32, and traits."""
    encoding, traits = np.zeros(256, np.uint32), np.zeros(256, np.uint8)

    def define(first: int, name: str, state: int = 0, trait: int = 0, colours: Any = range(6)) -> None:
        for place, colour in enumerate(colours):
            encoding[first + place] = OBJECTS.index(name) | colour << 8 | state << 16
            traits[first + place] = trait

    define(EMPTY, "empty", trait=OVERLAP, colours=[0])
    define(FLOOR, "floor", trait=OVERLAP)
    define(KEY, "key", trait=CARRY)
    define(BALL, "ball", trait=CARRY)
    define(BOX, "box", trait=CARRY)
    define(GOAL, "goal", trait=OVERLAP)
    define(LAVA, "lava", trait=OVERLAP, colours=[RED])
    define(OPEN, "door", state=0, trait=OVERLAP)
    define(KEY_BOX, "box", trait=CARRY, colours=np.repeat(range(6), 6))
    define(WALL, "wall")
    define(CLOSED, "door", state=1)
    define(LOCKED, "door", state=2)
    return encoding, traits


ENCODING, TRAITS = _tables()


def grid_fields(width: int, height: int, view: int, num_missions: int = 0) -> list[tuple[Any, ...]]:
    """Return the fields of a record that holds a grid of this size, for views of ``view`` × ``view``.

    The grid's room is 512 bytes, or twice that, and so on, so that few sizes need a kernel of their own.
    """
    margin = view - 2
    stride = width + margin  # a row's right margin is the next row's left one
    room = stride * (height + 2 * margin) + margin + 8  # 8: words are read past the end
    fields: list[tuple[Any, ...]] = [
        ("x", np.int16),
        ("y", np.int16),
        ("direction", np.int8),  # 0 east, 1 south, 2 west, 3 north
        ("carrying", np.uint8),  # a cell's number; EMPTY: nothing
        ("changed", np.uint8),  # whether the view was last written before something in the grid changed
        ("grid", np.uint8, (max(512, 1 << (room - 1).bit_length()),)),
    ]
    return [*fields, ("mission", np.uint8, (num_missions,))] if num_missions else fields


def grid_rules(width: int, height: int, view: int, max_steps: int, see_through: bool) -> dict[str, Any]:
    """Return the rules that every function here reads."""
    margin = view - 2
    return {
        "width": width,
        "height": height,
        "view_size": view,
        "margin": margin,
        "stride": width + margin,
        "max_steps": max_steps,
        "see_through": int(see_through),
    }


@part
def at(rules, x, y):
    """Return the place of cell (x, y) in ``grid``."""
    return (y + rules.margin) * rules.stride + x + rules.margin


@part
def put(s, rules, x, y, cell):
    """Write cell (x, y)."""
    s.grid[at(rules, x, y)] = cell


@part
def clear(s, rules):
    """Empty the grid within its margin; take the agent off it, with empty hands."""
    # Loops, here and elsewhere: numba takes seconds more to compile an assignment to a slice.
    for k in range(len(s.grid)):
        s.grid[k] = WALL + GREY
    for y in range(rules.height):
        for x in range(rules.width):
            put(s, rules, x, y, EMPTY)
    s.x = -1
    s.y = -1
    s.direction = 0
    s.carrying = EMPTY
    s.changed = 1


@part
def walls(s, rules, left, top, width, height):
    """Lay walls along the edges of a rectangle."""
    for x in range(left, left + width):
        put(s, rules, x, top, WALL + GREY)
        put(s, rules, x, top + height - 1, WALL + GREY)
    for y in range(top, top + height):
        put(s, rules, left, y, WALL + GREY)
        put(s, rules, left + width - 1, y, WALL + GREY)


@part
def room(s, rules):
    """Empty the grid and wall it in."""
    clear(s, rules)
    walls(s, rules, 0, 0, rules.width, rules.height)


@part
def between(s, low, high):
    """Draw from low … high - 1."""
    return low + integers(s.rng, high - low)


@part
def draw_colour(s):
    """Draw a colour."""
    return BY_NAME[integers(s.rng, NUM_COLOURS)]


@part
def draw_colours(s, colours):
    """Draw all colours, one after the other, into an array of six."""
    for n in range(NUM_COLOURS):
        colours[n] = BY_NAME[n]
    for n in range(NUM_COLOURS):
        last = n + integers(s.rng, NUM_COLOURS - n)
        colour = colours[last]
        for k in range(last, n, -1):  # those left stay in the order of their names
            colours[k] = colours[k - 1]
        colours[n] = colour


@part
def free_cell(s, rules, left, top, width, height):
    """Draw cells of a rectangle, cut at the grid's edges, until one is empty and without the agent."""
    left = max(left, 0)
    top = max(top, 0)
    right = min(left + width, rules.width)
    bottom = min(top + height, rules.height)
    while True:
        x = between(s, left, right)
        y = between(s, top, bottom)
        if s.grid[at(rules, x, y)] == EMPTY and not (x == s.x and y == s.y):
            return x, y


@part
def place(s, rules, cell, left, top, width, height):
    """Put something on a free cell of a rectangle; return where."""
    x, y = free_cell(s, rules, left, top, width, height)
    put(s, rules, x, y, cell)
    return x, y


@part
def place_anywhere(s, rules, cell):
    """Put something on a free cell; return where."""
    return place(s, rules, cell, 0, 0, rules.width, rules.height)


@part
def place_agent(s, rules, left, top, width, height):
    """Put the agent on a free cell of a rectangle, facing anywhere."""
    s.x = -1
    s.y = -1
    x, y = free_cell(s, rules, left, top, width, height)
    s.x = x
    s.y = y
    s.direction = integers(s.rng, 4)


@part
def agent_at(s, x, y, direction):
    """Put the agent on a cell."""
    s.x = x
    s.y = y
    s.direction = direction


@part
def ahead(s, rules):
    """Return the place in ``grid`` of the cell before the agent."""
    d = s.direction
    return at(rules, s.x + (d == 0) - (d == 2), s.y + (d == 1) - (d == 3))


@part
def toggle(s, place):
    """Open or shut the door at a place of ``grid``, with its key if it is locked; break a box open."""
    cell = s.grid[place]
    if cell >= LOCKED:
        if s.carrying == KEY + (cell - LOCKED):
            s.grid[place] = OPEN + (cell - LOCKED)
    elif cell >= CLOSED:
        s.grid[place] = OPEN + (cell - CLOSED)
    elif cell >= KEY_BOX and cell < OPAQUE:
        s.grid[place] = KEY + (cell - KEY_BOX) % NUM_COLOURS
    elif cell >= OPEN and cell < KEY_BOX:
        s.grid[place] = CLOSED + (cell - OPEN)
    elif cell >= BOX and cell < GOAL:
        s.grid[place] = EMPTY


@part
def take_action(s, action, rules):
    """Do what an action does in every MiniGrid task; return the cell walked onto, or UNSEEN."""
    d = s.direction
    place = ahead(s, rules)
    cell = s.grid[place]
    # Turns and walks by arithmetic: which of them it is no processor can foresee, and a wrong guess at a
    # branch costs more than all of this.
    walks = np.int64(action == FORWARD) & np.int64(TRAITS[cell] & OVERLAP)
    s.x += walks * ((d == 0) - (d == 2))
    s.y += walks * ((d == 1) - (d == 3))
    s.direction = (d + (action == RIGHT) + 3 * (action == LEFT)) & 3
    s.changed |= walks | (action < FORWARD)
    if action > FORWARD:
        handle(s, action, place)
    return np.uint8(walks * cell)


@part
def handle(s, action, place):
    """Do what PICKUP, DROP and TOGGLE do to the cell ahead, at that place of ``grid``."""
    cell = s.grid[place]
    if action == PICKUP:
        if TRAITS[cell] & CARRY and s.carrying == EMPTY:
            s.carrying = cell
            s.grid[place] = EMPTY
    elif action == DROP:
        if cell == EMPTY and s.carrying != EMPTY:
            s.grid[place] = s.carrying
            s.carrying = EMPTY
    elif action == TOGGLE:
        toggle(s, place)
    s.changed |= s.grid[place] != cell


@part
def prize(s, rules):
    """Return MiniGrid's reward for a success by this action: 1 less 0.9 × the share of the time used."""
    return 1.0 - 0.9 * ((s.episode_length + 1) / rules.max_steps)


@part
def out_of_time(s, rules):
    """Tell whether this action is the last that the task allows."""
    return s.episode_length + 1 >= rules.max_steps


@part
def act_towards_goal(s, action, rules):
    """Take an action in a task where a goal pays and lava kills; nothing else ends it but the time."""
    cell = take_action(s, action, rules)
    late = out_of_time(s, rules)
    if cell >= GOAL and cell < LAVA:
        s.success = 1.0
        return prize(s, rules), True, late
    return 0.0, cell == LAVA, late
