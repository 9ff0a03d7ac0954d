"""A sweep at work: what it starts, what becomes of runs that fail or are stopped, and what it says."""

import dataclasses
import os
import signal

import pytest
from planted_runs import plant_evaluation
from processes import assert_gone, descendants, first_point, wait_for
from programs import assert_one_line
from runs import points, train, without_speed

from agents.checkpoint import load_checkpoint
from agents.checkpoint_format import split_state
from agents.run_folder import read_config
from agents.sweeping.run import make_run
from agents.sweeping.run_pool import RunPool
from agents.sweeping.summary import summary
from scripts import sweep

TINY = """
seeds = 2
env-opt = {length = 2}
hidden-size = 6
encoder-size = 4
num-envs = 3
unroll-length = 5
runner = "local"
checkpoint-every-s = 0.2
total-steps = STEPS
"""


def write(folder, text):
    path = folder / "mine.toml"
    path.write_text(text)
    return path


class Silence:
    """A display that shows nothing, and keeps what it was told."""

    def __init__(self):
        self.finished, self.num_failed = [], 0

    def done(self, run, result):
        self.finished.append(run)

    def failed(self):
        self.num_failed += 1

    def update(self, running):
        pass

    def close(self):
        pass


class Pretended:
    """A run's process that ends with a code once it has been asked for so many times."""

    def __init__(self, run, polls, code):
        self.run, self.polls, self.code, self.signals = run, polls, code, []

    def poll(self):
        self.polls -= 1
        if self.polls > 0:
            return None
        if self.code == 0:
            self.run.folder.mkdir(parents=True)
            plant_evaluation(self.run.folder, self.run.config.total_steps, 0.5, 0.0)
        return self.code

    def signal(self, number):
        self.signals.append(number)
        self.polls, self.code = 1, 128 + number

    def last_lines(self, count):
        return ["so it", "went"][-count:]


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """Makes a pool over pretended processes, given (polls, code) of each run."""
    monkeypatch.setattr("agents.sweeping.run_pool.POLL_S", 0.0)

    def make(fates, jobs):
        runs = [make_run({"seed": seed}, str(tmp_path)) for seed in range(len(fates))]
        made = RunPool(start, iter_or_none(runs), jobs, Silence())
        made.runs, made.started, made.most = runs, [], 0
        made.fates = dict(zip(runs, fates, strict=True))
        made_here.append(made)
        return made

    def start(run):
        (made,) = made_here
        made.started.append(Pretended(run, *made.fates[run]))
        made.most = max(made.most, len(made._running) + 1)
        return made.started[-1]

    made_here = []
    return make


def iter_or_none(runs):
    left = iter(runs)
    return lambda: next(left, None)


def test_runs_are_done_in_order_so_many_at_once(pool):
    """A run that takes long keeps nobody waiting but for its own place.

    Mutations: jobs + 1 at once; a round of jobs ended before the next begins; the last runs not waited for.
    """
    made = pool([(9, 0), (1, 0), (1, 0), (1, 0), (2, 0)], 2)
    made.work()
    assert [process.run for process in made.started] == made.runs
    assert made.most == 2
    assert made._display.finished == [made.runs[index] for index in (1, 2, 3, 4, 0)]
    assert made.failures == []


def test_a_run_that_fails_is_named_and_the_others_go_on(pool, capsys):
    """With its code or signal and its last lines; one that ends well but without an evaluation fails, too.

    Mutations: the first failure ends all; a code of 0 believed; the number of a signal taken for a code.
    """
    made = pool([(1, 3), (1, -9), (1, 0)], 1)
    ended = []
    made.work(lambda run, done: ended.append(done))
    assert ended == [False, False, True]
    assert [failure.why for failure in made.failures] == ["exit code 3", "killed by SIGKILL"]
    line = f"failed: tmaze  ur-lstm  seed 0: exit code 3 ({made.runs[0].folder})"
    assert f"{line}\n  | so it\n  | went\n" in capsys.readouterr().out


def test_a_signal_stops_all_and_starts_nobody(pool):
    """Those under way get it once, and are waited for; what they end with is no failure.

    Mutations: runs begun after the signal; SIGTERM in place of what came; the pool gone before they are.
    """
    made = pool([(10**9, 0), (10**9, 0), (1, 0)], 2)
    update = made._display.update

    def interrupt(running):
        if len(running) == 2 and made.stopped_by is None:
            os.kill(os.getpid(), signal.SIGINT)
        update(running)

    made._display.update = interrupt
    made.work()
    assert made.stopped_by is signal.SIGINT
    assert [process.signals for process in made.started] == [[signal.SIGINT]] * 2
    assert made.failures == []
    assert len(made.started) == 2


def test_another_run_in_the_folder_is_left_alone(tmp_path):
    """What may change, a resumed run is told.

    Mutations: the fields of the folder not compared; those that may change not handed on.
    """
    run = make_run({"env": "concentration", "seed": 1, "checkpoint_every_s": 5.0}, str(tmp_path))
    (run.folder / "checkpoints" / f"step-{7:015d}").mkdir(parents=True)
    (run.folder / "config.json").write_text('{"env": "concentration", "seed": 1, "total_steps": 1500000}')
    assert run.argv() == ["--resume", str(run.folder), "--checkpoint-every-s", "5.0"]
    (run.folder / "config.json").write_text('{"env": "concentration", "seed": 1, "hidden_size": 9}')
    with pytest.raises(ValueError, match="holds another run: hidden_size is 9 there, 128 here; move it away"):
        run.argv()


def test_the_table_of_cores_and_tasks(tmp_path):
    """Means over seeds, what else was tried beside the core, and what is missing.

    Mutations: total_steps, which goes with the task, named beside each core; missing runs counted as zeros.
    """

    def made(core, env, seed, steps, varied=()):
        return make_run({"core": core, "env": env, "total_steps": steps, "seed": seed}, str(tmp_path))

    def value(mean):
        return {"success": {"mean": mean}}

    results = {
        made("lstm", "tmaze", 1, 5): value(0.25),
        made("lstm", "tmaze", 2, 5): value(0.5),
        made("gru", "tmaze", 1, 5): value(1.0),
        made("gru", "tmaze", 2, 5): None,
        made("lstm", "memory-len", 1, 9): value(None),
    }
    table = summary(results)
    cells = [list(column.cells) for column in table.columns]
    assert cells == [["lstm", "gru"], ["0.375", "1.000 (1 of 2)"], ["- (0 of 1)", "-"]]


def test_a_sweep_that_is_stopped_goes_on_to_the_bit(start, tmp_path, capsys):
    """Ctrl-C in the middle: exit 130, all saved, nobody left. The same command then ends as if nothing was.

    Meanwhile a second sweep is refused; afterwards, whatever is done is not done again.

    Mutations: runs begun anew; the signal sent twice, or not at all; the lock forgotten.
    """
    path, logs = write(tmp_path, TINY.replace("STEPS", "9_000")), tmp_path / "logs"
    words = [path, "--log-dir", logs, "--jobs", "2"]
    program = start("scripts.sweep", *words)
    wait_for(lambda: len({path.parents[2] for path in logs.rglob("step-*/manifest.json")}) > 1)
    wait_for(lambda: first_point(logs))
    holder = f"is being trained by process {program.pid}"
    assert_one_line(sweep.main, words, 2, tmp_path / "none", capsys, holder)
    below = descendants(program.pid)
    program.send_signal(signal.SIGINT)
    said, errors = program.communicate()
    assert program.returncode == 130, errors
    assert_gone(below)
    assert "stopped by SIGINT" in said
    assert "\x1b" not in said

    program = start("scripts.sweep", *words)
    said, errors = program.communicate()
    assert program.returncode == 0, errors
    assert "2 runs in" in said
    assert "0 done, 2 begun" in said
    folders = sorted(evaluation.parent for evaluation in logs.rglob("evaluation.json"))
    assert len(folders) == len(list(logs.rglob("config.json"))) == 2
    config = read_config(folders[0])
    whole = train(dataclasses.replace(config, log_dir=str(tmp_path / "whole"), checkpoint_every_s=1e9))
    states = [split_state(load_checkpoint(f / "checkpoints")[0]) for f in (folders[0], whole.folder)]
    assert states[0][1] == states[1][1]
    assert without_speed(points(folders[0])) == without_speed(points(whole.folder))
    before = {evaluation: evaluation.stat().st_mtime_ns for evaluation in logs.rglob("*/evaluation.json")}
    assert sweep.main(list(map(str, words))) == 0
    assert before == {evaluation: evaluation.stat().st_mtime_ns for evaluation in before}
    assert {folder.name for folder in logs.iterdir()} == {"lock", "sweep.json", "tmaze"}


def test_a_failed_run_beside_a_sound_one(tmp_path, capsys):
    """Exit 1, and the last lines of what it said; the sound one is done.

    Mutation: an exit code of 0 because another run was done.
    """
    text = TINY.replace("STEPS", "300").replace("seeds = 2", "seeds = 1")
    path = write(tmp_path, f'{text}\n[[group]]\n[[group]]\nenv = "fickle_envs:Breaks-v0"\nenv-opt = []\n')
    code = sweep.main([str(path), "--log-dir", str(tmp_path / "logs")])
    said = capsys.readouterr().out
    assert code == 1
    assert "done: tmaze length=2" in said
    assert "failed: fickle_envs:Breaks-v0  ur-lstm  seed 1: exit code 2" in said
    assert "  | train: the tenth step" in said
