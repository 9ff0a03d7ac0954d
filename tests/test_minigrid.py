"""The native MiniGrid tasks against MiniGrid itself: same seeds, same actions, no difference."""

from concurrent.futures import ThreadPoolExecutor

import minigrid  # noqa: F401 - registers its environments
import numpy as np
import pytest
from gymnasium import registry
from minigrid.core.grid import Grid
from minigrid.core.world_object import WorldObj
from minigrid_play import compare, curious_actions, make_original

from envs import make_vector_env, task_card
from envs.compiled import compiled
from envs.grid import (
    BOX,
    COLOURS,
    EMPTY,
    ENCODING,
    GOAL,
    KEY_BOX,
    LAVA,
    OBJECTS,
    OPAQUE,
    WALL,
    grid_fields,
    grid_rules,
)
from envs.minigrid_sprites import minigrid_sprite
from envs.sprites import tile
from envs.step_kernel import EPISODE_FIELDS, record_dtype, rules_record
from envs.tasks.minigrid import TASKS
from envs.view import VIEW_SIZES, observe, observe_cells, spread

UNKNOWN = ("Playground", "WFC-")
"""MiniGrid's ids without a native version: no task, and rooms that its own solver draws."""
SIZES = {
    "MiniGrid-MemoryS13-v0": [{"size": 21}, {"size": 19, "random_length": True}],
    "MiniGrid-Empty-8x8-v0": [{"size": 23}],
    "MiniGrid-LavaGapS7-v0": [{"size": 14}],
    "MiniGrid-DoorKey-8x8-v0": [{"size": 11}],
    "MiniGrid-LavaCrossingS9N1-v0": [{"size": 15, "num_crossings": 9}, {"size": 7, "num_crossings": 4}],
    "MiniGrid-Dynamic-Obstacles-8x8-v0": [
        {"size": 7, "n_obstacles": 60},
        {"size": 5, "n_obstacles": 3, "max_steps": 30},
    ],
    "MiniGrid-GoToDoor-8x8-v0": [{"size": 13}],
    "MiniGrid-RedBlueDoors-8x8-v0": [{"size": 10}],
    "MiniGrid-Fetch-8x8-N3-v0": [{"size": 11, "numObjs": 7}],
    "MiniGrid-GoToObject-8x8-N2-v0": [{"size": 11, "numObjs": 5}],
    "MiniGrid-PutNear-8x8-N3-v0": [{"size": 13, "numObjs": 5}],
    "MiniGrid-KeyCorridorS3R3-v0": [{"room_size": 5, "num_rows": 2}, {"obj_type": "box"}],
    "MiniGrid-MultiRoom-N6-v0": [{"minNumRooms": 2, "maxNumRooms": 5, "maxRoomSize": 8}],
}
"""Other worlds than those of the ids."""


def test_every_id_is_native():
    """MiniGrid's ids and ours are the same, but for those of two kinds."""
    theirs = {name for name in registry if name.startswith("MiniGrid-")}
    assert set(TASKS) == {name for name in theirs if not any(word in name for word in UNKNOWN)}


@pytest.mark.parametrize("env_id", TASKS)
def test_equal_to_minigrid(env_id):
    """Observation, reward, ends, mission, place and direction at every step and reset.

    Mutations: two draws of ``begin`` exchanged (cue and order of Memory, the key's and the door's rooms); a
    key that goes with its box; the last action one later (``out_of_time``); a door that any key opens; a
    view left as it was after a toggle, or after a ball has moved (``changed``).
    """
    number = list(TASKS).index(env_id)
    view = VIEW_SIZES[number % len(VIEW_SIZES)]
    for max_steps in (23, 170):
        steps, ends = compare(env_id, 5, 60, number, max_steps=max_steps, agent_view_size=view)
        assert steps > 200
        assert ends >= 10 or max_steps > 60


@pytest.mark.parametrize(("env_id", "options"), [(k, o) for k, each in SIZES.items() for o in each])
def test_equal_in_other_worlds(env_id, options):
    """The options that MiniGrid's constructors take.

    Mutation: a ball that finds no free cell gives up one try earlier.
    """
    steps, _ = compare(env_id, 4, 150, 5, **options)
    assert steps > 400


@pytest.mark.parametrize(
    "word", ["MemoryS7-", "Fetch-5", "PutNear-6", "BlockedUnlock", "LockedRoom", "GoToDoor-6"]
)
def test_same_arrays_as_the_original(word):
    """Both backends give an agent the same spaces, observations (missions too), rewards, ends and infos.

    Mutations: a mission's words in another order; the type of the thing to put near left out.
    """
    env_id = next(name for name in TASKS if word in name)
    options = {"max_steps": 30, "seed": 11}
    native = make_vector_env(env_id, 6, **options)
    original = make_vector_env(env_id, 6, backend="gymnasium", **options)
    assert native.single_observation_space == original.single_observation_space
    assert native.single_action_space == original.single_action_space
    np.testing.assert_array_equal(native.reset()[0], original.reset()[0])
    rng = np.random.default_rng(1)
    for _ in range(100):
        actions = curious_actions(native, rng)
        for mine, theirs in zip(native.step(actions), original.step(actions), strict=True):
            np.testing.assert_equal(mine, theirs)


@pytest.mark.parametrize("env_id", ["MiniGrid-DoorKey-5x5-v0", "MiniGrid-MultiRoom-N2-S4-v0"])
def test_threads_do_not_matter(env_id):
    """Two halves stepped by two threads at once give what one batch gives: kernels share nothing.

    Mutation: scratch of a kernel kept outside its records.
    """
    whole = make_vector_env(env_id, 64, seed=5, max_steps=20)
    halves = [make_vector_env(env_id, 32, seed=5, first_index=k, max_steps=20) for k in (0, 32)]
    actions = np.random.default_rng(0).integers(7, size=(400, 64))

    def play(half, rows):
        return np.stack([half.reset()[0], *(half.step(row)[0] for row in rows)])

    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(play, halves, [actions[:, :32], actions[:, 32:]]))
    np.testing.assert_array_equal(np.concatenate(parts, 1), play(whole, actions))


def test_tiles_of_a_view():
    """RGB observations are the codes' tiles, the agent's view the right way up.

    Mutation: columns and rows of the view exchanged.
    """
    env_id, size = "MiniGrid-MemoryS7-v0", 4
    codes = make_vector_env(env_id, 3, seed=2).reset()[0].astype(int)
    pictures = make_vector_env(env_id, 3, seed=2, tile_size=size).reset()[0]
    assert pictures.shape == (3, 7 * size, 7 * size, 3)
    for i, x, y in np.ndindex(3, 7, 7):
        thing, colour, state = codes[i, x, y]
        mine = pictures[i, y * size : (y + 1) * size, x * size : (x + 1) * size]
        np.testing.assert_array_equal(mine, tile(minigrid_sprite(thing, colour, state), size))


def test_memory_fits():
    """An environment of MemoryS13 takes less than a kibibyte, its observation included."""
    env = make_vector_env("MiniGrid-MemoryS13-v0", 2)
    assert env.state.itemsize + env.reset()[0][0].nbytes <= 1024


@pytest.mark.slow
@pytest.mark.parametrize("env_id", TASKS)
def test_equal_for_100_000_steps(env_id):
    """As MiniGrid's id defines it, and half of it with time limits that let many episodes begin."""
    steps, seed = 0, 1000
    while steps < 100_000:
        for options in ({}, {"max_steps": 90}):
            seed += 1
            steps += compare(env_id, 10, 1300, seed, **options)[0]
    assert steps >= 100_000


def random_grids(view, num_grids, see_through, seed):
    """Return records with grids of random cells, their rules, and the cells [num_grids, height, width]."""
    width, height = 14, 12
    fields = [*grid_fields(width, height, view), *EPISODE_FIELDS]
    state = np.zeros(num_grids, record_dtype(fields, align=True))
    rules = rules_record(grid_rules(width, height, view, 100, see_through))
    rng = np.random.default_rng(seed)
    # MiniGrid's decoder knows no box with a key, and no goal but the green one.
    cells = [k for k in np.flatnonzero(ENCODING) if not (KEY_BOX <= k < OPAQUE or GOAL <= k < LAVA)]
    cells.append(GOAL + COLOURS.index("green"))
    share = rng.random((num_grids, 1, 1))  # how much of a grid blocks the view: from nothing to all
    kinds = np.where(rng.random((num_grids, height, width)) < share, WALL, rng.choice(cells, (height, width)))
    kinds = kinds.astype(np.uint8)
    state["x"], state["y"] = rng.integers(1, width - 1, num_grids), rng.integers(1, height - 1, num_grids)
    kinds[np.arange(num_grids), state["y"], state["x"]] = EMPTY
    state["direction"] = rng.integers(4, size=num_grids)
    state["carrying"] = rng.choice([EMPTY, BOX + 3], num_grids)
    state["changed"] = 1
    margin, stride = rules["margin"][0], rules["stride"][0]
    state["grid"] = WALL + COLOURS.index("grey")
    for y in range(height):
        start = (y + margin) * stride + margin
        state["grid"][:, start : start + width] = kinds[:, y]
    return state, rules, kinds


@compiled
def both_views(state, rules, words, cells):
    """Write what each form of the view shows."""
    for i in range(state.shape[0]):
        observe(state[i], rules[0], words[i])
        observe_cells(state[i], rules[0], cells[i])


@pytest.mark.parametrize("see_through", [False, True])
@pytest.mark.parametrize("view", VIEW_SIZES)
def test_views_of_random_grids(view, see_through):
    """Both forms of the view show what MiniGrid's own code shows, and write nothing beyond it.

    Mutation: the last line's cells stored as four bytes.
    """
    num_grids = 300
    state, rules, kinds = random_grids(view, num_grids, see_through, view)
    size = 3 * view**2
    words, cells = np.full((2, num_grids, size + 5), 77, np.uint8)
    both_views(state, rules, words, cells)
    np.testing.assert_array_equal(words, cells)
    assert (words[:, size:] == 77).all()
    env = make_original("MiniGrid-Empty-8x8-v0", agent_view_size=view)
    env.see_through_walls = see_through
    env.reset(seed=0)
    for i, s in enumerate(state):
        env.grid = Grid(kinds.shape[2], kinds.shape[1])
        env.grid.grid = [decode(code) for code in kinds[i].ravel()]
        env.agent_pos, env.agent_dir = np.array([s["x"], s["y"]]), int(s["direction"])
        env.carrying = decode(s["carrying"])
        np.testing.assert_array_equal(env.gen_obs()["image"].ravel(), words[i, :size])


@compiled
def spread_all(lit, clear, size, out):
    """Spread light along many rows."""
    for n in range(len(lit)):
        out[n, 0], out[n, 1] = spread(lit[n], clear[n], size)


@pytest.mark.parametrize("size", VIEW_SIZES)
def test_light_spreads_as_in_two_loops(size):
    """Along a row and to the next one, as MiniGrid's two loops do it: every row there is, or 4 000.

    Mutation: ``to_left`` spread over one shift less.
    """
    rng = np.random.default_rng(size)
    rows = np.stack(np.meshgrid(*[np.arange(2**size)] * 2)).reshape(2, -1).astype(np.uint64)
    if rows.shape[1] > 2**14:
        rows = rng.integers(2**size, size=(2, 4000), dtype=np.uint64)
        rows[1, ::2] |= rng.integers(2**size, size=2000, dtype=np.uint64) | np.uint64(2)  # long clear runs
        rows[0, ::4] = 1 << (size - 1)
    out = np.zeros((rows.shape[1], 2), np.uint64)
    spread_all(rows[0], rows[1], size, out)
    for lit, clear, mine in zip(*rows.tolist(), out.tolist(), strict=True):
        mask, above = [lit >> i & 1 for i in range(size)], [0] * size
        for cells, step in ((range(size - 1), 1), (range(size - 1, 0, -1), -1)):
            for i in cells:
                if mask[i] and clear >> i & 1:
                    mask[i + step] = above[i + step] = above[i] = 1
        assert mine == [sum(bit << i for i, bit in enumerate(row)) for row in (mask, above)]


def decode(code):
    """Return MiniGrid's object for a cell."""
    number = int(ENCODING[code])
    return WorldObj.decode(number & 255, number >> 8 & 255, number >> 16)


def test_codes_are_minigrids():
    """Names and numbers of objects and colours."""
    from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX

    assert {name: n for n, name in enumerate(OBJECTS)} == OBJECT_TO_IDX
    assert {name: n for n, name in enumerate(COLOURS)} == COLOR_TO_IDX


def test_many_layouts_in_one_process():
    """Worlds of many sizes made and dropped: each runs the code compiled for its own layout.

    Equal layouts are one object, which stays: numba tells them apart by address, so that without it a
    world could run another's code, and corrupt memory.

    Mutation: ``record_dtype`` without its table of layouts.
    """
    twins = [make_vector_env("MiniGrid-MemoryS7-v0", 2) for _ in range(2)]
    assert twins[0].state.dtype is twins[1].state.dtype
    assert twins[0]._rules.dtype is twins[1]._rules.dtype
    views = {}
    for _ in range(3):
        for size in (7, 17, 13, 21):
            for view in (3, 11, 7):
                env = make_vector_env("MiniGrid-MemoryS13-v0", 3, size=size, agent_view_size=view)
                seen = env.reset(seed=[1, 2, 3])[0]
                np.testing.assert_array_equal(views.setdefault((size, view), seen), seen)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 12}, "size must be odd, got 12"),
        ({"size": 5}, "size must be at least 7, got 5"),
        ({"size": 2001}, "a grid has at most 1000 cells along an edge"),
        ({"agent_view_size": 4}, "agent_view_size must be one of 3, 5, 7, 9, 11, got 4"),
        ({"max_steps": 0}, "max_steps must be at least 1, got 0"),
        ({"sizes": 9}, "MiniGrid-MemoryS7-v0 has no option 'sizes'; did you mean size?"),
    ],
)
def test_wrong_options_in_one_line(options, message):
    """Each names what is wrong and what would be right."""
    with pytest.raises(ValueError) as error:  # noqa: PT011 - compared below
        make_vector_env("MiniGrid-MemoryS7-v0", 2, **options)
    assert str(error.value) == message


@pytest.mark.parametrize("env_id", [name for name in TASKS if "Memory" in name])
@pytest.mark.parametrize("view", [3, 7])
def test_memory_oracle(env_id, view):
    """The oracle always succeeds, in the time that the walk takes.

    Mutation: the oracle turns to the other side.
    """
    env, card = make_vector_env(env_id, 32, agent_view_size=view), task_card(env_id, agent_view_size=view)
    env.reset()
    wins = ends = 0
    for _ in range(60):
        infos = env.step(env.oracle())[4]
        if infos:
            wins += infos["episode"]["success"].sum()
            ends += infos["_episode"].sum()
            assert (infos["episode"]["l"][infos["_episode"]] <= 20).all()
    assert ends > 50
    assert wins / ends == card.oracle == 1


@pytest.mark.parametrize(("size", "view"), [(7, 7), (9, 7), (13, 7), (13, 3), (7, 3)])
def test_memory_without_memory(size, view):
    """A policy that hesitates at the crossing, without memory, does what the card says.

    Looking back from the crossing it sees the cue if the hallway is short enough, and turns to its like;
    looking at one of the two objects it steps forward now and then. Where the cue is out of sight it is
    right half of the time.
    """
    options = {"agent_view_size": view}
    env_id = f"MiniGrid-MemoryS{size}-v0"
    card = task_card(env_id, **options)
    env = make_vector_env(env_id, 400, **options)
    env.reset()
    rng = np.random.default_rng(0)
    wins = ends = 0
    for _ in range(900):
        infos = env.step(hesitate(env, rng))[4]
        if infos:
            wins += infos["episode"]["success"].sum()
            ends += infos["_episode"].sum()
    assert ends >= 400
    assert wins / ends == pytest.approx(card.memoryless, abs=0.03)
    assert card.kind == ("partial" if size - 3 < view else "memory")


def hesitate(env, rng):
    """Return [N] actions that follow from the present view alone."""
    view, end = env.agent_view_size, int(env._rules["width"][0]) - 3
    half, near = view // 2, view - 1
    forward, left, right = 2, 0, 1
    kinds = env.observations[..., 0]  # [N, to the right, ahead]
    wall = OBJECTS.index("wall")
    is_thing = np.isin(kinds, [OBJECTS.index("key"), OBJECTS.index("ball")])
    chance = rng.random(env.num_envs)
    either = np.where(chance < 0.5, left, right)
    actions = np.where(kinds[:, half, near - 1] == wall, either, forward)
    facing_one = is_thing[:, half, near - 2]
    back = np.where(kinds[:, half + 1, near] == wall, left, right)
    patience = 0.03 if end < view else 1.0
    actions = np.where(facing_one & (chance >= patience), back, actions)
    if end < view:
        cue, on_the_right = kinds[:, half + 1, near - end], kinds[:, half + 2, near]
        beside_both = is_thing[:, half - 2, near] & is_thing[:, half + 2, near]
        looking_back = beside_both & is_thing[:, half + 1, near - end]
        actions = np.where(looking_back, np.where(cue == on_the_right, right, left), actions)
    return actions
