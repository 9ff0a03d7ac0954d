"""MiniGrid's tasks, compiled: a file for each kind, and under MiniGrid's own ids."""

from envs.tasks.minigrid import (
    crossing,
    doors,
    goal,
    memory,
    multiroom,
    objects,
    obstacles,
    obstructed,
    unlock,
)
from envs.tasks.minigrid.task import MiniGridTask

TASKS: dict[str, type[MiniGridTask]] = {
    **memory.TASKS,
    **goal.TASKS,
    **crossing.TASKS,
    **obstacles.TASKS,
    **doors.TASKS,
    **objects.TASKS,
    **unlock.TASKS,
    **obstructed.TASKS,
    **multiroom.TASKS,
}
"""The native tasks by MiniGrid's ids."""
