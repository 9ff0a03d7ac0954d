"""How good a trained agent is: success, return and length over fresh episodes, with intervals."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agents.actor import Actor, make_envs
from agents.checkpoint import load_checkpoint
from agents.config import Config, stream_seed
from agents.network import Network, make_network
from agents.run_folder import read_config
from agents.trajectory import Episodes
from envs import TaskCard

NUM_ENVS = 128
UNROLL_LENGTH = 32
Z95 = 1.959964  # 97.5 % quantile of the normal distribution


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """The mean and its bounds, as people read them."""
        if math.isnan(self.mean):
            return "not reported by this task"
        return f"{self.mean:.3f}  [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found."""

    success: Interval
    returns: Interval
    length: Interval
    num_episodes: int
    env_steps: int
    """Age of the weights that acted."""

    def save(self, path: Path) -> None:
        """Writes the figures as JSON."""
        figures = {
            "episodes": self.num_episodes,
            "env_steps": self.env_steps,
            **{name: getattr(self, name)._asdict() for name in ("success", "returns", "length")},
        }
        path.write_text(json.dumps(figures, indent=1).replace("NaN", "null") + "\n")

    def table(self, config: Config, card: TaskCard | None) -> str:
        """The figures beside what the task allows, as lines of text."""
        rows = [(f"{config.core} (this agent)", str(self.success))]
        if card is not None:
            rows.append(("oracle", f"{card.oracle:.3f}"))
            rows.append(("best memoryless policy", f"{card.memoryless:.3f}"))
            rows.append(("chance", f"{card.chance:.3f}"))
        lines = [f"success over {self.num_episodes:,} fresh episodes, 95 % interval"]
        lines += [f"  {name:<28}{value}" for name, value in rows]
        lines += [f"return  {self.returns}", f"length  {self.length}"]
        return "\n".join(lines)


def load_run(folder: Path, which: str = "latest") -> tuple[Config, Network, int, list[str]]:
    """The configuration and verified weights of a run.

    Args:
        folder: the run's folder.
        which: checkpoint, "latest", "best" or its env steps; where it is damaged, the next in that order.

    Returns:
        Configuration, network on the CPU, its age in env steps, and lines on checkpoints that were refused.

    Raises:
        ValueError: the folder is no run, its configuration can't be used, or it has no such checkpoint.
        CheckpointError: no checkpoint verifies.
    """
    config = read_config(folder)
    envs = make_envs(config, 1, 0)
    num_actions = int(envs.single_action_space.n)  # type: ignore[attr-defined]
    network = make_network(config, envs.single_observation_space, num_actions)
    envs.close()
    state, _, refused = load_checkpoint(
        folder / "checkpoints", which, lambda state: network.load_state_dict(state["learner"]["network"])
    )
    return config, network, state["learner"]["env_steps"], refused


def evaluate(config: Config, network: Network, *, num_episodes: int, seed: int, env_steps: int) -> Evaluation:
    """Runs the policy, sampling as in training, for whole episodes in environments it has not seen.

    Args:
        config: of the run.
        network: the policy, on the device to act on.
        num_episodes: how many episodes count. Each environment's first few do, so that long ones are not
            under-represented.
        seed: of the evaluation; its environments and actions differ from training's at every seed.
        env_steps: age of the weights, to be kept with the result.
    """
    stream = stream_seed(seed, "evaluation")
    num_envs = min(NUM_ENVS, num_episodes)
    envs = make_envs(config, num_envs, stream)
    actor = Actor(envs, network, seed=stream + 1, reward_scale=config.reward_scale)
    try:
        episodes = collect(actor, num_episodes)
    finally:
        envs.close()
    known = episodes.successes[~np.isnan(episodes.successes)]
    return Evaluation(
        success=wilson_interval(float(known.sum(dtype=np.float64)), len(known)),
        returns=normal_interval(episodes.returns),
        length=normal_interval(episodes.lengths),
        num_episodes=num_episodes,
        env_steps=env_steps,
    )


def collect(actor: Actor, num_episodes: int) -> Episodes:
    """The first episodes of each environment, as many from one as from another (to one)."""
    num_envs = actor.envs.num_envs
    wanted = np.full(num_envs, num_episodes // num_envs)
    wanted[: num_episodes % num_envs] += 1
    buffers = actor.allocate(UNROLL_LENGTH)
    kept: list[Episodes] = []
    counts = np.zeros(num_envs, np.int64)
    while (counts < wanted).any():
        episodes = actor.unroll(buffers).episodes
        keep = np.zeros(len(episodes.envs), bool)
        for i, env in enumerate(episodes.envs):
            keep[i] = counts[env] < wanted[env]
            counts[env] += keep[i]
        kept.append(Episodes(*(field[keep] for field in episodes)))
    return Episodes.concatenate(kept)


def wilson_interval(successes: float, trials: int) -> Interval:
    """Share of successes with the score interval of Wilson (1927), which stays inside [0, 1].

    Where a success may be anything in 0 … 1 their sum is no whole number, and the interval is too wide:
    no such variable with this mean varies more than one of 0 and 1.
    """
    if trials == 0:
        return Interval(math.nan, math.nan, math.nan)
    share, z2 = successes / trials, Z95**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def normal_interval(values: np.ndarray) -> Interval:
    """Mean of values [E] with its normal 95 % interval."""
    mean = float(values.mean(dtype=np.float64))
    if len(values) < 2:
        return Interval(mean, math.nan, math.nan)
    half = Z95 * float(values.std(ddof=1, dtype=np.float64)) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)
