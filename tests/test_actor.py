"""The hand-over between environment, network and unrolls, proven by environments and cores that count."""

import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch
from counting import RESET_REWARD, CountingEnv, counting_network
from gymnasium import spaces

from agents.actor import Actor, make_envs
from agents.checkpoint import load_checkpoint, save_checkpoint
from agents.config import Config
from agents.network import make_network
from agents.trajectory import Episodes, Inputs, Trajectory

T, B, A, H = 5, 3, 4, 6
LENGTHS = [[3, 4, 2], [4, 1, 6, 1, 1], [9, 2, 3]]
NUM_UNROLLS = 7
SCALE = 0.5
CORES = ("lstm", "chrono", "ur-lstm", "on-lstm", "memoryless")


@pytest.fixture(scope="module")
def history():
    """Seven unrolls on end, and the environment with its own record of what happened."""
    envs = CountingEnv(LENGTHS, A)
    actor = Actor(envs, counting_network(A), seed=3, reward_scale=SCALE)
    actor.version = 11
    buffers = actor.allocate(T)
    return [copy.deepcopy(actor.unroll(buffers)) for _ in range(NUM_UNROLLS)], envs, actor


def rows_of(envs, b):
    """All rows of an environment by its own record: what the actor should have written down."""
    rows = []
    for k, (observation, reset) in enumerate(envs.rows[b]):
        action, reward = (0, 0.0) if reset else envs.steps[b][k - 1][:2]
        one_hot = [float(a == action and not reset) for a in range(A)]
        core_input = np.array([*observation, *one_hot, SCALE * reward])
        rows.append((observation, reset, action, SCALE * reward, core_input))
    return rows


def test_the_record_has_every_case(history):
    """The test's own ground: episodes begin, end and are as short as one step at each place of an unroll."""
    _, envs, _ = history
    places = {k % T for b in range(B) for k, (_, reset) in enumerate(envs.rows[b]) if reset}
    assert places == set(range(T))
    ends = {step[2:] for b in range(B) for step in envs.steps[b]}
    running, resetting = (False, False, True), (False, False, False)
    assert ends == {running, resetting, (True, False, True), (False, True, True)}


def test_rows(history):
    """Observation, reset, previous action and previous reward of each row are the environment's.

    Mutations: the reset one row early or late; the previous action or reward kept at a reset; the reward
    unscaled; row T not handed on.
    """
    unrolls, envs, _ = history
    for b in range(B):
        expected = rows_of(envs, b)
        for n, unroll in enumerate(unrolls):
            inputs = unroll.inputs
            for t in range(T + 1):
                observation, reset, action, reward, _ = expected[n * T + t]
                assert inputs.observations[t, b].tolist() == observation
                assert inputs.resets[t, b].item() == reset
                assert inputs.prev_actions[t, b].item() == action
                assert inputs.prev_rewards[t, b].item() == reward


def test_transitions(history):
    """Action, reward, termination and validity of each step are the environment's; nothing is clipped.

    The step at a final observation only resets: it is marked, whatever action was drawn and whatever it paid.

    Mutations: truncated stored as terminated; valid shifted by a row; rewards clipped to [-1, 1].
    """
    unrolls, envs, _ = history
    ignored = set()
    for b in range(B):
        for n, unroll in enumerate(unrolls):
            for t in range(T):
                action, reward, terminated, _, valid = envs.steps[b][n * T + t]
                assert unroll.actions[t, b].item() == action
                assert unroll.rewards[t, b].item() == SCALE * reward
                assert unroll.terminated[t, b].item() == terminated
                assert unroll.valid[t, b].item() == valid
                if not valid:
                    ignored.add(action)
    assert len(ignored) > 1  # actions were drawn there all the same


def test_row_t_is_row_0_of_the_next_unroll(history):
    """Mutation: the row before it handed on."""
    unrolls, _, _ = history
    for unroll, following in itertools.pairwise(unrolls):
        for last, first in zip(unroll.inputs.row(T), following.inputs.row(0), strict=True):
            assert torch.equal(last, first)


def test_core_state_at_the_start_of_each_unroll(history):
    """It is what the rows so far give: their number since the last reset, and the sum of their inputs.

    A previous action that were action 0 at a reset, and not none, would be counted in the sum.

    Mutations: the state stored after the unroll; the state not reset, or reset at every unroll; prev_actions
    not blanked at a reset.
    """
    unrolls, envs, _ = history
    for b in range(B):
        count, total = 0, np.zeros(3 + A + 1)
        for k, (_, reset, _, _, core_input) in enumerate(rows_of(envs, b)[:-1]):
            if k % T == 0:
                stored_count, stored_total = unrolls[k // T].core_state
                assert stored_count[b].tolist() == [count]
                np.testing.assert_array_equal(stored_total[b], total)
            if reset:
                count, total = 0, np.zeros(3 + A + 1)
            count, total = count + 1, total + core_input


def test_behaviour_logits_are_those_of_the_rows(history):
    """The network unrolled from the stored state over the stored rows gives the logits that acted.

    Mutation: logits stored a row late.
    """
    unrolls, _, actor = history
    for unroll in unrolls:
        with torch.no_grad():
            logits, *_ = actor.network(unroll.inputs, unroll.core_state)
        torch.testing.assert_close(logits[:-1], unroll.behaviour_logits, rtol=1e-5, atol=1e-5)
        assert logits.std(0).min() > 1e-3


@pytest.mark.parametrize("context", [2, T])
def test_context_is_what_came_before(history, context):
    """Its rows are those before the unroll, its state that before the first of them; all else is as ever.

    Before the first unroll there is nothing: rows that begin an episode each, so that the state starts anew.

    Mutations: the context one row early or late; the core state that of the unroll's own start; the state of
    an unroll ago where the context is as long as an unroll.
    """
    plain, envs, _ = history
    actor = Actor(
        CountingEnv(LENGTHS, A), counting_network(A), seed=3, reward_scale=SCALE, context_length=context
    )
    buffers = actor.allocate(T)
    unrolls = [copy.deepcopy(actor.unroll(buffers)) for _ in range(NUM_UNROLLS)]
    for n, (unroll, same) in enumerate(zip(unrolls, plain, strict=True)):
        assert unroll.context_length == context
        assert_same_unroll(
            dataclasses.replace(unroll, inputs=Inputs(*(field[context:] for field in unroll.inputs))),
            dataclasses.replace(same, core_state=unroll.core_state, version=0),
        )
        with torch.no_grad():
            logits, *_ = actor.network(unroll.inputs, unroll.core_state)
        torch.testing.assert_close(logits[context:-1], unroll.behaviour_logits, rtol=1e-5, atol=1e-5)
        for b in range(B):
            expected = rows_of(envs, b)
            for k in range(context):
                row = expected[max(0, n * T - context + k)]
                assert unroll.inputs.observations[k, b].tolist() == row[0]
                assert unroll.inputs.resets[k, b].item() == row[1]
            start = n * T - context
            seen = start - max(k for k in range(start) if expected[k][1]) if n and start else 0
            assert unroll.core_state[0][b].item() == seen  # rows of its episode before the context


def test_an_unroll_is_no_shorter_than_its_context():
    """Mutation: the check left out, and the state before the context that of an unroll ago."""
    actor = Actor(CountingEnv(LENGTHS, A), counting_network(A), seed=3, context_length=T + 1)
    with pytest.raises(ValueError, match=f"an unroll of {T} steps is shorter than its context"):
        actor.allocate(T)


def test_counts_and_episodes(history):
    """Env steps are the transitions alone; episodes are told once, unscaled, in the order of their ends.

    Mutations: num_steps = T * B; returns scaled; entries of environments that did not end taken in.
    """
    unrolls, envs, _ = history
    for n, unroll in enumerate(unrolls):
        expected = []
        for k in range(n * T, (n + 1) * T):
            for b in range(B):
                _, _, terminated, truncated, _ = envs.steps[b][k]
                if terminated or truncated:
                    (_, episode, length), _ = envs.rows[b][k + 1]
                    rewards = [step[1] for step in envs.steps[b][k + 1 - int(length) : k + 1]]
                    assert RESET_REWARD not in rewards
                    expected.append((sum(rewards), length, episode % 2, b))
        assert list(zip(*(field.tolist() for field in unroll.episodes), strict=True)) == expected
        assert unroll.num_steps == sum(envs.steps[b][n * T + t][4] for b in range(B) for t in range(T))
        assert unroll.version == 11
    assert sum(unroll.num_steps for unroll in unrolls) < NUM_UNROLLS * T * B


def test_actions_follow_the_logits():
    """Actions are drawn by the softmax of the logits: 42 000 draws within four standard deviations.

    Mutations: the sign of the noise; argmax of the logits alone; the noise of one step for all.
    """
    network, logits, n = counting_network(A), torch.tensor([1.0, -1.0, 0.0, 2.0]), 14_000
    with torch.no_grad():
        network.policy.weight.zero_()
        network.policy.bias.copy_(logits)
    actor = Actor(CountingEnv(LENGTHS, A), network, seed=0)
    counts = torch.bincount(actor.unroll(actor.allocate(n)).actions.flatten(), minlength=A)
    expected, draws = logits.softmax(0), n * B
    assert ((counts / draws - expected).abs() < 4 * (expected * (1 - expected) / draws).sqrt()).all()


def test_the_seed_decides_the_actions_and_nothing_else_does():
    """Mutation: actions drawn from torch's global generator."""

    def actions(seed, global_seed):
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        actor = Actor(CountingEnv(LENGTHS, A), network, seed=seed)
        drawn = actor.unroll(actor.allocate(17)).actions.tolist()
        assert torch.equal(before, torch.get_rng_state())
        return drawn

    network = counting_network(A)
    assert actions(1, 0) == actions(1, 5)
    assert actions(1, 0) != actions(2, 0)


def assert_same_unroll(one, other):
    """Compares all that an unroll holds, bit for bit."""
    for field, twin in zip((*one.inputs, *one.core_state), (*other.inputs, *other.core_state), strict=True):
        assert torch.equal(field, twin)
    for name in ("actions", "behaviour_logits", "rewards", "terminated", "valid"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    for field, twin in zip(one.episodes, other.episodes, strict=True):
        np.testing.assert_array_equal(field, twin)
    assert one.num_steps == other.num_steps


def native_actor(core, seed=7):
    """An actor in short T-mazes whose policy is far from uniform."""
    config = Config(
        env="tmaze", env_opt=("length=2",), core=core, hidden_size=H, encoder_size=7, num_envs=B, seed=seed
    )
    envs = make_envs(config, B, seed)
    network = make_network(config, envs.single_observation_space, int(envs.single_action_space.n))
    with torch.no_grad():
        network.policy.weight.normal_(0, 1, generator=torch.Generator().manual_seed(0))
    return Actor(envs, network, seed=seed)


@pytest.mark.parametrize("make", [*CORES, "counting", "context"])
def test_state_goes_through_a_checkpoint(make, tmp_path):
    """An actor that is given a state, by way of a file, acts on bit for bit as the one that told it.

    Mutations: the generator, the core state, the row, the context, the state before it, or who has ended not
    restored.
    """

    def new_actor(seed):
        if make in ("counting", "context"):
            context = 3 if make == "context" else 0
            return Actor(
                CountingEnv(LENGTHS, A),
                counting_network(A),
                seed=seed,
                reward_scale=SCALE,
                context_length=context,
            )
        return native_actor(make, seed)

    actor = new_actor(7)
    buffers = actor.allocate(T)
    for n in range(4):  # so that the cut falls on all kinds of rows
        actor.unroll(buffers)
        save_checkpoint(tmp_path / str(n), actor.state_dict(), 0)
        following = copy.deepcopy(actor.unroll(buffers))
        other = new_actor(8)
        other.network.load_state_dict(actor.network.state_dict())
        other.unroll(other.allocate(T + n))
        assert other.load_state_dict(load_checkpoint(tmp_path / str(n))[0])
        assert_same_unroll(following, other.unroll(other.allocate(T)))


def test_a_state_is_a_snapshot():
    """Mutation: the row without a copy of its own."""
    actor = native_actor("lstm")
    buffers = actor.allocate(T)
    actor.unroll(buffers)
    state = actor.state_dict()
    told = copy.deepcopy(state)
    following = copy.deepcopy(actor.unroll(buffers))
    torch.testing.assert_close(state["row"], told["row"], rtol=0, atol=0)
    assert actor.load_state_dict(state)
    assert_same_unroll(following, actor.unroll(buffers))


def test_environments_that_cannot_tell_their_state():
    """Their episodes begin anew: the actor says so, and stands on first rows with the initial state.

    Mutation: the old row and core state restored beside new environments.
    """
    config = Config(env="CartPole-v1", core="lstm", hidden_size=H, encoder_size=7)

    def new_actor():
        envs = make_envs(config, B, 0)
        return Actor(envs, make_network(config, envs.single_observation_space, 2), seed=0)

    actor = new_actor()
    actor.unroll(actor.allocate(T))
    state = actor.state_dict()
    assert "envs" not in state
    other = new_actor()
    assert other.load_state_dict(state) is False
    assert torch.equal(other.generator.get_state(), actor.generator.get_state())
    unroll = other.unroll(other.allocate(T))
    assert unroll.inputs.resets[0].all()
    assert not any(tensor.any() for tensor in unroll.core_state)
    actor.envs.close()
    other.envs.close()


@pytest.mark.parametrize(
    ("space", "dtype"),
    [
        (spaces.Box(0, 255, (4, 5, 3), np.uint8), torch.uint8),
        (spaces.Box(-1, 1, (7,), np.float32), torch.float32),
        (spaces.MultiDiscrete([3, 4]), torch.int64),
    ],
)
def test_buffers(space, dtype):
    """Mutation: T rows of inputs in place of T+1; observations always as float32."""
    unroll = Trajectory.allocate(T, B, space, A, pin=False)
    assert unroll.inputs.observations.shape == (T + 1, B, *space.shape)
    assert unroll.inputs.observations.dtype == dtype
    assert [x.shape for x in unroll.inputs[1:]] == [(T + 1, B)] * 3
    assert [x.dtype for x in unroll.inputs[1:]] == [torch.bool, torch.int64, torch.float32]
    assert unroll.behaviour_logits.shape == (T, B, A)
    assert unroll.actions.shape == unroll.rewards.shape == unroll.terminated.shape == (T, B)
    assert unroll.valid.shape == (T, B)


def test_moving_an_unroll():
    """All tensors go, all else stays; to where they are already, nothing is copied.

    Mutation: any tensor left behind.
    """
    actor = Actor(CountingEnv(LENGTHS, A), counting_network(A), seed=3)
    unroll = actor.unroll(actor.allocate(T))
    there = unroll.to(torch.device("meta"))
    tensors = [*there.inputs, *there.core_state, there.actions, there.behaviour_logits]
    tensors += [there.rewards, there.terminated, there.valid]
    assert all(tensor.device.type == "meta" for tensor in tensors)
    assert there.episodes is unroll.episodes
    assert (there.version, there.num_steps) == (unroll.version, unroll.num_steps)
    here = unroll.to(torch.device("cpu"))
    assert all(x.data_ptr() == y.data_ptr() for x, y in zip(here.inputs, unroll.inputs, strict=True))
    assert isinstance(there.inputs, Inputs)


def test_no_episodes():
    """Mutation: an error, or other dtypes, when none ended."""
    none = Episodes.concatenate([])
    assert [(len(field), field.dtype) for field in none] == [
        (0, np.float32),
        (0, np.int32),
        (0, np.float32),
        (0, np.int64),
    ]
    one = Episodes(np.float32([2]), np.int32([3]), np.float32([np.nan]), np.int64([1]))
    both = Episodes.concatenate([none, one, one])
    assert both.lengths.tolist() == [3, 3]
    assert [field.dtype for field in both] == [field.dtype for field in one]
