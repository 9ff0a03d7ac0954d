"""Native tasks through Gymnasium's front door, and held against Gymnasium's own vector environment."""

import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from episodes import NATIVE, N
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from envs import ENVS
from envs.registered import SingleEnv, register, registered_id

own_task = pytest.mark.parametrize("task", NATIVE)
every_mode = pytest.mark.parametrize("mode", AutoresetMode)


def single(task, **options):
    return gymnasium.make(registered_id(task), **(NATIVE[task] | options))


def batch(task, num_envs=N, **options):
    return gymnasium.make_vec(registered_id(task), num_envs=num_envs, **(NATIVE[task] | options))


def test_ids(monkeypatch):
    """One rule from Longhold's ids to Gymnasium's; ids with a version keep it.

    Mutation: ids with a version left out.
    """
    assert registered_id("tmaze") == "longhold/TMaze-v0"
    assert registered_id("memory-len") == "longhold/MemoryLen-v0"
    assert registered_id("tmaze-active") == "longhold/TMazeActive-v0"
    known = {env_id for env_id in gymnasium.registry if env_id.startswith("longhold/")}
    assert known == {registered_id(task) for task in ENVS}
    asked = []
    monkeypatch.setattr(gymnasium, "register", lambda env_id, **_: asked.append(env_id))
    register(["key-to-door", "MiniGrid-MemoryS7-v0"])
    assert asked == ["longhold/KeyToDoor-v0", "longhold/MiniGrid-MemoryS7-v0"]


@own_task
def test_gymnasium_finds_nothing_to_object_to(task):
    """Warnings are errors here. Mutations: NumPy's numbers returned for Python's; the buffer for a copy."""
    env = single(task).unwrapped
    check_env(env)
    env.reset()
    assert [type(value) for value in env.step(0)] == [np.ndarray, float, bool, bool, dict]
    check_env(gymnasium.make(registered_id(task)).unwrapped)


@own_task
def test_make_vec_gives_the_native_environment(task):
    """By default and by name; "sync" gives Gymnasium's vector of single ones; the spec makes it again.

    Mutation: no ``vector_entry_point``, so that single environments are stepped one by one.
    """
    env = batch(task, 5, copy=False, autoreset_mode="SameStep")
    assert type(env) is ENVS[task]
    assert (env.num_envs, env.copy) == (5, False)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    np.testing.assert_array_equal(env._rules, ENVS[task](1, **NATIVE[task])._rules)
    assert type(gymnasium.make_vec(env.spec)) is ENVS[task]
    assert type(batch(task, vectorization_mode="vector_entry_point")) is ENVS[task]
    one_by_one = batch(task, 2, vectorization_mode="sync", vector_kwargs={"copy": False})
    assert isinstance(one_by_one, SyncVectorEnv)
    assert isinstance(one_by_one.envs[0].unwrapped, SingleEnv)
    assert gymnasium.make(single(task).spec).spec == single(task).spec


def test_module_and_id():
    """Gymnasium imports the package by itself. Mutation: the registration left to the user."""
    code = (
        "import gymnasium; print(gymnasium.make('envs:longhold/TMaze-v0', length=20).unwrapped.batch.length)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=Path(__file__).parents[1],
        text=True,
        capture_output=True,
    )
    assert done.stdout == "20\n", done.stderr


def test_what_is_refused():
    """One line each, from either door. Mutation: an option passed on unchecked (a TypeError)."""
    for call in (single, batch):
        with pytest.raises(ValueError, match=r"^tmaze has no option 'lenght'; did you mean length\?$"):
            call("tmaze", lenght=3)
        with pytest.raises(ValueError, match=r"^length must be at least 1, got 0$"):
            call("tmaze", length=0)
    with pytest.raises(ValueError, match=r"^tmaze has no option 'autoreset_mode'"):
        single("tmaze", autoreset_mode="Disabled")
    with pytest.raises(ValueError, match=r"^autoreset_mode must be one of NextStep, SameStep, Disabled, "):
        batch("tmaze", autoreset_mode="x")
    with pytest.raises(ValueError, match=r"^unknown native task 'maze'; there are tmaze, "):
        gymnasium.make("longhold/TMaze-v0", task="maze")
    env = single("tmaze").unwrapped
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    with pytest.raises(ValueError, match=r"^seed must be at least 0, got -1$"):
        env.reset(seed=-1)
    with pytest.raises(ValueError, match=r"^reset knows no options but reset_mask, got 'x'$"):
        env.reset(options={"x": 1})
    env.reset()
    for action in (4, -1, 1.0, [1, 2]):
        with pytest.raises(ValueError, match=r"^actions must "):
            env.step(action)
    for _ in range(9):
        ended = env.step(0)[2]
    assert ended
    with pytest.raises(gymnasium.error.ResetNeeded, match="an episode has ended"):
        env.step(0)


@own_task
def test_without_a_seed_nobody_repeats_another(task):
    """Single environments and batches each begin at random, unless they are told a seed.

    Mutation: the engine's own default, seed 0.
    """
    for make in (lambda: single(task), lambda: batch(task, 1)):
        streams = []
        for _ in range(2):
            env = make()
            env.reset()
            streams.append(getattr(env.unwrapped, "batch", env).state["rng"].tolist())
        assert streams[0] != streams[1]
    seeded = [batch(task, 1, seed=3) for _ in range(2)]
    assert seeded[0].state["rng"].tolist() == seeded[1].state["rng"].tolist()


@own_task
@every_mode
def test_against_gymnasium(task, mode):
    """Native and SyncVectorEnv over single environments agree in all they return, in each autoreset mode.

    Some environments are begun anew now and then, by a mask and with or without a seed, so that they end
    at different times. With autoreset disabled those that ended are, before the next step.

    Mutations: in SAME_STEP the final observation taken after the reset; a mask's seeds given to all; a
    masked reset refused while an episode waits for it.
    """
    rng = np.random.default_rng(1)
    env = batch(task, autoreset_mode=mode)
    other = SyncVectorEnv([lambda: single(task)] * N, autoreset_mode=mode)
    seeds = rng.integers(1000, size=N).tolist()
    same(env.reset(seed=seeds)[0], other.reset(seed=seeds)[0])
    ended, num_ended = np.zeros(N, bool), 0
    for t in range(300):
        mask = ended.copy() if mode == AutoresetMode.DISABLED else np.zeros(N, bool)
        if t % 41 == 3:
            mask |= rng.random(N) < 0.3
        if mask.any():
            some = [int(s) if s < 500 else None for s in rng.integers(1000, size=N)]
            same(*(e.reset(seed=some, options={"reset_mask": mask.copy()})[0] for e in (env, other)))
        actions = rng.integers(env.single_action_space.n, size=N)
        mine, theirs = env.step(actions), other.step(actions)
        for one, two in zip(mine[:4], theirs[:4], strict=True):
            same(one, two.astype(one.dtype))
        ended = mine[2] | mine[3]
        num_ended += ended.sum()
        check_infos(mode, ended, mine[4], theirs[4])
    assert num_ended > 3


def same(one, other):
    """Equal in value and kind."""
    assert one.dtype == other.dtype
    np.testing.assert_array_equal(one, other)


def check_infos(mode, ended, mine, theirs):
    """Compare success and final observations; ``ended`` [N] says where they must be."""
    if not ended.any():
        assert mine == {}
        return
    final = theirs["final_info"] if mode == AutoresetMode.SAME_STEP else theirs
    np.testing.assert_array_equal(mine["_episode"], final["_success"])
    np.testing.assert_array_equal(mine["episode"]["success"], final["success"].astype(np.float32))
    assert ("final_obs" in mine) == (mode == AutoresetMode.SAME_STEP)
    if mode == AutoresetMode.SAME_STEP:
        np.testing.assert_array_equal(mine["_final_obs"], theirs["_final_obs"])
        for one, two in zip(mine["final_obs"], theirs["final_obs"], strict=True):
            assert (one is None) == (two is None)
            if one is not None:
                same(one, two)
