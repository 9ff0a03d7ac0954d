"""A deck of which only the suits count, and answers about it: what the card tasks share.

Source of the tasks' idea: Morad et al. 2023, "POPGym: Benchmarking partially observable reinforcement
learning". The rules are Longhold's own.
"""

import numpy as np

from envs.compiled import part
from envs.pcg64 import integers

NUM_SUITS = 4
RANKS = 13
CARDS = NUM_SUITS * RANKS

DECK_FIELDS = [
    ("left", np.int32, (NUM_SUITS,)),  # cards not dealt yet, of each suit
    ("right", np.int32),  # right answers of this episode
]


def num_decks(num_cards: int) -> int:
    """Return the least number of decks that hold this many cards."""
    return -(-num_cards // CARDS)


def best_guess(decks: int) -> float:
    """Return the chance to name a card's suit from another card: guess one of the three other suits.

    All pairs of places in a shuffled deck are alike. Of the cards beside the one in view, the other
    suits have 13 each of a deck, its own one less.
    """
    return RANKS * decks / (CARDS * decks - 1)


@part
def shuffle(s, decks):
    """Put all cards back and forget the answers; ``deal`` draws what comes next."""
    for suit in range(NUM_SUITS):
        s.left[suit] = RANKS * decks
    s.right = 0


@part
def deal(s):
    """Return the suit of the next card: a draw from those left, counted from the first suit on."""
    num_left = 0
    for suit in range(NUM_SUITS):
        num_left += s.left[suit]
    place = integers(s.rng, num_left)
    suit = 0
    while place >= s.left[suit]:
        place -= s.left[suit]
        suit += 1
    s.left[suit] -= 1
    return suit


@part
def grade(s, is_right, num_questions):
    """Count an answer, and return its reward: all right make 1 and all wrong -1."""
    if is_right:
        s.right += 1
    s.success = s.right / num_questions
    return 1.0 / num_questions if is_right else -1.0 / num_questions
