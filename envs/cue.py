"""What there is to remember in a task, for those who ask whether an agent or a core does."""

from typing import ClassVar

import numpy as np


class Cued:
    """A batch of environments that may tell its cues; by itself, one of a task without.

    Attributes:
        num_cues: how many cues there are to remember; 0 for a task without.
        state: as of ``NativeVectorEnv``.
    """

    num_cues: ClassVar[int] = 0
    state: np.ndarray

    def cue(self) -> np.ndarray:
        """Return what the present episodes ask to remember, [N] int64 in 0 … num_cues - 1."""
        raise NotImplementedError(f"{type(self).__name__} has no cue")

    def shows_cue(self) -> np.ndarray:
        """Return whether the present observation shows the cue, [N] bool: the first of an episode does."""
        return self.state["episode_length"] == 0

    @property
    def question_step(self) -> int:
        """Actions from an episode's start to the first observation in which the cue is of use.

        The card's span lies between the last sight of the cue and this observation, which says nothing
        of the cue itself.
        """
        raise NotImplementedError(f"{type(self).__name__} has no question")
