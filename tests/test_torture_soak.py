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
SAW_MIB = 0.5
"""How far apart the highest points of two stretches may lie though nothing grows."""

RUNS = {
    "local": ["--env", "tmaze", "--runner", "local"],
    "process": ["--env", "CartPole-v1", "--runner", "process", "--num-actors", "2"],
}


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
    values = np.array(memory) / 2**20  # [samples, processes] MiB
    settled = int(WARM_UP * len(times))
    first, last = np.array_split(values[settled:], 2)
    hours = (times[-1] - times[settled]) / 2 / 3600
    grown = last.max(0) - first.max(0)  # a saw: allocators keep what is freed, and give it back now and then
    for column, name in enumerate(watched):
        goal = f"memory of the {name}, {SOAK_S / 60:.0f} min: +1 MiB/h at most, beside a saw of {SAW_MIB} MiB"
        low, high = values[settled:, column].min(), values[settled:, column].max()
        figure("R15", goal, f"{grown[column]:+.2f} MiB from half to half, {low:.1f} … {high:.1f} MiB in all")
    counts = np.array(open_)[settled:]  # [samples, processes, 2]
    spread = counts.max(0) - counts.min(0)  # a checkpoint being written, a connection being made
    more = counts[-len(counts) // 4 :].min(0) - counts[: len(counts) // 4].min(0)  # what never closes
    figure("R15", "descriptors and threads flat", f"grown by {more.max()}, spread {spread.max()}")
    assert codes == [143, 143]
    assert more.max() <= 0
    assert grown.max() < hours + SAW_MIB
