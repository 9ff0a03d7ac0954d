"""The match family against its rules written out, and its cards against play."""

import numpy as np
import pytest
from gymnasium.spaces import MultiDiscrete
from reference_tasks import MatchReference

from envs import ENVS, make_vector_env
from envs.pcg64 import environment_seeds
from envs.tasks import match_rules as rules
from envs.tasks.match import KeyToDoor, PassiveMatch

TASKS = ["passive-match", "active-match", "key-to-door"]
NORTH, SOUTH, WEST, EAST = range(4)


def successes(env, choose, rounds):
    """Play ``rounds`` episodes everywhere with ``choose(observations)``; return all successes, flat."""
    observations, _ = env.reset()
    results = []
    while len(results) < rounds:
        observations, _, _, _, infos = env.step(choose(observations))
        if infos:
            assert infos["_episode"].all()  # the episodes have one length
            results.append(infos["episode"]["success"])
    return np.concatenate(results)


@pytest.mark.parametrize("delay", [90, 31, 1])
@pytest.mark.parametrize("task", TASKS)
def test_rules_step_by_step(task, delay):
    """Every observation, reward and end of many episodes is the reference's, draws and resets included.

    Mutations: apples back after >= 20; eaten at the frame before; a phase one step longer; the reward of
    a phase's last step dropped; a pad that stays; a coloured wall that can be entered; the door open
    without the key, or paying twice; the agent drawn over the door; a step beyond the board's edge.
    """
    num_envs, seed = 6, 4
    env = make_vector_env(
        task, num_envs, seed=seed, first_index=1, delay=delay, apple_reward=0.5, final_reward=7.0
    )
    references = [
        MatchReference(np.random.default_rng(s), task, delay, 0.5, 7.0)
        for s in environment_seeds(seed, 1, num_envs)
    ]
    observations, _ = env.reset()
    np.testing.assert_array_equal(observations, [r.reset() for r in references])
    generator, resetting = np.random.default_rng(delay), [False] * num_envs
    eager = np.linspace(
        0.2, 0.9, num_envs
    )  # some follow the oracle, some wander: both reach what the others do not
    total = 0
    for _ in range(8 * (delay + 31)):
        wander = generator.integers(4, size=num_envs)
        actions = np.where(generator.random(num_envs) < eager, env.oracle(), wander)
        observations, rewards, terminated, truncated, infos = env.step(actions)
        assert not truncated.any()
        for i, reference in enumerate(references):
            expected = (reference.reset(), 0.0, False) if resetting[i] else reference.step(actions[i])
            np.testing.assert_array_equal(observations[i], expected[0])
            assert (rewards[i], terminated[i]) == expected[1:]
            resetting[i] = expected[2]
            if resetting[i]:
                assert infos["episode"]["success"][i] == reference.success
                total += reference.success
    assert total > 8


def test_apples_come_back_under_the_agent():
    """An apple that grows back where the agent waits is eaten one step later.

    The random walks of the test above rarely wait for 20 steps. Mutation: apples grown back before the bite.
    """
    env = make_vector_env("passive-match", 1, delay=90)
    env.reset()
    for _ in range(15):
        env.step([NORTH])
    env.state["board"][0, rules.PAD + 5, rules.PAD + 1] = rules.APPLE
    env.state["eaten"][0, [tuple(site) for site in rules.APPLE_SITES].index((5, 1))] = rules.PRESENT
    rewards = [env.step([WEST])[1][0] for _ in range(60)]  # from (5, 5) to the corner (5, 1): then bumping
    assert rewards[3] == 1.0
    assert [t for t in range(4, 60) if rewards[t]] == [25, 47]


@pytest.mark.parametrize("task", TASKS)
def test_draws_are_uniform(task):
    """Cues, keys, starts, apples and pads fall on every place equally often (5 standard deviations each).

    Mutations: ``% 3`` made ``% 2`` in the pads; the apples' draw from all sites at each site; starts
    from nine cells.
    """
    num_envs = 20_000
    env = make_vector_env(task, num_envs, seed=1, delay=1, copy=False)
    env.reset()
    state = env.state

    def check(counts, expected):
        assert counts.size
        chance = expected / num_envs
        assert np.abs(counts - expected).max() < 5 * np.sqrt(expected * (1 - chance))

    interior = state["board"][:, rules.PAD : -rules.PAD, rules.PAD : -rules.PAD]
    shown = (interior >= rules.KEY).reshape(num_envs, -1).sum(0)
    places = {"passive-match": 8, "active-match": 26, "key-to-door": 10}[task]
    assert np.count_nonzero(shown) == places
    check(shown[shown > 0], num_envs / places)
    if task != "passive-match":
        check(
            np.unique(np.stack([state["row"], state["column"]]), axis=1, return_counts=True)[1], num_envs / 10
        )
    if task != "key-to-door":
        check(np.bincount(state["target"], minlength=3), num_envs / 3)
    for _ in range(15):
        env.step(np.zeros(num_envs, int))
    apples = (state["eaten"] == rules.PRESENT).sum(0)
    assert ((state["eaten"] == rules.PRESENT).sum(1) == 10).all()
    check(apples, num_envs * 10 / 22)
    env.step(np.zeros(num_envs, int))
    if task != "key-to-door":
        rows, columns = (rules.PAD_CELLS + rules.PAD).T
        orders = (state["board"][:, rows, columns] - rules.COLOUR) @ [9, 3, 1]
        counts = np.unique(orders, return_counts=True)[1]
        assert len(counts) == 6
        check(counts, num_envs / 6)


@pytest.mark.parametrize("task", TASKS[:2])
def test_chance_of_a_pad_without_its_colour(task):
    """Going to the same pad in every episode succeeds as often as the card says (4 standard deviations).

    It needs no memory, and no policy without memory does better: the choice looks the same for every
    target, and a new phase keeps nothing that the agent did. Mutation: pads in one order for ever, with
    the target's the middle one.
    """
    env = make_vector_env(task, 2000, seed=6, delay=1, copy=False)
    card = type(env).card(delay=1)
    results = successes(env, lambda _: np.full(2000, NORTH), 10)
    assert card.chance == card.memoryless
    assert abs(results.mean() - card.chance) < 4 * np.sqrt(2 / 9 / len(results))


@pytest.mark.parametrize("task", TASKS)
def test_random_walk(task):
    """A random walker's success: a third of the 15 % who touch a pad, and the card's chance of the door.

    Mutation: the choice phase twice as long.
    """
    env = make_vector_env(task, 4000, seed=2, delay=1, copy=False)
    generator = np.random.default_rng(0)
    results = successes(env, lambda _: generator.integers(4, size=4000), 10)
    expected = KeyToDoor.card().chance if task == "key-to-door" else 0.154 / 3
    assert abs(results.mean() - expected) < 0.0005 + 4 * np.sqrt(
        expected / len(results)
    )  # the numbers are rounded


def test_key_to_door_needs_no_memory():
    """A policy that sees the present observation only takes the key and passes the door in every episode.

    In the rooms the walls in view tell where the agent is. From (2, 5) all of the upper room is in view.
    Elsewhere: north. Mutation: the key invisible, or the door shut to those who have it.
    """
    rooms = rules.BOARDS[1]
    plan = {}
    for row in range(1, 6):
        for column in range(3, 8):
            if rooms[row + 2, column + 2] == rules.BACKGROUND:
                plan[(rooms[row : row + 5, column : column + 5] == rules.WALL).tobytes()] = (row, column)
    assert len(plan) == 10 + 3 + 10  # each place has a look of its own

    def towards(row, column, goal_row, goal_column):
        if row > 2 and not 4 <= column <= 6:
            return EAST if column < 4 else WEST
        if row > 2 or column == goal_column:
            return SOUTH if goal_row > row else NORTH
        return EAST if goal_column > column else WEST

    def react(crop):
        place = plan.get((crop == rules.WALL).tobytes())
        if place is None:
            return NORTH
        keys = np.argwhere(crop == rules.KEY)
        goal = keys[0] + place - 2 if len(keys) else (2, 5)
        return towards(*place, *goal)

    env = make_vector_env("key-to-door", 200, seed=5, delay=2)
    results = successes(env, lambda observations: np.array([react(crop) for crop in observations]), 5)
    assert results.mean() == KeyToDoor.card().memoryless == 1.0


def test_active_match_can_be_seen_in_eight_steps():
    """From the lower room's corner, a walk of eight steps has every wall in view, as the docstring says."""
    walk = [(5, 3), (5, 4), (5, 5), (5, 6), (4, 6), (3, 6), (2, 6), (2, 5), (2, 4)]
    seen = {(r + i, c + j) for r, c in walk for i in range(-2, 3) for j in range(-2, 3)}
    assert {tuple(wall) for wall in rules.ROOM_WALLS.tolist()} <= seen


@pytest.mark.parametrize("task", TASKS)
def test_card_and_options(task):
    """Span and length follow the delay; values out of range are refused by both doors."""
    card = ENVS[task].card(delay=250)
    assert (card.span, card.episode_length) == (251, 280)
    assert card.kind == ("credit" if task == "key-to-door" else "memory")
    for option, message in [
        ({"delay": 0}, "delay must be at least 1, got 0"),
        ({"apple_reward": float("inf")}, "apple_reward must be a finite number, got inf"),
    ]:
        for refuse in (lambda o: make_vector_env(task, 2, **o), lambda o: ENVS[task].card(**o)):
            with pytest.raises(ValueError, match=rf"^{message}$"):
                refuse(option)


def test_default_is_the_published_task():
    """Without options: 120 actions, a span of 91, and codes in bytes."""
    assert PassiveMatch.card().episode_length == 120
    assert PassiveMatch.card().span == 91
    env = PassiveMatch(1)
    assert env.single_observation_space == MultiDiscrete(np.full((5, 5), 9), dtype=np.uint8)
