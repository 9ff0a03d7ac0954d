"""Concentration: a card is turned up, find the other one of its pair among those that lie face down.

Source of the idea: the card game, and Morad et al. 2023, "POPGym: Benchmarking partially observable
reinforcement learning". The rules are Longhold's own.
"""

import math
from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
from gymnasium.spaces import MultiDiscrete

from envs.card import TaskCard
from envs.checks import whole_number
from envs.compiled import part
from envs.engine import EngineOptions, NativeVectorEnv
from envs.pcg64 import integers
from envs.scene import HIDDEN, SHOWN, Scene, grid
from envs.sprites import Sprite
from envs.step_kernel import step_kernel

MAX_PAIRS = 26
"""A deck of cards: room for as many, so that every number of pairs runs the same compiled code."""
NONE = -1
TABLE = 3
"""A scene's first column of cards on the table; left of it the card that is sought."""
FACE_COLOURS = ("blue", "red", "green", "grey")

FIELDS = [
    ("face", np.int8, (2 * MAX_PAIRS,)),  # 0 … pairs - 1, each on two cards
    ("up", np.uint8, (2 * MAX_PAIRS,)),  # 1: lies face up now (numba has no arrays of bool in a record)
    ("seen", np.uint8, (2 * MAX_PAIRS,)),  # 1: has lain face up in this episode
    ("asked", np.int8),  # the card whose twin is sought, or NONE
    ("flipped", np.int8),  # the card that did not match, while both lie up, or NONE
    ("missed", np.bool_),  # the last turn failed: the next action begins a new one
    ("found", np.int8),  # pairs
    ("turns", np.int16),  # flips that counted
]


@part
def turn_up(s, card):
    """Show a card."""
    s.up[card] = 1
    s.seen[card] = 1


@part
def ask(s, num_cards):
    """Turn up one of the cards that lie face down, each as likely."""
    place = integers(s.rng, num_cards - 2 * s.found)
    card = 0
    while s.up[card] or place > 0:
        place -= 0 if s.up[card] else 1
        card += 1
    s.asked = card
    turn_up(s, card)


@part
def begin(s, rules):
    """Lay the cards out in a random order, face down, and turn one up.

    Draws as Fisher and Yates do: for each place from the last to the second, one of those up to it.
    """
    num_cards = 2 * rules.pairs
    for card in range(num_cards):
        s.face[card] = card // 2
        s.up[card] = 0
        s.seen[card] = 0
    for card in range(num_cards - 1, 0, -1):
        other = integers(s.rng, card + 1)
        face = s.face[card]
        s.face[card] = s.face[other]
        s.face[other] = face
    s.flipped = NONE
    s.missed = False
    s.found = 0
    s.turns = 0
    ask(s, num_cards)


@part
def act(s, action, rules):
    """Flip a card, or turn a failed pair down; return the reward, whether all is over, and False."""
    if s.missed:
        s.missed = False
        s.up[s.asked] = 0
        if s.flipped != NONE:
            s.up[s.flipped] = 0
            s.flipped = NONE
        ask(s, 2 * rules.pairs)
        return 0.0, False, False
    s.turns += 1
    if not s.up[action] and s.face[action] == s.face[s.asked]:
        turn_up(s, action)
        s.asked = NONE
        s.found += 1
        s.success = s.found == rules.pairs
        if s.success or s.turns == rules.turns:
            return 1.0 / rules.pairs, True, False
        ask(s, 2 * rules.pairs)
        return 1.0 / rules.pairs, False, False
    if not s.up[action]:
        turn_up(s, action)
        s.flipped = action
    s.missed = True
    return -1.0 / rules.turns, s.turns == rules.turns, False


@part
def observe(s, rules, row):
    """Write what lies face up, and the face whose twin is sought."""
    num_cards = 2 * rules.pairs
    for card in range(num_cards):
        row[card] = s.face[card] + 1 if s.up[card] else 0
    row[num_cards] = 0 if s.missed or s.asked == NONE else s.face[s.asked] + 1


step_all = step_kernel(begin, act, observe)


class Concentration(NativeVectorEnv):
    """Concentration: 2 ``pairs`` cards lie face down, two of each face; find the pairs, by memory.

    A turn: a card, each as likely, is turned up, and action i flips card i. If the two match, they stay
    up, and the next card is turned up at once. If not (or if card i lay face up already) the turn has
    failed: both lie open for one step, whose action is free and turns them down again, whereupon the
    next card is turned up. The episode ends by termination with the last pair, or with the turn
    3 ``pairs`` - 2. A pair pays 1/``pairs`` and a failed turn -1/(3 ``pairs`` - 2). Success: all pairs.

    That the game picks the card to be matched, and not the player, is what makes this a task of memory:
    in the usual game the choice of a turn's first card can stand for what was seen in the turn before,
    and who sees no more than the table clears two pairs in three turns, always.

    Observation: [2 ``pairs`` + 1] uint8: the face 1 … ``pairs`` of each card that lies up and 0 for the
    others; then the face that is sought, 0 while a failed pair lies open.

    Difficulty: ``pairs``, 2 … 26.

    Card: memory; span 5 ``pairs`` - 6, from a card of the first turn to the last turn of the longest
    game of a player who forgets nothing. Chance: the share of games that are won by flipping any card
    that lies face down, each as likely; 0.70 for 2 pairs, 0.28 for 4, 0.06 for 6, 0.01 for 8. It is the
    best without memory: see ``best_guess``. A random player also flips cards that lie up, and wins less.
    The oracle knows what was shown and no more; it wins always.

    The actions' names are their numbers; a scene has the cards in this order, row by row.
    """

    def __init__(self, num_envs: int, *, pairs: int = 8, **engine: Unpack[EngineOptions]) -> None:
        """Build N tables.

        Args:
            num_envs: N.
            pairs: half the number of cards, 2 … 26.
            **engine: ``seed`` and so on, see NativeVectorEnv.

        Raises:
            ValueError: ``pairs`` out of range.
        """
        self.pairs = whole_number("pairs", pairs, 2, MAX_PAIRS)
        self.entry_names = (*(f"card {card}" for card in range(2 * self.pairs)), "sought")
        byte: Any = np.uint8  # Gymnasium takes any integer type here, but announces int64 only
        super().__init__(
            num_envs,
            observation_space=MultiDiscrete(np.full(2 * self.pairs + 1, self.pairs + 1), dtype=byte),
            num_actions=2 * self.pairs,
            fields=FIELDS,
            kernel=step_all,
            rules={"pairs": self.pairs, "turns": 3 * self.pairs - 2},
            **engine,
        )

    @classmethod
    def card(cls, *, pairs: int = 8) -> TaskCard:
        """Return the card of a table with this many pairs."""
        turns = 3 * whole_number("pairs", pairs, 2, MAX_PAIRS) - 2
        return TaskCard(
            name="concentration",
            summary="find the twin of a card among cards that lie face down",
            kind="memory",
            span=5 * pairs - 6,
            chance=best_guess(pairs),
            memoryless=best_guess(pairs),
            oracle=1.0,
            episode_length=None,
            ends=f"termination when all {pairs} pairs are found, or after {turns} turns",
        )

    def oracle(self) -> np.ndarray:
        """Flip the twin if it has been seen, else a card that has not.

        So a failed turn shows a new card, the first one two, and none fails when one card is left unseen:
        at most 2 pairs - 2 of them fail.
        """
        s, num_cards = self.state, 2 * self.pairs
        face, down = s["face"][:, :num_cards], s["up"][:, :num_cards] == 0
        asked = np.take_along_axis(face, s["asked"][:, None].astype(np.int64), 1)
        seen = s["seen"][:, :num_cards] == 1
        is_twin = down & seen & (face == asked)
        choice = np.where(is_twin.any(1), is_twin.argmax(1), (down & ~seen).argmax(1))
        return np.where(s["missed"], 0, choice).astype(np.int64)

    def scene(self, i: int) -> Scene:
        """Show the table: faces that lie up, dimmed those that have been shown, backs of the others.

        The card whose twin is sought lies on yellow, the one flipped in vain on red.
        """
        s, cards = self.state[i], slice(2 * self.pairs)
        up = s["up"][cards] == 1
        known = up | (s["seen"][cards] == 1)
        faces = np.where(known, s["face"][cards] + 1, 0)
        seeking = not s["missed"] and s["asked"] != NONE
        sought = int(s["face"][s["asked"]]) + 1 if seeking else 0
        under = {int(s["asked"]): Sprite("floor", "yellow"), int(s["flipped"]): Sprite("floor", "red")}
        caption = f"sought: {sought}; " if seeking else "no match; " if s["missed"] else ""
        caption += f"{int(s['found'])} of {self.pairs} pairs, "
        caption += f"{int(s['turns'])} of {3 * self.pairs - 2} turns"
        return table(faces, sought, under, seen=up | ~known, caption=caption)

    def view(self, i: int) -> Scene:
        """Return the table as the agent sees it: backs of all cards that lie face down."""
        faces, sought = self._symbols[i, :-1], int(self._symbols[i, -1])
        everything = np.ones(len(faces), np.bool_)
        return table(faces, sought, {}, seen=everything, caption=f"sought: {sought}" if sought else "")


def face_card(face: int) -> Sprite:
    """Return the card of a face 1 …, or the back of one for 0."""
    if not face:
        return Sprite("card-back")
    return Sprite("card", FACE_COLOURS[face % len(FACE_COLOURS)], mark=str(face))


def table(
    faces: np.ndarray,
    sought: int,
    under: Mapping[int, Sprite],
    *,
    seen: np.ndarray,
    caption: str,
) -> Scene:
    """Show cards in rows, the face that is sought beside them.

    Args:
        faces: [cards] integers, 0 for a back.
        sought: the face that is sought, 0 for none.
        under: the ground below some cards.
        seen: [cards] bool: which the agent sees as they are shown.
        caption: of the scene.
    """
    count = len(faces)
    least = math.isqrt(2 * count - 1) + 1  # some twice as wide as high, with few empty places
    columns = min(range(least, least + 3), key=lambda width: -count % width)
    rows = -(-count // columns)
    ground = grid(rows, TABLE + columns, HIDDEN)
    lit = np.ones((rows, TABLE + columns), np.bool_)
    things = {}
    ground[0][0] = ground[0][1] = SHOWN
    if sought:
        things[0, 0], things[0, 1] = Sprite("mark", "purple", mark="?"), face_card(sought)
    for card, face in enumerate(faces):
        row, column = card // columns, card % columns + TABLE
        ground[row][column] = under.get(card, SHOWN)
        things[row, column] = face_card(int(face))
        lit[row, column] = seen[card]
    return Scene(ground, (things,), lit, caption)


def best_guess(pairs: int) -> float:
    """Return the share of games won without memory.

    Whoever flips any other card that lies face down, each as likely, finds the twin with probability
    1/(2r - 1) while r pairs are left, so the turns to the r-th last pair are geometric and independent.
    No policy without memory wins more. Its choice depends on the table and the card asked for, so its
    chance in a turn is some p of the hidden order, the same in each turn until a pair is found; the mean
    of p is 1/(2r - 1) whatever it does, since the game picks the card, and 1 - (1 - p)^m is concave.
    That is a proof for one pair to find. For several, gradient ascent over all policies for three pairs
    ends at this number too.
    """
    turns = 3 * pairs - 2
    spent = np.zeros(turns + 1)  # chance that the pairs so far took this many turns
    spent[0] = 1.0
    for left in range(pairs, 0, -1):
        hit, after = 1 / (2 * left - 1), np.zeros(turns + 1)
        for turn in range(1, turns + 1):
            # One turn more: either the pair was found in it, or it was being sought in the turn before.
            after[turn] = hit * spent[turn - 1] + (1 - hit) * after[turn - 1]
        spent = after
    return float(spent.sum())
