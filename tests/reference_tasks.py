"""The native tasks' rules, literally, one environment at a time: the kernels are held against them.

Written from the rules' text with coordinates in sets, not from the kernels' maps. Each task draws from a
NumPy generator; the order of the draws is part of the rules, so that both sides retrace the same
episodes.
"""

import numpy as np

NORTH, SOUTH, WEST, EAST = range(4)


class TMazeReference:
    """Ni et al.'s passive T-maze, with the junction's arms as places."""

    def __init__(self, rng, length):
        self.rng, self.length = rng, length

    def reset(self):
        self.cue = "north" if self.rng.integers(2) == 0 else "south"
        self.place, self.taken, self.success = 0, 0, False
        return self.observation()

    def observation(self):
        kind = (
            "start"
            if self.place == 0
            else "junction"
            if self.place in (self.length, "north", "south")
            else "corridor"
        )
        cue = self.cue if self.taken == 0 else None
        seen = [kind == "start", kind == "corridor", kind == "junction", cue == "north", cue == "south"]
        return np.array(seen, np.float32)

    def step(self, action):
        if self.place in ("north", "south"):
            raise AssertionError("an arm can be entered by the last action only")
        if action == EAST and self.place < self.length:
            self.place += 1
        elif action == WEST and self.place > 0:
            self.place -= 1
        elif action in (NORTH, SOUTH) and self.place == self.length:
            self.place = "north" if action == NORTH else "south"
        self.taken += 1
        if self.taken == self.length + 1:
            self.success = self.place == self.cue
            return self.observation(), float(self.success), True
        behind = self.place < self.taken
        return self.observation(), (-1 / self.length if behind else 0.0), False


class MemoryLenReference:
    """The memory length task: context, nothing, question."""

    def __init__(self, rng, length):
        self.rng, self.length = rng, length

    def reset(self):
        self.bit = int(self.rng.integers(2))
        self.taken, self.success = 0, False
        return self.observation()

    def observation(self):
        if self.taken > self.length:
            return np.zeros(3, np.float32)
        context = (1 if self.bit else -1) if self.taken == 0 else 0
        return np.array([1 - self.taken / self.length, self.taken == self.length, context], np.float32)

    def step(self, action):
        asked = self.taken == self.length
        self.taken += 1
        if not asked:
            return self.observation(), 0.0, False
        self.success = action == self.bit
        return self.observation(), (1.0 if self.success else -1.0), True


MOVES = {NORTH: (-1, 0), SOUTH: (1, 0), WEST: (0, -1), EAST: (0, 1)}
LOWER_ROOM = [(r, c) for r in (4, 5) for c in range(3, 8)]
UPPER_ROOM = [(r, c) for r in (1, 2) for c in range(3, 8)]
BOX_WALLS = {(r, c) for r in (1, 2, 3) for c in (4, 5, 6)} - {(2, 5)}
ROOM_WALLS = (
    {(r, c) for r in (0, 6) for c in range(2, 9)}
    | {(r, c) for r in range(1, 6) for c in (2, 8)}
    | {(3, 3), (3, 7)}
)
APPLE_SITES = sorted(
    [(r, c) for r in (1, 3) for c in (1, 3, 5, 7, 9)]
    + [(r, c) for r in (2, 4) for c in (2, 4, 6, 8)]
    + [(5, c) for c in (1, 3, 7, 9)]
)
BOARD = {(r, c) for r in range(7) for c in range(11)}
ORCHARD_WALLS = BOARD - {(r, c) for r in range(1, 6) for c in range(1, 10)}
CHOICE_FLOOR = {(r, c) for r in (1, 2, 3) for c in range(1, 10)} | {(r, c) for r in (4, 5) for c in (4, 5, 6)}
CHOICE_WALLS = {
    (r + i, c + j) for r, c in CHOICE_FLOOR for i in (-1, 0, 1) for j in (-1, 0, 1)
} - CHOICE_FLOOR
VAULT_FLOOR = {(r, c) for r in (2, 3, 4) for c in (4, 5, 6)}
VAULT_WALLS = {(r, c) for r in range(1, 6) for c in range(3, 8)} - VAULT_FLOOR - {(1, 5)}
PADS = [(1, 2), (1, 5), (1, 8)]


class MatchReference:
    """Passive Match, Active Match and Key-to-Door."""

    def __init__(self, rng, task, delay, apple_reward, final_reward):
        self.rng, self.task, self.delay = rng, task, delay
        self.apple_reward, self.final_reward = apple_reward, final_reward

    def pick(self, cells):
        ordered = sorted(cells)
        return ordered[self.rng.integers(len(ordered))]

    def clear(self, phase, walls, agent):
        self.phase, self.walls, self.agent, self.frame = phase, walls, agent, 0
        self.coloured_walls, self.pads, self.apples, self.key, self.door = {}, {}, {}, None, None

    def reset(self):
        self.target, self.has_key, self.success = None, False, False
        self.clear("explore", BOX_WALLS if self.task == "passive-match" else ROOM_WALLS, (2, 5))
        if self.task == "key-to-door":
            self.key = self.pick(UPPER_ROOM)
        else:
            self.target = int(self.rng.integers(3))
            self.coloured_walls = {self.pick(self.walls): self.target}
        if self.task != "passive-match":
            self.agent = self.pick(LOWER_ROOM)
        return self.observation()

    def enter_distractor(self):
        self.clear("distractor", ORCHARD_WALLS, (5, 5))
        self.eaten_at, missing = {}, 10
        for i, site in enumerate(APPLE_SITES):
            if self.rng.integers(len(APPLE_SITES) - i) < missing:
                missing -= 1
                self.apples[site] = True
        assert len(self.apples) == 10

    def enter_choice(self):
        if self.task == "key-to-door":
            self.clear("choice", VAULT_WALLS, (3, 5))
            self.door = (1, 5)
            return
        self.clear("choice", CHOICE_WALLS, (5, 5))
        first = int(self.rng.integers(3))
        others = [(first + 1) % 3, (first + 2) % 3]
        second = others.pop(self.rng.integers(2))
        self.pads = dict(zip(PADS, (first, second, others[0]), strict=True))

    def seen_at(self, cell):
        """Return the code of what a cell shows, the agent apart."""
        if cell == self.door:
            return 5
        if cell in self.coloured_walls or cell in self.pads:
            return 6 + (self.coloured_walls | self.pads)[cell]
        if cell in self.walls:
            return 1
        if cell == self.key:
            return 4
        return 3 if self.apples.get(cell) else 0

    def observation(self):
        row, column = self.agent
        crop = [[self.seen_at((row + i, column + j)) for j in range(-2, 3)] for i in range(-2, 3)]
        if self.agent != self.door:
            crop[2][2] = 2
        return np.array(crop, np.uint8)

    def step(self, action):
        to = tuple(np.add(self.agent, MOVES[action]).tolist())
        shut = to == self.door and not self.has_key
        if to in BOARD and to not in self.walls and not shut:
            self.agent = to
        self.frame += 1
        reward, over = getattr(self, f"step_{self.phase}")(), False
        if self.phase == "explore" and self.frame == 15:
            self.enter_distractor()
        elif self.phase == "distractor" and self.frame == self.delay:
            self.enter_choice()
        elif self.phase == "choice" and self.frame == 15:
            over = True
        return self.observation(), reward, over

    def step_explore(self):
        if self.agent == self.key:
            self.key, self.has_key = None, True
        return 0.0

    def step_distractor(self):
        reward = 0.0
        if self.apples.get(self.agent):
            self.apples[self.agent] = False
            self.eaten_at[self.agent] = self.frame
            reward = self.apple_reward
        for site, frame in self.eaten_at.items():
            if self.frame > frame + 20:
                self.apples[site] = True
        return reward

    def step_choice(self):
        if self.agent == self.door and not self.success:
            self.success = True
            return self.final_reward
        if self.agent in self.pads:
            self.success = self.pads[self.agent] == self.target
            self.pads = {}
            return self.final_reward if self.success else 0.0
        return 0.0
