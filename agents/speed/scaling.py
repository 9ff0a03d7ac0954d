"""How far one learner goes: what actors, weights and unrolls ask for, beside what there is of it.

A model of the `ray` runner whose actors never wait: each hands over one unroll after the other, a batch holds
one of each, and so each version of the weights is fetched once by every machine with actors. What exceeds 1
makes actors wait; the largest is the bottleneck. `docs/scale.md` says what lifts each.
"""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from agents.config import Config
from agents.config_checks import check
from agents.console import short
from agents.runners.remote import give
from agents.training import Training
from agents.trajectory import Trajectory

LEARNER, TRAJECTORIES = "learning", "unrolls into the learner"
WEIGHTS, CALLS = "weights out of the learner", "calls of the learner"
NUM_PARTS = 8
"""Actors whose unrolls make the batch by which learning is measured."""


@dataclass(frozen=True)
class Scale:
    """Says for any number of actors where the first bottleneck lies, from what is measured here."""

    env: str = Config.env
    """Task."""
    env_backend: Literal["auto", "gymnasium"] = Config.env_backend
    """Whose version of the task."""
    core: str = Config.core
    """Core."""
    hidden_size: int = Config.hidden_size
    """Units of the core."""
    unroll_length: int = 0
    """Steps per unroll. 0: as in training."""
    device: str = Config.device
    """Where learning is measured: auto, cpu, cuda or cuda:N."""
    actors: tuple[int, ...] = (10, 100, 1000, 10_000)
    """Actors, of all learners together."""
    num_envs: int = 16
    """Environments of each actor."""
    actors_a_machine: int = 16
    """Actors on each machine."""
    learners: int = 1
    """Learners, each with its share of the actors and a network of its own."""
    gigabits_a_s: float = 10.0
    """What the network of a machine carries, each way."""
    calls_a_s: float = 1000.0
    """Unrolls that a learner's process can ask for in a second; see docs/scale.md."""
    actor_rate: float = 0.0
    """Env steps/s of one actor, where that is known. 0: measured."""
    learner_rate: float = 0.0
    """Env steps/s that one learner learns from, where that is known. 0: measured."""
    seconds: float = 2.0
    """Time for each measurement."""

    def check(self) -> None:
        """Finds what cannot be measured.

        Raises:
            ValueError: one line; there is no such run, or a number that is none.
        """
        numbers = {"--actors": min(self.actors, default=0), "--actors-a-machine": self.actors_a_machine}
        numbers |= {"--learners": self.learners, "--num-envs": self.num_envs}
        for flag, number in numbers.items():
            if number < 1:
                raise ValueError(f"{flag} must be at least 1")
        for flag, value in {"--gigabits-a-s": self.gigabits_a_s, "--calls-a-s": self.calls_a_s}.items():
            if not value > 0:
                raise ValueError(f"{flag} must be more than 0")
        for flag, value in {"--actor-rate": self.actor_rate, "--learner-rate": self.learner_rate}.items():
            if not value >= 0:
                raise ValueError(f"{flag} must be at least 0")
        if not self.seconds > 0:
            raise ValueError("--seconds must be more than 0")
        check(self.configuration())
        Training(self.configuration()).runner.close()

    def configuration(self) -> Config:
        """The run that one actor is measured by."""
        names = ("env", "env_backend", "core", "hidden_size", "unroll_length", "device", "num_envs")
        return Config(runner="local", **{name: getattr(self, name) for name in names})

    def run(self) -> None:
        """Measures, and prints what follows from it."""
        print(describe(self, measure(self.configuration(), self.seconds)))


@dataclass(frozen=True)
class Parts:
    """What is to be known of a task and a network."""

    bytes_a_step: float
    """Of an unroll, for each env step."""
    weights_bytes: int
    actor_rate: float
    """Env steps/s that one actor makes."""
    learner_rate: float
    """Env steps/s that one learner learns from."""
    steps_an_unroll: float
    """Of one actor's environments together."""


def loads(
    parts: Parts,
    *,
    num_actors: int,
    actors_a_machine: int,
    num_learners: int,
    bytes_a_s: float,
    calls_a_s: float,
) -> dict[str, float]:
    """What actors that never wait ask of each learner, in times what it can do.

    Args:
        parts: of the task and the network.
        num_actors: of all learners together.
        actors_a_machine: machines fetch each version of the weights once.
        num_learners: each with its share of the actors.
        bytes_a_s: that the learner's network carries, each way.
        calls_a_s: unrolls that a learner can ask for.
    """
    actors = num_actors / num_learners
    steps = actors * parts.actor_rate  # a second
    updates = parts.actor_rate / parts.steps_an_unroll  # a batch holds one unroll of each actor
    machines = actors / min(actors_a_machine, actors)
    return {
        LEARNER: steps / parts.learner_rate,
        TRAJECTORIES: steps * parts.bytes_a_step / bytes_a_s,
        WEIGHTS: updates * machines * parts.weights_bytes / bytes_a_s,
        CALLS: steps / parts.steps_an_unroll / calls_a_s,
    }


def bytes_of(trajectory: Trajectory) -> int:
    """Bytes of an unroll on its way."""
    return sum(tensor.nbytes for tensor in trajectory.tensors())


def measure(config: Config, seconds: float) -> Parts:
    """Measures acting with the environments of one actor, and learning from the unrolls of NUM_PARTS."""
    acting = Training(config)
    unroll = acting.runner.next()
    actor_rate = rate(lambda: acting.runner.next().num_steps, seconds)
    acting.runner.close()
    learning = Training(dataclasses.replace(config, num_envs=NUM_PARTS * config.num_envs))
    batch = learning.runner.next()

    def learn() -> int:
        learning.learner.update(batch)
        if learning.device.type == "cuda":
            torch.cuda.synchronize()
        return batch.num_steps

    learn()  # compiles and allocates
    learner_rate = rate(learn, seconds)
    learning.runner.close()
    weights = give(learning.network.state_dict())
    return Parts(
        bytes_a_step=bytes_of(unroll) / unroll.num_steps,
        weights_bytes=sum(array.nbytes for array in weights.values()),
        actor_rate=actor_rate,
        learner_rate=learner_rate,
        steps_an_unroll=unroll.num_steps,
    )


def rate(work: Callable[[], int], seconds: float) -> float:
    """Env steps per second of what is done again and again, and returns the env steps of each time."""
    steps, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not steps:
        steps += work()
    return steps / elapsed


def describe(asked: Scale, parts: Parts) -> str:
    """What was measured, and a row for each number of actors."""
    parts = dataclasses.replace(
        parts,
        actor_rate=asked.actor_rate or parts.actor_rate,
        learner_rate=asked.learner_rate or parts.learner_rate,
    )
    lines = [
        f"{asked.env}, {asked.core}, H={asked.hidden_size}: {parts.bytes_a_step:,.0f} bytes an env step, "
        f"weights {parts.weights_bytes / 1e6:.2f} MB; an actor with {asked.num_envs} environments makes "
        f"{short(parts.actor_rate)} env steps/s in unrolls of {parts.steps_an_unroll:,.0f}, "
        f"a learner learns from {short(parts.learner_rate)}",
        f"{asked.learners} learner(s), {asked.gigabits_a_s:g} Gbit/s, {asked.actors_a_machine} actors a "
        f"machine, {asked.calls_a_s:g} calls/s; what actors that never wait ask for, in times what there is:",
        f"{'actors':>8}" + "".join(f"{name:>28}" for name in (LEARNER, TRAJECTORIES, WEIGHTS, CALLS)),
    ]
    for num_actors in asked.actors:
        found = loads(
            parts,
            num_actors=num_actors,
            actors_a_machine=asked.actors_a_machine,
            num_learners=asked.learners,
            bytes_a_s=asked.gigabits_a_s * 1e9 / 8,
            calls_a_s=asked.calls_a_s,
        )
        worst = max(found, key=found.__getitem__)
        total = num_actors * parts.actor_rate / max(1.0, found[worst])
        end = f"   {short(total)} env steps/s" + (f", limited by {worst}" if found[worst] > 1 else "")
        lines.append(f"{num_actors:>8,}" + "".join(f"{times:>28.3g}" for times in found.values()) + end)
    return "\n".join(lines)
