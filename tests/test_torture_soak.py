"""R15: runs that go on and on neither grow nor leave anything open.

How long, in seconds: SOAK_S=7200 make torture ARGS="-k soak"
"""

import os
import signal
import sys
import time

import numpy as np
import pytest
from processes import actors_of, memory_bytes, num_open, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc"),
]

SOAK_S = float(os.environ.get("SOAK_S", 1200))
WARM_UP = 0.4
"""Share of the time in which memory may grow: allocators settle, buffers fill."""

EVERY_S = 1.0
MIB_PER_HOUR = 2**20 / 3600

RUNS = {
    "local": ["--env", "tmaze", "--runner", "local"],
    "process": ["--env", "CartPole-v1", "--runner", "process", "--num-actors", "2"],
}


def trend(times, values):
    """Growth per second: the median slope between points half the time apart (after Theil and Sen)."""
    half = len(times) // 2
    return float(np.median((values[half:] - values[:-half]) / (times[half:] - times[:-half])))


def test_soak(start, figure, tmp_path):
    """Memory of the learner and of each actor, their descriptors and threads, while both kinds train.

    Mutations: a list that keeps every unroll's episodes; a pipe that stays open with each checkpoint.
    """
    words = ["--num-envs", "8", "--unroll-length", "32", "--hidden-size", "32", "--total-steps", "1G"]
    words += ["--log-every-steps", "20k", "--checkpoint-every-s", "5"]
    runs = {
        name: start("scripts.train", *own, *words, "--log-dir", tmp_path / name, stdout=None, stderr=None)
        for name, own in RUNS.items()
    }
    for name in runs:
        wait_for(lambda name=name: list((tmp_path / name).rglob("step-*/manifest.json")), 120)
    watched = {f"{name} learner": run.pid for name, run in runs.items()}
    watched |= {f"actor {i}": pid for i, pid in enumerate(actors_of(runs["process"].pid))}
    begun, times, memory, open_ = time.monotonic(), [], [], []
    while (now := time.monotonic() - begun) < SOAK_S:
        times.append(now)
        memory.append([memory_bytes(pid) for pid in watched.values()])
        open_.append([num_open(pid) for pid in watched.values()])
        time.sleep(EVERY_S)
    for run in runs.values():
        run.send_signal(signal.SIGTERM)
    codes = [run.wait(20) for run in runs.values()]
    settled = int(WARM_UP * len(times))
    grown = {}
    for column, name in enumerate(watched):
        values = np.array([row[column] for row in memory], float)
        slope = trend(np.array(times)[settled:], values[settled:]) / MIB_PER_HOUR
        grown[name] = slope
        goal = f"memory of the {name}: below +1 MiB/h, {SOAK_S / 60:.0f} min"
        figure("R15", goal, f"{slope:+.2f} MiB/h, {values[-1] / 2**20:.0f} MiB")
        print(
            name,
            "MiB over the time:",
            *(f"{value / 2**20:.2f}" for value in values[:: len(values) // 40 + 1]),
        )
    counts = np.array(open_)[settled:]  # [samples, processes, 2]
    spread = counts.max(0) - counts.min(0)  # a checkpoint being written, a connection being made
    first, last = counts[: len(counts) // 4].max(0), counts[-len(counts) // 4 :].max(0)
    figure("R15", "descriptors and threads flat", f"grown by {(last - first).max()}, spread {spread.max()}")
    assert codes == [143, 143]
    assert (last <= first).all()
    assert max(grown.values()) < 1
