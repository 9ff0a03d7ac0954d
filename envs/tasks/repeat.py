"""Repeat Previous and Repeat First: name the suit of a card seen earlier, at every step.

Source of the idea and of the levels: Morad et al. 2023, "POPGym: Benchmarking partially observable
reinforcement learning". The rules are Longhold's own.
"""

from typing import Any, Unpack

import numpy as np
from gymnasium.spaces import MultiDiscrete

from envs.card import TaskCard
from envs.checks import whole_number
from envs.compiled import part
from envs.engine import EngineOptions, NativeVectorEnv
from envs.glyphs import SUITS
from envs.scene import Scene
from envs.step_kernel import step_kernel
from envs.tasks.deck import CARDS, DECK_FIELDS, NUM_SUITS, best_guess, deal, grade, num_decks, shuffle
from envs.tasks.deck_scene import SHOWN_CARDS, row_of_cards, single_card

RING = 256
MAX_DELAY = RING - 1
"""Room for the cards still to be asked for, the same for every delay: one compiled code for all."""

PREVIOUS_FIELDS = [*DECK_FIELDS, ("shown", np.int8, (RING,))]  # card t stands at t modulo RING
FIRST_FIELDS = [*DECK_FIELDS, ("first", np.int8), ("shown", np.int8)]


@part
def begin_previous(s, rules):
    """Shuffle and deal the first card."""
    shuffle(s, rules.decks)
    s.shown[0] = deal(s)


@part
def act_previous(s, action, rules):
    """Take the answer where there is a question, then deal; return the reward, if all is over, and False."""
    t = s.episode_length
    reward = 0.0
    if t >= rules.delay:
        reward = grade(s, action == s.shown[(t - rules.delay) % RING], rules.questions)
    s.shown[(t + 1) % RING] = deal(s)
    return reward, t + 1 == rules.delay + rules.questions, False


@part
def observe_previous(s, rules, row):
    """Write the card dealt last."""
    row[0] = s.shown[s.episode_length % RING]


@part
def begin_first(s, rules):
    """Shuffle and deal the card to be remembered."""
    shuffle(s, rules.decks)
    s.first = deal(s)
    s.shown = s.first


@part
def act_first(s, action, rules):
    """Take the answer, the first apart, then deal; return the reward, if all is over, and False."""
    t = s.episode_length
    reward = grade(s, action == s.first, rules.length) if t > 0 else 0.0
    s.shown = deal(s)
    return reward, t == rules.length, False


@part
def observe_first(s, rules, row):
    """Write the card dealt last."""
    row[0] = s.shown


step_previous = step_kernel(begin_previous, act_previous, observe_previous)
step_first = step_kernel(begin_first, act_first, observe_first)


def one_of(num_codes: int) -> MultiDiscrete:
    """Return the space of an observation that is one code, [1] uint8."""
    byte: Any = np.uint8  # Gymnasium takes any integer type here, but announces int64 only
    return MultiDiscrete(np.array([num_codes]), dtype=byte)


class RepeatPrevious(NativeVectorEnv):
    """Repeat Previous: at every step, name the suit of the card seen ``delay`` steps before.

    1 + ``delay`` // 32 decks are shuffled together. Every step shows one card and takes one of four
    actions, a suit each; from step ``delay`` on it is an answer, which pays 1/Q if it names the card of
    ``delay`` steps ago and else -1/Q, Q answers in all. The episode ends by termination with the last
    card dealt, which is asked nothing. Success: the share of right answers, 0 … 1.

    Observation: [1] uint8, the suit 0 … 3. Nothing tells the time.

    Difficulty: ``delay``; 4, 32 and 64 are POPGym's easy, medium and hard (1, 2 and 3 decks). Its
    released code counts the present card as 1 back, so that its k is ``delay`` + 1.

    Card: memory, of ``delay`` cards at once; span ``delay``; chance 13 d/(52 d - 1) with d decks, 0.255
    for one: name a suit that is not in view, since that one has a card less left. It is the best without
    memory. The oracle 1.0.
    """

    action_names = SUITS
    entry_names = ("suit",)

    def __init__(self, num_envs: int, *, delay: int = 4, **engine: Unpack[EngineOptions]) -> None:
        """Build N tables.

        Args:
            num_envs: N.
            delay: steps from a card to the question about it, 1 … 255 (k).
            **engine: ``seed`` and so on, see NativeVectorEnv.

        Raises:
            ValueError: ``delay`` out of range.
        """
        self.delay = whole_number("delay", delay, 1, MAX_DELAY)
        decks = 1 + self.delay // 32
        self.questions = CARDS * decks - 1 - self.delay
        super().__init__(
            num_envs,
            observation_space=one_of(NUM_SUITS),
            num_actions=NUM_SUITS,
            fields=PREVIOUS_FIELDS,
            kernel=step_previous,
            rules={"delay": self.delay, "decks": decks, "questions": self.questions},
            **engine,
        )

    @classmethod
    def card(cls, *, delay: int = 4) -> TaskCard:
        """Return the card for this delay."""
        decks = 1 + whole_number("delay", delay, 1, MAX_DELAY) // 32
        return TaskCard(
            name="repeat-previous",
            summary="at every step, name the suit of the card seen some steps before",
            kind="memory",
            span=delay,
            chance=best_guess(decks),
            memoryless=best_guess(decks),
            oracle=1.0,
            episode_length=CARDS * decks - 1,
            ends=f"termination after {CARDS * decks - 1} actions",
            known_budget="delay 4: 2 M steps, ur-lstm, one seed (README)",
        )

    def oracle(self) -> np.ndarray:
        """Name the card of ``delay`` steps ago; anything before there is one."""
        past = (self.state["episode_length"] - self.delay) % RING
        return np.take_along_axis(self.state["shown"], past[:, None], 1)[:, 0] % NUM_SUITS

    def scene(self, i: int) -> Scene:
        """Show the last cards, a question over the one that is asked for; face down those asked before."""
        s = self.state[i]
        now, first = int(s["episode_length"]), int(s["episode_length"]) - self.delay
        suits = {t: int(s["shown"][t % RING]) for t in range(max(0, now + 1 - SHOWN_CARDS, first), now + 1)}
        asked = first if 0 <= first < self.questions else None
        caption = f"card {now + 1} of {self.delay + self.questions + 1}"
        if asked is not None:
            suits[asked] = int(s["shown"][asked % RING])
            caption += f"; asked: {SUITS[suits[asked]]}, {self.delay} back"
        caption += f"; {int(s['right'])} of {max(0, first)} right"
        return row_of_cards(suits, now + 1, seen=now, asked=asked, last=now, caption=caption)

    def view(self, i: int) -> Scene:
        """Return the card in view."""
        return single_card(int(self._symbols[i, 0]))


class RepeatFirst(NativeVectorEnv):
    """Repeat First: at every step, name the suit of the first card.

    As many decks as are needed are shuffled together. Every step shows one card and takes one of four
    actions, a suit each. The first is free; each of the ``length`` others is an answer, which pays
    1/``length`` if it names the first card's suit and else -1/``length``. The episode ends by
    termination. Success: the share of right answers, 0 … 1.

    Observation: [1] uint8, the suit 0 … 3. Nothing tells the time.

    Difficulty: ``length``; 50, 414 and 830 are POPGym's easy, medium and hard (1, 8 and 16 decks dealt
    to the last card).

    Card: memory; span ``length``, to the last answer; chance 13 d/(52 d - 1) with d decks, 0.255 for
    one: name a suit that is not in view. It is the best without memory. The oracle 1.0. An agent that
    is told its last action and reward can hold the cue in them, once its answers are right.
    """

    num_cues = NUM_SUITS
    action_names = SUITS
    entry_names = ("suit",)

    def __init__(self, num_envs: int, *, length: int = 50, **engine: Unpack[EngineOptions]) -> None:
        """Build N tables.

        Args:
            num_envs: N.
            length: answers, one a step: steps from the first card to the last answer.
            **engine: ``seed`` and so on, see NativeVectorEnv.

        Raises:
            ValueError: ``length`` below 1.
        """
        self.length = whole_number("length", length, 1)
        super().__init__(
            num_envs,
            observation_space=one_of(NUM_SUITS),
            num_actions=NUM_SUITS,
            fields=FIRST_FIELDS,
            kernel=step_first,
            rules={"decks": num_decks(self.length + 2), "length": self.length},
            **engine,
        )

    @classmethod
    def card(cls, *, length: int = 50) -> TaskCard:
        """Return the card for this number of answers."""
        guess = best_guess(num_decks(whole_number("length", length, 1) + 2))
        return TaskCard(
            name="repeat-first",
            summary="at every step, name the suit of the first card",
            kind="memory",
            span=length,
            chance=guess,
            memoryless=guess,
            oracle=1.0,
            episode_length=length + 1,
            ends=f"termination after {length + 1} actions",
            known_budget="length 50: 2 M steps, ur-lstm, one seed (README)",
        )

    def cue(self) -> np.ndarray:
        """Return the first card's suit."""
        return self.state["first"].astype(np.int64)

    @property
    def question_step(self) -> int:
        """The last answer: each of them asks for the cue, and this one longest after it was seen."""
        return self.length

    def oracle(self) -> np.ndarray:
        """Always name the first card."""
        return self.cue()

    def scene(self, i: int) -> Scene:
        """Show the first card, asked for from the second on, and the present one; face down those between."""
        s = self.state[i]
        now, first = int(s["episode_length"]), int(s["first"])
        suits = {0: first, now: int(s["shown"])}
        asked = 0 if 0 < now <= self.length else None
        caption = f"first card: {SUITS[first]}; card {now + 1} of {self.length + 2}; "
        caption += f"{int(s['right'])} of {max(0, now - 1)} right"
        return row_of_cards(suits, now + 1, seen=now, asked=asked, last=now, caption=caption)

    def view(self, i: int) -> Scene:
        """Return the card in view."""
        return single_card(int(self._symbols[i, 0]))
