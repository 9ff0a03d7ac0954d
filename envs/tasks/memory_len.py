"""bsuite's memory_len: repeat one bit after a number of empty steps.

Source: Osband et al. 2020, "Behaviour suite for reinforcement learning", the memory length experiment.
"""

from typing import Unpack

import numpy as np
from gymnasium.spaces import Box

from envs.card import TaskCard
from envs.checks import whole_number
from envs.compiled import part
from envs.engine import EngineOptions, NativeVectorEnv
from envs.pcg64 import integers
from envs.scene import Scene, grid, window
from envs.sprites import Sprite
from envs.step_kernel import step_kernel

TIME_LEFT, QUESTION, CONTEXT = range(3)
"""The observation's entries."""

SHOWN_STEPS = 17
"""Steps of a long chain in one scene."""

FIELDS = [("context", np.int8)]  # 0 or 1: the action that the question asks for


@part
def begin(s, rules):
    """Draw the context bit."""
    s.context = integers(s.rng, 2)


@part
def act(s, action, rules):
    """Take one action, which counts at the question only; return the reward, if all is over, and False."""
    if s.episode_length < rules.length:
        return 0.0, False, False
    s.success = action == s.context
    return (1.0 if s.success else -1.0), True, False


@part
def observe(s, rules, row):
    """Write the time left, the question at the last decision and the context at the first."""
    t = s.episode_length
    row[TIME_LEFT] = max(0.0, 1.0 - t / rules.length)
    row[QUESTION] = 1.0 if t == rules.length else 0.0
    row[CONTEXT] = 2.0 * s.context - 1.0 if t == 0 else 0.0


step_all = step_kernel(begin, act, observe)


class MemoryLen(NativeVectorEnv):
    """bsuite's memory length task: a bit at the first step, a question about it ``length`` steps later.

    An episode is length + 1 decisions: the first sees the context, the next length - 1 see nothing, the
    last sees the question. Two actions; at the question, action 1 is right for a context of +1 and
    action 0 for -1. The right one pays +1 and the wrong one -1; all other actions pay 0 and change
    nothing. The context is drawn anew in every episode.

    Observation: [3] float32 in -1 … 1: time left 1 - t/length, question 0 or 1, context -1 or +1 at the
    first step and 0 later. The released bsuite code returns each observation one step late, so that it
    shows the context twice; here it is shown once, as the paper describes it. The final observation
    (after the question) is all 0.

    Card: memory; span ``length``; chance 0.5: any answer that does not use the context. Without memory
    0.5 too. The oracle 1.0.
    """

    num_cues = 2
    action_names = ("answer 0", "answer 1")
    entry_names = ("time left", "question", "context")

    def __init__(self, num_envs: int, *, length: int = 50, **engine: Unpack[EngineOptions]) -> None:
        """Build N chains.

        Args:
            num_envs: N.
            length: steps from the context to the question (the paper's memory length).
            **engine: ``seed`` and so on, see NativeVectorEnv.

        Raises:
            ValueError: ``length`` below 1.
        """
        self.length = whole_number("length", length, 1)
        super().__init__(
            num_envs,
            observation_space=Box(-1.0, 1.0, (3,), np.float32),
            num_actions=2,
            fields=FIELDS,
            kernel=step_all,
            rules={"length": self.length},
            **engine,
        )

    @classmethod
    def card(cls, *, length: int = 50) -> TaskCard:
        """Return the card of a chain of this length."""
        whole_number("length", length, 1)
        return TaskCard(
            name="memory-len",
            summary="repeat a bit that was shown at the first step only",
            kind="memory",
            span=length,
            chance=0.5,
            memoryless=0.5,
            oracle=1.0,
            episode_length=length + 1,
            ends=f"termination after {length + 1} actions",
            known_budget="length 50: 1 M steps, each of six cores; 100: 1 M, ur-lstm (docs/results)",
        )

    def cue(self) -> np.ndarray:
        """Return the context bit."""
        return self.state["context"].astype(np.int64)

    @property
    def question_step(self) -> int:
        """The last decision, the only one that sees the question."""
        return self.length

    def oracle(self) -> np.ndarray:
        """Always answer the context."""
        return self.state["context"].astype(np.int64)

    def scene(self, i: int) -> Scene:
        """Show the chain in time, or a window of it: the bit, the empty steps, the question."""
        s = self.state[i]
        now, context = int(s["episode_length"]), int(s["context"])
        shown = window(now, self.length + 2, SHOWN_STEPS)
        signs: dict[tuple[int, int], Sprite] = {}
        for column, step in enumerate(shown):
            if step == 0:
                signs[0, column] = Sprite("mark", "blue", mark=str(context))
            elif step == self.length:
                signs[0, column] = Sprite("mark", "purple", mark="?")
        ground = [*grid(1, len(shown)), *grid(1, len(shown), Sprite("outside"))]
        if self.length + 1 in shown:
            ground[0][-1] = Sprite("goal" if s["success"] else "outside")  # all is over
        column = now - shown.start
        seen = np.zeros((2, len(shown)), np.bool_)
        seen[:, column] = True
        caption = f"context {context}; step {now}, the question at {self.length}"
        return Scene(ground, (signs, {(1, column): Sprite("walker")}), seen, caption)
