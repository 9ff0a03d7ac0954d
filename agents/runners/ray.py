"""The runner for many machines: actors on a Ray cluster, as many as it has room for at the moment.

A batch is made of k unrolls, whoever made them, first come, first served as far as `batching` allows: on a
cluster some actors are still to be placed while others work, and those of a lost machine are gone for a
while. So column b is another environment in every batch. Each actor has its share of the environments, and k
is the number of actors; where they are more than the environments of a batch each has one, and k is less.

Ray's object store carries both ways: one object for each version of the weights, which a machine fetches once
for all its actors, and one for each unroll, whose arrays the learner copies from there into the batch. An
actor begins only what will be learnt from while its weights are at most `max_policy_lag` updates old.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from gymnasium import spaces
from torch import Tensor

from agents.config import Config, generation_seed, stream_seed
from agents.console import say
from agents.distributed import Group
from agents.network import Network
from agents.runners import Stopped
from agents.runners.cluster import connect, disconnect, num_cores
from agents.runners.failures import Limits, actor_name
from agents.runners.process import recipe_of
from agents.runners.remote import BESIDE, RemoteActor, RemoteJob, give, unpack
from agents.runners.slots import allocate_slots, split_columns
from agents.runners.tending import RayActors
from agents.runners.worker import Recipe
from agents.trajectory import Trajectory

POLL_S = 0.2
"""How often a learner that waits looks whether to stop."""


class RayRunner:
    """Actors on the cluster that this process is connected to, which start with the first `next`."""

    anew = "actors on a cluster keep no state"

    def __init__(
        self,
        recipe: Recipe,
        network: Network,
        space: spaces.Space,
        *,
        task: str,
        num_envs: int,
        first_env: int = 0,
        num_actors: int,
        unroll_length: int,
        max_policy_lag: int,
        env_seed: int,
        action_seed: int,
        limits: Limits,
        close: Callable[[], None] = lambda: None,
        tell: Callable[[str], None] = say,
    ):
        """Lays out the batch.

        Arguments are as of `ProcessRunner`; `num_envs` are those of a batch, and `close` is called when the
        actors have ended.

        Raises:
            ValueError: one line; as `split_batch`.
        """
        self._recipe, self._task, self._limits, self._tell = recipe, task, limits, tell
        self._envs_each, self._size = split_batch(num_envs, num_actors, max_policy_lag)
        self._num_actors, self._unroll_length, self._max_lag = num_actors, unroll_length, max_policy_lag
        self._env_seed, self._action_seed = env_seed, action_seed
        self._first_env = first_env
        self._slots = allocate_slots(
            space,
            network.num_actions,
            network.initial_state(num_envs),
            unroll_length=unroll_length,
            context_length=recipe.context_length,
            num_slots=1,
            columns=split_columns(num_envs, self._size),
        )
        self._seconds = [0.0, 0.0]
        self._crew: RayActors | None = None
        self._generation = 0  # of the actors that are to start
        self._disconnect, self._stopping, self._holds_batch = close, False, False
        self.publish(network.state_dict(), 0)

    def publish(self, weights: dict[str, Tensor], version: int) -> None:
        """Acts with these weights (a network's state_dict) from each actor's next unroll on."""
        import ray

        self._weights = version, ray.put(give(weights))
        if self._crew is not None:
            self._crew.publish(*self._weights)

    def next(self) -> Trajectory:
        """The next batch, in buffers that the next call overwrites.

        Raises:
            Stopped: `stop` was called.
            ActorFailure: actors failed too often.
        """
        crew = self._crew = self._crew or self._start()
        if self._holds_batch:
            self._holds_batch = False  # it has been learnt from
            crew.grant(self._size)
        unrolls = None
        while unrolls is None:
            self._pass_on(crew)
            with crew.changed:
                if crew.failure is not None:
                    raise crew.failure
                unrolls = crew.collect(self._size, self._max_lag)
                if unrolls is None and self._stopping:
                    raise Stopped
                if unrolls is None:
                    crew.changed.wait(POLL_S)
        self._holds_batch = True
        for number, unroll in enumerate(unrolls):
            self._slots.finish(0, number, unpack(unroll, self._slots.part(0, number)))
        return self._slots.batch(0)

    def _start(self) -> RayActors:
        return RayActors(
            self._make_actor,
            self._limits,
            names=[partial(self._name, index) for index in range(self._num_actors)],
            generation=self._generation,
            num_granted=(self._max_lag + 1) * self._size,
            weights=self._weights,
        )

    def _pass_on(self, crew: RayActors) -> None:
        while crew.lines:
            self._tell(crew.lines.popleft())

    def _columns(self, index: int) -> slice:
        first = self._first_env + index * self._envs_each
        return slice(first, first + self._envs_each)

    def _name(self, index: int, generation: int) -> str:
        seed = generation_seed(self._env_seed, generation)
        return actor_name(index, self._task, self._columns(index), seed)

    def _make_actor(self, index: int, generation: int) -> Any:
        """Asks Ray to start an actor: one processor core, no GPU, anywhere."""
        import ray

        job = RemoteJob(
            recipe=self._recipe,
            columns=self._columns(index),
            env_seed=generation_seed(self._env_seed, generation),
            action_seed=generation_seed(self._action_seed, generation, self._first_env + index),
            unroll_length=self._unroll_length,
        )
        decorate: Any = ray.remote  # its types know no concurrency groups
        kind = decorate(
            num_cpus=1,
            num_gpus=0,
            max_restarts=0,
            scheduling_strategy="SPREAD",
            concurrency_groups={BESIDE: 1},
        )
        return kind(RemoteActor).remote(job)

    def stop(self) -> None:
        """Makes a `next` that waits, or would have to, raise `Stopped`."""
        self._stopping = True

    def figures(self, elapsed_s: float, next_share: float) -> dict[str, float]:
        """How long the learner waited, what the actors did meanwhile, and what became of them so far."""
        seconds = self._crew.seconds if self._crew else [0.0, 0.0]
        envs, unrolls = (
            (now - before) / (elapsed_s * self._num_actors)
            for now, before in zip(seconds, self._seconds, strict=True)
        )
        self._seconds = seconds
        return {
            "speed/share_waiting": next_share,
            "speed/share_actors_envs": envs,
            "speed/share_actors_acting": unrolls - envs,
            "actors/running": self._crew.num_running if self._crew else 0,
            "actors/replaced": self._crew.num_replaced if self._crew else 0,
            "actors/dropped_episodes": self._crew.num_dropped if self._crew else 0,
        }

    def close(self) -> None:
        """Ends the actors, and leaves the cluster."""
        if self._crew is not None:
            self._crew.close()
            self._pass_on(self._crew)
        self._crew, self._stopping = None, True
        self._disconnect()

    def state_dict(self) -> dict[str, Any]:
        """How often actors began anew, so that a resumed run does not play the same episodes again."""
        generations = self._crew.generations if self._crew else [self._generation - 1]
        return {"generation": max(generations)}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Takes over from a state, which may be another runner's; False: episodes start anew."""
        self._generation = int(state.get("generation", 0)) + 1
        return False


def split_batch(num_envs: int, num_actors: int, max_policy_lag: int) -> tuple[int, int]:
    """Environments of each actor, and unrolls in a batch.

    Raises:
        ValueError: one line; the batch does not split, or some actors could never be at work.
    """
    if num_actors <= num_envs and num_envs % num_actors:
        below = num_envs // num_actors * num_actors
        raise ValueError(
            f"--num-envs {num_envs} must be a multiple of --num-actors {num_actors} for --runner ray; "
            f"the nearest are {below} and {below + num_actors}"
        )
    envs_each = max(1, num_envs // num_actors)
    size = num_envs // envs_each
    if num_actors > (max_policy_lag + 1) * size:
        raise ValueError(
            f"--num-actors {num_actors}: with --num-envs {num_envs} and --max-policy-lag {max_policy_lag} "
            f"no more than {(max_policy_lag + 1) * size} can be at work at once"
        )
    return envs_each, size


def make_ray_runner(
    config: Config, network: Network, space: spaces.Space, unroll_length: int, group: Group, envs: slice
) -> RayRunner:
    """The runner of a run's configuration, connected to its cluster; arguments as of `make_process_runner`.

    Raises:
        ValueError: one line; there is no such cluster, or the numbers of actors and environments do not fit.
    """
    num_envs = envs.stop - envs.start
    if config.num_actors:
        split_batch(num_envs, config.num_actors, config.max_policy_lag)
    own = connect(config.ray_address, config.num_actors)
    try:
        num_actors = config.num_actors or fitting_actors(num_envs, num_cores() // group.size - 1)
        return RayRunner(
            recipe_of(config),
            network,
            space,
            task=config.env,
            num_envs=num_envs,
            first_env=first_column(envs, num_actors, config.max_policy_lag, group.rank),
            num_actors=num_actors,
            unroll_length=unroll_length,
            max_policy_lag=config.max_policy_lag,
            env_seed=stream_seed(config.seed, "environments"),
            action_seed=stream_seed(config.seed, "actions"),
            limits=Limits(config.actor_deadline_s, config.max_actor_failures),
            close=disconnect if own else lambda: None,
        )
    except ValueError:
        if own:
            disconnect()
        raise


def first_column(envs: slice, num_actors: int, max_policy_lag: int, rank: int) -> int:
    """Index of the first environment of a rank's actors, who may have more of them than a batch holds."""
    envs_each, _ = split_batch(envs.stop - envs.start, num_actors, max_policy_lag)
    return max(envs.start, rank * num_actors * envs_each)


def fitting_actors(num_envs: int, num_free: int) -> int:
    """The most actors among whom the environments of a batch can be shared evenly, one a free core."""
    return max(
        number for number in range(1, num_envs + 1) if not num_envs % number and number <= max(1, num_free)
    )
