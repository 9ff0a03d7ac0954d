"""MiniGrid's Crossing: rivers of lava, or walls, that cross the room, each with one opening."""

import numpy as np

from envs.checks import whole_number
from envs.compiled import part
from envs.grid import EMPTY, GOAL, GREEN, GREY, LAVA, WALL, act_towards_goal, agent_at, between, put, room
from envs.pcg64 import shuffle
from envs.step_kernel import step_kernel
from envs.tasks.minigrid.task import MiniGridTask, World, variant
from envs.view import observe

EAST = 0
ACROSS, DOWN = 0, 1  # a river along a row, a river along a column


@part
def begin(s, rules):
    """Draw the rivers, then the order in which a path crosses them, and each opening on that path."""
    room(s, rules)
    agent_at(s, 1, 1, EAST)
    put(s, rules, rules.width - 2, rules.height - 2, GOAL + GREEN)
    draw_rivers(s, rules)
    count_across, count_down = s.count[ACROSS], s.count[DOWN]
    for n in range(count_across):
        for x in range(1, rules.width - 1):
            put(s, rules, x, s.banks[ACROSS, n + 1], rules.obstacle)
    for n in range(count_down):
        for y in range(1, rules.height - 1):
            put(s, rules, s.banks[DOWN, n + 1], y, rules.obstacle)
    path = s.drawn[: count_across + count_down]  # a step east for each column crossed, south for each row
    for n in range(len(path)):
        path[n] = DOWN if n < count_down else ACROSS
    shuffle(s.rng, path)
    i, j = 0, 0
    for crossed in path:
        if crossed == DOWN:
            y = between(s, s.banks[ACROSS, j] + 1, s.banks[ACROSS, j + 1])
            i += 1
            put(s, rules, s.banks[DOWN, i], y, EMPTY)
        else:
            x = between(s, s.banks[DOWN, i] + 1, s.banks[DOWN, i + 1])
            j += 1
            put(s, rules, x, s.banks[ACROSS, j], EMPTY)


@part
def draw_rivers(s, rules):
    """Choose rivers among the even columns and rows; ``banks`` lists the places of each kind, in order."""
    each = (rules.width - 3) // 2
    rivers = s.drawn[: 2 * each]  # first the columns, then the rows
    for n in range(2 * each):
        rivers[n] = n
    shuffle(s.rng, rivers)
    chosen = np.uint64(0)
    for n in rivers[: rules.num_crossings]:
        chosen |= np.uint64(1) << np.uint64(n)
    for kind in range(2):
        count = 0
        for n in range(each):
            if (chosen >> np.uint64(n + (each if kind == ACROSS else 0))) & np.uint64(1):
                count += 1
                s.banks[kind, count] = 2 + 2 * n
        s.count[kind] = count
        s.banks[kind, 0] = 0
        s.banks[kind, count + 1] = rules.width - 1


class Crossing(MiniGridTask):
    """``num_crossings`` rivers of ``obstacle_type`` (lava or wall) lie between the agent and the goal."""

    kernel = step_kernel(begin, act_towards_goal, observe)

    @classmethod
    def world(cls, *, size: int = 9, num_crossings: int = 1, obstacle_type: str = "lava") -> World:
        """Return a room of ``size`` × ``size``, odd."""
        if whole_number("size", size, 5) % 2 == 0 or size > 65:
            raise ValueError(f"size must be odd and at most 65, got {size}")
        if obstacle_type not in ("lava", "wall"):
            raise ValueError(f"obstacle_type must be lava or wall, got {obstacle_type!r}")
        most = size - 3  # more could not be crossed: there are no more
        num = min(whole_number("num_crossings", num_crossings, 0), most)
        is_lava = obstacle_type == "lava"
        way = "avoid the lava" if is_lava else "find the opening"
        return World(
            size,
            size,
            4 * size**2,
            rules={"num_crossings": num, "obstacle": LAVA if is_lava else WALL + GREY},
            fields=[
                ("count", np.int16, (2,)),
                ("banks", np.int16, (2, size // 2 + 1)),
                ("drawn", np.int16, (size,)),
            ],
            mission=f"{way} and get to the green goal square",
        )


TASKS = {
    f"MiniGrid-{name}CrossingS{size}N{num}-v0": variant(
        Crossing,
        f"MiniGrid-{name}CrossingS{size}N{num}-v0",
        size=size,
        num_crossings=num,
        obstacle_type=kind,
    )
    for name, kind in [("Lava", "lava"), ("Simple", "wall")]
    for size, num in [(9, 1), (9, 2), (9, 3), (11, 5)]
}
"""MiniGrid's ids."""
