"""R1, R2, R3, R16: actors that die, hang or fail, and runs that are killed, again and again."""

import multiprocessing
import os
import random
import re
import signal
import sys
import time
from collections import Counter

import pytest
from processes import actors_of, assert_gone, assert_shared_memory_freed, descendants, is_alive, shared_memory
from test_process_runner import DEADLINE_S, Consumer

from agents.config import Config
from agents.runners.failures import ActorFailure
from agents.training import Training

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc"),
]

NUM_KILLS, NUM_STARTS = 20, 50
BACK_S = 5.0
"""Seconds in which the rate must be back."""


def process_config(folder, **changes):
    """A run on CartPole by two actors."""
    words = {"env": "CartPole-v1", "core": "ur-lstm", "hidden_size": 64, "num_envs": 8, "unroll_length": 32}
    words |= {"runner": "process", "num_actors": 2, "log_dir": str(folder), "max_actor_failures": 1000}
    return Config(**{**words, **changes})


def test_no_half_unroll(tmp_path, figure):
    """R1: every row of every batch follows from the one before it, whenever an actor is killed.

    Mutation: the replacement begins with the next unroll.
    """
    consumer = Consumer(tmp_path)
    generator = random.Random(0)
    consumer.take()
    for _ in range(NUM_KILLS):
        for _ in range(generator.randrange(40)):
            consumer.take()
        os.kill(consumer.process(generator.randrange(2)).pid, signal.SIGKILL)
        consumer.take_until_replaced(1)
    version, number = consumer.version, consumer.runner._number
    consumer.runner.close()
    figure("R1", "no half unroll, no batch lost", f"{version} of {number + 1} batches whole and in order")
    assert version == number + 1
    assert not multiprocessing.active_children()


def test_killed_actors(tmp_path, figure):
    """R1: twenty of twenty are replaced and the rate is back, each time. Mutation: no replacement."""
    training = Training(process_config(tmp_path))
    training.create()
    generator, rates, pids = random.Random(1), [], set()

    def updates_per_s(until):
        start, version = time.monotonic(), training.learner.version
        while time.monotonic() < until:
            training.step()
        return (training.learner.version - version) / (time.monotonic() - start)

    updates_per_s(time.monotonic() + 3)
    updates_per_s(time.monotonic() + 3)
    crew = training.runner._crew
    for _ in range(NUM_KILLS):
        before = updates_per_s(time.monotonic() + 2)
        victim = crew._actors[generator.randrange(2)].process.pid
        os.kill(victim, signal.SIGKILL)
        killed_at = time.monotonic()
        pids.add(victim)
        updates_per_s(killed_at + BACK_S)
        rates.append(updates_per_s(killed_at + BACK_S + 2) / before)
    replaced, version = crew.num_replaced, training.learner.version
    pids |= set(actors_of(os.getpid()))
    training.close()
    left = [pid for pid in pids if is_alive(pid)]
    figure("R1", f"{NUM_KILLS} killed actors replaced", f"{replaced} of {NUM_KILLS}")
    shares = sorted(rates)
    reached = (
        f"{sum(rate >= 0.9 for rate in rates)} of {NUM_KILLS}; median {100 * shares[NUM_KILLS // 2]:.0f} %, "
    )
    figure("R1", "rate back to 90 % within 5 s each", reached + f"least {100 * shares[0]:.0f} %")
    assert replaced == NUM_KILLS
    assert version == training.runner._number + 1
    assert not multiprocessing.active_children()
    assert not left
    assert shares[NUM_KILLS // 2] > 0.9


def test_hung_actors(tmp_path, figure):
    """R2: stopped, asleep in step, asleep in reset; each found in time, named with its stack, and replaced.

    Mutation: the clock begins anew with every unroll of another actor.
    """
    consumer = Consumer(tmp_path)
    consumer.take()
    generator, found = random.Random(2), {}
    for fault in ["sleep", "sleep in reset", "stopped"] * 3:
        for _ in range(generator.randrange(20)):
            consumer.take()
        consumer.said.clear()
        if fault == "stopped":
            consumer.starve(0)
        elif fault == "sleep":
            consumer.provoke(1, fault)
        else:
            (tmp_path / "1").write_text(fault)
            os.kill(consumer.process(1).pid, signal.SIGKILL)
            consumer.watch_until(lambda: not (tmp_path / "1").exists(), 60)  # it is in reset now
            consumer.said.clear()
            crew = consumer.runner._crew
            while crew.num_handed[1] == crew._granted:  # nobody waits for one that has made all it may
                consumer.take()
        start = time.monotonic()
        consumer.watch_until(lambda: consumer.said, DEADLINE_S + 20)
        found[fault] = max(found.get(fault, 0.0), time.monotonic() - start)
        line = consumer.said[0]
        assert "hangs for 2 s" in line
        assert ("gives no stack" if fault == "stopped" else "fickle_envs.py") in line
        for _ in range(4):
            consumer.take()
    consumer.runner.close()
    for fault, seconds in found.items():
        figure(
            "R2", f"{fault}: found within {DEADLINE_S + 2:g} s, named, replaced", f"{seconds:.1f} s at most"
        )
    assert max(found.values()) < DEADLINE_S + 2


def test_environments_that_fail(tmp_path, figure):
    """R3: one error in ten thousand steps. Returns bear the actor's process, so whose they were is known.

    Mutations: episodes that were handed over counted as dropped; those of the steps between not counted.
    """
    config = process_config(
        tmp_path, env="fickle_envs:Fails-v0", env_opt=(f"folder={tmp_path}",), hidden_size=16, num_envs=16
    )
    training = Training(config)
    training.create()
    delivered = Counter()
    while training.learner.env_steps < 1_000_000:
        training.step()
        for episodes in training._gathered.episodes:
            delivered.update(episodes.returns.astype(int).tolist())
        training._gathered.clear()
    crew = training.runner._crew
    counted, replaced = crew.num_dropped, crew.num_replaced
    training.close()
    begun = [tuple(map(int, line.split())) for line in (tmp_path / "failed").read_text().splitlines()]
    # One may have failed since the last batch, unseen.
    lost = [number - delivered[pid] for pid, number in begun][:replaced]
    figure(
        "R3",
        "1 000 000 steps go on",
        f"{replaced} failed actors replaced in {training.learner.env_steps:,} steps",
    )
    figure("R3", "dropped episodes counted exactly", f"{counted:,} counted, {sum(lost):,} lost")
    assert replaced > 50
    assert counted == sum(lost)


def test_environments_that_fail_too_often(tmp_path, figure):
    """R3: past the limit the environments and the seed are named. Mutation: one failure more or less."""
    config = process_config(
        tmp_path,
        env="fickle_envs:Fails-v0",
        env_opt=(f"folder={tmp_path}", "share=0.001"),
        max_actor_failures=5,
    )
    training = Training(config)
    training.create()
    with pytest.raises(ActorFailure) as error:
        training.run()
    said = str(error.value)
    figure("R3", "past the limit: environment and seed named", said[:70] + " …")
    assert re.match(r"actor \d \(fickle_envs:Fails-v0, environments \d … \d of seed \d+\) failed: ", said)
    assert training.runner._crew is None
    assert len((tmp_path / "failed").read_text().splitlines()) >= 6


def test_parents_that_are_killed(start, tmp_path, figure):
    """R16: from the first import to full speed; nobody outlives the learner. Mutation: no prctl."""
    generator, shared = random.Random(3), shared_memory()
    words = ["--env", "CartPole-v1", "--runner", "process", "--num-actors", "2", "--num-envs", "4"]
    longest, orphans, with_actors = 0.0, 0, 0
    for _ in range(NUM_STARTS):
        run = start("scripts.train", *words, "--log-dir", tmp_path, stdout=None, stderr=None)
        time.sleep(generator.uniform(0.5, 9.0))
        left = descendants(run.pid)
        with_actors += len(left) >= 2
        run.kill()
        run.wait()
        killed_at = time.monotonic()
        while any(map(is_alive, left)) and time.monotonic() - killed_at < 10:
            time.sleep(0.02)
        longest = max(longest, time.monotonic() - killed_at)
        orphans += time.monotonic() - killed_at > 5
        assert_gone(left)
    figure(
        "R16",
        "no orphan after 5 s",
        f"{orphans} of {NUM_STARTS} starts; the last was gone after {longest:.1f} s",
    )
    figure("R16", "shared memory as before", f"{len(shared_memory() - shared)} left")
    assert with_actors > NUM_STARTS // 3
    assert orphans == 0
    assert_shared_memory_freed(shared)
