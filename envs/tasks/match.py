"""The match family: Passive Match, Active Match and Key-to-Door; apples between the cue and its use.

Sources: Hung et al. 2019, "Optimizing agent behavior over long time scales by transporting value", and
its released gridworld levels; Passive Match with other delays: Ni et al. 2023, "When do transformers
shine in RL? Decoupling memory from credit assignment".
"""

from typing import Any, ClassVar, Literal, Unpack

import numpy as np
from gymnasium.spaces import MultiDiscrete

from envs.card import NOT_YET, TaskCard
from envs.checks import finite_number, whole_number
from envs.engine import EngineOptions, NativeVectorEnv
from envs.scene import Scene
from envs.sprites import Sprite
from envs.tasks import match_rules as rules
from envs.tasks.match_rules import CHOICE_STEPS, EXPLORE_STEPS, PAD

COLOUR_NAMES = ("blue", "yellow", "purple")
PHASE_NAMES = ("explore", "apples", "choice")


class _Match(NativeVectorEnv):
    """What the three tasks share: phases, options, observation and oracle.

    The grid has 7 rows and 11 columns. Actions: 0 north, 1 south, 2 west, 3 east; a bump is a stay. An
    episode is three phases of 15, ``delay`` and 15 actions: explore, a distractor, a choice. It ends by
    termination. When a phase ends, its last frame is replaced by the first frame of the next within the
    same step. Nothing in the observation tells the phase or the time.

    The distractor is an orchard with 10 apples on 22 sites, drawn in every episode. An apple pays
    ``apple_reward`` and grows back 21 steps after it was eaten.

    Observation: [5, 5] uint8, the crop centred on the agent; what lies outside the board looks like
    background. Codes: 0 background, 1 wall, 2 agent, 3 apple, 4 key, 5 door, 6-8 the three colours (the
    same on a wall as on a pad). The agent is drawn over what it stands on, except over the door, as in
    the released levels.
    """

    variant: ClassVar[int]
    name: ClassVar[str]
    summary: ClassVar[str]
    kind: ClassVar[Literal["memory", "credit"]]
    chance: ClassVar[float]
    memoryless: ClassVar[float]
    known_budget: ClassVar[str] = NOT_YET
    action_names = ("north", "south", "west", "east")
    palette = (
        Sprite("empty"),
        Sprite("wall"),
        Sprite("walker"),
        Sprite("apple"),
        Sprite("key", "yellow"),
        Sprite("door-closed", "yellow"),
        *(Sprite("pad", colour) for colour in COLOUR_NAMES),
    )

    def __init__(
        self,
        num_envs: int,
        *,
        delay: int = 90,
        apple_reward: float = 1.0,
        final_reward: float = 10.0,
        **engine: Unpack[EngineOptions],
    ) -> None:
        """Build N boards.

        Args:
            num_envs: N.
            delay: actions of the distractor phase.
            apple_reward: what each apple pays.
            final_reward: what the right pad, or the door, pays.
            **engine: ``seed`` and so on, see NativeVectorEnv.

        Raises:
            ValueError: ``delay`` below 1, or a reward that is no finite number.
        """
        self.delay = whole_number("delay", delay, 1)
        self.apple_reward = finite_number("apple_reward", apple_reward)
        self.final_reward = finite_number("final_reward", final_reward)
        byte: Any = np.uint8  # Gymnasium takes any integer type here, but announces int64 only
        super().__init__(
            num_envs,
            observation_space=MultiDiscrete(np.full((5, 5), rules.NUM_CODES), dtype=byte),
            num_actions=4,
            fields=rules.FIELDS,
            kernel=rules.step_all,
            rules={
                "variant": self.variant,
                "delay": self.delay,
                "apple_reward": self.apple_reward,
                "final_reward": self.final_reward,
            },
            **engine,
        )

    @classmethod
    def card(cls, *, delay: int = 90, apple_reward: float = 1.0, final_reward: float = 10.0) -> TaskCard:
        """Return the card for this delay; the rewards leave it unchanged."""
        finite_number("apple_reward", apple_reward)
        finite_number("final_reward", final_reward)
        steps = EXPLORE_STEPS + whole_number("delay", delay, 1) + CHOICE_STEPS
        return TaskCard(
            name=cls.name,
            summary=cls.summary,
            kind=cls.kind,
            span=delay + 1,
            chance=cls.chance,
            memoryless=cls.memoryless,
            oracle=1.0,
            episode_length=steps,
            ends=f"termination after {steps} actions",
            known_budget=cls.known_budget,
        )

    def cue(self) -> np.ndarray:
        """Return the target colour; Key-to-Door has none."""
        return self.state["target"].astype(np.int64) if self.num_cues else super().cue()

    def shows_cue(self) -> np.ndarray:
        """Return whether a wall of the target colour is in view."""
        return (self.state["phase"] == rules.EXPLORE) & (self._symbols >= rules.COLOUR).any((1, 2))

    @property
    def question_step(self) -> int:
        """The first frame of the choice: no pad is in view yet."""
        return EXPLORE_STEPS + self.delay if self.num_cues else super().question_step

    def oracle(self) -> np.ndarray:
        """Go to the key, then apples, then the right pad or the door: best in success, greedy in apples."""
        s = self.state
        row, column = s["row"].astype(np.int64), s["column"].astype(np.int64)
        last = rules.DOOR if self.variant == rules.KEY_TO_DOOR else rules.COLOUR + s["target"]
        wanted = np.choose(s["phase"], [rules.KEY, rules.APPLE, last])
        sought = s["board"][:, PAD:-PAD, PAD:-PAD] == wanted[:, None, None]  # [N, rows, columns]
        rows, columns = np.indices(sought.shape[1:])
        distance = np.abs(rows - row[:, None, None]) + np.abs(columns - column[:, None, None])
        nearest = np.where(sought, distance, rules.ROWS * rules.COLUMNS).reshape(self.num_envs, -1).argmin(1)
        goal_row, goal_column = np.divmod(nearest, rules.COLUMNS)
        # The lower room and the alcove have one way out: north, through columns 4-6.
        gate_row = np.choose(s["phase"], [2, rules.ROWS, 3])
        below = row > gate_row
        goal_row = np.where(below, 0, goal_row)
        goal_column = np.where(below, np.clip(column, 4, 6), goal_column)
        vertical = np.where(goal_row > row, rules.SOUTH, rules.NORTH)
        horizontal = np.where(goal_column > column, rules.EAST, rules.WEST)
        return np.where(goal_column == column, vertical, horizontal)

    def scene(self, i: int) -> Scene:
        """Show the whole board of the present phase; a colour is a pad in the choice, a wall before."""
        s = self.state[i]
        phase, row, column = int(s["phase"]), int(s["row"]), int(s["column"])
        look = dict(enumerate(self.palette))
        if phase == rules.EXPLORE:
            look |= {rules.COLOUR + k: Sprite("wall", colour) for k, colour in enumerate(COLOUR_NAMES)}
        look[rules.DOOR] = Sprite("door-open" if s["has_key"] else "door-locked", "yellow")
        board = s["board"][PAD:-PAD, PAD:-PAD]
        ground = [[look[int(code)] for code in cells] for cells in board]
        rows, columns = np.indices(board.shape)
        seen = np.maximum(abs(rows - row), abs(columns - column)) <= PAD
        steps = (EXPLORE_STEPS, self.delay, CHOICE_STEPS)[phase]
        held = "has the key" if s["has_key"] else "has no key"
        sought = f"target {COLOUR_NAMES[s['target']]}" if self.num_cues else held
        caption = f"{PHASE_NAMES[phase]}, action {int(s['frame'])} of {steps}; {sought}"
        return Scene(ground, ({(row, column): Sprite("walker")},), seen, caption)


class PassiveMatch(_Match):
    """Passive Match: a colour beside the agent, then apples, then the pad of that colour pays.

    Explore: the agent stands in a box of one cell; one of the 8 walls around it wears the target colour,
    in view in all 15 observations. Choice: three pads of the three colours, in an order drawn anew in
    every episode. The first pad touched pays ``final_reward`` if it has the target colour, else 0, and
    then all pads vanish. Success: the right pad was touched.

    Phases, actions, apples and observation codes: see ``_Match`` above.

    Card: memory; span ``delay`` + 1, from the last sight of the colour to the first of the pads; chance
    1/3: go to a pad, whichever. Without memory 1/3 too: nothing that the agent can change outlives a
    phase. A random walker touches a pad in 15 % of episodes and succeeds in 5 %. The oracle 1.0.
    """

    variant = rules.PASSIVE
    num_cues = rules.NUM_COLOURS
    name = "passive-match"
    summary = "see a colour, collect apples, then go to the pad of that colour"
    kind = "memory"
    chance = 1 / 3
    memoryless = 1 / 3
    known_budget = "delay 90: 10 M steps, ur-lstm, nine of ten; 250: 40 M, cr-lstm, three (docs/results)"


class ActiveMatch(_Match):
    """Active Match: as Passive Match, but the colour must be looked for.

    Explore: two rooms, a doorway between them. The agent starts in the lower one; one of the 26 walls
    wears the target colour and may be out of view. 15 steps are enough to see them all: 8 of a good walk
    do. Choice: as in PassiveMatch. Success: the right pad was touched.

    Phases, actions, apples and observation codes: see ``_Match`` above.

    Card: memory (and credit: looking pays ``delay`` steps later); span at least ``delay`` + 1; chance
    1/3: go to a pad, whichever. Without memory 1/3 too. The oracle 1.0.
    """

    variant = rules.ACTIVE
    num_cues = rules.NUM_COLOURS
    name = "active-match"
    summary = "find a colour, collect apples, then go to the pad of that colour"
    kind = "memory"
    chance = 1 / 3
    memoryless = 1 / 3
    known_budget = "delay 90: 80 M steps, cr-lstm with t_max=100, one seed (docs/results)"


class KeyToDoor(_Match):
    """Key-to-Door: take a key, collect apples, then go through a door that only the key opens.

    Explore: the rooms of ActiveMatch with plain walls; a key on one of the upper room's 10 cells, the
    agent on one of the lower room's 10 cells. Choice: a door two steps north of the agent, a wall to
    those without the key. The first passage pays ``final_reward``; the door then stays open. Success:
    the door was passed.

    Phases, actions, apples and observation codes: see ``_Match`` above. The key in hand is not shown.
    The released level blinks for one frame when the key is taken; here it does not.

    Card: credit, not memory: whoever has the key need not know it, so a policy that sees the current
    observation only succeeds always (tested), and what is hard is to learn that the key paid. Span at
    least ``delay`` + 1, from the key to the door; chance 0.028 is a uniformly random policy. Without
    memory 1.0; the oracle 1.0.
    """

    variant = rules.KEY_TO_DOOR
    name = "key-to-door"
    summary = "take a key, collect apples, then go through the door that it opens"
    kind = "credit"
    chance = 0.028
    memoryless = 1.0
    known_budget = "delay 90: 3 M steps, ur-lstm and memoryless, five seeds (docs/results)"
