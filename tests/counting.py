"""An environment and a core that count: integers, carried as floats, that prove who handed what to whom."""

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from agents.network import Network
from cores import RecurrentCore

RESET_REWARD = 777.0
"""What a step that only resets pays here, against the contract: it must be seen nowhere."""


class CountingEnv(VectorEnv):
    """Observations say where they are: (environment, episode, step), each from 1 but for the step, from 0.

    Every reward occurs once. Even episodes are terminated, odd ones truncated. Results are buffers that the
    next call overwrites, as those of the real environments when they are told not to copy.

    Attributes:
        rows: for each environment all (observation, is the first of its episode), as they were given.
        steps: for each environment all (action, reward, terminated, truncated, is a transition).
    """

    has_state = True
    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, lengths, num_actions=4, first_index=0):
        """Builds one environment for each list of lengths of episodes; a list begins again after its end."""
        self.first_index = first_index
        self.lengths, self.num_envs = lengths, len(lengths)
        self.single_observation_space = Box(0.0, 1e9, (3,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.single_action_space = Discrete(num_actions)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        B = self.num_envs
        self.episode, self.step_of, self.ended = (
            np.zeros(B, np.int64),
            np.zeros(B, np.int64),
            np.ones(B, bool),
        )
        self.total = np.zeros(B)
        self.buffers = np.zeros((B, 3), np.float32), np.zeros(B), np.zeros(B, bool), np.zeros(B, bool)
        self.rows, self.steps = [[] for _ in range(B)], [[] for _ in range(B)]

    def reset(self, *, seed=None, options=None):
        for b in range(self.num_envs):
            self._begin(b)
        return self.buffers[0], {}

    def _begin(self, b):
        self.episode[b] += 1
        self.step_of[b], self.ended[b], self.total[b] = 0, False, 0
        self._see(b)

    def _see(self, b):
        self.buffers[0][b] = self.first_index + b + 1, self.episode[b], self.step_of[b]
        self.rows[b].append((self.buffers[0][b].tolist(), self.step_of[b] == 0))

    def step(self, actions):
        _, rewards, terminated, truncated = self.buffers
        over = np.zeros(self.num_envs, bool)
        for b, action in enumerate(actions.tolist()):
            valid = not self.ended[b]
            if valid:
                self.step_of[b] += 1
                rewards[b] = 1000 * (self.first_index + b) + 100 * self.episode[b] + self.step_of[b]
                self.total[b] += rewards[b]
                lengths = self.lengths[b]
                over[b] = self.step_of[b] == lengths[(self.episode[b] - 1) % len(lengths)]
                terminated[b] = over[b] and self.episode[b] % 2 == 0
                truncated[b] = over[b] and self.episode[b] % 2 == 1
                self.ended[b] = over[b]
                self._see(b)
            else:
                rewards[b], terminated[b], truncated[b] = RESET_REWARD, False, False
                self._begin(b)
            self.steps[b].append((action, rewards[b], bool(terminated[b]), bool(truncated[b]), valid))
        if not over.any():
            return *self.buffers, {}
        episode = {
            "r": np.where(over, self.total, 0).astype(np.float32),
            "l": np.where(over, self.step_of, 0).astype(np.int32),
            "success": np.where(over, self.episode % 2, 0).astype(np.float32),
        }
        return *self.buffers, {"episode": episode, "_episode": over}

    def state_dict(self):
        fields = {name: getattr(self, name).copy() for name in ("episode", "step_of", "ended", "total")}
        return {**fields, "observations": self.buffers[0].copy()}

    def load_state_dict(self, state):
        for name in ("episode", "step_of", "ended", "total"):
            getattr(self, name)[...] = state[name]
        self.buffers[0][...] = state["observations"]


class CountingCore(RecurrentCore):
    """Counts the rows of the episode and adds up its inputs; puts out both."""

    def __init__(self, input_size, hidden_size):
        super().__init__(
            input_size, hidden_size, output_size=1 + input_size, state_shapes=((1,), (input_size,))
        )

    def project(self, x):
        return x

    def step(self, projected, state):
        state = (state[0] + 1, state[1] + projected)
        return torch.cat(state, -1), state


def counting_network(num_actions=4, seed=0):
    """A network on a counting core that sees the observations of a `CountingEnv` as they are."""
    torch.manual_seed(seed)
    space = Box(0.0, 1e9, (3,), np.float32)
    network = Network(space, num_actions, 3, lambda input_size: CountingCore(input_size, 6))
    with torch.no_grad():
        network.encoder[1].weight.copy_(torch.eye(3))
        network.encoder[1].bias.zero_()
        network.policy.weight.normal_(0, 1e-3)
        network.value.weight.normal_(0, 1e-3)
    return network
