"""Actors in processes, watched: one that dies, fails or hangs is named, replaced and counted."""

import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection
from pathlib import Path

from agents.runners.arena import Arena, NamelessFile
from agents.runners.failures import CALLS, Failures, Limits, patience_s
from agents.runners.worker import STACK_SIGNAL, Job, work

SPAWN = multiprocessing.get_context("spawn")
"""Threads of torch and numba do not survive a fork."""

PATIENCE_S = 5.0
"""What actors have to end by themselves before they are ended."""

STACK_S = 1.0
"""How long an actor that seems to hang is waited for to write its stack."""


class ActorProcess:
    """One process, and what was last seen of it."""

    def __init__(self, make_job: Callable[[NamelessFile], Job], name: str):
        """Starts the process."""
        self.stack = NamelessFile()
        self.pipe, theirs = SPAWN.Pipe()
        job = make_job(self.stack)
        self.process = SPAWN.Process(target=work, args=(job, theirs), name=name, daemon=True)
        with hidden_from_child():
            self.process.start()
        theirs.close()
        self.has_handed = False
        self.num_delivered = 0  # episodes
        self.beats, self.seen_at = -1, time.monotonic()

    def end(self) -> None:
        """Kills it, where it has not ended, and waits: after this it writes nothing more."""
        self.process.kill()
        self.process.join(PATIENCE_S)
        self.pipe.close()
        self.stack.close()

    def exit_reason(self) -> str:
        """How it ended."""
        self.process.join(1.0)  # its exit code may come after the end of its pipe
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def dump(self) -> str:
        """Its stack, or nothing where it does not answer."""
        start = self.stack.size()
        if self.process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, STACK_SIGNAL)
        until, text = time.monotonic() + STACK_S, ""
        while time.monotonic() < until:
            time.sleep(0.05)
            before, text = text, self.stack.read(start)
            if text and text == before:
                break
        return text


class ActorProcesses:
    """All the actors. Unrolls are numbered; each actor makes its part of each, one after the other."""

    def __init__(
        self,
        make_job: Callable[[int, int, NamelessFile], Job],
        board: Arena,
        limits: Limits,
        *,
        names: Sequence[Callable[[int], str]],
        generation: int,
        tell: Callable[[str], None],
    ):
        """Starts the processes.

        Args:
            make_job: actor, generation and file for its stack -> its job.
            board: what the actors show.
            limits: what is too long and what is too often.
            names: for each actor, generation -> its name and what it works on.
            generation: of the first ones; that of each replacement is one more.
            tell: is given lines for the user.
        """
        self._make_job, self._board = make_job, board
        self._deadline_s, self._failures = limits.deadline_s, Failures(limits.max_failures)
        self._names, self._tell = names, tell
        self._granted = 0  # unrolls of lower numbers may be made
        self.num_replaced = self.num_dropped = 0  # actors; episodes that were begun and not handed over
        self.generations = [generation] * len(names)
        self.num_handed = [0] * len(names)  # unrolls by each actor, all its generations together
        self._actors = [self._start(index) for index in range(len(names))]

    def _start(self, index: int) -> ActorProcess:
        for name in ("beats", "where", "begun"):
            self._board[name][index] = 0
        generation = self.generations[index]
        actor = ActorProcess(
            lambda stack: self._make_job(index, generation, stack), f"actor {index}.{generation}"
        )
        for number in range(self.num_handed[index], self._granted):
            self._allow(actor, number)
        return actor

    @staticmethod
    def _allow(actor: ActorProcess, number: int) -> None:
        with suppress(OSError):  # where it is gone, which `watch` finds out
            actor.pipe.send(number)

    def grant(self) -> None:
        """Allows the unroll of the next number."""
        for actor, num_handed in zip(self._actors, self.num_handed, strict=True):
            if num_handed == self._granted:  # it had nothing to do until now
                actor.seen_at = time.monotonic()
            self._allow(actor, self._granted)
        self._granted += 1

    def watch(self, timeout_s: float) -> None:
        """Waits for news and deals with it: unrolls, and actors that died, failed or hang.

        Raises:
            ActorFailure: that happened too often.
        """
        waiting: list[int | connection.Connection] = [actor.process.sentinel for actor in self._actors]
        connection.wait([*waiting, *(actor.pipe for actor in self._actors)], timeout_s)
        for index, actor in enumerate(self._actors):
            is_alive = actor.process.is_alive()  # asked first: what it said before its end is read then
            failure = self._read(index)
            if failure is None and not is_alive:
                failure = actor.exit_reason(), ""
            if failure is None and self._seems_to_hang(index):
                failure = self._look_closer(index)
            if failure is not None:
                self._replace(index, *failure)

    def _read(self, index: int) -> tuple[str, str] | None:
        """Takes what an actor has sent; what went wrong and where, if something did."""
        actor = self._actors[index]
        for _ in range(2):
            try:
                while actor.pipe.poll():
                    kind, *what = actor.pipe.recv()
                    if kind == "failed":
                        return f"failed: {what[0]}", what[1]
                    self.num_handed[index] += 1
                    actor.num_delivered += what[1]
                    actor.has_handed, actor.seen_at = True, time.monotonic()
                return None
            except ConnectionResetError:  # it left numbers unread; what it had sent can be read after this
                continue
            except (EOFError, OSError):
                break
        return actor.exit_reason(), ""

    def _seems_to_hang(self, index: int) -> bool:
        actor, beats = self._actors[index], int(self._board["beats"][index])
        now = time.monotonic()
        if beats != actor.beats or self.num_handed[index] == self._granted:
            actor.beats, actor.seen_at = beats, now
        return now - actor.seen_at > self._patience(index)

    def _patience(self, index: int) -> float:
        has_handed = self._actors[index].has_handed
        return patience_s(self._deadline_s, int(self._board["where"][index]), has_handed)

    def _look_closer(self, index: int) -> tuple[str, str] | None:
        """Asks an actor that seems to hang for its stack.

        One that shows a sign of life meanwhile is spared: then all of this was stopped for a while, by
        Ctrl-Z or a closed lid, and the clock ran on.
        """
        actor, where = self._actors[index], int(self._board["where"][index])
        stack = actor.dump()
        if self._board["beats"][index] != actor.beats or actor.pipe.poll():
            return None
        place = place_of(stack)
        if not place:
            pid = actor.process.pid
            place = (
                "its process is stopped, and so gives no stack" if is_stopped(pid) else "it gives no stack"
            )
        return f"hangs for {self._patience(index):g} s, {CALLS[where]}{place}", stack

    def _replace(self, index: int, reason: str, details: str) -> None:
        actor, generation = self._actors[index], self.generations[index]
        actor.end()
        dropped = int(self._board["begun"][index]) - actor.num_delivered
        self.num_dropped += dropped
        line = f"{self._names[index](generation)} {reason}"
        count = self._failures.count(line, fruitless=not any(self.num_handed))
        self._tell(f"{line}; replaced, {dropped} unfinished episodes dropped; {count}")
        for row in details.splitlines():
            self._tell("    " + row)
        self.num_replaced += 1
        self.generations[index] += 1
        self._actors[index] = self._start(index)

    def close(self) -> None:
        """Lets the actors close their environments and end; ends those that do not."""
        self._board["leave"][0] = 1
        for actor in self._actors:
            actor.pipe.close()
        until = time.monotonic() + PATIENCE_S
        for actor in self._actors:
            actor.process.join(max(0.0, until - time.monotonic()))
        for actor in self._actors:
            actor.end()
        self._actors = []


@contextmanager
def hidden_from_child() -> Iterator[None]:
    """What a process that is started now does not get: Ctrl-C, before it can ignore it, and CUDA devices."""
    devices, signals = os.environ.get("CUDA_VISIBLE_DEVICES"), {signal.SIGINT, signal.SIGTERM}
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if devices is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = devices


def place_of(stack: str) -> str:
    """The innermost line of the thread that acts, in a stack as faulthandler writes it; or nothing."""
    for thread in re.split(r"\n\n|(?=^(?:Current t|T)hread )", stack, flags=re.M):
        places = re.findall(r'^\s+File "(.*?)", line (\d+) in (\S+)', thread, re.M)
        if places and any(function == "work" for _, _, function in places):
            path, line, function = places[0]
            return f"at {path}:{line} in {function}"
    return ""


def is_stopped(pid: int | None) -> bool:
    """Whether somebody stopped a process, as SIGSTOP does; False where the system does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "Tt"
    except OSError:
        return False
