"""The literal rules of the memory tasks of the literature: what reference_tasks.py is to the first ones.

Cards are lists and places are names here, not counts and codes. The order of the draws is part of the
rules.
"""

import numpy as np

NORTH, SOUTH, WEST, EAST = range(4)


class TMazeActiveReference:
    """Ni et al.'s active T-maze; places are cells of a map, (column, row) from the start."""

    def __init__(self, rng, length):
        self.rng, self.length = rng, length
        arms = {"north": (length, 1), "south": (length, -1)}
        self.places = {
            (-1, 0): "oracle",
            (length, 0): "junction",
            arms["north"]: "north",
            arms["south"]: "south",
        }
        self.cells = {(x, 0) for x in range(-1, length + 1)} | set(arms.values())

    def reset(self):
        self.cue = ["north", "south"][self.rng.integers(2)]
        self.cell, self.taken, self.visits, self.success = (0, 0), 0, 0, False
        return self.observation()

    def observation(self):
        place = self.places.get(self.cell, "corridor")
        kinds = [place == kind for kind in ("oracle", "corridor", "junction", "north", "south")]
        shown = place == "oracle" and self.visits == 1
        return np.array([*kinds, *(shown and self.cue == cue for cue in ("north", "south"))], np.float32)

    def step(self, action):
        x, y = self.cell
        to = {NORTH: (x, y + 1), SOUTH: (x, y - 1), WEST: (x - 1, y), EAST: (x + 1, y)}[action]
        self.cell = to if to in self.cells else self.cell
        self.visits += self.places.get(self.cell) == "oracle"
        self.taken += 1
        if self.taken == 1 + (self.length + 1) + 1:
            self.success = self.places.get(self.cell) == self.cue
            return self.observation(), float(self.success), True
        fastest = -1 if self.taken == 1 else self.taken - 2  # column of who fetches the cue and walks
        behind = self.cell[0] < fastest
        return self.observation(), (-1 / self.length if behind else 0.0), False


class MemorySizeReference:
    """The memory size task: many bits, nothing, the question which of them."""

    def __init__(self, rng, num_bits, length):
        self.rng, self.num_bits, self.length = rng, num_bits, length

    def reset(self):
        self.bits = [int(self.rng.integers(2)) for _ in range(self.num_bits)]
        self.asked = int(self.rng.integers(self.num_bits))
        self.taken, self.success = 0, False
        return self.observation()

    def observation(self):
        question, context = [0.0] * self.num_bits, [0.0] * self.num_bits
        if self.taken == 0:
            context = [1.0 if bit else -1.0 for bit in self.bits]
        if self.taken == self.length:
            question[self.asked] = 1.0
        return np.array([max(0, 1 - self.taken / self.length), *question, *context], np.float32)

    def step(self, action):
        self.taken += 1
        if self.taken <= self.length:
            return self.observation(), 0.0, False
        self.success = action == self.bits[self.asked]
        return self.observation(), (1.0 if self.success else -1.0), True


class DeckReference:
    """Decks of which the suits count, sorted, and drawn from at random: a shuffled deck."""

    def __init__(self, rng, decks):
        self.rng = rng
        self.cards = sorted(suit for _ in range(decks) for suit in range(4) for _ in range(13))

    def deal(self):
        return self.cards.pop(self.rng.integers(len(self.cards)))


class RepeatReference:
    """Repeat Previous (``delay`` given) and Repeat First (``length`` given)."""

    def __init__(self, rng, decks, delay=None, length=None):
        self.rng, self.decks, self.delay, self.length = rng, decks, delay, length
        self.num_actions = length + 1 if delay is None else 52 * decks - 1
        self.num_questions = length if delay is None else self.num_actions - delay

    def reset(self):
        self.deck, self.right = DeckReference(self.rng, self.decks), 0
        self.seen = [self.deck.deal()]
        return self.observation()

    def observation(self):
        return np.array([self.seen[-1]], np.uint8)

    @property
    def success(self):
        return self.right / self.num_questions

    def step(self, action):
        reward = 0.0
        if len(self.seen) > (1 if self.delay is None else self.delay):
            asked = self.seen[0] if self.delay is None else self.seen[-1 - self.delay]
            self.right += action == asked
            reward = (1 if action == asked else -1) / self.num_questions
        self.seen.append(self.deck.deal())
        return self.observation(), reward, len(self.seen) == self.num_actions + 1


class AutoencodeReference:
    """Autoencode: a stack, filled while watching and emptied by the answers."""

    def __init__(self, rng, length):
        self.rng, self.length = rng, length

    def reset(self):
        self.deck, self.right = DeckReference(self.rng, 1 + (self.length - 1) // 52), 0
        self.stack, self.watching = [self.deck.deal()], True
        return self.observation()

    def observation(self):
        return np.array([self.stack[-1] if self.watching else 4], np.uint8)

    @property
    def success(self):
        return self.right / self.length

    def step(self, action):
        if self.watching:
            if len(self.stack) < self.length:
                self.stack.append(self.deck.deal())
            else:
                self.watching = False
            return self.observation(), 0.0, False
        is_right = action == self.stack.pop()
        self.right += is_right
        return self.observation(), (1 if is_right else -1) / self.length, not self.stack


class ConcentrationReference:
    """Concentration: the table as a list of faces, and what lies up as sets of places."""

    def __init__(self, rng, pairs):
        self.rng, self.pairs = rng, pairs

    def reset(self):
        self.table = [face for face in range(1, self.pairs + 1) for _ in "ab"]
        for last in reversed(range(1, len(self.table))):
            other = self.rng.integers(last + 1)
            self.table[last], self.table[other] = self.table[other], self.table[last]
        self.found, self.open, self.turns = set(), [], 0
        self.ask()
        return self.observation()

    def ask(self):
        down = [place for place in range(2 * self.pairs) if place not in self.found]
        self.open, self.looking = [down[self.rng.integers(len(down))]], False

    @property
    def success(self):
        return len(self.found) == 2 * self.pairs

    def observation(self):
        up = self.found | set(self.open)
        shown = [face if place in up else 0 for place, face in enumerate(self.table)]
        sought = self.table[self.open[0]] if self.open and not self.looking else 0
        return np.array([*shown, sought], np.uint8)

    def step(self, action):
        if self.looking:
            self.ask()
            return self.observation(), 0.0, False
        self.turns += 1
        last = self.turns == 3 * self.pairs - 2
        fresh = action not in self.found and action not in self.open
        if fresh and self.table[action] == self.table[self.open[0]]:
            self.found |= {action, *self.open}
            self.open = []
            if not (last or self.success):
                self.ask()
            return self.observation(), 1 / self.pairs, last or self.success
        self.open += [action] if fresh else []
        self.looking = True
        return self.observation(), -1 / (3 * self.pairs - 2), last
