"""What waits for its point, and the last episodes, across a checkpoint too."""

import numpy as np
import pytest
import torch

from agents.checkpoint import load_checkpoint, save_checkpoint
from agents.gathered import Gathered
from agents.trajectory import Episodes

CPU = torch.device("cpu")


def episodes(*successes, first=0):
    """Episodes with these successes, and returns that count from `first`."""
    count = len(successes)
    returns, lengths = np.arange(first, first + count, dtype=np.float32), np.full(count, 4, np.int32)
    return Episodes(returns, lengths, np.float32(successes), np.arange(count))


def update(number):
    return {"b": torch.tensor(0.1 + number), "a": 0.2 + number}


def test_figures_of_the_last_hundred():
    """Mutations: all episodes; the first hundred; NaN in the mean."""
    gathered = Gathered()
    assert gathered.figures() == {"episodes": 0}
    nan = float("nan")
    gathered.add(update(0), episodes(nan, nan))
    assert gathered.figures() == {"episodes": 2, "return": 0.5}
    gathered.add(update(0), episodes(*[0] * 70))
    gathered.clear()
    gathered.add(update(0), episodes(*[1] * 50, first=70))
    assert gathered.figures() == {"episodes": 100, "success": 0.5, "return": np.mean([*range(20, 120)])}


def test_it_goes_through_a_checkpoint(tmp_path):
    """To the bit, in the order of its names, each value of its kind.

    Mutations: numbers kept in single precision; tensors and numbers mixed up; the window left out.
    """
    gathered, other = Gathered(), Gathered()
    for number in range(3):
        gathered.add(update(number), episodes(1, 0, float("nan")))
    save_checkpoint(tmp_path, {"gathered": gathered.state_dict()}, 1)
    other.add(update(9), episodes(1))
    other.load_state_dict(load_checkpoint(tmp_path)[0]["gathered"], CPU)
    assert [list(row) for row in other.updates] == [["b", "a"]] * 3
    assert other.updates == gathered.updates
    assert {value.dtype for row in other.updates for value in row.values() if torch.is_tensor(value)} == {
        torch.float32
    }
    for one, two in (
        (gathered.recent, other.recent),
        (Episodes.concatenate(gathered.episodes), other.episodes[0]),
    ):
        for own, new in zip(one, two, strict=True):
            np.testing.assert_array_equal(own, new)
            assert own.dtype == new.dtype
    other.add(update(4), episodes(0))  # it goes on
    other.load_state_dict({}, CPU)
    assert (other.updates, other.episodes, len(other.recent.returns)) == ([], [], 0)


def test_a_state_that_is_none():
    """Mutation: fields of other lengths or kinds taken."""
    gathered = Gathered()
    gathered.add(update(0), episodes(1, 0))
    for field, value in (
        ("lengths", torch.zeros(3)),
        ("returns", torch.zeros(2, 1)),
        ("envs", torch.zeros(2)),
    ):
        state = gathered.state_dict()
        state["updates"] = torch.as_tensor(state["updates"])
        state["recent"] = {**state["recent"], field: value}
        with pytest.raises(ValueError, match="not whole"):
            Gathered().load_state_dict(state, CPU)
