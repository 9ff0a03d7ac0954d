"""bsuite's memory_size: hold many bits at once, then tell one of them.

Source: Osband et al. 2020, "Behaviour suite for reinforcement learning", the memory size experiment.
"""

from typing import Unpack

import numpy as np
from gymnasium.spaces import Box

from envs.card import TaskCard
from envs.checks import whole_number
from envs.compiled import part
from envs.engine import EngineOptions, NativeVectorEnv
from envs.pcg64 import integers
from envs.scene import HIDDEN, SHOWN, Scene, grid
from envs.sprites import Sprite
from envs.step_kernel import step_kernel

TIME_LEFT, QUESTION = range(2)
"""The observation's first entries: the question starts at the second, the context after its last."""
MAX_BITS = 62
"""As many as one integer holds, so that every number of bits runs the same compiled code."""

ROW = 16
"""Bits in one row of a scene."""

FIELDS = [
    ("context", np.int64),  # the bits: bit i is the i-th of them
    ("asked", np.int8),  # which of them the question is about
]


@part
def begin(s, rules):
    """Draw the bits, then which of them will be asked for."""
    s.context = 0
    for bit in range(rules.num_bits):
        s.context |= integers(s.rng, 2) << bit
    s.asked = integers(s.rng, rules.num_bits)


@part
def act(s, action, rules):
    """Take one action, which counts at the question only; return the reward, if all is over, and False."""
    if s.episode_length < rules.length:
        return 0.0, False, False
    s.success = action == (s.context >> s.asked) & 1
    return (1.0 if s.success else -1.0), True, False


@part
def observe(s, rules, row):
    """Write the time left, the question at the last decision and the context at the first."""
    t = s.episode_length
    row[:] = 0.0
    row[TIME_LEFT] = max(0.0, 1.0 - t / rules.length)
    if t == 0:
        for bit in range(rules.num_bits):
            row[QUESTION + rules.num_bits + bit] = 2.0 * ((s.context >> bit) & 1) - 1.0
    elif t == rules.length:
        row[QUESTION + s.asked] = 1.0


step_all = step_kernel(begin, act, observe)


class MemorySize(NativeVectorEnv):
    """bsuite's memory size task: ``num_bits`` bits at the first step, a question about one of them later.

    An episode is length + 1 decisions: the first sees the context, the next length - 1 see nothing, the
    last sees which bit is asked for. Two actions; at the question, action 1 is right for a bit of +1 and
    action 0 for -1. The right one pays +1 and the wrong one -1; all other actions pay 0 and change
    nothing. Bits and question are drawn anew in every episode.

    Observation: [1 + 2 ``num_bits``] float32 in -1 … 1: time left 1 - t/length; an entry for each bit,
    1 for the one that is asked for at the question and else 0; the context, each bit -1 or +1, at the
    first step and 0 later. Two things differ from the released bsuite code, as in MemoryLen: that code
    shows the context twice, and it gives the question as one number, so that question 0 looks like none.

    Difficulty: ``num_bits``; bsuite's sweep is 1 … 10, 12, 14, 17, 20, 25, 30, 40, with 2 steps.

    Card: memory; span ``length``; chance 0.5: any answer that does not use the context. Without memory
    0.5 too. The oracle 1.0.
    """

    num_cues = 2
    action_names = ("answer 0", "answer 1")

    def __init__(
        self, num_envs: int, *, num_bits: int = 3, length: int = 2, **engine: Unpack[EngineOptions]
    ) -> None:
        """Build N chains.

        Args:
            num_envs: N.
            num_bits: bits to remember, 1 … 62.
            length: steps from the context to the question.
            **engine: ``seed`` and so on, see NativeVectorEnv.

        Raises:
            ValueError: ``num_bits`` or ``length`` out of range.
        """
        self.num_bits = whole_number("num_bits", num_bits, 1, MAX_BITS)
        self.length = whole_number("length", length, 1)
        bits = range(self.num_bits)
        self.entry_names = ("time left", *(f"asked {k}" for k in bits), *(f"bit {k}" for k in bits))
        super().__init__(
            num_envs,
            observation_space=Box(-1.0, 1.0, (1 + 2 * self.num_bits,), np.float32),
            num_actions=2,
            fields=FIELDS,
            kernel=step_all,
            rules={"num_bits": self.num_bits, "length": self.length},
            **engine,
        )

    @classmethod
    def card(cls, *, num_bits: int = 3, length: int = 2) -> TaskCard:
        """Return the card of a chain of this length; the number of bits leaves it unchanged."""
        whole_number("num_bits", num_bits, 1, MAX_BITS)
        whole_number("length", length, 1)
        return TaskCard(
            name="memory-size",
            summary="tell one of several bits that were all shown at the first step only",
            kind="memory",
            span=length,
            chance=0.5,
            memoryless=0.5,
            oracle=1.0,
            episode_length=length + 1,
            ends=f"termination after {length + 1} actions",
            known_budget="3 bits, length 2: 1 M steps, ur-lstm, one seed (README)",
        )

    def cue(self) -> np.ndarray:
        """Return the bit that will be asked for."""
        return (self.state["context"] >> self.state["asked"]) & 1

    @property
    def question_step(self) -> int:
        """The last decision, the only one that sees the question."""
        return self.length

    def oracle(self) -> np.ndarray:
        """Always answer the bit that will be asked for."""
        return self.cue()

    def scene(self, i: int) -> Scene:
        """Show the bits, the question over the one that is asked for, and the time left as a bar.

        At the end, the flag stands in place of the bar if the answer was right.
        """
        s = self.state[i]
        now, context, asked = int(s["episode_length"]), int(s["context"]), int(s["asked"])
        rows, columns = -(-self.num_bits // ROW), min(self.num_bits, ROW)
        ground = grid(2 * rows, columns + 2, HIDDEN)  # the bar and a gap at the left
        seen = np.zeros((2 * rows, columns + 2), np.bool_)
        things = {}
        for bit in range(self.num_bits):
            row, column = 2 * (bit // ROW) + 1, bit % ROW + 2
            ground[row][column] = SHOWN
            things[row, column] = Sprite("mark", "blue", mark=str((context >> bit) & 1))
            seen[row, column] = now == 0
            if bit == asked:
                ground[row - 1][column] = SHOWN
                things[row - 1, column] = Sprite("mark", "purple", mark="?")
                seen[row - 1, column] = now == self.length
        ground[1][0] = Sprite("goal") if s["success"] else SHOWN
        seen[1, 0] = True
        if now < self.length:
            things[1, 0] = Sprite("bar", "blue", mark=str(max(1, round(10 * (1 - now / self.length)))))
        caption = f"bit {asked} is {(context >> asked) & 1}; step {now}, the question at {self.length}"
        return Scene(ground, (things,), seen, caption)
