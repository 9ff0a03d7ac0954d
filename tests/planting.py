"""Values that are not finite, planted where an environment, an actor or a gradient could bring them forth."""

import copy
import math

import gymnasium
import numpy as np
import torch

from agents.actor import Actor, make_envs
from agents.config import Config
from agents.learner import Learner
from agents.network import make_network

BAD = (math.nan, math.inf, -math.inf)
PLACES = ("reward", "observation", "core state", "behaviour logits", "gradient")


def new_learner(core="lstm", num_envs=3, unroll_length=5, **fields):
    """A learner with weights that do something, an unroll for it, and a list of the lines it tells."""
    config = Config(env="tmaze", env_opt=("length=2",), core=core, hidden_size=6, encoder_size=7, **fields)
    envs = make_envs(config, num_envs, 0)
    network = make_network(config, envs.single_observation_space, int(envs.single_action_space.n))
    with torch.no_grad():
        network.policy.weight.normal_(generator=torch.Generator().manual_seed(1))
        network.value.weight.normal_(generator=torch.Generator().manual_seed(2))
    actor = Actor(envs, copy.deepcopy(network), seed=4)
    told = []
    return Learner(network, config, tell=told.append), actor.unroll(actor.allocate(unroll_length)), told


def plant(unroll, place, value, generator):
    """A copy of an unroll with a bad value at a random place; the environment and the step where it is."""
    unroll = copy.deepcopy(unroll)
    T, B = unroll.actions.shape
    row, env = int(generator.integers(T)), int(generator.integers(B))
    if place == "reward":  # one that counts: a step that only resets has none
        row, env = generator.permutation(unroll.valid.nonzero().numpy())[0].tolist()
        unroll.rewards[row, env] = value
    elif place == "observation":
        row = int(generator.integers(T + 1))  # the bootstrap's, too
        entries = unroll.inputs.observations[row, env]
        entries[generator.integers(len(entries))] = value
    elif place == "core state":
        unroll.inputs.resets[0, env] = False
        for state in unroll.core_state:
            state[env, generator.integers(state.shape[1])] = value
    elif place == "behaviour logits":
        row, env = generator.permutation(unroll.valid.nonzero().numpy())[0].tolist()
        unroll.behaviour_logits[row, env] = value
    return unroll, env, row


def spoil_gradient(network, value, generator):
    """Makes an entry of the gradient of some parameter bad, until the handle is removed; and its name."""
    name, parameter = list(network.named_parameters())[generator.integers(len(list(network.parameters())))]
    index = int(generator.integers(parameter.numel()))

    def spoil(gradient):
        gradient = gradient.clone()
        gradient.view(-1)[index] = value
        return gradient

    return parameter.register_hook(spoil), name


def state_of(learner):
    """All weights and moments, copied."""
    state = learner.state_dict()
    tensors = list(state["network"].values())
    tensors += [tensor for moments in state["optimizer"].values() for tensor in moments.values()]
    return [tensor.clone() for tensor in tensors]


def same(ours, theirs):
    """Compares two lists of tensors bit for bit."""
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


class PoisonedEnv(gymnasium.Env):
    """Episodes of ten steps; a share of the steps gives a bad reward or observation, of all kinds in turn."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    num_planted = 0
    """By all environments of the process."""

    def __init__(self, reward_share=0.0, observation_share=0.0):
        self.shares = reward_share, observation_share

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.step_of = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.step_of += 1
        values = [float(action), self.np_random.uniform(-1, 1)]
        for index, share in enumerate(self.shares):
            if self.np_random.uniform() < share:
                values[index] = BAD[PoisonedEnv.num_planted % 3]
                PoisonedEnv.num_planted += 1
        observation = np.array([values[1], self.step_of / 10], np.float32)
        return observation, values[0], self.step_of == 10, False, {}


gymnasium.register("Poisoned-v0", PoisonedEnv, disable_env_checker=True)
