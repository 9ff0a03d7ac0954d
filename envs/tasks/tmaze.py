"""The passive T-maze: remember a cue from the first step until the end of a corridor.

Source: Bakker 2001, "Reinforcement learning with long short-term memory"; rules and the penalty from Ni
et al. 2023, "When do transformers shine in RL? Decoupling memory from credit assignment", section 4.
"""

from typing import Unpack

import numpy as np
from gymnasium.spaces import Box

from envs import sprites
from envs.card import TaskCard
from envs.checks import whole_number
from envs.compiled import part
from envs.engine import EngineOptions, NativeVectorEnv
from envs.pcg64 import integers
from envs.scene import SHOWN, Scene, grid, window
from envs.sprites import Sprite
from envs.step_kernel import step_kernel

NORTH, SOUTH, WEST, EAST = range(4)
START, CORRIDOR, JUNCTION, CUE_NORTH, CUE_SOUTH = range(5)
"""The observation's entries: three for the kind of place, two for the cue."""

NO_ARM = -1
SHOWN_CELLS = 17
"""Cells of a long corridor in one scene."""
ARM_ROWS = {NORTH: 1, SOUTH: 3}
"""Where the arms lie in a scene, whose corridor is row 2."""

FIELDS = [
    ("x", np.int32),  # cells east of the start
    ("cue", np.int8),  # NORTH or SOUTH: the arm that pays
]


@part
def begin(s, rules):
    """Draw the cue; put the agent at the start."""
    s.cue = integers(s.rng, 2)
    s.x = 0


@part
def act(s, action, rules):
    """Take one action; return the reward, whether the episode is over, and False: nothing is cut short.

    Only the last action can enter an arm, since the fastest walk needs all the others: so no record says
    that the agent is in one.
    """
    t = s.episode_length + 1
    if t > rules.length:
        s.success = s.x == rules.length and action == s.cue
    if action == EAST:
        s.x = min(s.x + 1, rules.length)
    elif action == WEST:
        s.x = max(s.x - 1, 0)
    if t > rules.length:
        return (1.0 if s.success else 0.0), True, False
    return (-1.0 / rules.length if s.x < t else 0.0), False, False


@part
def observe(s, rules, row):
    """Write the kind of place, and the cue before the first action."""
    row[:] = 0.0
    row[START if s.x == 0 else (JUNCTION if s.x == rules.length else CORRIDOR)] = 1.0
    if s.episode_length == 0:
        row[CUE_NORTH if s.cue == NORTH else CUE_SOUTH] = 1.0


step_all = step_kernel(begin, act, observe)


class TMaze(NativeVectorEnv):
    """Passive T-maze: the cue is in the first observation, the arm it names pays ``length`` steps later.

    The corridor runs east from the start (x = 0) to the junction (x = length), where the arms lie north
    and south. Actions: 0 north, 1 south, 2 west, 3 east; a bump is a stay. An episode is ``length`` + 1
    actions: ``length`` to walk, one to choose. Action t = 1 … ``length`` pays -1/``length`` if it leaves
    the agent at x < t, behind the fastest walk. The last action pays 1 in the arm that the cue named,
    else 0. Success: that arm.

    Observation: [5] float32 in 0 … 1: start cell, corridor, junction (or one of its arms), cue north,
    cue south. It does not give the position in the corridor.

    Card: memory; span ``length``; chance 0.5: walk east, then choose an arm without looking at the cue.
    Without memory 0.5 too: the fastest walk has no step to spare, so nothing of the cue can be stored in
    the position. A random walker stays near 0: it hardly ever reaches the junction in time. The oracle
    1.0. Ni et al. train for 1e6 steps at length 50, 2e6 at 100, 4e6 at 250 and 500, 6e6 at 750, 8e6 at
    1000 and 1e7 at 1500.
    """

    num_cues = 2
    action_names = ("north", "south", "west", "east")
    entry_names = ("start", "corridor", "junction", "cue north", "cue south")

    def __init__(self, num_envs: int, *, length: int = 50, **engine: Unpack[EngineOptions]) -> None:
        """Build N mazes.

        Args:
            num_envs: N.
            length: cells from the start to the junction.
            **engine: ``seed`` and so on, see NativeVectorEnv.

        Raises:
            ValueError: ``length`` below 1.
        """
        self.length = whole_number("length", length, 1)
        super().__init__(
            num_envs,
            observation_space=Box(0.0, 1.0, (5,), np.float32),
            num_actions=4,
            fields=FIELDS,
            kernel=step_all,
            rules={"length": self.length},
            **engine,
        )

    @classmethod
    def card(cls, *, length: int = 50) -> TaskCard:
        """Return the card of a maze of this length."""
        whole_number("length", length, 1)
        return TaskCard(
            name="tmaze",
            summary="walk a corridor, then take the arm that a cue named at the first step",
            kind="memory",
            span=length,
            chance=0.5,
            memoryless=0.5,
            oracle=1.0,
            episode_length=length + 1,
            ends=f"termination after {length + 1} actions",
            known_budget="length 50: 500 k steps, each of six cores; 500: 4 M, ur-lstm (docs/results)",
        )

    def cue(self) -> np.ndarray:
        """Return the arm that pays: 0 north, 1 south."""
        return self.state["cue"].astype(np.int64)

    @property
    def question_step(self) -> int:
        """The last decision: the fastest walk is at the junction then."""
        return self.length

    def oracle(self) -> np.ndarray:
        """Walk east to the junction, then into the cue's arm."""
        return np.where(self.state["x"] < self.length, EAST, self.state["cue"]).astype(np.int64)

    def scene(self, i: int) -> Scene:
        """Show the maze, or a window of it: the cue's arrow over the start, the flag in the arm that pays."""
        s = self.state[i]
        x, cue, steps = int(s["x"]), int(s["cue"]), int(s["episode_length"])
        # Only the last action enters an arm, and the right one alone is on record.
        arm = cue if s["success"] else NO_ARM
        caption = f"cue: {self.action_names[cue]}; cell {x} of {self.length}, "
        caption += f"action {steps} of {self.length + 1}"
        return maze_scene(self.length, (x, arm), cue, cue_arrow(cue), seen=steps == 0, caption=caption)


def cue_arrow(cue: int) -> Sprite:
    """Return the arrow to the arm that pays."""
    return Sprite("arrow", "yellow", sprites.NORTH if cue == NORTH else sprites.SOUTH)


def maze_scene(
    junction: int,
    agent: tuple[int, int],
    cue: int,
    sign: Sprite | None,
    *,
    seen: bool,
    west: Sprite = SHOWN,
    caption: str,
) -> Scene:
    """Show a T-maze, or a window of it around the agent, with the flag in the arm that pays.

    Args:
        junction: its x; the corridor begins at x = 0.
        agent: its x, and the arm that it stands in, NORTH or SOUTH, or NO_ARM.
        cue: NORTH or SOUTH: the arm that pays.
        sign: what stands over x = 0.
        seen: whether the agent sees the sign. Else it sees its own cell alone.
        west: the ground at x = 0.
        caption: of the scene.
    """
    x, arm = agent
    shown = window(x + 1, junction + 3, SHOWN_CELLS)  # a wall stands at either end
    columns = {place - 1: column for column, place in enumerate(shown)}  # by x
    ground = grid(5, len(shown), Sprite("wall"))
    lit = np.zeros((5, len(shown)), np.bool_)
    for cell, column in columns.items():
        if 0 <= cell <= junction:
            ground[2][column] = SHOWN if cell else west
    if junction in columns:
        for name, row in ARM_ROWS.items():
            ground[row][columns[junction]] = Sprite("goal") if name == cue else SHOWN
    things = {}
    if sign is not None and 0 in columns:
        things[1, columns[0]] = sign
        lit[1, columns[0]] = seen
    place = ARM_ROWS.get(arm, 2), columns[x]
    things[place] = Sprite("walker")
    lit[place] = True
    return Scene(ground, (things,), lit, caption)
