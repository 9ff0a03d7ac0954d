"""The rules of the match family: its maps, its state and the compiled step.

Source: Hung et al. 2019, "Optimizing agent behavior over long time scales by transporting value", and the
rules of its released gridworld levels.
"""

import numpy as np

from envs.compiled import part
from envs.pcg64 import integers
from envs.step_kernel import step_kernel

NORTH, SOUTH, WEST, EAST = range(4)
BACKGROUND, WALL, AGENT, APPLE, KEY, DOOR, COLOUR = range(7)
"""What a cell shows. COLOUR, COLOUR + 1 and COLOUR + 2 are the three colours, on a wall as on a pad."""
NUM_COLOURS = 3
NUM_CODES = COLOUR + NUM_COLOURS

EXPLORE, DISTRACTOR, CHOICE = range(3)
PASSIVE, ACTIVE, KEY_TO_DOOR = range(3)
EXPLORE_STEPS = 15
CHOICE_STEPS = 15
NUM_APPLES = 10
RESPAWN_STEPS = 20
ABSENT, PRESENT = -1, 2**30
"""Values of ``eaten`` for a site that never has an apple, and for one whose apple is there."""

ROWS, COLUMNS = 7, 11
PAD = 2  # a margin of background, so that a 5 × 5 crop never leaves the array

BOX = """
...........
....###....
....#+#....
....###....
...........
...........
..........."""
ROOMS = """
..#######..
..#ooooo#..
..#ooooo#..
..##...##..
..#+++++#..
..#+++++#..
..#######.."""
ORCHARD = """
###########
#o.o.o.o.o#
#.o.o.o.o.#
#o.o.o.o.o#
#.o.o.o.o.#
#o.o.+.o.o#
###########"""
PADS = """
###########
#.o..o..o.#
#.........#
#.........#
####...####
...#.+.#...
...#####..."""
VAULT = """
...........
...##o##...
...#...#...
...#.+.#...
...#...#...
...#####...
..........."""
"""The maps: # wall, + where the agent may start, o where a key, an apple, a pad or the door may be."""


def _board(drawing: str) -> np.ndarray:
    """Return a map's walls within its margin, [11, 15] uint8."""
    walls = [[WALL if cell == "#" else BACKGROUND for cell in line] for line in drawing.split()]
    return np.pad(np.array(walls, np.uint8), PAD)


def _cells(drawing: str, symbol: str) -> np.ndarray:
    """Return (row, column) of every cell with this symbol, in reading order, [n, 2] int64."""
    return np.argwhere(np.array([list(line) for line in drawing.split()]) == symbol)


BOARDS = np.stack([_board(drawing) for drawing in (BOX, ROOMS, ORCHARD, PADS, VAULT)])
BOX_WALLS, ROOM_WALLS = _cells(BOX, "#"), _cells(ROOMS, "#")
KEY_CELLS, ROOM_STARTS = _cells(ROOMS, "o"), _cells(ROOMS, "+")
APPLE_SITES, PAD_CELLS = _cells(ORCHARD, "o"), _cells(PADS, "o")
DOOR_ROW, DOOR_COLUMN = 1, 5

FIELDS = [
    ("row", np.int8),
    ("column", np.int8),
    ("phase", np.int8),  # EXPLORE, DISTRACTOR or CHOICE
    ("target", np.int8),  # 0, 1 or 2: the colour that pays
    ("has_key", np.bool_),
    ("frame", np.int32),  # actions taken in this phase
    ("board", np.uint8, BOARDS.shape[1:]),  # codes of all cells within the margin, the agent not drawn
    ("eaten", np.int32, (len(APPLE_SITES),)),  # frame of the last bite at each site, or ABSENT or PRESENT
]


@part
def lay(s, board, row, column):
    """Lay a map out and put the agent on it."""
    for y in range(ROWS + 2 * PAD):
        for x in range(COLUMNS + 2 * PAD):
            s.board[y, x] = BOARDS[board, y, x]
    s.row = row
    s.column = column
    s.frame = 0


@part
def put(s, cell, code):
    """Write what the cell (row, column) shows."""
    s.board[cell[0] + PAD, cell[1] + PAD] = code


@part
def begin(s, rules):
    """Enter the exploration.

    Draws in this order: the colour, its wall, the agent's cell; with a key: its cell, the agent's.
    """
    s.phase = EXPLORE
    s.has_key = False
    if rules.variant == PASSIVE:
        lay(s, 0, 2, 5)
        s.target = integers(s.rng, 3)
        put(s, BOX_WALLS[integers(s.rng, len(BOX_WALLS))], COLOUR + s.target)
        return
    lay(s, 1, 0, 0)
    if rules.variant == ACTIVE:
        s.target = integers(s.rng, 3)
        put(s, ROOM_WALLS[integers(s.rng, len(ROOM_WALLS))], COLOUR + s.target)
    else:
        put(s, KEY_CELLS[integers(s.rng, len(KEY_CELLS))], KEY)
    start = ROOM_STARTS[integers(s.rng, len(ROOM_STARTS))]
    s.row = start[0]
    s.column = start[1]


@part
def begin_distractor(s):
    """Enter the orchard.

    Draws one number per site, which gets an apple with probability (apples left / sites left): each
    choice of 10 sites is equally likely.
    """
    s.phase = DISTRACTOR
    lay(s, 2, 5, 5)
    left = NUM_APPLES
    for site in range(len(APPLE_SITES)):
        chosen = integers(s.rng, len(APPLE_SITES) - site) < left
        s.eaten[site] = PRESENT if chosen else ABSENT
        if chosen:
            left -= 1
            put(s, APPLE_SITES[site], APPLE)


@part
def begin_choice(s, variant):
    """Enter the last room. With pads, draws the first one's colour of three, then the second's of two."""
    s.phase = CHOICE
    if variant == KEY_TO_DOOR:
        lay(s, 4, 3, 5)
        s.board[DOOR_ROW + PAD, DOOR_COLUMN + PAD] = DOOR
        return
    lay(s, 3, 5, 5)
    first = integers(s.rng, 3)
    second = (first + 1 + integers(s.rng, 2)) % 3
    put(s, PAD_CELLS[0], COLOUR + first)
    put(s, PAD_CELLS[1], COLOUR + second)
    put(s, PAD_CELLS[2], COLOUR + (3 - first - second))


@part
def move(s, action):
    """Move one cell unless a wall, the shut door or the board's edge is in the way."""
    row = s.row + (action == SOUTH) - (action == NORTH)
    column = s.column + (action == EAST) - (action == WEST)
    if row < 0 or row >= ROWS or column < 0 or column >= COLUMNS:
        return
    code = s.board[row + PAD, column + PAD]
    if code == WALL or (code == DOOR and not s.has_key) or (code >= COLOUR and s.phase == EXPLORE):
        return
    s.row = row
    s.column = column


@part
def pick_apples(s, apple_reward):
    """Eat the apple under the agent, then let the apples grow back whose time has come; return the reward."""
    reward = 0.0
    for site in range(len(APPLE_SITES)):
        y, x = APPLE_SITES[site, 0], APPLE_SITES[site, 1]
        if s.eaten[site] == PRESENT:
            if s.row == y and s.column == x:
                s.eaten[site] = s.frame
                s.board[y + PAD, x + PAD] = BACKGROUND
                reward = apple_reward
        elif s.eaten[site] != ABSENT and s.frame > s.eaten[site] + RESPAWN_STEPS:
            s.eaten[site] = PRESENT
            s.board[y + PAD, x + PAD] = APPLE
    return reward


@part
def choose(s, final_reward):
    """Touch the pad under the agent, or go through the door; return the reward."""
    code = s.board[s.row + PAD, s.column + PAD]
    if code == DOOR and not s.success:
        s.success = True
        return final_reward
    if code >= COLOUR:
        s.success = code == COLOUR + s.target
        for pad in range(len(PAD_CELLS)):
            put(s, PAD_CELLS[pad], BACKGROUND)
        return final_reward if s.success else 0.0
    return 0.0


@part
def act(s, action, rules):
    """Take one action; return the reward, whether the episode is over, and False.

    The last frame of a phase is replaced by the first of the next within the same step.
    """
    move(s, action)
    s.frame += 1
    if s.phase == EXPLORE:
        if s.board[s.row + PAD, s.column + PAD] == KEY:
            s.has_key = True
            s.board[s.row + PAD, s.column + PAD] = BACKGROUND
        if s.frame == EXPLORE_STEPS:
            begin_distractor(s)
        return 0.0, False, False
    if s.phase == DISTRACTOR:
        reward = pick_apples(s, rules.apple_reward)
        if s.frame == rules.delay:
            begin_choice(s, rules.variant)
        return reward, False, False
    return choose(s, rules.final_reward), s.frame == CHOICE_STEPS, False


@part
def observe(s, rules, row):
    """Write the 5 × 5 crop around the agent, who stands in front of all but the door."""
    size = 2 * PAD + 1
    for y in range(size):
        for x in range(size):
            row[y * size + x] = s.board[s.row + y, s.column + x]
    centre = PAD * size + PAD
    if row[centre] != DOOR:
        row[centre] = AGENT


step_all = step_kernel(begin, act, observe)
