"""MiniGrid's own environments beside the native ones, step by step, under a policy that tries things out."""

import warnings

import gymnasium
import numpy as np

from envs import make_vector_env
from envs.grid import CARRY, DROP, EMPTY, FORWARD, OPEN, OVERLAP, PICKUP, TOGGLE, TRAITS


def make_original(env_id, **options):
    """Build MiniGrid's own environment, without wrappers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # some of its ids have a later version
        return gymnasium.make(env_id, disable_env_checker=True, **options).unwrapped


def ahead(env):
    """Return the cell before each agent, [N] uint8."""
    s, rules = env.state, env._rules[0]
    x = s["x"] + np.array([1, 0, -1, 0])[s["direction"]]
    y = s["y"] + np.array([0, 1, 0, -1])[s["direction"]]
    return s["grid"][np.arange(env.num_envs), (y + rules["margin"]) * rules["stride"] + x + rules["margin"]]


def curious_actions(env, rng):
    """Return [N] actions: a walk that picks up, drops, opens and shuts what is in the way."""
    cell, n = ahead(env), env.num_envs
    num_actions = env.single_action_space.n
    actions = np.where(rng.random(n) < 0.55, FORWARD, rng.integers(num_actions, size=n))
    if num_actions <= FORWARD + 1:
        return actions
    chance = rng.random(n)
    is_door = (cell >= OPEN) & (TRAITS[cell] & (OVERLAP | CARRY) == 0)
    actions = np.where(is_door & (chance < 0.6), TOGGLE, actions)
    is_thing = TRAITS[cell] & CARRY > 0
    actions = np.where(is_thing & (chance < 0.5), PICKUP, actions)
    actions = np.where(is_thing & (chance > 0.9), TOGGLE, actions)
    holds = env.state["carrying"] != EMPTY
    return np.where(holds & (cell == EMPTY) & (chance < 0.1), DROP, actions)


def compare(env_id, num_envs, num_steps, seed, **options):
    """Play both side by side; return steps compared and episodes ended, or fail at the first difference."""
    native = make_vector_env(env_id, num_envs, **options)
    originals = [make_original(env_id, **options) for _ in range(num_envs)]
    rng = np.random.default_rng(seed)
    seeds = [int(n) for n in rng.integers(2**31, size=num_envs)]
    seen = native.reset(seed=seeds)[0]
    for i, env in enumerate(originals):
        check(native, env, i, seen, env.reset(seed=seeds[i])[0])
    ended = np.zeros(num_envs, bool)
    num_compared = num_ended = 0
    for _ in range(num_steps):
        actions = curious_actions(native, rng)
        seen, rewards, terminated, truncated, _ = native.step(actions)
        for i, env in enumerate(originals):
            if ended[i]:
                theirs, *rest = env.reset()[0], 0.0, False, False
            else:
                theirs, *rest = env.step(int(actions[i]))[:4]
                num_compared += 1
            mine = [rewards[i], terminated[i], truncated[i]]
            assert mine == [np.float32(rest[0]), *rest[1:]], (env_id, i, mine, rest)
            check(native, env, i, seen, theirs)
        ended = terminated | truncated
        num_ended += ended.sum()
    return num_compared, num_ended


def check(native, original, i, seen, theirs):
    """Compare the view, where the agent is, and the mission."""
    view = theirs["image"]
    np.testing.assert_array_equal(seen[i].reshape(-1)[: view.size], view.reshape(-1))
    state = native.state[i]
    assert (state["x"], state["y"]) == tuple(original.agent_pos)
    assert state["direction"] == theirs["direction"]
    assert native.missions()[i] == theirs["mission"]
