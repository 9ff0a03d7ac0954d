"""MiniGrid's Dynamic Obstacles: reach the goal among balls that move about."""

import numpy as np

from envs.checks import whole_number
from envs.compiled import part
from envs.grid import (
    BALL,
    BLUE,
    EMPTY,
    FORWARD,
    GOAL,
    LAVA,
    act_towards_goal,
    ahead,
    at,
    between,
    place_anywhere,
    put,
)
from envs.step_kernel import step_kernel
from envs.tasks.minigrid.goal import begin_empty
from envs.tasks.minigrid.task import MiniGridTask, World, variant
from envs.view import observe

NUM_TRIES = 101
"""How often MiniGrid looks for a free cell beside a ball before the ball stays where it is."""


@part
def begin(s, rules):
    """Put the agent in its corner or anywhere, then the balls."""
    begin_empty(s, rules)
    for n in range(len(s.balls)):
        x, y = place_anywhere(s, rules, BALL + BLUE)
        s.balls[n, 0] = x
        s.balls[n, 1] = y


@part
def move_ball(s, rules, n):
    """Move a ball to a free cell of the 3 × 3 around it, if one is found."""
    left, top = max(s.balls[n, 0] - 1, 0), max(s.balls[n, 1] - 1, 0)
    right, bottom = min(left + 3, rules.width), min(top + 3, rules.height)
    for _ in range(NUM_TRIES):
        x = between(s, left, right)
        y = between(s, top, bottom)
        if s.grid[at(rules, x, y)] == EMPTY and not (x == s.x and y == s.y):
            s.changed = 1
            put(s, rules, x, y, BALL + BLUE)
            put(s, rules, s.balls[n, 0], s.balls[n, 1], EMPTY)
            s.balls[n, 0] = x
            s.balls[n, 1] = y
            return


@part
def act(s, action, rules):
    """Move the balls, then the agent: into what stood before it, wall or ball, is the end."""
    cell = s.grid[ahead(s, rules)]
    blocked = cell != EMPTY and not (cell >= GOAL and cell < LAVA)
    for n in range(len(s.balls)):
        move_ball(s, rules, n)
    reward, over, late = act_towards_goal(s, action, rules)
    if action == FORWARD and blocked:
        s.success = 0.0
        return -1.0, True, late
    return reward, over, late


class DynamicObstacles(MiniGridTask):
    """Reach the goal; a bump into a ball or a wall pays -1 and ends all. The first three actions only."""

    kernel = step_kernel(begin, act, observe)

    @classmethod
    def world(cls, *, size: int = 8, n_obstacles: int = 4, random_start: bool = False) -> World:
        """Return a room of ``size`` × ``size``; too many obstacles become ``size`` // 2, as in MiniGrid."""
        whole_number("size", size, 5)
        count = whole_number("n_obstacles", n_obstacles, 1)
        count = count if count <= size / 2 + 1 else size // 2
        return World(
            size,
            size,
            4 * size**2,
            see_through=True,
            rules={"random_start": bool(random_start)},
            fields=[("balls", np.int16, (count, 2))],
            num_actions=3,
            mission="get to the green goal square",
        )


TASKS = {
    f"MiniGrid-Dynamic-Obstacles-{name}-v0": variant(
        DynamicObstacles,
        f"MiniGrid-Dynamic-Obstacles-{name}-v0",
        size=size,
        n_obstacles=count,
        random_start=drawn,
    )
    for name, size, count, drawn in [
        ("5x5", 5, 2, False),
        ("Random-5x5", 5, 2, True),
        ("6x6", 6, 3, False),
        ("Random-6x6", 6, 3, True),
        ("8x8", 8, 4, False),
        ("16x16", 16, 8, False),
    ]
}
"""MiniGrid's ids."""
