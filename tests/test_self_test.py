"""The self-test: ok here, and not where a resumed run differs or nothing is learnt."""

import dataclasses

from agents import self_test
from agents.runners.local import LocalRunner


def test_resume(monkeypatch):
    """Mutations: the run compared with itself; a resumed run that plays other episodes let pass."""
    assert self_test.resume().state == "ok"
    monkeypatch.setattr(LocalRunner, "load_state_dict", lambda runner, state: True)
    assert self_test.resume().state == "failed"


def test_actors():
    """Mutation: an actor of another seed."""
    assert self_test.actors().state == "ok"


def test_learning_that_fails(monkeypatch):
    """Mutation: any success taken for enough."""
    few = dataclasses.replace(self_test.LEARNING, total_steps=100)
    monkeypatch.setattr(self_test, "LEARNING", few)
    assert self_test.learning().state == "failed"


def test_learning():
    """Mutation: too few steps."""
    assert self_test.learning().state == "ok"
