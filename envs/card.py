"""The task card: the numbers without which a task's learning curve cannot be read."""

from dataclasses import dataclass
from typing import Literal

NOT_YET = "not yet solved here"


@dataclass(frozen=True)
class TaskCard:
    """What a reader must know about a task before reading a curve of it.

    Attributes:
        name: the task's id in ENVS.
        summary: the task in one line.
        kind: "memory": a policy without memory stays at chance. "partial": it does better than chance, and
            not as well as the oracle. "credit": it can reach the oracle's success, and what is hard is to
            learn from a reward that comes long after its cause.
        span: steps from the last sight of the cue (for "credit": from the cause) to the first moment of
            its use.
        chance: success of a policy that does everything right but guesses where the cue would decide.
        memoryless: success of the best policy that sees the current observation only.
        oracle: success of the scripted policy that reads the state (``NativeVectorEnv.oracle``).
        episode_length: length of every episode in actions; None where it varies.
        ends: what ends an episode.
        known_budget: the cheapest budget at which some core is known to solve the task, with its source.
    """

    name: str
    summary: str
    kind: Literal["memory", "credit", "partial"]
    span: int
    chance: float
    memoryless: float
    oracle: float
    episode_length: int | None
    ends: str
    known_budget: str = NOT_YET
