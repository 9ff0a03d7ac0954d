"""What the card tasks show: suits, and the cards dealt so far as a row."""

from collections.abc import Mapping

import numpy as np

from envs.glyphs import SUITS
from envs.scene import HIDDEN, SHOWN, Scene, grid
from envs.sprites import Sprite

SHOWN_CARDS = 17
"""Places for cards in one scene."""
BACK = Sprite("card-back")
QUESTION = Sprite("mark", "purple", mark="?")


def suit_card(suit: int) -> Sprite:
    """Return the card of a suit 0 … 3, in red or in black."""
    return Sprite("card", "red" if SUITS[suit] in ("heart", "diamond") else "grey", mark=SUITS[suit])


def single_card(suit: int) -> Scene:
    """Show what an agent sees that sees one card, or none for a code beyond the suits."""
    if suit >= len(SUITS):
        return Scene([[SHOWN]], caption="no card")
    return Scene([[SHOWN]], ({(0, 0): suit_card(suit)},), caption=SUITS[suit])


def row_of_cards(
    suits: Mapping[int, int], dealt: int, *, seen: int | None, asked: int | None, last: int, caption: str
) -> Scene:
    """Show the cards as a row, a question over the one that is asked for; of a long row, its end.

    An asked card that lies before that end stands at the left edge, a gap behind it.

    Args:
        suits: by place, of the cards whose faces are known; the others are shown as backs.
        dealt: how many cards there are.
        seen: the place of the card that the agent sees, if it sees one.
        asked: the place of the card that is asked for, if one is.
        last: the place that the shown part ends with, unless the row has fewer places.
        caption: of the scene.
    """
    start = max(0, last + 1 - SHOWN_CARDS)
    columns = {place: place - start for place in range(start, start + SHOWN_CARDS)}
    gap = None
    if asked is not None and asked < start:
        gap = 1
        columns = {asked: 0} | {place: column for place, column in columns.items() if column > gap}
    ground = [grid(1, SHOWN_CARDS, HIDDEN)[0], grid(1, SHOWN_CARDS)[0]]
    lit = np.zeros((2, SHOWN_CARDS), np.bool_)
    things = {}
    for place, column in columns.items():
        if place < dealt:
            things[1, column] = suit_card(suits[place]) if place in suits else BACK
    if gap is not None:
        ground[1][gap] = HIDDEN
    if asked is not None:
        ground[0][columns[asked]] = SHOWN
        things[0, columns[asked]] = QUESTION
    if seen is not None:
        lit[1, columns[seen]] = True
    return Scene(ground, (things,), lit, caption)
