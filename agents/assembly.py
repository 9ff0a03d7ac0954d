"""The network of a run, and the runner that acts with it: where environments live is decided here alone."""

from functools import partial
from typing import Any

import torch
from gymnasium.vector import VectorEnv

from agents.actor import make_envs
from agents.config import Config, generation_seed, stream_seed
from agents.cuda import use_precision
from agents.distributed import Group
from agents.encoders import Embedding
from agents.network import Network, make_network
from agents.runners import Runner
from agents.runners.local import LocalRunner
from agents.runners.process import make_actor_envs, make_process_runner, resolve_runner
from agents.runners.ray import make_ray_runner
from agents.runners.slots import split_columns
from envs.threads import Shares


def assemble(
    config: Config, group: Group, device: torch.device, unroll_length: int
) -> tuple[Network, Runner]:
    """Builds both, for one rank's share of the environments.

    Args:
        config: the run's.
        group: those that learn together.
        device: where this one learns.
        unroll_length: T.

    Raises:
        ValueError: one line; the configuration names something that doesn't exist or can't be built.
    """
    use_precision(config.precision, device)
    if config.num_envs < group.size:
        raise ValueError(f"--num-envs {config.num_envs}: {group.size} ranks need one each at least")
    own = split_columns(config.num_envs, group.size)[group.rank]
    kind = resolve_runner(config)
    if kind == "local":
        runner = LocalRunner(
            partial(make_own_envs, config, own, device),
            partial(network_for, config, device),
            unroll_length=unroll_length,
            seed=stream_seed(config.seed, "actions"),
            first_env=own.start,
            reward_scale=config.reward_scale,
            context_length=config.context_length,
        )
        return network_for(config, device, runner.actor.envs), runner
    sample = make_actor_envs(config, 1, 0, 0)  # what is wrong with the task is found here
    sample.close()
    network, space = network_for(config, device, sample), sample.single_observation_space
    make_runner = make_ray_runner if kind == "ray" else make_process_runner
    return network, make_runner(config, network, space, unroll_length, group, own)


def make_own_envs(config: Config, own: slice, device: torch.device, generation: int) -> VectorEnv | Shares:
    """The environments that are stepped in this process, in shares where a GPU acts."""
    seed = generation_seed(stream_seed(config.seed, "environments"), generation)

    def make(first: int, count: int) -> VectorEnv:
        return make_envs(config, count, seed, first_index=own.start + first)

    size = own.stop - own.start
    return Shares(make, size, num_threads=config.num_threads) if device.type == "cuda" else make(0, size)


def network_for(config: Config, device: torch.device, envs: VectorEnv | Shares) -> Network:
    """The network of a run for its environments, with its first weights."""
    actions: Any = envs.single_action_space
    network = make_network(config, envs.single_observation_space, int(actions.n)).to(device)
    network.uses_bfloat16 = config.precision == "bfloat16"
    if network.uses_bfloat16 and isinstance(network.encoder, Embedding):
        what = f"--precision bfloat16: {config.env} shows categories, whose encoder has no products"
        raise ValueError(f"{what}; tf32 rounds the core's")
    return network
