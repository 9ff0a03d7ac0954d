"""Checks of what callers pass in: what they let through, and one line for the rest."""

import numpy as np
import pytest

from envs.checks import check_options, checked_actions, finite_number, nearest, whole_number


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.int8])
def test_actions_of_any_integer_dtype(dtype):
    """Every integer dtype becomes the kernel's."""
    actions = checked_actions(np.array([0, 3, 2], dtype), 3, 4)
    assert actions.dtype == np.int64
    assert actions.tolist() == [0, 3, 2]


def test_actions_need_no_array_and_no_contiguity():
    """Lists and strided arrays will do."""
    assert checked_actions([1, 0], 2, 2).tolist() == [1, 0]
    assert checked_actions(np.arange(6)[::2], 3, 5).tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.array([0, 4, 1]), "actions must lie in 0 … 3, got 0 … 4"),
        (np.array([0, -1, 1]), "actions must lie in 0 … 3, got -1 … 1"),
        (np.array([0.0, 1.0, 1.0]), "actions must be integers of shape (3,), got float64 of shape (3,)"),
        (np.array([True, False, True]), "actions must be integers of shape (3,), got bool of shape (3,)"),
        (np.array([[0, 1, 2]]), "actions must be integers of shape (3,), got int64 of shape (1, 3)"),
        (np.array([0, 1]), "actions must be integers of shape (3,), got int64 of shape (2,)"),
    ],
)
def test_wrong_actions(actions, message):
    """Out of range, a kernel without bounds checks would read another environment's memory.

    Mutation: the comparison made on signed numbers (-1 passes), or with > (4 passes).
    """
    with pytest.raises(ValueError) as error:  # noqa: PT011 - compared in full below
        checked_actions(actions, 3, 4)
    assert str(error.value) == message


def test_numbers():
    """Whole and finite numbers pass, of NumPy too; all else is refused in one line."""
    assert whole_number("n", np.int32(3), 1) == 3
    assert finite_number("r", np.float32(0.5)) == 0.5
    for value, message in [(0, "n must be at least 1, got 0"), (2.0, "n must be a whole number, got 2.0")]:
        with pytest.raises(ValueError, match=rf"^{message}$"):
            whole_number("n", value, 1)
    assert whole_number("n", 4, 1, 4) == 4
    with pytest.raises(ValueError, match=r"^n must be at most 4, got 5$"):
        whole_number("n", 5, 1, 4)
    with pytest.raises(ValueError, match=r"^n must be at most 1000000000000000, got 9223372036854775807$"):
        whole_number("n", 2**63 - 1, 1)
    with pytest.raises(ValueError, match=r"^r must be a finite number, got one of 401 digits$"):
        finite_number("r", 10**400)
    for value in (float("nan"), float("inf"), "1"):
        with pytest.raises(ValueError, match=r"^r must be a finite number, got "):
            finite_number("r", value)


def test_nearest_names():
    """Case does not count; when nothing is near, the other words are used."""
    assert nearest("TMAZ", ["tmaze", "memory-len"]) == "; did you mean tmaze?"
    assert nearest("xyz", ["tmaze"], "; none") == "; none"


def test_unknown_options():
    """The message names the nearest option, or all."""
    check_options("tmaze", {"length": 3}, {"length", "copy"})
    with pytest.raises(ValueError, match=r"^tmaze has no option 'lenght'; did you mean length\?$"):
        check_options("tmaze", {"lenght": 3}, {"length", "copy"})
    with pytest.raises(ValueError, match=r"^tmaze has no option 'zzz'; its options are copy, length$"):
        check_options("tmaze", {"zzz": 3}, {"length", "copy"})
