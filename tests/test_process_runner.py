"""Actors in processes: what they hand over, proved by integers, and what becomes of those that fail."""

import multiprocessing
import os
import re
import signal
import threading
import time
from collections import Counter

import numpy as np
import pytest
import torch
from fickle_envs import BIT, ERA, ERAS, A, check_column, numbered_recipe, tell_version, telling_network
from gymnasium.spaces import Box

from agents.config import generation_seed
from agents.runners import Stopped, failures, supervision
from agents.runners.failures import ActorFailure, Failures, Limits
from agents.runners.process import ProcessRunner

T, B, LAG = 5, 3, 2
COLUMNS = [slice(0, 1), slice(1, 3)]
SEED = 17
DEADLINE_S = 2.0


class Consumer:
    """A learner that learns nothing, and checks all that it is given."""

    def __init__(self, folder):
        self.said, self.version, self.folder = [], 0, folder
        self.network = telling_network(None, A)
        self.runner = ProcessRunner(
            numbered_recipe(folder),
            self.network,
            Box(0.0, 1e9, (3,), np.float32),
            task="counting",
            num_envs=B,
            num_actors=2,
            unroll_length=T,
            max_policy_lag=LAG,
            env_seed=SEED,
            action_seed=3,
            limits=Limits(DEADLINE_S, 100),
            tell=self.said.append,
        )
        self.last_rows, self.eras, self.lags = [None] * B, [[] for _ in range(B)], []
        self.num_ended = Counter()  # by actor and era

    def process(self, actor):
        return self.runner._crew._actors[actor].process

    def replaced(self):
        return self.runner._crew.num_replaced

    def take(self):
        """One batch, checked; then weights of the next version are published."""
        batch = self.runner.next()
        for b in range(B):
            self.check_column(batch, b)
        self.check_versions(batch)
        assert batch.num_steps == batch.valid.sum()
        self.version += 1
        tell_version(self.network, self.version)
        self.runner.publish(self.network.state_dict(), self.version)
        return batch

    def take_until(self, event, limit_s=40.0):
        until = time.monotonic() + limit_s
        while not event():
            assert time.monotonic() < until
            self.take()

    def watch_until(self, event, limit_s):
        """As a learner does that waits, but for the weights that do not change: actors make what they may."""
        until = time.monotonic() + limit_s
        while not event():
            assert time.monotonic() < until
            self.runner._crew.watch(0.05)

    def provoke(self, actor, fault):
        """Tells an actor what to do wrong, and sees that it gets to it: one with all made waits for more."""
        order, crew = self.folder / str(actor), self.runner._crew
        order.write_text(fault)
        until = time.monotonic() + 10
        while order.exists():
            assert time.monotonic() < until
            crew.watch(0.05)
            if order.exists() and crew.num_handed[actor] == crew._granted:
                self.take()

    def starve(self, actor):
        """Stops an actor, and takes batches until the next one is its to make."""
        os.kill(self.process(actor).pid, signal.SIGSTOP)
        self.runner._crew.watch(0.1)
        while self.runner._crew.num_handed[actor] > self.runner._number + 1:
            self.take()

    def take_until_replaced(self, count):
        """Until so many more were replaced, and then two batches that all actors had a part in."""
        count += self.replaced()
        self.take_until(lambda: self.replaced() >= count)
        for _ in range(LAG + 2):
            self.take()
        assert self.replaced() == count

    def check_column(self, batch, b):
        env, first, last, ended = check_column(batch, b, b - COLUMNS[b > 0].start)
        assert env == b
        (_, episode, step), _ = first
        era = episode // ERA
        if not self.eras[b] or era != self.eras[b][-1]:  # others play from here on
            assert era not in self.eras[b]
            self.eras[b].append(era)
            assert (episode % ERA, step) == (1, 0)
        else:
            assert first == self.last_rows[b]
        self.last_rows[b] = last
        self.num_ended[int(b > 0), era] += len(ended)

    def check_versions(self, batch):
        versions = set()
        for columns in COLUMNS:
            (told,) = set(batch.behaviour_logits[:, columns, 0].ravel().tolist())
            versions.add(told / BIT)
        assert batch.version == min(versions)
        assert self.version - LAG <= min(versions) <= max(versions) <= self.version
        self.lags.append(self.version - batch.version)


@pytest.fixture(scope="module")
def consumer(tmp_path_factory):
    """With its actors begun: tests may be spread over workers, so any of them may be a worker's first."""
    consumer = Consumer(tmp_path_factory.mktemp("faults"))
    consumer.take()
    yield consumer
    consumer.runner.close()
    assert not multiprocessing.active_children()


def test_what_is_handed_over(consumer):
    """Every row of 60 batches follows from the one before it, with the core state that belongs to it.

    Mutations: core state written to the columns of the other actor, or not at all; an unroll told before the
    core state is written; episodes of all actors at the same place; columns not counted from the first;
    weights read once only; a batch taken when one actor has made its part.
    """
    for _ in range(60):
        consumer.take()
    assert [len(eras) for eras in consumer.eras] == [1] * B
    assert consumer.eras[0] == [SEED % ERAS]  # of the run's own seed
    assert consumer.said == []


def test_nobody_runs_ahead(consumer):
    """A learner that takes its time finds what it held untouched, and then LAG batches of older weights.

    Mutations: a slot granted when its weights are published; one more granted at the start.
    """
    batch = consumer.take()
    tensors = [*batch.inputs, *batch.core_state, batch.actions, batch.behaviour_logits, batch.rewards]
    kept = [tensor.clone() for tensor in tensors]
    crew, ahead = consumer.runner._crew, consumer.runner._number + 1 + LAG
    consumer.watch_until(lambda: crew.num_handed == [ahead, ahead], 10)
    consumer.runner._crew.watch(0.3)
    assert crew.num_handed == [ahead, ahead]
    assert all(torch.equal(a, b) for a, b in zip(tensors, kept, strict=True))
    version = consumer.version
    for _ in range(LAG):
        assert consumer.take().version <= version


def last_line(consumer):
    return next((line for line in reversed(consumer.said) if not line.startswith("    ")), "")


def name_of(actor, generation):
    first, last = COLUMNS[actor].start, COLUMNS[actor].stop - 1
    seed = generation_seed(SEED, generation)
    return f"actor {actor} (counting, environments {first} … {last} of seed {seed})"


def test_a_killed_actor_is_replaced(consumer):
    """Its part of the batch is made again from fresh episodes; the other actor's goes on as if nothing were.

    Mutations: the replacement begins with the next unroll; the replacement has the seed of the one before it;
    a dead process waited for, for ever; all actors replaced.
    """
    generation = consumer.runner._crew.generations[1]
    os.kill(consumer.process(1).pid, signal.SIGKILL)
    consumer.take_until_replaced(1)
    assert [len(eras) for eras in consumer.eras] == [1, 2, 2]
    line = last_line(consumer)
    assert line.startswith(f"{name_of(1, generation)} was killed by SIGKILL; replaced, ")
    assert line.endswith("failure 1 of 100 in an hour")


def test_an_actor_that_hangs_is_found(consumer):
    """Within the deadline and two seconds, in step() and in reset(); the stack says where.

    Mutations: the reset given START_S; the stack of another thread taken for the place.
    """
    generation = consumer.runner._crew.generations[1]
    consumer.provoke(1, "sleep")
    (consumer.folder / "1").write_text("sleep in reset")
    consumer.said.clear()
    consumer.watch_until(lambda: consumer.said, DEADLINE_S + 2)
    place = r"in step\(\) of its environments, at \S+fickle_envs.py:\d+ in fail; replaced, "
    beginning = re.escape(name_of(1, generation))
    assert re.match(f"{beginning} hangs for 2 s, {place}", consumer.said[0])
    consumer.take_until_replaced(1)
    assert "hangs for 2 s, in reset() of its environments, at " in last_line(consumer)
    assert any(re.match(r'      File ".*fickle_envs.py", line \d+ in reset', line) for line in consumer.said)


def test_a_stopped_actor_is_found(consumer):
    """It can't write its stack. Mutation: waiting for the stack without a limit."""
    consumer.starve(0)
    consumer.watch_until(lambda: last_line(consumer).startswith("actor 0"), DEADLINE_S + 2)
    assert "its process is stopped, and so gives no stack; replaced" in last_line(consumer)
    for _ in range(LAG + 2):
        consumer.take()


def test_an_actor_that_wakes_up_is_spared(consumer):
    """As all do after Ctrl-Z and fg: the clock ran on, and nobody did anything.

    Mutation: no second look.
    """
    crew, replaced = consumer.runner._crew, consumer.replaced()
    pid = consumer.process(0).pid
    consumer.starve(0)
    crew.watch(0.1)
    crew._actors[0].seen_at -= DEADLINE_S + 1
    threading.Timer(0.3, os.kill, (pid, signal.SIGCONT)).start()
    start = time.monotonic()
    crew.watch(0.0)
    assert time.monotonic() - start > 0.2  # there was a second look
    for _ in range(LAG + 2):
        consumer.take()
    assert consumer.replaced() == replaced


@pytest.mark.parametrize(
    ("fault", "reason"), [("raise", r"failed: KeyError: '100 %\nbroken'"), ("exit", "ended with exit code 7")]
)
def test_an_actor_that_fails_is_replaced(consumer, fault, reason):
    """The error, the environments and the seed are told; the episodes that are lost are counted.

    Mutations: the error left to the process's own standard error; episodes handed over counted as dropped.
    """
    generation, dropped = consumer.runner._crew.generations[1], consumer.runner._crew.num_dropped
    (consumer.folder / "1").write_text(fault)
    consumer.take_until_replaced(1)
    line = last_line(consumer)
    assert line.startswith(f"{name_of(1, generation)} {reason}; replaced, ")
    begun = int((consumer.folder / "1.begun").read_text())
    lost = begun - consumer.num_ended[1, generation_seed(SEED, generation) % ERAS]
    assert consumer.runner._crew.num_dropped - dropped == lost
    assert f"{lost} unfinished episodes dropped" in line
    if fault == "raise":
        assert any("fickle_envs.py" in line and "in fail" in line for line in consumer.said)


def test_too_many_failures(consumer, monkeypatch):
    """One failure beyond the limit ends the run, in one line; older ones than an hour count no more.

    Mutations: failures counted for ever; a limit that is one too high.
    """
    crew = consumer.runner._crew
    crew._failures = Failures(1)
    crew._failures._failed_at.append(time.monotonic() - failures.WINDOW_S - 1)
    (consumer.folder / "0").write_text("raise")
    consumer.take_until_replaced(1)
    (consumer.folder / "0").write_text("raise")
    with pytest.raises(ActorFailure, match=r"^actor 0 .* KeyError: .*max-actor-failures\)$") as error:
        consumer.take_until(lambda: False)
    assert "\n" not in str(error.value)


def test_who_waits_can_be_stopped(tmp_path, monkeypatch):
    """A learner that waits for an actor that hangs leaves at once, and closing waits for nobody for long.

    Mutations: `stop` looked at before the wait alone; closing joins without a limit.
    """
    monkeypatch.setattr(supervision, "PATIENCE_S", 0.5)
    consumer = Consumer(tmp_path)
    consumer.runner._limits = Limits(100.0, 0)
    consumer.take()
    (tmp_path / "0").write_text("sleep")
    threading.Timer(0.5, consumer.runner.stop).start()
    processes, start = [consumer.process(0), consumer.process(1)], time.monotonic()
    with pytest.raises(Stopped):
        consumer.take_until(lambda: False)
    consumer.runner.close()
    assert time.monotonic() - start < 5
    assert all(process.exitcode is not None for process in processes)
    assert consumer.said == []
    consumer.runner.close()  # again: nothing


def test_generations():
    """The first has the run's own seed; nobody has another's. Mutation: the index left out."""
    seeds = [generation_seed(5, generation, index) for generation in range(4) for index in range(5)]
    assert seeds[0] == 5
    assert len(set(seeds)) == 20
