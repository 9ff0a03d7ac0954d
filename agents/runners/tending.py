"""Ray's actors, each tended by a coroutine: one that dies, fails, hangs or loses its machine is replaced.

The coroutines live in a thread beside the learner, so that no actor waits until it has time. An actor is
asked for its next unroll when it has handed over the last one, with the weights that are the newest then.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from agents.runners.batching import choose
from agents.runners.failures import ActorFailure, Failures, Limits
from agents.runners.member import LOST, End, Member, essence
from agents.runners.remote import Unroll

REPORT_S = 5.0
"""How often it may be told how many actors run."""

REMIND_S = 60.0
"""How often it is told that none runs."""

ROOM_S = 1800.0
"""How long none may run: a machine that is being rented is there long before."""

PATIENCE_S = 5.0
"""What actors have to close their environments before they are ended."""

AGAIN_S = 1.0
"""Between two attempts to place an actor whose machine was lost before it ran."""


class RayActors:
    """All the actors of a run, wherever they are."""

    def __init__(
        self,
        make_actor: Callable[[int, int], Any],
        limits: Limits,
        *,
        names: Sequence[Callable[[int], str]],
        generation: int,
        num_granted: int,
        weights: tuple[int, Any],
    ):
        """Asks Ray for all actors at once: an autoscaler then sees what is lacking.

        Args:
            make_actor: actor and generation -> handle of the actor that Ray is to start.
            limits: what is too long and what is too often.
            names: for each actor, generation -> its name and what it works on.
            generation: of the first ones; that of each replacement is one more.
            num_granted: unrolls that may be begun and not yet learnt from.
            weights: version and reference of the first.
        """
        self._make_actor, self._names = make_actor, names
        self._deadline_s, self._failures = limits.deadline_s, Failures(limits.max_failures)
        self.changed = threading.Condition()
        """Held to look at what unrolls there are; notified when one comes, or the run has to end."""
        self.failure: BaseException | None = None
        self._ready: list[tuple[int, Unroll]] = []  # actor and unroll, in the order of their coming
        self._under_way: dict[int, int] = {}  # actor -> version of its weights
        self._weights = weights

        self.lines: deque[str] = deque()
        """For the user."""
        self.num_running = self.num_replaced = self.num_dropped = 0  # the last: episodes
        self.seconds = [0.0, 0.0]
        """Of all actors: in environments, and in unrolls as a whole."""
        self.generations = [generation] * len(names)
        self._has_any_handed = False
        self._lost_nodes: set[str] = set()
        self._members = [self._start(index) for index in range(len(names))]
        self._loop = asyncio.new_event_loop()
        self._grants, self._leaving = asyncio.Semaphore(num_granted), asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="actors", daemon=True)
        self._thread.start()

    def publish(self, version: int, reference: Any) -> None:
        """Lets unrolls that are begun from now on have these weights."""
        with self.changed:
            self._weights = version, reference

    def grant(self, count: int) -> None:
        """Lets so many more unrolls begin."""
        with suppress(RuntimeError):  # the loop has ended, and `failure` says why
            self._loop.call_soon_threadsafe(self._release, count)

    def _release(self, count: int) -> None:
        for _ in range(count):
            self._grants.release()

    def collect(self, size: int, max_lag: int) -> list[Unroll] | None:
        """The next batch's unrolls, by number of the actor; None: there is none yet. `changed` is held."""
        versions = [unroll.version for _, unroll in self._ready]
        under_way, version = list(self._under_way.values()), self._weights[0]
        chosen = choose(versions, under_way, size=size, version=version, max_lag=max_lag)
        if chosen is None:
            return None
        batch = sorted((self._ready[position] for position in chosen), key=lambda item: item[0])
        for position in sorted(chosen, reverse=True):
            del self._ready[position]
        return [unroll for _, unroll in batch]

    def _start(self, index: int) -> Member:
        generation = self.generations[index]
        return Member(self._make_actor(index, generation), self._names[index](generation), self._deadline_s)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._tend_all())
        except BaseException as error:
            with self.changed:
                self.failure = error
                self.changed.notify_all()

    async def _tend_all(self) -> None:
        """Tends until the crew is to leave, or one of the tasks fails; the loop's end cancels the others."""
        tending = [self._tend(index) for index in range(len(self._members))]
        tasks = [asyncio.ensure_future(task) for task in (*tending, self._report(), self._leaving.wait())]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _report(self) -> None:
        """Tells how many actors run, when that has changed, and again and again while none does.

        Raises:
            ActorFailure: none has run for too long.
        """
        told, told_at = len(self._members), 0.0
        ran_at = time.monotonic()
        while True:
            await asyncio.sleep(REPORT_S)
            now, running = time.monotonic(), self.num_running
            ran_at = now if running else ran_at
            if running == told and (running or now - told_at < REMIND_S):
                continue
            told, told_at = running, now
            cores = await self._loop.run_in_executor(None, count_cores)
            if now - ran_at > ROOM_S:
                raise ActorFailure(
                    f"no actor has run for {ROOM_S / 60:g} minutes, as each needs a core; {cores}"
                )
            self.lines.append(f"{told} of {len(self._members)} actors run; {cores}")

    async def _tend(self, index: int) -> None:
        """One place in the crew: an actor and, after its end, the next one.

        Raises:
            ActorFailure: actors failed too often.
        """
        import ray

        while True:
            member = self._members[index]
            end = await member.arrive()
            if end is None:
                self.num_running += 1
                end = await self._serve(index, member)
                self.num_running -= 1
            with suppress(ray.exceptions.RayError):
                ray.kill(member.handle)
            if member.place is None and end.reason == LOST:
                await asyncio.sleep(AGAIN_S)  # it has done nothing that could have failed
            else:
                self._account(index, member, end)
            self._members[index] = self._start(index)

    async def _serve(self, index: int, member: Member) -> End:
        """Lets an actor make unrolls until it ends; says how."""
        while True:
            await self._grants.acquire()
            with self.changed:
                version, weights = self._weights
                self._under_way[index] = version
            made = await member.unroll(weights, version)
            with self.changed:
                del self._under_way[index]
                if isinstance(made, Unroll):
                    self._ready.append((index, made))
                    self.changed.notify_all()
            if not isinstance(made, Unroll):
                self._grants.release()
                return made if isinstance(made, End) else await member.explain(made)
            self._has_any_handed = True
            self.seconds = [self.seconds[0] + made.env_s, self.seconds[1] + made.unroll_s]

    def _account(self, index: int, member: Member, end: End) -> None:
        """Tells the end of an actor, and counts it; that of a machine counts once, for all actors on it.

        Raises:
            ActorFailure: that happened too often.
        """
        dropped = member.num_begun - member.num_delivered
        self.num_dropped += dropped
        line, node = f"{member.name} {end.reason}", None
        if member.place is not None:
            line = f"{member.name} on {member.place.address} {end.reason}"
            node = member.place.node if end.reason == LOST else None
        if node in self._lost_nodes:
            count = "counted with the others there"
        else:
            count = self._failures.count(line, fruitless=not self._has_any_handed)
        if node is not None:
            self._lost_nodes.add(node)
        self.lines.append(f"{line}; to be replaced, {dropped} unfinished episodes dropped; {count}")
        self.lines.extend("    " + row for row in end.details.splitlines())
        self.num_replaced += 1
        self.generations[index] += 1

    def close(self) -> None:
        """Lets the actors close their environments, and ends them; nobody is replaced any more."""
        import ray

        with suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._leaving.set)
        self._thread.join(PATIENCE_S)
        with suppress(ray.exceptions.RayError):
            leaving = [member.handle.leave.remote() for member in self._members if member.place is not None]
            ray.wait(leaving, num_returns=len(leaving), timeout=PATIENCE_S)
        for member in self._members:
            with suppress(ray.exceptions.RayError):
                ray.kill(member.handle)


def count_cores() -> str:
    """What the cluster has, for the user."""
    import ray

    try:
        most, free = (
            resources().get("CPU", 0) for resources in (ray.cluster_resources, ray.available_resources)
        )
    except ray.exceptions.RayError as error:
        return f"the cluster does not say what it has: {essence(error)}"
    return f"the cluster has {most:g} processor cores, {free:g} of them free"
