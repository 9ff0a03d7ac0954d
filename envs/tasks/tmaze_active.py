"""The active T-maze: fetch a cue from behind the start, then remember it until the end of a corridor.

Source: Ni et al. 2023, "When do transformers shine in RL? Decoupling memory from credit assignment",
section 4, and its released code, for the geometry, the penalty and what is seen.
"""

from typing import Unpack

import numpy as np
from gymnasium.spaces import Box

from envs.card import TaskCard
from envs.checks import whole_number
from envs.compiled import part
from envs.engine import EngineOptions, NativeVectorEnv
from envs.pcg64 import integers
from envs.scene import Scene
from envs.sprites import Sprite
from envs.step_kernel import step_kernel
from envs.tasks.tmaze import EAST, NO_ARM, NORTH, SOUTH, WEST, cue_arrow, maze_scene

ORACLE, CORRIDOR, JUNCTION, ARM_NORTH, ARM_SOUTH, CUE_NORTH, CUE_SOUTH = range(7)
"""The observation's entries: five for the kind of place, two for the cue."""
UNSEEN, IN_VIEW, GONE = range(3)
"""Whether the cue is yet to be shown, is in this observation, or has been shown."""
SIGHT_NAMES = ("not fetched", "in view", "gone")

FIELDS = [
    ("x", np.int32),  # cells east of the oracle: the start is 1, the junction length + 1
    ("arm", np.int8),  # NORTH or SOUTH while the agent stands in an arm, else NO_ARM
    ("cue", np.int8),  # NORTH or SOUTH: the arm that pays
    ("sight", np.int8),  # UNSEEN, IN_VIEW or GONE
]


@part
def begin(s, rules):
    """Draw the cue; put the agent at the start."""
    s.cue = integers(s.rng, 2)
    s.x = 1
    s.arm = NO_ARM
    s.sight = UNSEEN


@part
def move(s, action, junction):
    """Move one cell; a bump is a stay."""
    if s.arm != NO_ARM:
        if action == (SOUTH if s.arm == NORTH else NORTH):
            s.arm = NO_ARM
    elif action == EAST:
        s.x = min(s.x + 1, junction)
    elif action == WEST:
        s.x = max(s.x - 1, 0)
    elif s.x == junction:
        s.arm = action


@part
def act(s, action, rules):
    """Take one action; return the reward, whether the episode is over, and False: nothing is cut short."""
    t = s.episode_length + 1
    move(s, action, rules.length + 1)
    if s.sight == IN_VIEW:
        s.sight = GONE
    elif s.sight == UNSEEN and s.x == 0:
        s.sight = IN_VIEW
    if t == rules.length + 3:
        s.success = s.arm == s.cue
        return (1.0 if s.success else 0.0), True, False
    return (-1.0 / rules.length if s.x < t - 1 else 0.0), False, False


@part
def observe(s, rules, row):
    """Write the kind of place, and the cue where it is in view."""
    row[:] = 0.0
    if s.arm != NO_ARM:
        row[ARM_NORTH if s.arm == NORTH else ARM_SOUTH] = 1.0
    else:
        row[ORACLE if s.x == 0 else (JUNCTION if s.x > rules.length else CORRIDOR)] = 1.0
    if s.sight == IN_VIEW:
        row[CUE_NORTH if s.cue == NORTH else CUE_SOUTH] = 1.0


step_all = step_kernel(begin, act, observe)


class TMazeActive(NativeVectorEnv):
    """Active T-maze: an oracle behind the start names the arm that pays, ``length`` + 1 steps later.

    A corridor of ``length`` + 2 cells runs east from the oracle (x = 0) over the start (x = 1) to the
    junction (x = ``length`` + 1), where the arms lie north and south. Actions: 0 north, 1 south, 2 west,
    3 east; a bump is a stay. An episode is ``length`` + 3 actions: one to the oracle, ``length`` + 1 to
    the junction, one to choose; no step is to spare. Action t = 1 … ``length`` + 2 pays -1/``length`` if
    it leaves the agent at x < t - 1, behind that walk: to skip the oracle costs nothing. The last action
    pays 1 if it leaves the agent in the arm that the cue named, else 0. Success: that arm.

    Observation: [7] float32 in 0 … 1: oracle, corridor, junction, north arm, south arm, cue north, cue
    south. The cue is in view at the first visit of the oracle, for one step. The start looks like the
    corridor, and nothing gives the position in it. The released code has the arm and the cue in one
    number; here each has its entry.

    Card: memory (and credit: the detour pays ``length`` + 1 steps later); span ``length`` + 1; chance
    0.5: walk east, then choose an arm without the cue. Without memory 0.5 too: only who turns to the
    oracle at once has the time to use the cue, none is left to store it in the position, and all
    junctions look alike. A random walker stays near 0. The oracle policy 1.0.

    It has no question for the recall probe: a random walker comes to the oracle at any time or never.
    """

    num_cues = 2
    action_names = ("north", "south", "west", "east")
    entry_names = ("oracle", "corridor", "junction", "north arm", "south arm", "cue north", "cue south")

    def __init__(self, num_envs: int, *, length: int = 50, **engine: Unpack[EngineOptions]) -> None:
        """Build N mazes.

        Args:
            num_envs: N.
            length: cells from the start to the junction: the difficulty.
            **engine: ``seed`` and so on, see NativeVectorEnv.

        Raises:
            ValueError: ``length`` below 1.
        """
        self.length = whole_number("length", length, 1)
        super().__init__(
            num_envs,
            observation_space=Box(0.0, 1.0, (7,), np.float32),
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
            name="tmaze-active",
            summary="fetch a cue behind the start, walk a corridor, then take the arm that the cue named",
            kind="memory",
            span=length + 1,
            chance=0.5,
            memoryless=0.5,
            oracle=1.0,
            episode_length=length + 3,
            ends=f"termination after {length + 3} actions",
            known_budget="length 50: 5 M steps, ur-lstm and gru, five seeds (docs/results)",
        )

    def cue(self) -> np.ndarray:
        """Return the arm that pays: 0 north, 1 south."""
        return self.state["cue"].astype(np.int64)

    def shows_cue(self) -> np.ndarray:
        """Return whether the agent has just come to the oracle for the first time."""
        return self.state["sight"] == IN_VIEW

    def oracle(self) -> np.ndarray:
        """Go to the oracle, then east to the junction, then into the cue's arm, and stay there."""
        s = self.state
        walk = np.where(s["sight"] == UNSEEN, WEST, EAST)
        return np.where(s["x"] > self.length, s["cue"], walk).astype(np.int64)

    def scene(self, i: int) -> Scene:
        """Show the maze, or a window of it: a question over the oracle, or the arrow while in view."""
        s = self.state[i]
        x, arm, cue, sight = int(s["x"]), int(s["arm"]), int(s["cue"]), int(s["sight"])
        signs = {UNSEEN: Sprite("mark", "purple", mark="?"), IN_VIEW: cue_arrow(cue)}
        caption = f"cue: {self.action_names[cue]}, {SIGHT_NAMES[sight]}; cell {x} of {self.length + 1}, "
        caption += f"action {int(s['episode_length'])} of {self.length + 3}"
        return maze_scene(
            self.length + 1,
            (x, arm),
            cue,
            signs.get(sight),
            seen=sight == IN_VIEW,
            west=Sprite("floor", "yellow"),
            caption=caption,
        )
