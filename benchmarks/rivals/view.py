"""The task as rivals get it: MiniGrid's own environment, its view of 7 x 7 cells as numbers."""

import gymnasium
import minigrid  # noqa: F401  (registers its environments)
import numpy as np

ENCODER_SIZE = 64
"""Width of the linear layer between view and LSTM: Longhold's default."""


class View(gymnasium.ObservationWrapper):
    """The codes of 49 cells, three each, as 147 numbers in 0 … 1."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (147,), np.float32)

    def observation(self, observation: dict) -> np.ndarray:
        """The codes of object, colour and state, over the largest of them."""
        return observation["image"].ravel().astype(np.float32) / 10


def make_env() -> gymnasium.Env:
    """One environment of the task."""
    return View(gymnasium.make("MiniGrid-MemoryS13-v0"))
