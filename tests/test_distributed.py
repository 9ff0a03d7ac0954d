"""Ranks: together they do what one learner does, they leave together, and none waits for a lost one."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from two_ranks import CORES, B, learn, small

from agents.checkpoint import load_checkpoint
from agents.checkpoint_format import split_state
from agents.config import Config
from agents.distributed import ALONE, Group, unpack
from agents.run_folder import read_config
from agents.training import Training

ROOT = Path(__file__).parent.parent
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0", "OMP_NUM_THREADS": "1"}


def environment(**more):
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    return os.environ | LOOPBACK | {"PYTHONPATH": paths} | more


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder in which two ranks, started by torchrun, have left what they found."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(ROOT / "tests" / "two_ranks.py"), str(folder)]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[:6000]
    return folder


@pytest.mark.parametrize("core", CORES)
def test_two_ranks_take_the_steps_of_one_learner_on_the_joint_batch(done, core):
    """Weights, metrics and env steps after 12 updates, in float64, with parts of 5 and 5 or 6 transitions.

    Mutations: each rank weighs the same (below); the gradient clipped by its own norm before the sum; metrics
    not averaged; env steps of the own rank alone in the schedules.
    """
    whole = learn(core, ALONE)
    for rank in range(2):
        found = load_file(done / f"rank{rank}.safetensors")
        for name, value in whole.items():
            rtol = 1e-6 if name.endswith("clipped_share") else 1e-9  # that one is a mean of float32
            torch.testing.assert_close(found[f"{core}/{name}"], value, rtol=rtol, atol=1e-12, msg=name)


def test_the_ranks_have_the_same_weights_bit_for_bit(done):
    """Mutation: no all-reduce."""
    one, other = (load_file(done / f"rank{rank}.safetensors") for rank in range(2))
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_a_mean_of_means_is_something_else(done):
    """That the comparison above can tell: with the same weight for every rank the weights differ."""
    whole, even = learn(CORES[0], ALONE), load_file(done / "rank0.safetensors")
    assert not torch.allclose(even["even/policy.weight"], whole["policy.weight"], rtol=1e-6, atol=1e-6)


def newest(folder):
    """The state in the newest checkpoint of the one run below a folder."""
    (run,) = folder.glob("*/*/*")
    return load_checkpoint(run / "checkpoints")[0]


def assert_equal_states(one, other):
    (tensors, values), (other_tensors, other_values) = split_state(one), split_state(other)
    assert tensors.keys() == other_tensors.keys()
    for name in tensors:
        assert torch.equal(tensors[name], other_tensors[name]), name
    assert values == other_values


def test_a_resumed_run_of_two_ranks_is_the_run_that_never_stopped(done):
    """The second rank alone was asked to leave; both stopped after the same update, and saved.

    Mutations: the state of the first rank alone in the checkpoint; every rank takes the first one's; a rank
    that is asked leaves without the other, which then waits for it.
    """
    whole, resumed = newest(done / "whole"), newest(done / "resumed")
    assert whole["learner"]["version"] > 10
    assert set(whole["runner"]["ranks"]) == {"0", "1"}
    assert_equal_states(whole, resumed)


def test_actors_in_processes_of_each_rank_do_what_it_does_itself(done):
    """One actor a rank, never behind: the same weights bit for bit, so the same environments and actions.

    Mutations: environments of the second rank's actors counted from 0; all ranks' actions with one seed.
    """
    assert_equal_states(newest(done / "whole")["learner"], newest(done / "process")["learner"])


def test_each_rank_has_its_share_of_the_environments_and_actions_of_its_own(done, tmp_path):
    """Environment states of the two ranks are those of one process's environments; their draws differ.

    Mutations: no first_index; the actions' seed of the first rank on all.
    """
    ranks = [newest(done / "whole")["runner"]["ranks"][str(rank)] for rank in range(2)]
    assert [len(rank["ended"]) for rank in ranks] == [1, 2]
    assert not torch.equal(ranks[0]["generator"], ranks[1]["generator"])
    alone = Training(small(tmp_path))
    first = alone.runner.actor.observations
    for rank, columns in ((0, slice(0, 1)), (1, slice(1, 3))):
        training = Training(small(tmp_path), Group(rank, 2))
        np.testing.assert_array_equal(training.runner.actor.observations, first[columns])
        envs, part = alone.runner.actor.envs.state_dict(), training.runner.actor.envs.state_dict()
        for name, array in part.items():
            if np.ndim(array) and len(envs[name]) == B:
                np.testing.assert_array_equal(array, envs[name][columns], err_msg=name)
        training.runner.close()


def test_one_folder_and_one_set_of_curves(done):
    """Points count the steps and the episodes of both ranks; how often the figures wait is told.

    Mutations: every rank makes a folder; env steps or episodes of the first rank alone.
    """
    (run,) = (done / "whole").glob("*/*/*")
    points = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    config = read_config(run)
    last = points[-1]["env_steps"]
    assert config.total_steps <= last < config.total_steps + B * config.unroll_length
    assert all(0 <= point["speed/share_ranks"] <= 1 for point in points)
    # 12 rows hold 3 episodes of each environment, of 3 actions or fewer.
    assert sum("episode/return" in point for point in points) > 5
    assert points[-1]["speed/updates"] == newest(done / "whole")["learner"]["version"]


def test_another_number_of_ranks_goes_on_with_new_episodes(done):
    """Weights and counters are those of the checkpoint, and the user is told.

    Mutation: one rank of two takes over as if it had been all of them.
    """
    (run,) = (done / "whole").glob("*/*/*")
    training = Training(read_config(run))
    lines = training.restore(run)
    training.close()
    assert lines[-1] == "the checkpoint is that of 2 ranks, not of 1, so episodes start anew"
    state = newest(done / "whole")["learner"]
    assert training.learner.env_steps == state["env_steps"]
    assert torch.equal(training.network.policy.weight, state["network"]["policy.weight"])


def start(words, num_ranks=2, **more):
    """The ranks of a training program, as torchrun would start them, but not watched by it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = []
    for rank in range(num_ranks):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": num_ranks, "LOCAL_WORLD_SIZE": num_ranks}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
        env = environment(**{name: str(value) for name, value in place.items()}, **more)
        command = [sys.executable, "-W", "error", "-m", "scripts.train", *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        ranks.append(subprocess.Popen(command, cwd=ROOT, env=env, text=True, **pipes))
    return ranks


def finish(ranks, limit_s=120):
    """Exit code, output and errors of each rank."""
    ends = []
    try:
        for process in ranks:
            out, err = process.communicate(timeout=limit_s)
            ends.append((process.returncode, out, err))
    finally:
        for process in ranks:
            if process.poll() is None:
                process.kill()
                process.communicate()
    return ends


def start_and_wait_for_a_point(folder):
    words = ["--env", "tmaze", "--hidden-size", 8, "--total-steps", "100M", "--log-every-steps", 500]
    ranks = start([*words, "--num-envs", 5, "--log-dir", folder])
    until = time.monotonic() + 120
    while not any(path.stat().st_size for path in folder.rglob("metrics.jsonl")):
        assert time.monotonic() < until, "no first point"
        assert all(process.poll() is None for process in ranks), finish(ranks)
        time.sleep(0.05)
    return ranks


def test_too_few_environments_is_one_line_of_the_first_rank(tmp_path):
    """Mutation: every rank says it; the others leave before the first has said it, or wait for ever."""
    ends = finish(start(["--env", "tmaze", "--num-envs", 1, "--log-dir", tmp_path]))
    line = "train: --num-envs 1: 2 ranks need one each at least\n"
    assert ends == [(2, "", line), (2, "", "")]
    assert not list(tmp_path.iterdir())


def test_a_signal_to_one_rank_saves_once_and_ends_both(tmp_path):
    """Mutation: a rank that is asked stops at once, and the other waits for it."""
    ranks = start_and_wait_for_a_point(tmp_path)
    ranks[1].send_signal(signal.SIGTERM)
    (code, out, err), follower = finish(ranks)
    assert (code, err) == (143, "")
    assert re.search(r"stopped by SIGTERM at [\d,]+ env steps; everything is saved", out)
    assert follower == (143, "", "")
    (run,) = tmp_path.glob("*/*/*")
    assert len(list((run / "checkpoints").iterdir())) == 1


def test_nobody_waits_for_a_rank_that_died(tmp_path):
    """Mutation: errors of communication not caught: pages of a traceback."""
    ranks = start_and_wait_for_a_point(tmp_path)
    ranks[1].kill()
    (code, _, err), _ = finish(ranks, limit_s=60)
    assert code == 1
    assert re.fullmatch(r"train: rank 0: another rank is gone or does not answer \(.*\)\n", err)


def test_alone_is_no_group():
    """Mutation: an average that scales by the share where there is nobody else."""
    tensor = torch.ones(3)
    ALONE.average([tensor], 0.5)
    assert tensor.tolist() == [1, 1, 1]
    state = {"x": np.arange(2)}
    assert ALONE.collect(state) is state
    assert ALONE.own_part(state) == (state, "")
    with ALONE.joined():
        assert ALONE.exchange([3]) == [[3]]


def test_a_gpu_for_all_ranks_is_refused(monkeypatch):
    """Mutations: the index taken as it is; every rank on the first GPU."""
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    group = Group(3, 4, 1, 2)
    with pytest.raises(ValueError, match=r"^--device cuda:0: with several ranks each takes a GPU of its own"):
        group.device("cuda:0")
    assert group.device("auto") == group.device("cuda") == torch.device("cuda", 1)
    assert chosen == [torch.device("cuda", 1)] * 2
    assert group.device("cpu") == torch.device("cpu")
    with pytest.raises(
        ValueError, match=r"^--device cuda:2: this machine has 2 of that kind; auto takes what there is$"
    ):
        Group(2, 4, 2, 4).device("auto")


def test_actors_are_counted_a_rank(tmp_path):
    """Mutation: the number compared with the environments of all ranks."""
    config = Config(num_envs=5, runner="process", num_actors=3, log_dir=str(tmp_path))
    with pytest.raises(ValueError, match=r"^--num-actors 3 on each of 2 ranks needs as many"):
        Training(config, Group(0, 2))


def test_a_state_with_nothing_in_it_survives_the_way():
    """Mutation: a length of the values that is read from the wrong end."""
    assert unpack((2).to_bytes(8, "little") + b"{}" + (2).to_bytes(8, "little") + b"{}") == {}
