"""What native environments add to the contract of test_contract.py: state, oracle, seeds, a fast look-up."""

import gymnasium
import numpy as np
import pytest
from episodes import NATIVE, OWN, N, assert_same, make, play, random_actions
from gymnasium.vector import AutoresetMode

from envs import ENVS

LONGEST = {"concentration": 13}
"""Actions of the longest episode, where they differ: each of 7 turns but the last is followed by a look."""

native_env = pytest.mark.parametrize("env_id", NATIVE)


@native_env
def test_native_buffers_are_all_reused(env_id):
    """Mutation: a copy left in the path without copies."""
    env = make(env_id, copy=False)
    env.reset()
    one, other = env.step(np.zeros(N, int)), env.step(np.ones(N, int))
    assert all(mine is theirs for mine, theirs in zip(one[:4], other[:4], strict=True))


@native_env
def test_state_dict_continues_bit_for_bit(env_id):
    """At any moment, the one before a reset included, another environment takes over from plain arrays.

    Mutation: any field left out of ``_arrays`` (tried: rng, ended), or loaded by reference.
    """
    env = make(env_id, seed=1)
    env.reset()
    pending = False
    for t, row in enumerate(random_actions(env, 75)):
        env.step(row)
        if t % 5 and not env.state["ended"].any():
            continue
        pending |= env.state["ended"].any()
        saved = env.state_dict()
        assert all(type(array) is np.ndarray and array.dtype.kind in "biuf" for array in saved.values())
        actions = random_actions(env, 60, seed=t)
        run = play(env, actions, reset=False)
        other = make(env_id, seed=99)
        for env_that_continues in (other, env):
            env_that_continues.load_state_dict(saved)
            assert_same(play(env_that_continues, actions, reset=False), run)
        env.load_state_dict(saved)
    assert pending


@native_env
def test_wrong_states_are_refused(env_id):
    """A refused state changes nothing. Mutation: arrays assigned one by one before all are checked."""
    env = make(env_id)
    env.reset()
    saved = env.state_dict()
    other = make(env_id, seed=7)
    other.reset()
    before = other.state_dict()
    wrong = [
        (saved | {"rng": saved["rng"][:-1]}, "state 'rng' must be uint64[7, 5], got uint64[6, 5]"),
        (
            saved | {"success": saved["success"].astype(np.int8)},
            "state 'success' must be float32[7], got int8[7]",
        ),
        ({k: v for k, v in saved.items() if k != "rng"}, "the state must hold ["),
        (saved | {"more": saved["rng"]}, "the state must hold ["),
    ]
    for state, message in wrong:
        with pytest.raises(ValueError) as error:  # noqa: PT011 - compared below
            other.load_state_dict(state)
        assert str(error.value).startswith(message)
        np.testing.assert_equal(other.state_dict(), before)


@pytest.mark.parametrize("env_id", OWN)
def test_oracle_and_card(env_id):
    """The oracle reaches the card's success; episodes have the card's length and end by termination.

    Mutations, one per task: the oracle answers with the opposite of the cue, or goes to the colour after
    the target's, or flips a card that it has seen in place of the twin.
    """
    env = make(env_id, 64)
    card = type(env).card(**NATIVE[env_id])
    assert card.name == env_id
    env.reset()
    success, episodes, rounds = 0.0, 0, 6
    for _ in range(rounds * ((card.episode_length or LONGEST[env_id]) + 1)):
        _, _, terminated, truncated, infos = env.step(env.oracle())
        assert not truncated.any()
        if infos:
            np.testing.assert_array_equal(terminated, infos["_episode"])
            lengths = set(infos["episode"]["l"][terminated])
            assert lengths == {card.episode_length} or max(lengths) <= LONGEST[env_id]
            success += infos["episode"]["success"].sum()
            episodes += terminated.sum()
    assert episodes == rounds * 64 or (card.episode_length is None and episodes > rounds * 64)
    assert success / episodes == card.oracle == 1.0


@native_env
def test_seeds_one_by_one(env_id):
    """A sequence seeds each environment by its number, wherever it stands; None lets a stream run on.

    Mutations: the index added to the number; None read as a number.
    """
    env, mirror = make(env_id), make(env_id)
    seeds, actions = [4, 5, 6, 7, 8, 9, 2], random_actions(env, 60)
    one, two = play(env, actions, seed=seeds), play(mirror, actions[:, ::-1], seed=seeds[::-1])
    for mine, theirs in zip(one[:3], two[:3], strict=True):
        np.testing.assert_array_equal(mine, theirs[:, ::-1])
    some, none = play(env, actions, seed=[None, None, None, 7, 8, 9, None]), play(mirror, actions[:, ::-1])
    for mine, theirs, before in zip(some[:3], none[:3], one[:3], strict=True):
        np.testing.assert_array_equal(mine[:, [0, 1, 2, 6]], theirs[:, ::-1][:, [0, 1, 2, 6]])
        np.testing.assert_array_equal(mine[:, 3:6], before[:, 3:6])


def test_wrong_reset_options_are_refused():
    """An option that would be ignored is refused, and so is a mask of another shape or kind."""
    env = make("tmaze")
    env.reset()
    with pytest.raises(ValueError, match=r"^reset knows no options but reset_mask, got 'mask'$"):
        env.reset(options={"mask": np.ones(N, bool)})
    for mask in (np.ones(N + 1, bool), np.ones(N, int)):
        with pytest.raises(ValueError, match=r"^reset_mask must be bool of shape \(7,\), got "):
            env.reset(options={"reset_mask": mask})


def test_state_needs_a_reset():
    """Before the first reset there is no state to save."""
    with pytest.raises(gymnasium.error.ResetNeeded):
        make("tmaze").state_dict()


def test_kernels_are_found_without_python(monkeypatch):
    """With several tasks in one process each call goes straight to its compiled code.

    numba looks it up in C by the arguments' types; for tuples of numbers that look-up can fail and cost
    100 µs a call. Mutation: the results handed to the kernel as one NamedTuple.
    """
    envs = [make(env_id) for env_id in NATIVE]
    for env in envs:
        env.reset()

    def slow(*_):
        raise AssertionError("the look-up went through Python")

    for env in envs:
        monkeypatch.setattr(env._kernel, "_compile_for_args", slow)
        env.step(np.zeros(N, int))


def run_in_mode(env, actions, ended):
    """Step under these actions, with masked resets where autoreset is disabled; return all that was seen.

    Args:
        env: after a reset.
        actions: [T, N].
        ended: [N] bool: the episodes that the step before has ended.
    """
    seen = []
    for row in actions:
        if env.metadata["autoreset_mode"] == AutoresetMode.DISABLED and ended.any():
            seen.append(env.reset(options={"reset_mask": ended})[0])
        *arrays, infos = env.step(row)
        ended = arrays[2] | arrays[3]
        seen += [*arrays, infos | {"final_obs": list(infos.get("final_obs", []))}]
    return seen


@native_env
@pytest.mark.parametrize("mode", AutoresetMode)
def test_state_in_every_autoreset_mode(env_id, mode):
    """Another environment goes on bit for bit from just before, at, and after the ends of episodes.

    Mutation: after a state was loaded, the episodes that wait for a reset forgotten.
    """
    env = ENVS[env_id](N, seed=1, autoreset_mode=mode, **NATIVE[env_id])
    env.reset()
    ended, num_moments = np.zeros(N, bool), 0
    for t, row in enumerate(random_actions(env, 75)):
        if mode == AutoresetMode.DISABLED and ended.any():
            env.reset(options={"reset_mask": ended})
        ended = np.logical_or(*env.step(row)[2:4])
        if not ended.any() and t % 9:
            continue
        num_moments += ended.any()
        saved, actions = env.state_dict(), random_actions(env, 30, seed=t)
        other = ENVS[env_id](N, seed=9, autoreset_mode=mode, **NATIVE[env_id])
        other.load_state_dict(saved)
        if mode == AutoresetMode.DISABLED and ended.any():
            with pytest.raises(gymnasium.error.ResetNeeded, match="an episode has ended"):
                other.step(row)
        np.testing.assert_equal(run_in_mode(other, actions, ended), run_in_mode(env, actions, ended))
        env.load_state_dict(saved)
    assert num_moments


def test_misuse_of_resets_is_told_in_one_line():
    """A step after an end, a first reset of some only, and an empty mask; a refused reset seeds nobody.

    Mutations: only the last ended episode looked at; streams seeded before the refusal.
    """
    env = ENVS["memory-len"](3, length=1, autoreset_mode=AutoresetMode.DISABLED)
    some = np.array([True, False, True])
    before = env.state.copy()
    with pytest.raises(
        gymnasium.error.ResetNeeded, match=r"^the first reset\(\) must begin an episode every"
    ):
        env.reset(seed=5, options={"reset_mask": some})
    np.testing.assert_array_equal(env.state, before)
    env.reset()
    for _ in range(2):
        env.step([0, 0, 0])
    ended = r"^an episode has ended and autoreset is disabled: call reset\(\) with a reset_mask$"
    with pytest.raises(gymnasium.error.ResetNeeded, match=ended):
        env.step([0, 0, 0])
    env.reset(options={"reset_mask": some})
    with pytest.raises(gymnasium.error.ResetNeeded, match=ended):
        env.step([0, 0, 0])
    with pytest.raises(ValueError, match=r"^reset_mask must be True somewhere$"):
        env.reset(options={"reset_mask": np.zeros(3, bool)})
    env.reset(options={"reset_mask": ~some})
    assert env.state["episode_length"].tolist() == [0, 0, 0]
    env.step([0, 0, 0])


@native_env
def test_a_refused_action_changes_nothing(env_id):
    """Every action is looked at before one is taken.

    Mutation: the check within the loop that steps.
    """
    env = make(env_id)
    env.reset()
    before, observations = env.state.copy(), env.observations
    with pytest.raises(ValueError, match=r"^actions must lie in 0 … "):
        env.step(np.array([0] * (N - 1) + [-1]))
    np.testing.assert_array_equal(env.state, before)
    np.testing.assert_array_equal(env.observations, observations)
