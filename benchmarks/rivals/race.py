"""One contestant's turn: started, watched by the lines that it prints, measured, ended."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.speed.machine import family, kib_of, pss_mib

ROOT = Path(__file__).parent.parent.parent
POLL_S = 0.2
GRACE_S = 5.0
"""Time for a contestant to end by itself."""


class Fallen(Exception):  # noqa: N818  (no error of this program)
    """A contestant ended before it was measured, or took too long: one line."""


@dataclass(frozen=True)
class Clock:
    """When to measure."""

    warm_up_s: float
    """From the end of the first update to the begin of the measurement."""
    seconds: float
    """Least time that is measured."""
    deadline_s: float
    """Most time from the start to the end of the measurement."""


def take_turn(command: Sequence[str], clock: Clock) -> dict[str, float]:
    """Runs a contestant until it is measured.

    Args:
        command: what prints a line after each update.
        clock: when to measure.

    Returns:
        "steps_per_s" (env steps), "first_update_s" (from the start of the command to the end of the first
        update), "memory_mib" (of all its processes at the end; what they share counts once).

    Raises:
        Fallen: it ended or took too long.
    """
    with tempfile.TemporaryDirectory(prefix="race") as name:
        folder = Path(name)
        lines, log = folder / "lines", folder / "log"
        with open(lines, "w") as out, open(log, "w") as err:
            started = time.time()
            process = subprocess.Popen(
                command,
                stdout=out,
                stderr=err,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": name, "PYTHONDONTWRITEBYTECODE": "1"},
                start_new_session=True,
            )
        try:
            while (found := rate(lines.read_text(), started, clock)) is None:
                if process.poll() is not None:
                    raise Fallen(f"ended with exit code {process.returncode}: {last_line(log)}")
                if time.time() - started > clock.deadline_s:
                    raise Fallen(f"took more than {clock.deadline_s:g} s")
                time.sleep(POLL_S)
            found["memory_mib"] = pss_mib(pid for pid, _ in family(process.pid))
            return found
        finally:
            end(process)


def rate(text: str, started: float, clock: Clock) -> dict[str, float] | None:
    """What the lines so far tell, or None as long as there are too few of them.

    From the first update after the warm-up to the first one that ends long enough after it.
    """
    updates = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    if not updates:
        return None
    first = updates[0]["time"]
    counted = [update for update in updates if update["time"] >= first + clock.warm_up_s]
    for update in counted:
        elapsed = update["time"] - counted[0]["time"]
        if elapsed >= clock.seconds:
            steps = update["env_steps"] - counted[0]["env_steps"]
            return {"steps_per_s": steps / elapsed, "first_update_s": first - started}
    return None


def last_line(log: Path) -> str:
    """What a contestant said last, and nobody will read twice."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"


def end(process: subprocess.Popen) -> None:
    """Ends a contestant and all that it started, gently first."""
    members = family(process.pid)
    process.terminate()
    wait_until(lambda: process.poll() is not None)
    wait_until(lambda: not alive(members))
    for pid, _ in alive(members):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if process.poll() is None:
        process.kill()
    process.wait()
    wait_until(lambda: not alive(members))


def wait_until(true: Callable[[], object]) -> None:
    """Waits, but not for ever."""
    give_up = time.monotonic() + GRACE_S
    while not true() and time.monotonic() < give_up:
        time.sleep(0.05)


def alive(members: set[tuple[int, str]]) -> set[tuple[int, str]]:
    """Those that have not ended: their ids may be others' by now."""
    now = {member for pid, _ in members for member in family(pid)}
    return {member for member in members & now if kib_of(member[0], "status", "VmRSS")}
