"""Actors on a cluster of several nodes: what they hand over, proved by integers, and what becomes of them."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import ray
import torch
from fickle_envs import BIT, ERA, ERAS, A, check_column, numbered_recipe, tell_version, telling_network
from gymnasium.spaces import Box
from ray.cluster_utils import Cluster
from runs import one_actor

from agents.checkpoint import load_checkpoint
from agents.checkpoint_format import split_state
from agents.config import generation_seed
from agents.runners import Stopped
from agents.runners.failures import ActorFailure, Failures, Limits
from agents.runners.ray import RayRunner, first_column, fitting_actors, split_batch
from agents.training import Training
from scripts import train

pytestmark = pytest.mark.slow
"""Ray starts a dozen processes for each node: where other work shares the cores they answer too late."""

ROOT = Path(__file__).parent.parent
T, B, E, LAG = 5, 6, 2, 2
K = B // E
SEED = 17
DEADLINE_S = 6.0
TEST_S = 60
"""What a test may take, with the cluster that it may have to start."""
QUICK = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_failure_threshold": 3,
}
"""For Ray: a lost node is found out in a second."""


class Consumer:
    """A learner that learns nothing, and checks all that it is given."""

    def __init__(self, folder):
        self.said, self.version, self.folder = [], 0, folder
        self.network = telling_network(None, A)
        self.runner = RayRunner(
            numbered_recipe(folder),
            self.network,
            Box(0.0, 1e9, (3,), "float32"),
            task="counting",
            num_envs=B,
            num_actors=K,
            unroll_length=T,
            max_policy_lag=LAG,
            env_seed=SEED,
            action_seed=3,
            limits=Limits(DEADLINE_S, 100),
            tell=self.said.append,
        )
        self.last_rows, self.eras, self.lags = {}, defaultdict(list), []
        self.num_ended = Counter()  # by actor and era

    @property
    def crew(self):
        return self.runner._crew

    def take(self):
        """One batch, checked; then weights of the next version are published."""
        batch = self.runner.next()
        versions = [self.check_part(batch, first) for first in range(0, B, E)]
        assert batch.version == min(versions)
        assert self.version - LAG <= min(versions) <= max(versions) <= self.version
        self.lags.append(self.version - batch.version)
        assert batch.num_steps == batch.valid.sum()
        self.version += 1
        tell_version(self.network, self.version)
        self.runner.publish(self.network.state_dict(), self.version)
        return batch

    def check_part(self, batch, first):
        """Checks an actor's unroll, which follows from the last of that actor; returns its version."""
        envs = []
        for b in range(first, first + E):
            env, begin, end, ended = check_column(batch, b, b - first)
            (_, episode, step), _ = begin
            era = episode // ERA
            if not self.eras[env] or era != self.eras[env][-1]:  # others play from here on
                assert era not in self.eras[env]
                self.eras[env].append(era)
                assert (episode % ERA, step) == (1, 0)
            else:
                assert begin == self.last_rows[env]
            self.last_rows[env] = end
            self.num_ended[env // E, era] += len(ended)
            envs.append(env)
        assert envs == [envs[0], envs[0] + 1]
        assert envs[0] % E == 0
        (told,) = set(batch.behaviour_logits[:, first : first + E, 0].ravel().tolist())
        return told / BIT

    def take_until(self, event, limit_s=40.0):
        until = time.monotonic() + limit_s
        while not event():
            assert time.monotonic() < until, self.said
            self.take()

    def take_until_all_run(self):
        self.take_until(lambda: len(self.eras) == B and self.crew.num_running == K)

    def is_sound(self):
        return self.crew is not None and self.crew.failure is None and self.crew.num_running == K


def name_of(actor, generation):
    seed = generation_seed(SEED, generation)
    return f"actor {actor} (counting, environments {E * actor} … {E * actor + 1} of seed {seed})"


@contextmanager
def within(limit_s):
    """Fails what takes longer, wherever it waits."""

    def fail(*_):
        pytest.fail(f"takes more than {limit_s} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(limit_s)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Stage:
    """A cluster of two machines beside its head, and a consumer on it, kept from test to test."""

    def __init__(self, make_folder):
        self.cluster = self.consumer = None
        self.make_folder = make_folder

    def prepare(self):
        """Has both machines there, whatever the test before did to them."""
        if self.cluster is None:
            head = {"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK}
            self.cluster = Cluster(initialize_head=True, head_node_args=head)
            ray.init(address=self.cluster.address, log_to_driver=False)
        for _ in range(2 - len(self.cluster.worker_nodes)):
            self.cluster.add_node(num_cpus=2)

    def send_away(self):
        """Makes room."""
        if self.consumer is not None:
            consumer, self.consumer = self.consumer, None
            consumer.runner.close()
            assert consumer.crew is None

    def invite(self):
        """A consumer all of whose actors run: the one that is there, if it is sound."""
        if self.consumer is None or not self.consumer.is_sound():
            self.send_away()
            self.consumer = Consumer(self.make_folder("faults"))
        self.consumer.take_until_all_run()
        self.consumer.said.clear()
        return self.consumer

    def clear(self):
        """Ends all."""
        with suppress(Exception):  # it may be what has failed
            self.send_away()
        ray.shutdown()
        cluster, self.cluster = self.cluster, None
        if cluster is not None:
            cluster.shutdown()


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        stage = Stage(tmp_path_factory.mktemp)
        yield stage
        with within(TEST_S):
            stage.clear()


@pytest.fixture
def stage(kept, request):
    """A sound one; after a test that failed, a new one. No test waits for ever."""
    with within(2 * TEST_S if request.node.get_closest_marker("slow") else TEST_S):
        failed = request.session.testsfailed
        try:
            kept.prepare()
        except BaseException:
            kept.clear()
            raise
        yield kept
    if request.session.testsfailed != failed:
        with within(TEST_S):
            kept.clear()


@pytest.fixture
def cluster(stage):
    """With nobody on it."""
    stage.send_away()
    return stage.cluster


@pytest.fixture
def consumer(stage):
    return stage.invite()


def eras_of(consumer):
    """How many actors so far have handed over unrolls of each environment."""
    return [len(consumer.eras[env]) for env in range(B)]


def test_what_is_handed_over(cluster, consumer):
    """Every row of 60 batches follows from the one before it, with the core state that belongs to it.

    Mutations: core state written to the columns of another part; an actor's unrolls in the wrong order; an
    unroll handed over twice; weights put once only; environments counted from 0 in each actor.
    """
    for _ in range(60):
        consumer.take()
    assert [consumer.eras[env] for env in range(B)] == [[SEED % ERAS]] * B  # of the run's own seed
    assert max(consumer.lags) == LAG


def test_nobody_runs_ahead(consumer):
    """A learner that takes its time finds what it held untouched, and LAG batches of older weights.

    Mutations: grants given when weights are published; one more batch granted at the start.
    """
    batch, crew = consumer.take(), consumer.crew
    tensors = [*batch.inputs, *batch.core_state, batch.actions, batch.behaviour_logits, batch.rewards]
    kept = [tensor.clone() for tensor in tensors]
    until = time.monotonic() + 20
    while len(crew._ready) < LAG * K:
        assert time.monotonic() < until
        time.sleep(0.02)
    time.sleep(0.3)
    assert (len(crew._ready), crew._under_way) == (LAG * K, {})
    assert all(torch.equal(a, b) for a, b in zip(tensors, kept, strict=True))
    version = consumer.version
    for _ in range(LAG):
        assert consumer.take().version <= version


def test_who_waits_can_be_stopped(consumer):
    """Mutation: `stop` not looked at."""
    threading.Timer(0.2, consumer.runner.stop).start()
    with pytest.raises(Stopped):
        consumer.take_until(lambda: False)
    consumer.runner._stopping = False


def test_actors_that_fail_die_or_hang_are_replaced(consumer):
    """Each is named with its machine; what it was making is dropped whole, and its episodes are counted.

    Mutations: the replacement has the seed of the one before it; the wait for an unroll of an actor that is
    gone; episodes handed over counted as dropped; a grant lost with an actor, so that the run stops.
    """
    crew, folder, before = consumer.crew, consumer.folder, eras_of(consumer)
    generations, replaced, dropped = list(crew.generations), crew.num_replaced, crew.num_dropped
    address = crew._members[0].place.address  # this machine's, as of all
    for actor, fault in enumerate(("raise", "exit", "sleep")):
        (folder / str(E * actor)).write_text(fault)
    consumer.take_until(lambda: eras_of(consumer) == [count + 1 for count in before])
    for _ in range(20):
        consumer.take()
    assert crew.generations == [number + 1 for number in generations]
    assert crew.num_replaced == replaced + 3
    said = [line for line in consumer.said if line.startswith("actor")]
    reasons = [
        r"failed: KeyError: '100 %\\nbroken'; to be replaced",
        "died: Worker unexpectedly exits with a connection error code",
        rf"hangs for {DEADLINE_S:g} s, in step\(\) of its environments, at \S+fickle_envs.py:\d+ in fail;",
    ]
    num_ended = [consumer.num_ended[actor, consumer.eras[E * actor][-2]] for actor in range(K)]
    names = [name_of(actor, generations[actor]) for actor in range(K)]
    lost = 0
    for actor, reason in enumerate(reasons):
        (line,) = (line for line in said if line.startswith(f"{names[actor]} on {address} "))
        assert re.search(re.escape(address) + " " + reason, line)
        begun = int((folder / f"{E * actor}.begun").read_text())
        told = int(re.search(r"(\d+) unfinished episodes dropped", line)[1])
        lost += told
        if actor != 1:  # who dies says nothing of the episodes in its last unroll
            assert told == begun - num_ended[actor]
        else:
            assert 0 <= told <= begun - num_ended[actor]
    assert crew.num_dropped - dropped == lost
    assert any("fickle_envs.py" in line and "in fail" in line for line in consumer.said)


def test_a_machine_that_is_lost(stage, consumer):
    """Its actors are named; others take their place as far as there is room; learning goes on meanwhile.

    Mutations: a batch that waits for one unroll of each actor; actors of a lost machine counted one by one.
    """
    crew, cluster, before = consumer.crew, stage.cluster, eras_of(consumer)
    places = [member.place for member in crew._members]
    nodes = [place.node for place in places]
    node = max(nodes, key=nodes.count)
    lost = [actor for actor in range(K) if nodes[actor] == node]
    assert len(lost) == 2, places
    generations, count = list(crew.generations), crew.num_replaced + 1
    (worker,) = (worker for worker in cluster.worker_nodes if worker.node_id == node)
    cluster.remove_node(worker, allow_graceful=False)
    consumer.take_until(lambda: sum(eras_of(consumer)) == sum(before) + E)  # there is room for one
    consumer.take_until(lambda: crew.num_replaced == count + 1)
    for _ in range(50):
        consumer.take()
    assert crew.num_running == 2, consumer.said
    assert sum(eras_of(consumer)) == sum(before) + E
    said = sorted(line for line in consumer.said if line.startswith("actor"))
    for line, actor in zip(said, lost, strict=True):
        name = name_of(actor, generations[actor])
        assert line.startswith(f"{name} on {places[actor].address} was lost with its machine; to be")
    assert sum("of 100 in an hour" in line for line in said) == 1
    assert sum("counted with the others there" in line for line in said) == 1
    cluster.add_node(num_cpus=2)
    after = [count + (env // E in lost) for env, count in enumerate(before)]
    consumer.take_until(lambda: eras_of(consumer) == after)
    for _ in range(20):
        consumer.take()
    assert crew.num_running == 3


def test_too_many_failures(consumer):
    """One failure beyond the limit ends the run, in one line. Mutation: left to the thread to tell."""
    consumer.crew._failures = Failures(0)
    (consumer.folder / "0").write_text("raise")
    with pytest.raises(ActorFailure, match=r"^actor 0 .* KeyError: .*max-actor-failures\)$") as error:
        consumer.take_until(lambda: False)
    assert "\n" not in str(error.value)


def test_one_actor_that_is_never_behind_does_what_the_local_runner_does(cluster, tmp_path):
    """Weights and the optimiser's moments are bit for bit the same.

    Mutations: environments or actions with other seeds than the run's; the next unroll granted before the
    weights are published; rewards unscaled.
    """
    states = []
    for runner in ("local", "ray"):
        training = Training(one_actor(tmp_path, runner=runner, reward_scale=0.5))
        training.create()
        assert training.run()
        states.append(split_state(load_checkpoint(training.folder / "checkpoints")[0])[0])
    names = [name for name in states[0] if name.startswith("learner/")]
    assert len(names) > 20
    assert all(torch.equal(states[0][name], states[1][name]) for name in names)


def test_too_many_failures_end_the_run(cluster, tmp_path, capfd):
    """Exit 4, and one line that names the environments, the seed and the error; what was learnt is saved.

    Mutations: the exception let through; nothing saved.
    """
    words = f"--env fickle_envs:Breaks-v0 --num-envs 3 --num-actors 1 --log-dir {tmp_path} --runner ray"
    assert train.main([*words.split(), "--max-actor-failures", "0", "--unroll-length", "5"]) == 4
    out, err = capfd.readouterr()
    (line,) = (line for line in err.splitlines() if line.startswith("train: "))
    assert line.startswith("train: actor 0 (fickle_envs:Breaks-v0, environments 0 … 2 of seed ")
    assert "failed: OSError: the tenth step; more than 0 failures within an hour" in line
    assert "everything is saved" in out
    assert load_checkpoint(next(tmp_path.rglob("checkpoints")))[0]["learner"]["version"] == 1


MINE = """
import gymnasium, numpy as np
from cores.lstm import GatedLSTM

class MyCore(GatedLSTM):
    pass

class MyEnv(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.num_steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.num_steps += 1
        return np.zeros(2, np.float32), 1.0, self.num_steps == 3, False, {}

gymnasium.register("Mine-v0", MyEnv)
"""


class Run:
    """`scripts.train` in a process of its own."""

    def __init__(self, folder, *words):
        command = [sys.executable, "-m", "scripts.train", "--log-dir", "runs", "--hidden-size", "8"]
        command += ["--total-steps", "100M", "--log-every-steps", "400", "--num-envs", "4"]
        command += ["--unroll-length", "16", "--runner", "ray", "--num-actors", "2", *words]
        self.folder, self.out = folder, folder / "out"
        with open(self.out, "w") as out, open(folder / "err", "w") as err:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=out, stderr=err, env=environment, start_new_session=True
            )

    def points(self):
        paths = self.folder.rglob("metrics.jsonl")
        return [
            json.loads(line) for path in paths for line in path.read_text().splitlines(True) if "\n" in line
        ]

    def wait_for(self, event, limit_s=40.0):
        until = time.monotonic() + limit_s
        while not event():
            assert time.monotonic() < until, self.out.read_text() + (self.folder / "err").read_text()
            assert self.process.poll() is None, self.out.read_text() + (self.folder / "err").read_text()
            time.sleep(0.1)

    def end(self, number):
        """Sends a signal to the whole group; the exit code."""
        os.killpg(self.process.pid, number)
        return self.process.wait(40)


@pytest.fixture
def begin():
    """Starts a `Run`; a failed test leaves none behind."""
    runs = []

    def start(*words):
        runs.append(Run(*words))
        return runs[-1]

    with within(2 * TEST_S):
        yield start
    for run in runs:
        run.process.kill()
        run.process.wait(20)


@pytest.mark.slow
def test_a_run_outlives_a_machine(cluster, tmp_path, begin):
    """It goes on with others, and is stopped by Ctrl-C. Environment and core are the user's own.

    Mutations: the working folder not shipped; a batch that waits for one unroll of each actor; Ctrl-C left to
    the actors; the generation not kept.
    """
    (tmp_path / "mine.py").write_text(MINE)
    run = begin(tmp_path, "--env", "mine:Mine-v0", "--core", "mine:MyCore", "--ray-address", cluster.address)
    run.wait_for(lambda: any(point["actors/running"] == 2 for point in run.points()))
    machines = list(cluster.worker_nodes)
    cluster.add_node(num_cpus=2)
    for machine in machines:
        cluster.remove_node(machine, allow_graceful=False)
    run.wait_for(lambda: any(point["actors/replaced"] >= 1 for point in run.points()))
    assert "was lost with its machine; to be replaced" in run.out.read_text()
    seen = len(run.points())
    run.wait_for(lambda: any(point["actors/running"] == 2 for point in run.points()[seen:]))
    assert run.end(signal.SIGINT) == 130
    assert "everything is saved" in run.out.read_text()
    assert (tmp_path / "err").read_text() == ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_nothing_outlives_a_run_of_this_machine_alone(tmp_path, begin):
    """`--ray-address local`: actors and cluster end with the run, also if that is killed.

    Ray's own agents, which have nothing to do with the run, take about a minute then; they are ended here.

    Mutation: the cluster started as a process of its own.
    """
    run = begin(tmp_path, "--env", "CartPole-v1", "--ray-address", "local")
    run.wait_for(lambda: any(point["actors/running"] == 2 for point in run.points()))
    assert sum("RemoteActor" in name for name in session_of(run.process.pid).values()) == 2
    run.process.kill()
    run.process.wait(20)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        left = session_of(run.process.pid)
        if all("Agent" in name for name in left.values()):
            break
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert [name for name in left.values() if "Agent" not in name] == []


def session_of(leader):
    """The processes of a session but for its leader, by id, and how they are called."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            name = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z" and int(folder.name) != leader:
            found[int(folder.name)] = name
    return found


@pytest.mark.parametrize(
    ("num_envs", "num_actors", "lag", "expected"),
    [
        (32, 4, 2, (8, 4)),
        (6, 6, 0, (1, 6)),
        (4, 12, 2, (1, 4)),
        (32, 5, 2, "--num-envs 32 must be a multiple of --num-actors 5 .* the nearest are 30 and 35"),
        (
            4,
            13,
            2,
            "--num-actors 13: with --num-envs 4 and --max-policy-lag 2 no more than 12 can be at work",
        ),
    ],
)
def test_how_a_batch_splits(num_envs, num_actors, lag, expected):
    """Mutation: environments left over."""
    if isinstance(expected, tuple):
        assert split_batch(num_envs, num_actors, lag) == expected
    else:
        with pytest.raises(ValueError, match=expected):
            split_batch(num_envs, num_actors, lag)


@pytest.mark.parametrize(("free", "expected"), [(-1, 1), (1, 1), (5, 4), (7, 6), (64, 12)])
def test_number_of_actors(free, expected):
    """As many as are free, and share twelve environments evenly. Mutation: the most that are free."""
    assert fitting_actors(12, free) == expected


def test_actors_of_two_ranks_have_environments_of_their_own():
    """Also where all actors together have more of them than a batch holds.

    Mutation: a rank's environments counted from its share of the batch.
    """
    for num_envs, num_actors in ((4, 8), (4, 4), (6, 3)):
        envs_each, _ = split_batch(num_envs, num_actors, 1)
        firsts = [
            first_column(slice(rank * num_envs, (rank + 1) * num_envs), num_actors, 1, rank)
            for rank in range(3)
        ]
        columns = [first + i for first in firsts for i in range(num_actors * envs_each)]
        assert len(set(columns)) == len(columns)
        assert firsts == [rank * max(num_envs, num_actors * envs_each) for rank in range(3)]
