"""A program: goes on with a run again and again, and kills it (SIGKILL) at a random moment each time.

PYTHONPATH=.:tests python tests/kill_often.py RUN KILLS SEED LONGEST_S

Prints a JSON line for each kill: env steps of the newest checkpoint, how many were refused, seconds of
training that are lost with it, whether a save was under way, whether the curves are in order. Then it lets
the run end. Children are forks, so that what is imported and compiled is so once.
"""

import contextlib
import json
import logging
import os
import random
import signal
import sys
import time
from pathlib import Path

from runs import scalars, wall_times

from agents.checkpoint import list_checkpoints, load_checkpoint, steps_of
from agents.run_folder import read_config
from agents.training import Training
from scripts import train


def fork(run: Path) -> int:
    """Starts a process that goes on with the run; gives its id."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            train.evaluate = lambda *arguments, **words: os._exit(0)  # the training is over, and saved
            code = train.main(["--resume", str(run)])
    finally:
        os._exit(code)


def in_order(run: Path) -> bool:
    """Whether every curve's steps rise, none standing twice."""
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    whole = [json.loads(line)["env_steps"] for line in lines if line.endswith("\n")]
    curves = [whole, *([step for step, _ in curve] for curve in scalars(run).values())]
    return all(steps == sorted(set(steps)) for steps in curves)


def look(run: Path) -> dict[str, object]:
    """What the kill left."""
    checkpoints = run / "checkpoints"
    saving = any(checkpoints.glob(".step-*-new"))
    _, path, refused = load_checkpoint(checkpoints)
    times = wall_times(run)
    after = [seconds for step, seconds in times.items() if step > steps_of(path)]  # all of one process
    lost_s = max(after) - min(after) if after else 0.0
    found = {"env_steps": steps_of(path), "refused": len(refused), "lost_s": lost_s, "saving": saving}
    return {**found, "in_order": in_order(run)}


def await_checkpoint(run: Path, child: int) -> None:
    """Waits until the run has a newer checkpoint, or has ended; a minute at most."""
    newest, until = list_checkpoints(run / "checkpoints")[0], time.monotonic() + 60
    while list_checkpoints(run / "checkpoints")[0] == newest and time.monotonic() < until:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.01)


def main(run: Path, kills: int, seed: int, longest_s: float) -> int:
    """Kills as often as asked, then lets the run end."""
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it tells of every point that is taken back
    warm = Training(read_config(run))  # compiles
    warm.step()
    warm.runner.close()
    generator = random.Random(seed)
    for kill in range(kills):
        child = fork(run)
        if kill % 2:  # so that it gets on however slow the machine is
            await_checkpoint(run, child)
        time.sleep(generator.uniform(0, longest_s))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):  # it came to its end
            return os.WEXITSTATUS(status)
        print(json.dumps(look(run)), flush=True)
    _, status = os.waitpid(fork(run), 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
