"""MiniGrid's MultiRoom: a chain of rooms of drawn sizes, joined by doors, a goal in the last."""

import numpy as np

from envs.checks import whole_number
from envs.compiled import part
from envs.grid import (
    BY_NAME,
    CLOSED,
    GOAL,
    GREEN,
    NUM_COLOURS,
    act_towards_goal,
    between,
    clear,
    place,
    place_agent,
    put,
    walls,
)
from envs.pcg64 import integers
from envs.step_kernel import step_kernel
from envs.tasks.minigrid.task import MiniGridTask, World, variant
from envs.view import observe

EAST, SOUTH, WEST, NORTH = range(4)
SMALLEST = 4
NUM_TRIES = 8
"""How often MiniGrid looks for a place for the next room before it gives up the chain."""
LEFT, TOP, WIDTH, HEIGHT, DOOR_X, DOOR_Y = range(6)
"""What ``chain`` and ``best`` hold of a room; its door is the one it is entered by."""


@part
def begin(s, rules):
    """Draw chains until one is long enough; lay it out, and draw its doors' colours, agent and goal."""
    wanted = between(s, rules.fewest, rules.most + 1)
    count = 0
    while count < wanted:
        x = between(s, 0, rules.width - 2)
        y = between(s, 0, rules.width - 2)
        length = draw_chain(s, rules, wanted, x, y)
        if length > count:
            count = length
            for n in range(length):
                for k in range(6):
                    s.best[n, k] = s.chain[n, k]
    clear(s, rules)
    before = -1
    for n in range(count):
        r = s.best[n]
        walls(s, rules, r[LEFT], r[TOP], r[WIDTH], r[HEIGHT])
        if n > 0:
            before = draw_other_rank(s, before)
            put(s, rules, r[DOOR_X], r[DOOR_Y], CLOSED + BY_NAME[before])
    first, last = s.best[0], s.best[count - 1]
    place_agent(s, rules, first[LEFT], first[TOP], first[WIDTH], first[HEIGHT])
    place(s, rules, GOAL + GREEN, last[LEFT], last[TOP], last[WIDTH], last[HEIGHT])


@part
def draw_other_rank(s, before):
    """Draw a colour's place in the order of names, other than the one before (-1: none)."""
    if before < 0:
        return integers(s.rng, NUM_COLOURS)
    drawn = integers(s.rng, NUM_COLOURS - 1)
    return drawn + (1 if drawn >= before else 0)


@part
def draw_chain(s, rules, wanted, x, y):
    """Draw a chain of rooms from the one with its corner at (x, y); return how many found a place."""
    if not draw_room(s, rules, 0, WEST, x, y):
        return 0
    count, entry = 1, WEST
    while count < wanted:
        found = False
        for _ in range(NUM_TRIES):
            leave = integers(s.rng, 3)
            leave += 1 if leave >= entry else 0
            r = s.chain[count - 1]
            x = r[LEFT] + (r[WIDTH] - 1 if leave == EAST else 0)
            y = r[TOP] + (r[HEIGHT] - 1 if leave == SOUTH else 0)
            if leave in (EAST, WEST):
                y += between(s, 1, r[HEIGHT] - 1)
            else:
                x += between(s, 1, r[WIDTH] - 1)
            if draw_room(s, rules, count, (leave + 2) % 4, x, y):
                found = True
                entry = (leave + 2) % 4
                break
        if not found:
            break
        count += 1
    return count


@part
def draw_room(s, rules, n, entry, x, y):
    """Draw room n, entered at (x, y) through its wall ``entry``; return whether it found a place."""
    width = between(s, SMALLEST, rules.max_room_size + 1)
    height = between(s, SMALLEST, rules.max_room_size + 1)
    left, top = x, y
    if n > 0:
        if entry == EAST:
            left = x - width + 1
        elif entry == SOUTH:
            top = y - height + 1
        if entry in (EAST, WEST):
            top = between(s, y - height + 2, y)
        else:
            left = between(s, x - width + 2, x)
    if left < 0 or top < 0 or left + width > rules.width or top + height >= rules.height:
        return False
    for k in range(n - 1):  # all but the room it is entered from
        r = s.chain[k]
        if not (
            left + width < r[LEFT]
            or r[LEFT] + r[WIDTH] <= left
            or top + height < r[TOP]
            or r[TOP] + r[HEIGHT] <= top
        ):
            return False
    r = s.chain[n]
    r[LEFT] = left
    r[TOP] = top
    r[WIDTH] = width
    r[HEIGHT] = height
    r[DOOR_X] = x
    r[DOOR_Y] = y
    return True


class MultiRoom(MiniGridTask):
    """Go through ``minNumRooms`` … ``maxNumRooms`` rooms of up to ``maxRoomSize`` to the goal in the last."""

    kernel = step_kernel(begin, act_towards_goal, observe)

    @classmethod
    def world(cls, *, minNumRooms: int = 6, maxNumRooms: int = 6, maxRoomSize: int = 10) -> World:
        """Return a grid of 25 × 25."""
        whole_number("minNumRooms", minNumRooms, 1)
        whole_number("maxNumRooms", maxNumRooms, minNumRooms)
        whole_number("maxRoomSize", maxRoomSize, SMALLEST)
        if maxNumRooms > 8 or maxRoomSize > 12:
            raise ValueError("maxNumRooms must be at most 8 and maxRoomSize at most 12: more find no place")
        return World(
            25,
            25,
            20 * maxNumRooms,
            rules={"fewest": minNumRooms, "most": maxNumRooms, "max_room_size": maxRoomSize},
            fields=[("chain", np.int16, (maxNumRooms, 6)), ("best", np.int16, (maxNumRooms, 6))],
            mission="traverse the rooms to get to the goal",
        )


CHAINS = {"N2-S4-v0": (2, 4), "N4-S5-v0": (6, 5), "N4-S5-v1": (4, 5), "N6-v0": (6, 10)}
TASKS = {
    f"MiniGrid-MultiRoom-{name}": variant(
        MultiRoom, f"MiniGrid-MultiRoom-{name}", minNumRooms=count, maxNumRooms=count, maxRoomSize=size
    )
    for name, (count, size) in CHAINS.items()
}
"""MiniGrid's ids; N4-S5-v0 has six rooms there, too."""
