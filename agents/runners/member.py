"""One of Ray's actors as the learner's side sees it: asked, watched, and explained when it has ended."""

import asyncio
import time
from contextlib import suppress
from typing import Any, NamedTuple

from agents.runners.failures import CALLS, patience_s
from agents.runners.remote import Failed, Place, Sign, Unroll

SECOND_LOOK_S = 1.0
"""After this an actor that seems to hang is looked at again."""

WORD_S = 60.0
"""How long Ray may take to find out what became of an actor that is out of reach."""

LOST = "was lost with its machine"


class End(NamedTuple):
    """How an actor ended, or why it has to."""

    reason: str
    details: str = ""


class Member:
    """One actor, and what was last heard of it."""

    def __init__(self, handle: Any, name: str, deadline_s: float):
        """Holds Ray's handle of an actor that may have yet to start.

        Args:
            handle: of a `RemoteActor`.
            name: for the user.
            deadline_s: seconds that a step of its environments may take.
        """
        self.handle, self.name, self._deadline_s = handle, name, deadline_s
        self.place: Place | None = None
        self.has_handed = False
        self.num_begun = self.num_delivered = 0  # episodes

    async def arrive(self) -> End | None:
        """Waits until the actor runs, however long its machine takes; how it ended if it never does."""
        try:
            self.place = await answer(self.handle.whereabouts.remote())
        except Exception as error:
            lost = "its node has died" in str(error)
            return End(LOST if lost else f"does not start: {essence(error)}")
        return None

    async def unroll(self, weights: Any, version: int) -> Unroll | End | Exception:
        """One unroll; or how the actor ended; or Ray's error, for `explain`."""
        try:
            coming = answer(self.handle.unroll.remote(weights, version))
            end = await self._watch(coming)
            if end is not None:
                return end
            made: Unroll | Failed | None = coming.result()
        except Exception as error:
            return error
        if isinstance(made, Failed):
            self.num_begun = made.num_begun
            return End(f"failed: {made.reason}", made.trace)
        if made is None:
            return End("left")
        self.has_handed, self.num_begun = True, made.num_begun
        self.num_delivered += len(made.episodes.returns)
        return made

    async def _watch(self, coming: asyncio.Future[Any]) -> End | None:
        """Waits for an unroll; how the actor hangs, if it does.

        Raises:
            RayError: it has ended, which Ray may say of one question before the other.
        """
        begun_at, wait_s = time.monotonic(), self._deadline_s
        while not (await asyncio.wait({coming}, timeout=wait_s))[0]:
            sign = await self._look()
            if coming.done():
                break
            if sign is None:
                return End(f"hangs: it has given no sign of life for {2 * self._deadline_s:g} s")
            self.num_begun = sign.num_begun
            patience = patience_s(self._deadline_s, sign.where, self.has_handed)
            silent_s = min(sign.silent_s, time.monotonic() - begun_at)
            wait_s = patience - silent_s
            if wait_s <= 0:
                # After Ctrl-Z or a closed lid the clock ran on, and an actor is spared that moves again.
                await asyncio.wait({coming}, timeout=SECOND_LOOK_S)
                again = await self._look()
                if not coming.done() and again is not None and again.beats == sign.beats:
                    return End(f"hangs for {patience:g} s, {CALLS[sign.where]}{sign.place}", sign.stack)
                wait_s = self._deadline_s
        return None

    async def _look(self) -> Sign | None:
        """What the actor is doing, or None if it does not say.

        Raises:
            RayError: it has ended.
        """
        coming = answer(self.handle.look.remote())
        await asyncio.wait({coming}, timeout=self._deadline_s)
        return coming.result() if coming.done() else None

    async def explain(self, error: Exception) -> End:
        """How the actor ended, from Ray's error; a machine's end is found out some time after its actors'."""
        import ray

        if isinstance(error, ray.exceptions.ActorUnavailableError):
            word = answer(self.handle.whereabouts.remote())
            await asyncio.wait({word}, timeout=WORD_S)
            if word.done() and (last := word.exception()) is not None:
                error = last  # type: ignore[assignment]
        nodes = await asyncio.get_running_loop().run_in_executor(None, ray.nodes)
        gone = {node["NodeID"] for node in nodes if not node["Alive"]}
        if self.place is not None and self.place.node in gone:
            return End(LOST)
        return End(f"died: {essence(error)}")


def answer(reference: Any) -> asyncio.Future[Any]:
    """What Ray will have for a reference, for a coroutine to wait for."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def settle(done: Any) -> None:
        if not future.done():
            if (error := done.exception()) is not None:
                future.set_exception(error)
                future.exception()  # seen, also where nobody waits any more
            else:
                future.set_result(done.result())

    def pass_on(done: Any) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, done)

    reference.future().add_done_callback(pass_on)
    return future


def essence(error: BaseException) -> str:
    """What an error of Ray's says, in one line: the last one, without all that it might be due to."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "never ran" not in line]
    last = lines[-1].partition(" Some common causes")[0] if lines else type(error).__name__
    return last.rpartition("Worker exit detail: ")[2]
