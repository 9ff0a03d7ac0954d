"""Autoencode: watch cards, then name their suits from the last to the first.

Source of the idea and of the levels: Morad et al. 2023, "POPGym: Benchmarking partially observable
reinforcement learning". The rules are Longhold's own.
"""

from typing import Unpack

import numpy as np

from envs.card import TaskCard
from envs.checks import whole_number
from envs.compiled import part
from envs.engine import EngineOptions, NativeVectorEnv
from envs.glyphs import SUITS
from envs.scene import Scene
from envs.step_kernel import step_kernel
from envs.tasks.deck import DECK_FIELDS, NUM_SUITS, deal, grade, num_decks, shuffle
from envs.tasks.deck_scene import SHOWN_CARDS, row_of_cards, single_card
from envs.tasks.repeat import one_of

BLANK = NUM_SUITS
"""What is seen when no card is: it is the agent's turn."""
MAX_LENGTH = 256
"""Room for the cards, the same for every length: one compiled code for all."""

FIELDS = [*DECK_FIELDS, ("cards", np.int8, (MAX_LENGTH,))]  # those dealt so far, in order


@part
def begin(s, rules):
    """Shuffle and deal the first card."""
    shuffle(s, rules.decks)
    s.cards[0] = deal(s)


@part
def act(s, action, rules):
    """Deal while cards are to be watched, then take answers; return the reward, if all is over, and False."""
    t = s.episode_length
    if t < rules.length:
        if t + 1 < rules.length:
            s.cards[t + 1] = deal(s)
        return 0.0, False, False
    last = 2 * rules.length - 1
    return grade(s, action == s.cards[last - t], rules.length), t == last, False


@part
def observe(s, rules, row):
    """Write the card dealt last while they are to be watched, then nothing."""
    row[0] = s.cards[s.episode_length] if s.episode_length < rules.length else BLANK


step_all = step_kernel(begin, act, observe)


class Autoencode(NativeVectorEnv):
    """Autoencode: watch ``length`` cards, then name their suits in reverse order.

    As many decks as are needed are shuffled together. An episode is 2 ``length`` actions: the first
    ``length`` see a card each and change nothing; the others see a blank and are answers, the first for
    the card seen last. Four actions, a suit each; a right answer pays 1/``length`` and a wrong one
    -1/``length``. It ends by termination. Success: the share of right answers, 0 … 1.

    Observation: [1] uint8, the suit 0 … 3, or 4 for the blank. Nothing tells the time. POPGym's released
    code shows the last card while it is asked for; here every answer is given to a blank.

    Difficulty: ``length``; 52, 104 and 156 are POPGym's easy, medium and hard (1, 2 and 3 whole decks).

    Card: memory, of ``length`` cards at once; span 2 ``length`` - 1, for the first card; chance 0.25:
    any suit. Without memory 0.25 too: all blanks look alike, and a shuffled deck favours no suit at any
    place. The oracle 1.0.
    """

    action_names = SUITS
    entry_names = ("suit",)

    def __init__(self, num_envs: int, *, length: int = 52, **engine: Unpack[EngineOptions]) -> None:
        """Build N tables.

        Args:
            num_envs: N.
            length: cards to watch and to name, 1 … 256.
            **engine: ``seed`` and so on, see NativeVectorEnv.

        Raises:
            ValueError: ``length`` out of range.
        """
        self.length = whole_number("length", length, 1, MAX_LENGTH)
        super().__init__(
            num_envs,
            observation_space=one_of(NUM_SUITS + 1),
            num_actions=NUM_SUITS,
            fields=FIELDS,
            kernel=step_all,
            rules={"decks": num_decks(self.length), "length": self.length},
            **engine,
        )

    @classmethod
    def card(cls, *, length: int = 52) -> TaskCard:
        """Return the card for this many cards."""
        steps = 2 * whole_number("length", length, 1, MAX_LENGTH)
        return TaskCard(
            name="autoencode",
            summary="watch cards, then name their suits from the last to the first",
            kind="memory",
            span=steps - 1,
            chance=0.25,
            memoryless=0.25,
            oracle=1.0,
            episode_length=steps,
            ends=f"termination after {steps} actions",
            known_budget="length 5: 600 k steps, ur-lstm, one seed (README)",
        )

    def oracle(self) -> np.ndarray:
        """Name the card whose turn it is; anything while cards are to be watched."""
        t = self.state["episode_length"]
        asked = np.where(t < self.length, 0, (2 * self.length - 1 - t) % MAX_LENGTH)
        return np.take_along_axis(self.state["cards"], asked[:, None], 1)[:, 0].astype(np.int64)

    def scene(self, i: int) -> Scene:
        """Show the last cards while they are watched, then those around the one asked for.

        Face down: those that were asked for before.
        """
        s = self.state[i]
        now = int(s["episode_length"])
        if now < self.length:
            suits = {place: int(s["cards"][place]) for place in range(now + 1)}
            caption = f"watch card {now + 1} of {self.length}"
            return row_of_cards(suits, now + 1, seen=now, asked=None, last=now, caption=caption)
        answers = now - self.length
        left = self.length - answers
        suits = {place: int(s["cards"][place]) for place in range(left)}
        asked = left - 1 if left else None
        caption = f"{int(s['right'])} of {answers} right"
        if asked is not None:
            caption = f"asked: {SUITS[suits[asked]]}, card {left} of {self.length}; {caption}"
        last = min(self.length - 1, left + SHOWN_CARDS // 2)
        return row_of_cards(suits, self.length, seen=None, asked=asked, last=last, caption=caption)

    def view(self, i: int) -> Scene:
        """Return the card in view, or none."""
        return single_card(int(self._symbols[i, 0]))
