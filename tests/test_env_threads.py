"""Environments in shares of rows, stepped by threads."""

import threading

import numpy as np
import pytest
from counting import CountingEnv

from envs import make_vector_env
from envs.threads import Shares, split_rows


def test_rows_are_split_evenly():
    """Mutations: an empty part; a row left out."""
    assert split_rows(slice(3, 10), 2) == [slice(3, 6), slice(6, 10)]
    assert split_rows(slice(0, 2), 5) == [slice(0, 1), slice(1, 2)]
    assert split_rows(slice(4, 5), 1) == [slice(4, 5)]


@pytest.mark.parametrize(("num_groups", "num_threads"), [(1, 1), (2, 1), (2, 3)])
def test_shares_are_one_batch(num_groups, num_threads):
    """A task's rows do the same in shares as together, and so do their states.

    Mutations: every share from index 0; the state's parts in another order; actions of another group.
    """

    def make(first, count):
        return make_vector_env("tmaze", count, seed=4, first_index=first, length=3)

    N, generator = 7, np.random.default_rng(0)
    whole, shares = make(0, N), Shares(make, N, num_groups=num_groups, num_threads=num_threads)
    np.testing.assert_array_equal(shares.reset(), whole.reset()[0])
    for _ in range(20):
        actions = generator.integers(0, 4, N)
        expected = whole.step(actions)
        observations, rewards = np.zeros_like(expected[0]), np.zeros(N, np.float32)

        def take(rows, results, observations=observations, rewards=rewards):
            observations[rows], rewards[rows] = results[:2]
            return rows

        for group, rows in enumerate(shares.groups):
            shares.begin(group, actions, take)
            taken = shares.end(group)
            assert (taken[0].start, taken[-1].stop) == (rows.start, rows.stop)
        np.testing.assert_array_equal(observations, expected[0])
        np.testing.assert_array_equal(rewards, expected[1])
    state = shares.state_dict()
    for name, array in whole.state_dict().items():
        np.testing.assert_array_equal(state[name], array)
    other = Shares(make, N, num_groups=2, num_threads=2)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.state_dict()["rng"], state["rng"])
    with pytest.raises(ValueError, match="must be that of 7 environments"):
        other.load_state_dict({name: array[1:] for name, array in state.items()})
    shares.close()
    other.close()


def test_groups_are_stepped_while_the_caller_goes_on():
    """`begin` waits for nothing, and a group does not wait for the caller.

    Mutation: `begin` steps by itself.
    """
    go_on, names = threading.Event(), []
    shares = Shares(lambda first, count: CountingEnv([[3]] * count), 4, num_threads=2)
    shares.reset()

    def take(rows, results):
        names.append(threading.current_thread().name)
        assert go_on.wait(timeout=30)

    shares.begin(0, np.zeros(4, np.int64), take)
    go_on.set()
    shares.end(0)
    assert len(names) == 2
    assert all(name.startswith("envs") for name in names)
    shares.close()


def test_what_an_environment_raises_is_raised_by_end():
    """All shares have ended by then.

    Mutation: the error left in its thread.
    """
    shares = Shares(lambda first, count: CountingEnv([[3]] * count), 4, num_threads=2)
    shares.reset()
    done = []

    def take(rows, results):
        done.append(rows)
        raise RuntimeError(f"row {rows.start}")

    shares.begin(1, np.zeros(4, np.int64), take)
    with pytest.raises(RuntimeError, match="row 2"):
        shares.end(1)
    assert len(done) == 2
    shares.close()
