"""How failures are counted, and when there were too many."""

import pytest

from agents.runners import failures
from agents.runners.failures import ActorFailure, Failures, patience_s
from agents.runners.worker import IN_RESET, IN_STEP, OUTSIDE


def test_too_many_within_an_hour(monkeypatch):
    """The second within an hour is one too many; one of the hour before does not count.

    Mutations: failures counted for ever; a limit that is one too high.
    """
    now = [100.0]
    monkeypatch.setattr(failures.time, "monotonic", lambda: now[0])
    count = Failures(1)
    assert count.count("actor 1 died", fruitless=False) == "failure 1 of 1 in an hour"
    now[0] += failures.WINDOW_S + 1
    assert count.count("actor 2 died", fruitless=False) == "failure 1 of 1 in an hour"
    now[0] += failures.WINDOW_S - 1
    with pytest.raises(ActorFailure, match=r"^actor 3 died; more than 1 failures within an hour"):
        count.count("actor 3 died", fruitless=False)


def test_false_starts():
    """Mutation: the third false start borne, too; or failures after a first unroll taken for such."""
    count = Failures(100)
    for _ in range(5):
        count.count("actor 0 died", fruitless=False)
    count = Failures(100)
    for _ in range(2):
        count.count("actor 0 died", fruitless=True)
    with pytest.raises(ActorFailure, match="no actor gets to the end of its first unroll"):
        count.count("actor 0 died", fruitless=True)


@pytest.mark.parametrize(
    ("deadline_s", "where", "has_handed", "expected"),
    [
        (2.0, OUTSIDE, False, failures.START_S),
        (2.0, OUTSIDE, True, 2.0),
        (2.0, IN_RESET, False, 2.0),
        (2.0, IN_STEP, True, 2.0),
        (500.0, OUTSIDE, False, 500.0),
    ],
)
def test_patience(deadline_s, where, has_handed, expected):
    """Who is starting has more time. Mutation: reset() given that time."""
    assert patience_s(deadline_s, where, has_handed) == expected
