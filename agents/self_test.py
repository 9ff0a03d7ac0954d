"""Whether training, resuming, actors in processes and evaluation do here what they must; a minute or less."""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from agents.config import Config
from agents.evaluation import evaluate
from agents.installation import Finding
from agents.training import Training

SHORT = Config(env_opt=("length=10",), num_envs=8, hidden_size=32, device="cpu", runner="local")
LEARNING = Config(
    env_opt=("length=2",), total_steps=30_000, num_envs=16, unroll_length=4, hidden_size=32, device="cpu"
)
CHANCE, ENOUGH = 0.5, 0.8
"""Success in a T-maze without memory, and what `LEARNING` must reach."""
NUM_UPDATES = 4
MEND = "run the tests (make test) and report what fails"


def trained(config: Config, num_updates: int, folder: Path | None = None) -> Training:
    """A run after some updates; from a folder's checkpoint on, where there is one."""
    training = Training(config)
    if folder is None:
        training.create()
    else:
        training.restore(folder)
    for _ in range(num_updates):
        training.step()
    return training


def equal(first: Training, second: Training) -> bool:
    """Whether two runs have the same weights, bit for bit."""
    pairs = zip(first.network.parameters(), second.network.parameters(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def resume() -> Finding:
    """A run that is stopped and resumed, against one that is not."""
    with tempfile.TemporaryDirectory() as folder:
        config = dataclasses.replace(SHORT, log_dir=folder)
        whole = trained(config, 2 * NUM_UPDATES)
        first = trained(config, NUM_UPDATES)
        first._save()
        first.close()
        second = trained(config, NUM_UPDATES, first.folder)
        same = equal(whole, second) and not equal(whole, first)
        for training in (whole, second):
            training.close()
    if not same:
        return Finding("failed", "a resumed run differs from one that was never stopped", MEND)
    return Finding("ok", f"bit for bit the run that was never stopped, after {2 * NUM_UPDATES} updates")


def actors() -> Finding:
    """One actor in a process of its own, which takes turns with learning, against none."""
    with tempfile.TemporaryDirectory() as folder:
        here = dataclasses.replace(SHORT, log_dir=folder)
        apart = dataclasses.replace(here, runner="process", num_actors=1, max_policy_lag=0)
        runs = [trained(config, NUM_UPDATES) for config in (here, apart)]
        same = equal(*runs)
        for training in runs:
            training.close()
    if not same:
        return Finding(
            "failed", "an actor in a process of its own did something else", f"--runner local; {MEND}"
        )
    return Finding("ok", "an actor in a process of its own does what it does here")


def learning() -> Finding:
    """A short run of the default task, evaluated from its checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        training = trained(dataclasses.replace(LEARNING, log_dir=folder), 0)
        while training.learner.env_steps < LEARNING.total_steps:
            training.step()
        config, steps = training.config, training.learner.env_steps
        found = evaluate(config, training.network, num_episodes=500, seed=1, env_steps=steps).success
        training.close()
    text = f"success {found.mean:.2f} over 500 episodes after {steps:,} env steps; chance is {CHANCE}"
    return Finding("ok", text) if found.mean >= ENOUGH else Finding("failed", text, MEND)


SELF_TEST: dict[str, Callable[[], Finding]] = {"resume": resume, "actors": actors, "learning": learning}
"""Its checks by name."""
