"""Actors tended without a cluster: what is told where there is no room, how it ends, and who has ended."""

import asyncio
import time
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
import ray

from agents.runners import member, tending
from agents.runners.failures import ActorFailure, Limits
from agents.runners.member import LOST, Member
from agents.runners.remote import Place
from agents.runners.tending import RayActors

GONE = ray.exceptions.RayActorError()

CORES = "the cluster has 2 processor cores, 0 of them free"


class Handle:
    """Of an actor that answers some of what it is asked, and never the rest."""

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    def __getattr__(self, name):
        def remote(*_):
            self.asked.append(name)
            future = Future()
            answer = self.answers.get(name)
            if isinstance(answer, Exception):
                future.set_exception(answer)
            elif answer is not None:
                future.set_result(answer)
            return SimpleNamespace(future=lambda: future)

        return SimpleNamespace(remote=remote)


@pytest.fixture
def killed(monkeypatch):
    """The handles of actors that were ended."""
    killed = []
    monkeypatch.setattr(ray, "kill", killed.append)
    monkeypatch.setattr(ray, "wait", lambda *_, **__: None)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    monkeypatch.setattr(ray, "available_resources", dict)
    monkeypatch.setattr(tending, "REPORT_S", 0.01)
    return killed


def make_crew(handles):
    return RayActors(
        lambda index, _: handles[index],
        Limits(0.05, 5),
        names=[str] * len(handles),
        generation=0,
        num_granted=0,
        weights=(0, None),
    )


def wait_for(event, limit_s=20.0):
    until = time.monotonic() + limit_s
    while not event():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_where_there_is_no_room(killed, monkeypatch):
    """It is told again and again, and in the end the run ends.

    Mutations: told once; waited for ever.
    """
    monkeypatch.setattr(tending, "REMIND_S", 0.05)
    crew = make_crew([Handle(), Handle()])
    said = f"0 of 2 actors run; {CORES}"
    wait_for(lambda: crew.lines.count(said) == 2)
    assert crew.failure is None
    monkeypatch.setattr(tending, "ROOM_S", 0.0)
    wait_for(lambda: crew.failure is not None)
    assert isinstance(crew.failure, ActorFailure)
    assert str(crew.failure).endswith(f" minutes, as each needs a core; {CORES}")
    assert set(crew.lines) == {said}
    crew.close()
    assert len(killed) == 2


def test_one_that_runs_is_enough(killed, monkeypatch):
    """The time that none has run is counted from when the last one ended.

    Mutation: counted from the start of the run.
    """
    monkeypatch.setattr(tending, "ROOM_S", 1.0)
    monkeypatch.setattr(tending, "REMIND_S", 0.05)
    crew = make_crew([Handle(whereabouts=Place("here", "node")), Handle()])
    wait_for(lambda: crew.lines and crew.lines[-1] == f"1 of 2 actors run; {CORES}")
    time.sleep(1.5)
    assert crew.failure is None
    crew.lines.clear()
    crew.num_running = 0
    wait_for(lambda: crew.failure is not None)
    assert set(crew.lines) == {f"0 of 2 actors run; {CORES}"}
    crew.close()


def test_nobody_is_replaced_once_it_has_ended(killed, monkeypatch):
    """All are ended and the thread is gone, whatever each was about to do.

    Mutation: `close` while the thread goes on, which then starts an actor that nobody ends.
    """
    lost = RuntimeError("its node has died")
    crew = make_crew([Handle(whereabouts=lost), Handle(whereabouts=Place("here", "node")), Handle()])
    wait_for(lambda: killed)
    started = []
    monkeypatch.setattr(crew, "_make_actor", lambda *_: started.append(1) or Handle())
    crew.close()
    assert not crew._thread.is_alive()
    time.sleep(1.5 * tending.AGAIN_S)
    assert (started, crew.failure) == ([], None)
    assert {member.handle for member in crew._members} <= set(killed)


def test_who_has_ended_does_not_hang(monkeypatch):
    """Ray may say it of the question that is asked beside an unroll before it says it of the unroll.

    Mutation: taken for an actor that gives no sign of life.
    """
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeID": "node", "Alive": False}])

    async def see(handle):
        actor = Member(handle, "it", deadline_s=0.05)
        await actor.arrive()
        made = await actor.unroll(None, 0)
        return await actor.explain(made) if isinstance(made, Exception) else made

    place = Place("here", "node")
    assert asyncio.run(see(Handle(whereabouts=place, look=GONE))) == member.End(LOST)
    silent = asyncio.run(see(Handle(whereabouts=place)))
    assert silent.reason == "hangs: it has given no sign of life for 0.1 s"
