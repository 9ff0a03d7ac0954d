"""Tasks and cores that a user has not finished, or got wrong."""

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete

from cores.core import RecurrentCore


class Breaks(gymnasium.Env):
    """Fails where it is told to: when it is made, in reset or in step."""

    observation_space = Box(0.0, 1.0, (2,), np.float32)
    action_space = Discrete(2)

    def __init__(self, where="step"):
        self.where = where
        self.fail("init")

    def fail(self, where):
        if self.where == where:
            raise KeyError(f"no\n{where}")  # the line of the tests

    def reset(self, *, seed=None, options=None):
        self.fail("reset")
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.fail("step")
        return np.zeros(2, np.float32), 0.0, False, False, {}


gymnasium.register("FaultyBreaks-v0", Breaks)


class Unfinished(RecurrentCore):
    """Defines nothing."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.weight = torch.nn.Linear(input_size, hidden_size)


class HalfDone(Unfinished):
    """Lacks its step."""

    def project(self, x):
        return self.weight(x)


class Wrong(HalfDone):
    """Adds tensors that don't fit."""

    def step(self, projected, state):
        return projected + state[0][:, :-1], state  # wrong


class Unmade(HalfDone):
    """Can't be made."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        raise AttributeError("unmade")
