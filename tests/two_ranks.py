"""What each of two ranks does for tests/test_distributed.py: torchrun starts it with a folder to write to."""

import dataclasses
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from agents.actor import Actor, make_envs
from agents.config import Config
from agents.distributed import Group, group_of_torchrun
from agents.learner import Learner
from agents.network import make_network
from agents.runners.slots import split_columns
from agents.training import Training
from agents.trajectory import Inputs, Trajectory

T, B, H, NUM_UPDATES = 5, 3, 6, 12
CORES = ("ur-lstm", "on-lstm", "gru")


def joint_config(core: str) -> Config:
    """Episodes of 4 rows in unrolls of 5: some environments have a step that only resets, some have two."""
    # A gradient that is clipped at every update: by its own norm on each rank it would be another.
    fields = {"max_grad_norm": 0.01, "replays": 2, "replay_size": 4, "foresight_cost": 1.0}
    return Config(env_opt=("length=2",), core=core, hidden_size=H, encoder_size=4, **fields)


class Double(nn.Module):
    """Numbers as float64."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same numbers."""
        return x.double()


def new_learner(core: str, group: Group) -> Learner:
    """A learner in float64, whose policy and values are far from uniform and from zero."""
    config = joint_config(core)
    envs = make_envs(config, 1, 0)
    network = make_network(config, envs.single_observation_space, int(envs.single_action_space.n)).double()
    network.encoder.insert(1, Double())  # its first layer gives float32
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for head in (network.policy, network.value):
            head.weight.normal_(generator=draw)
    return Learner(network, config, group=group)


def joint_batches(core: str) -> list[Trajectory]:
    """Unrolls of all B environments, in float64; of the last environment most steps are made not valid."""
    config = joint_config(core)
    envs = make_envs(config, B, 0)
    network = make_network(config, envs.single_observation_space, int(envs.single_action_space.n))
    actor, batches = Actor(envs, network, seed=4), []
    for _ in range(NUM_UPDATES):
        batch = actor.unroll(actor.allocate(T))
        batch.core_state = tuple(tensor.clone().double() for tensor in batch.core_state)
        batch.rewards += torch.arange(T * B).view(T, B)
        batch.valid[1:, -1] = False
        batch.num_steps = int(batch.valid.sum())
        batch.inputs = batch.inputs._replace(prev_rewards=batch.inputs.prev_rewards.double())
        batch.behaviour_logits = batch.behaviour_logits.double()
        batch.rewards = batch.rewards.double()
        batches.append(batch)
    return batches


def part_of(batch: Trajectory, columns: slice) -> Trajectory:
    """Some environments of a batch, and how many steps the others have."""
    part = dataclasses.replace(
        batch,
        inputs=Inputs(*(field[:, columns] for field in batch.inputs)),
        core_state=tuple(tensor[columns] for tensor in batch.core_state),
        **{name: tensor[:, columns] for name, tensor in batch.transitions().items()},
    )
    part.num_steps = int(part.valid.sum())
    part.num_steps_elsewhere = batch.num_steps - part.num_steps
    return part


def learn(core: str, group: Group) -> dict[str, torch.Tensor]:
    """The weights, and the metrics of each update, after some updates on this rank's environments."""
    learner, found = new_learner(core, group), {}
    columns = split_columns(B, group.size)[group.rank]
    for number, batch in enumerate(joint_batches(core)):
        metrics = learner.update(part_of(batch, columns))
        found |= {f"{number}/{name}": torch.as_tensor(value).double() for name, value in metrics.items()}
    weights = {name: tensor.clone() for name, tensor in learner.network.state_dict().items()}
    return found | weights | {"env_steps": torch.tensor(learner.env_steps)}


class Even(Group):
    """A group in which every rank weighs the same: the mean of means, which is wrong."""

    def average(self, tensors: list[torch.Tensor], share: float) -> None:
        """Averages."""
        super().average(tensors, 1 / self.size)


def small(folder: Path, **changes) -> Config:
    """A run of some updates on 3 environments."""
    config = Config(
        env_opt=("length=2",), hidden_size=H, encoder_size=4, num_envs=B, unroll_length=T,
        total_steps=200, log_every_steps=20, log_dir=str(folder), runner="local", replays=1, replay_size=4,
    )  # fmt: skip
    return dataclasses.replace(config, **changes)


def run(training: Training, group: Group, *, asked_after: int | None = None) -> None:
    """Trains; after so many updates the last rank alone is asked to leave."""
    step = training.step

    def counted() -> None:
        step()
        if training.learner.version == asked_after and group.rank == group.size - 1:
            training._leave(15)

    training.step = counted
    assert training.run() == (asked_after is None)
    assert asked_after is None or training.stopped_by == 15


def train_all(folder: Path, group: Group) -> None:
    """Runs that the tests compare: whole, stopped and resumed, and with actors in processes."""
    for name, changes in (("whole", {}), ("process", {"runner": "process", "max_policy_lag": 0})):
        training = Training(small(folder / name, num_actors=1, **changes), group)
        training.create()
        run(training, group)
    training = Training(small(folder / "resumed", num_actors=1), group)
    training.create()
    run(training, group, asked_after=6)
    group.exchange([0])  # the first rank has written it
    again = Training(training.config, group)
    (half,) = (folder / "resumed").glob("*/*/*")
    lines = again.restore(half)
    assert len(lines) == 1, lines
    run(again, group)


def main(folder: Path) -> None:
    """Writes what this rank found."""
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    group = group_of_torchrun()
    assert group.size == 2
    with group.joined():
        found = {f"{core}/{name}": value for core in CORES for name, value in learn(core, group).items()}
        even = Even(group.rank, group.size)
        found |= {f"even/{name}": value for name, value in learn(CORES[0], even).items()}
        states = group.gather({"a": {"x": np.arange(2 + group.rank)}, "n": [group.rank, None, 0.1]})
        for rank, state in enumerate(states):
            assert state["n"] == [rank, None, 0.1]
            assert state["a"]["x"].tolist() == list(range(2 + rank))
        assert group.exchange([7 + group.rank, -1]) == [[7, -1], [8, -1]]
        assert group.first_failure(0, "") == (0, "")
        assert group.first_failure(5 * group.rank, "no file") == (5, "rank 1: no file")
        group.check_same("the weather", "fine")
        with pytest.raises(ValueError, match=r"^the ranks differ in the weather$"):
            group.check_same("the weather", str(group.rank))
        train_all(folder, group)
    save_file(found, folder / f"rank{group.rank}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
