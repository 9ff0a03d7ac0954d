"""What a run is made of: one flat record, and what its numbers may be."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from tyro.conf import arg

from agents.options import parse_options
from envs.card import TaskCard


@dataclass(frozen=True)
class Config:
    """Everything that decides a run. The text under a field is its help on the command line."""

    env: str = "tmaze"
    """Task: a native one (see the README) or any Gymnasium id, e.g. MiniGrid-MemoryS7-v0."""
    env_opt: tuple[str, ...] = ()
    """Options of the task as name=value, e.g. length=100."""
    env_backend: Literal["auto", "gymnasium"] = "auto"
    """Whose version of the task. auto: Longhold's own compiled one where there is one, else Gymnasium's;
    gymnasium: always the original."""
    core: str = "ur-lstm"
    """Recurrent core: a name of the README's table, or your own as package.module:Class."""
    core_opt: tuple[str, ...] = ()
    """Options of the core as name=value, e.g. t_max=200."""
    hidden_size: int = 128
    """Units of the core (H)."""
    encoder_size: int = 64
    """Width of the encoded observation that enters the core."""
    num_products: int = 0
    """Products of the core's output and input that policy and value read beside the output: for choices that
    depend on what is remembered and what is seen at once."""

    seed: int = 0
    """Seed of weights, environments and actions."""
    total_steps: int = 1_500_000
    """Env steps to train for."""
    num_envs: int = 32
    """Environments in a batch (B), of all actors together."""
    unroll_length: int = 0
    """Steps per unroll (T), the length of truncated backpropagation. 0: a whole episode and the step that
    resets it where the task's episodes have a fixed length, several of them below 32 steps; else 128."""
    context_length: int = 0
    """Steps before each unroll (W) that the learner runs through again, with gradient and without loss: from
    every choice the gradient then reaches at least so far back. At most the unroll's length. 0: none."""

    discount: float = 0.99
    """Discount factor (gamma)."""
    reward_scale: float = 1.0
    """Every reward is multiplied by it before learning. Nothing is clipped."""
    learning_rate: float = 2e-3
    """Step size, in the first half of the run."""
    learning_rate_final: float = 0.0
    """Step size at the end: linear from the middle of the run."""
    exploration_cost: float = 1e-3
    """Weight of the exploration loss in the first half of the run; it keeps the probability of every action
    away from 0."""
    exploration_cost_final: float = 0.0
    """Weight of the exploration loss in the last quarter: linear from the middle of the run."""
    exploration_floor: float = 1e-3
    """Probability below which an action is pulled up by the exploration loss. 1: always, by
    KL(uniform || policy)."""
    entropy_cost: float = 0.0
    """Weight of the entropy bonus, in the first half of the run."""
    entropy_cost_final: float = 0.0
    """Weight of the entropy bonus in the last quarter: linear from the middle of the run."""
    baseline_cost: float = 0.5
    """Weight of the baseline's loss."""
    foresight_cost: float = 0.0
    """Weight of the auxiliary loss: a head predicts from the core's output future rewards, each times the
    observation and action that it comes with. 0: no such head."""
    replays: int = 0
    """Stored unrolls to learn from after each new one: fewer env steps are needed, and each takes longer."""
    replay_size: int = 64
    """Capacity of the replay, in unrolls."""
    optimizer: Literal["adam", "rmsprop"] = "adam"
    """Optimiser."""
    optimizer_epsilon: float = 1e-8
    """Epsilon of the optimiser."""
    adam_beta2: float = 0.999
    """Adam's beta 2: the share of the running mean square of gradients that stays at a step."""
    max_grad_norm: float = 0.1
    """Maximum norm of the gradient; a larger one is clipped."""
    max_grad_growth: float = 0.0
    """Maximum norm of the gradient as a multiple of what it was before, by the optimiser's running mean
    square. 0: no such maximum."""
    max_skipped_updates: int = 100
    """Updates that may be skipped, as their gradient was infinite or NaN; one more ends the run."""
    rho_bar: float = 1.0
    """V-trace: clip of the weights in the temporal differences."""
    pg_rho_bar: float = 1.0
    """V-trace: clip of the weights in the policy gradient."""
    c_bar: float = 1.0
    """V-trace: clip of the trace coefficients."""
    lambda_: Annotated[float, arg(name="lambda")] = 1.0
    """V-trace: decay of the traces."""

    runner: Literal["auto", "local", "process", "ray"] = "auto"
    """Where environments are stepped. local: here, in turn with learning; bit-reproducible. process: by
    actors in processes of their own, while learning goes on. ray: by actors on the machines of a Ray cluster.
    auto: process for an environment that is not Longhold's own, where there is more than one processor core;
    else local."""
    ray_address: str = "auto"
    """ray: the cluster. auto: the one that this machine belongs to, or RAY_ADDRESS names; local: this machine
    alone; host:port, or ray://host:port from outside."""
    num_actors: int = 0
    """process, ray: actors; each steps its share of the environments. 0: one for each processor core but one.
    With several ranks, those of each."""
    max_policy_lag: int = 2
    """process, ray: updates that the weights of an actor may be behind those that learn. 0: acting and
    learning take turns; with process, runs are then reproducible."""
    actor_deadline_s: float = 60.0
    """process, ray: seconds that one step of an actor's environments may take; then it is taken for hung, and
    replaced."""
    max_actor_failures: int = 20
    """process, ray: actors that may be replaced within an hour, as they died, failed or hung; one more ends
    the run."""

    device: str = "auto"
    """auto (CUDA where there is one, else CPU), cpu, cuda or cuda:N."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """CUDA: how products are rounded. tf32: their factors to 10 bits. bfloat16: those of encoder and heads to
    7, the core's as tf32. All else is float32: core state, V-trace, loss, optimiser."""
    num_threads: int = 1
    """Threads of torch on the CPU; with a GPU, those that step environments. More pay only for wide cores or
    large batches, on processor cores that nothing else uses: small matrix products whose threads wait for a
    busy core take a hundred times as long. Not chosen by itself: the number of threads decides how sums are
    rounded, and so the run."""
    log_dir: str = "runs"
    """Where run folders go: LOG_DIR/env/core/seedN-time."""
    log_every_steps: int = 0
    """Env steps between points of the curves. 0: 200 points a run."""
    gates_every_steps: int = 0
    """Env steps between records of the core's gates. 0: 50 a run."""
    checkpoint_every_s: float = 60.0
    """Seconds between checkpoints."""
    keep_checkpoints: int = 3
    """How many of the newest checkpoints stay; the best one does besides."""

    @property
    def env_options(self) -> dict[str, Any]:
        """The task's options by name."""
        return parse_options("env-opt", self.env_opt)

    @property
    def core_options(self) -> dict[str, Any]:
        """The core's options by name."""
        return parse_options("core-opt", self.core_opt)


DEFAULT_UNROLL_LENGTH = 128
"""For tasks whose episodes have no fixed length."""
SHORTEST_UNROLL = 32
"""Shorter episodes share an unroll: an update of fewer steps takes hardly less time."""

RANGES: dict[str, tuple[float, float]] = {
    "hidden_size": (1, 65_536),
    "num_products": (0, 65_536),
    "encoder_size": (1, 65_536),
    "seed": (0, 2**63 - 1),
    "total_steps": (1, 10**15),
    "num_envs": (1, 1_000_000),
    "unroll_length": (0, 1_000_000),
    "context_length": (0, 1_000_000),
    "discount": (0, 1),
    "reward_scale": (1e-12, 1e12),
    "learning_rate": (0, 1e3),
    "learning_rate_final": (0, 1e3),
    "exploration_cost": (0, 1e6),
    "exploration_cost_final": (0, 1e6),
    "exploration_floor": (1e-12, 1),
    "entropy_cost": (0, 1e6),
    "entropy_cost_final": (0, 1e6),
    "baseline_cost": (0, 1e6),
    "foresight_cost": (0, 1e6),
    "replays": (0, 10_000),
    "replay_size": (1, 10**9),
    "optimizer_epsilon": (1e-30, 1),
    "adam_beta2": (0, 0.999_999),
    "max_grad_norm": (1e-12, 1e12),
    "max_grad_growth": (0, 1e12),
    "max_skipped_updates": (0, 10**9),
    "rho_bar": (0, 1e12),
    "pg_rho_bar": (0, 1e12),
    "c_bar": (0, 1e12),
    "lambda_": (0, 1),
    "num_actors": (0, 100_000),
    "max_policy_lag": (0, 1000),
    "actor_deadline_s": (1e-3, 1e9),
    "max_actor_failures": (0, 10**9),
    "num_threads": (1, 4096),
    "log_every_steps": (0, 10**15),
    "gates_every_steps": (0, 10**15),
    "checkpoint_every_s": (0, 1e9),
    "keep_checkpoints": (1, 1_000_000),
}
"""Least and greatest value of each number."""

MAY_CHANGE = {"total_steps", "device", "precision", "num_threads", "num_actors", "max_skipped_updates"}
MAY_CHANGE |= {"runner", "ray_address", "max_policy_lag", "actor_deadline_s", "max_actor_failures"}
MAY_CHANGE |= {"log_every_steps", "gates_every_steps", "checkpoint_every_s", "keep_checkpoints"}
"""What a resumed run may do differently; all else would make it another run."""
NOT_LEARNT_FROM = {
    "log_dir",
    "log_every_steps",
    "gates_every_steps",
    "checkpoint_every_s",
    "keep_checkpoints",
}
NOT_LEARNT_FROM |= {"max_skipped_updates", "ray_address", "actor_deadline_s", "max_actor_failures"}
"""What decides where things are written, and how faults are met: the same is learnt with any value."""


def flag(field: str) -> str:
    """How a field is called on the command line."""
    return "--" + field.strip("_").replace("_", "-")


def resolve_unroll_length(config: Config, card: TaskCard | None) -> int:
    """Steps per unroll: the user's choice, or whole episodes, each with the step that resets it."""
    if config.unroll_length:
        return config.unroll_length
    if card is not None and card.episode_length is not None:
        period = card.episode_length + 1
        return period * math.ceil(SHORTEST_UNROLL / period)
    return DEFAULT_UNROLL_LENGTH


def describe_gradient_path(unroll_length: int, card: TaskCard | None, context_length: int = 0) -> list[str]:
    """Says how far the gradient reaches and whether that suffices, a line each.

    Args:
        unroll_length: T.
        card: the task's card, None where nobody wrote one.
        context_length: W, at most T.
    """
    reach = f"{context_length} to {context_length + unroll_length}" if context_length else f"{unroll_length}"
    if card is None:
        return [f"gradient reaches {reach} steps; the task's memory span is not known"]
    period = None if card.episode_length is None else card.episode_length + 1
    whole = period is not None and unroll_length % period == 0
    lines = [
        f"gradient reaches {reach} steps; the task needs {card.span}; "
        f"unrolls hold whole episodes: {'yes' if whole else 'no'}"
    ]
    if not whole and context_length < card.span and unroll_length < 2 * card.span:
        advice = f"--unroll-length {period}" if period else f"--context-length {card.span}"
        if not period and card.span > unroll_length:
            advice += f" --unroll-length {card.span}"
        lines.append(f"warning: most gradients will not reach from the choice to the cue; use {advice}")
    return lines


def stream_seed(
    seed: int, stream: Literal["weights", "environments", "actions", "evaluation", "replay"]
) -> int:
    """An independent seed for each use of randomness in a run."""
    index = ("weights", "environments", "actions", "evaluation", "replay").index(stream)
    return int(np.random.SeedSequence(seed, spawn_key=(index,)).generate_state(1, np.uint64)[0] >> 1)


def generation_seed(seed: int, generation: int, index: int = 0) -> int:
    """The seed of an actor that began after others of its place: those before it have played their episodes.

    The first generation's environments have the run's own seed, and so has its first actor's sampling: one
    actor that is never behind does what the local runner does.
    """
    if generation == index == 0:
        return seed
    key = np.random.SeedSequence(seed, spawn_key=(generation, index))
    return int(key.generate_state(1, np.uint64)[0] >> 1)
