"""MiniGrid's tasks about objects that lie in one room: Fetch, GoToObject and PutNear."""

from typing import Any

import numpy as np

from envs.checks import whole_number
from envs.compiled import part
from envs.grid import (
    BALL,
    BOX,
    DROP,
    EMPTY,
    KEY,
    NUM_COLOURS,
    PICKUP,
    RANK,
    draw_colour,
    free_cell,
    out_of_time,
    place_agent,
    place_anywhere,
    prize,
    put,
    room,
    take_action,
)
from envs.pcg64 import integers
from envs.step_kernel import step_kernel
from envs.tasks.minigrid.doors import TARGET_FIELDS, act_go_to_target, is_among
from envs.tasks.minigrid.task import NAMES, MiniGridTask, World, variant
from envs.view import observe_with_mission

KINDS = np.array([KEY, BALL, BOX], np.uint8)
KIND_NAMES = ("key", "ball", "box")
VERBS = ("get a", "go get a", "fetch a", "go fetch a", "you must fetch a")


@part
def draw_object(s, num_kinds):
    """Draw a kind, then a colour; return the object's cell."""
    kind = KINDS[integers(s.rng, num_kinds)]
    return np.uint8(kind + draw_colour(s))


@part
def draw_other_object(s, count):
    """Draw objects until one comes that is not among the first ``count``."""
    cell = draw_object(s, 3)
    while is_among(cell, s.things, count):
        cell = draw_object(s, 3)
    return cell


@part
def tell(s, place, cell):
    """Write an object's colour and kind into the mission."""
    number = cell - KEY
    s.mission[place] = RANK[number % NUM_COLOURS]
    s.mission[place + 1] = number // NUM_COLOURS


@part
def begin_fetch(s, rules):
    """Draw objects and where they lie, the agent, the object to fetch, and the words of the mission."""
    room(s, rules)
    for n in range(len(s.things)):
        s.things[n] = draw_object(s, 2)
        place_anywhere(s, rules, s.things[n])
    place_agent(s, rules, 0, 0, rules.width, rules.height)
    s.target = s.things[integers(s.rng, len(s.things))]
    s.mission[0] = integers(s.rng, len(VERBS))
    tell(s, 1, s.target)


@part
def act_fetch(s, action, rules):
    """Pick up the object; picking up another ends the episode."""
    take_action(s, action, rules)
    late = out_of_time(s, rules)
    if s.carrying == s.target:
        s.success = 1.0
        return prize(s, rules), True, late
    return 0.0, s.carrying != EMPTY, late


class Fetch(MiniGridTask):
    """Pick up the object that the mission names, one of ``numObjs``."""

    kernel = step_kernel(begin_fetch, act_fetch, observe_with_mission)

    @classmethod
    def world(cls, *, size: int = 8, numObjs: int = 3) -> World:
        """Return a room of ``size`` × ``size``."""
        check_crowd(size, numObjs)
        return World(
            size,
            size,
            5 * size**2,
            see_through=True,
            fields=[("things", np.uint8, (numObjs,)), ("target", np.uint8)],
            mission="{} {} {}",
            choices=[VERBS, NAMES, KIND_NAMES[:2]],
        )


@part
def lay_objects(s, rules, apart):
    """Draw different objects and where they lie, with none beside another if they must be apart."""
    room(s, rules)
    for n in range(len(s.things)):
        s.things[n] = draw_other_object(s, n)
        x, y = free_cell(s, rules, 0, 0, rules.width, rules.height)
        while apart and crowded(s, n, x, y):
            x, y = free_cell(s, rules, 0, 0, rules.width, rules.height)
        put(s, rules, x, y, s.things[n])
        s.places[n, 0] = x
        s.places[n, 1] = y
    place_agent(s, rules, 0, 0, rules.width, rules.height)


@part
def crowded(s, count, x, y):
    """Tell whether a cell touches one of the first ``count`` objects, corners too."""
    found = False
    for n in range(count):
        found |= abs(x - s.places[n, 0]) <= 1 and abs(y - s.places[n, 1]) <= 1
    return found


@part
def aim(s, mission_place, n):
    """Make object n the target, and tell the mission so."""
    tell(s, mission_place, s.things[n])
    s.target_x = s.places[n, 0]
    s.target_y = s.places[n, 1]


@part
def begin_go_to_object(s, rules):
    """Lay the objects out, and draw the one to go to."""
    lay_objects(s, rules, False)
    aim(s, 0, integers(s.rng, len(s.things)))


class GoToObject(MiniGridTask):
    """Stand beside the object that the mission names, and say so."""

    kernel = step_kernel(begin_go_to_object, act_go_to_target, observe_with_mission)

    @classmethod
    def world(cls, *, size: int = 6, numObjs: int = 2) -> World:
        """Return a room of ``size`` × ``size``."""
        check_crowd(size, numObjs)
        return World(
            size,
            size,
            5 * size**2,
            see_through=True,
            fields=[*TARGET_FIELDS, *thing_fields(numObjs)],
            mission="go to the {} {}",
            choices=[NAMES, KIND_NAMES],
        )


@part
def begin_put_near(s, rules):
    """Lay the objects out, and draw the one to move, then the one to put it near."""
    lay_objects(s, rules, True)
    moved = integers(s.rng, len(s.things))
    s.moved = s.things[moved]
    tell(s, 0, s.moved)
    near = integers(s.rng, len(s.things))
    while near == moved:
        near = integers(s.rng, len(s.things))
    aim(s, 2, near)


@part
def act_put_near(s, action, rules):
    """Drop the object beside the target; to pick up another, or to try to drop it elsewhere, is the end."""
    before = s.carrying
    take_action(s, action, rules)
    late = out_of_time(s, rules)
    if action == DROP and before != EMPTY:
        d = s.direction
        x, y = s.x + (d == 0) - (d == 2), s.y + (d == 1) - (d == 3)
        if s.carrying == EMPTY and abs(x - s.target_x) <= 1 and abs(y - s.target_y) <= 1:
            s.success = 1.0
            return prize(s, rules), True, late
        return 0.0, True, late
    return 0.0, action == PICKUP and s.carrying != EMPTY and s.carrying != s.moved, late


class PutNear(MiniGridTask):
    """Pick up one object and drop it beside another, both named by the mission."""

    kernel = step_kernel(begin_put_near, act_put_near, observe_with_mission)

    @classmethod
    def world(cls, *, size: int = 6, numObjs: int = 2) -> World:
        """Return a room of ``size`` × ``size``."""
        check_crowd(size, numObjs)
        return World(
            size,
            size,
            5 * size,
            see_through=True,
            fields=[*TARGET_FIELDS, *thing_fields(numObjs), ("moved", np.uint8)],
            mission="put the {} {} near the {} {}",
            choices=[NAMES, KIND_NAMES, NAMES, KIND_NAMES],
        )


def thing_fields(count: int) -> list[tuple[Any, ...]]:
    """Return the fields for objects and where they first lay."""
    return [("things", np.uint8, (count,)), ("places", np.int16, (count, 2))]


def check_crowd(size: int, num_objects: int) -> None:
    """Raise ValueError where so many objects may find no room, or no kinds of their own."""
    whole_number("size", size, 5)
    most = min((size - 2) ** 2 // 9 + 1, len(KINDS) * NUM_COLOURS)
    if not 2 <= whole_number("numObjs", num_objects, 1) <= most:
        raise ValueError(f"numObjs must lie in 2 … {most} for a size of {size}, got {num_objects}")


TASKS = {
    **{
        f"MiniGrid-Fetch-{n}x{n}-N{count}-v0": variant(
            Fetch, f"MiniGrid-Fetch-{n}x{n}-N{count}-v0", size=n, numObjs=count
        )
        for n, count in [(5, 2), (6, 2), (8, 3)]
    },
    **{
        f"MiniGrid-GoToObject-{n}x{n}-N2-v0": variant(
            GoToObject, f"MiniGrid-GoToObject-{n}x{n}-N2-v0", size=n, numObjs=2
        )
        for n in (6, 8)
    },
    **{
        f"MiniGrid-PutNear-{n}x{n}-N{count}-v0": variant(
            PutNear, f"MiniGrid-PutNear-{n}x{n}-N{count}-v0", size=n, numObjs=count
        )
        for n, count in [(6, 2), (8, 3)]
    },
}
"""MiniGrid's ids."""
