"""Who trains in a folder: one process at a time, nobody who is dead, and nobody over what is no run's."""

import json
import os
import shutil
import signal
import socket

import pytest
from processes import first_point, wait_for
from programs import assert_one_line, tree
from runs import small

from agents.checkpoint import list_checkpoints, steps_of
from agents.guard import NON_FINITE_UNROLL
from agents.run_folder import lock_run, make_run_folder
from agents.sweeping.child import CONSOLE
from scripts import evaluate, train

WORDS = "--env tmaze --env-opt length=2 --hidden-size 6 --num-envs 3 --runner local --total-steps 300"
TINY = WORDS.split()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run that went to its end; nobody changes it."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert train.main([*TINY, "--folder", str(folder)]) == 0
    return folder


@pytest.fixture
def left(finished, tmp_path):
    """What is left of a run without a checkpoint."""
    return shutil.copytree(finished, tmp_path / "left", ignore=shutil.ignore_patterns("checkpoints"))


def test_a_second_one_is_refused(tmp_path):
    """It is told who is there; what a dead one left is no obstacle.

    Mutations: the file's content taken for the lock; nothing written into it.
    """
    (tmp_path / "lock").write_text("process 1 on elsewhere\n")
    first = lock_run(tmp_path)
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    with pytest.raises(ValueError, match=f"{tmp_path} is being trained by {holder}; wait for its end"):
        lock_run(tmp_path)
    assert (tmp_path / "lock").read_text() == holder + "\n"
    first.close()
    lock_run(tmp_path).close()


def start_endless(start, *words):
    """A run that goes on until it is stopped."""
    endless = [*TINY[:-2], "--total-steps", "100M", "--log-every-steps", "500"]
    return start("scripts.train", *endless, *words)


def hold(program):
    """Stops a run where it is, so that nothing changes meanwhile; what a second one is told."""
    program.send_signal(signal.SIGSTOP)
    os.waitpid(program.pid, os.WUNTRACED)  # all of its threads have stopped
    return f"is being trained by process {program.pid} on {socket.gethostname()}"


def test_another_run_on_the_folder_of_one_without_a_checkpoint(start, tmp_path, capsys):
    """It is refused, exit 2, and the record stays that of the first one.

    Mutations: the record written before the folder is locked; the folder not locked.
    """
    folder = tmp_path / "run"
    program = start_endless(start, "--checkpoint-every-s", "1e6", "--folder", folder)
    wait_for(lambda: first_point(folder))
    part, before = hold(program), (folder / "config.json").read_bytes()
    words = [*TINY, "--seed", "7", "--learning-rate", "0.5", "--folder", folder]
    assert_one_line(train.main, words, 2, tmp_path, capsys, part)
    assert (folder / "config.json").read_bytes() == before
    assert json.loads(before)["total_steps"] == 100_000_000
    assert not list(folder.rglob("step-*"))


def test_a_checkpoint_that_appears_meanwhile(tmp_path, monkeypatch):
    """Whoever trained there may have saved and ended between the look and the lock.

    Mutations: checkpoints looked for before the lock alone; the lock kept by who is refused.
    """
    lock = lock_run

    def late(folder):
        (folder / "checkpoints" / f"step-{5:015d}").mkdir(parents=True)
        return lock(folder)

    monkeypatch.setattr("agents.run_folder.lock_run", late)
    with pytest.raises(ValueError, match="holds a run; go on with it by --resume"):
        make_run_folder(small(tmp_path), tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()
    lock(tmp_path / "run").close()


@pytest.mark.parametrize(
    ("files", "strange"),
    [
        ({"notes.txt": ""}, "notes.txt"),
        ({"metrics.jsonl": "{}"}, "metrics.jsonl"),
        ({"config.json": '{"model": "mine"}'}, "a config.json"),
        ({"config.json": '{"env": "tmaze", "hidden_size": 6}'}, "a config.json"),
        ({"config.json": "{", "metrics.jsonl": ""}, "a config.json"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_folder_that_is_no_run(files, strange, dry, tmp_path, capsys):
    """It is refused, exit 2, by a dry run too, and stays as it is.

    Mutations: names alone looked at; any table of fields taken for a run's record; a dry run that
    does not look.
    """
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    part = f"--folder {folder} holds {strange}, which is no run's"
    assert_one_line(train.main, [*TINY, *dry, "--folder", folder], 2, tmp_path, capsys, part)
    assert {path.name: path.read_text() for path in folder.iterdir()} == files


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_place_where_no_run_can_be(dry, finished, tmp_path, capsys):
    """A file, what lies below it, a run and an empty name: the flag that is at fault is named.

    Mutations: --log-dir blamed; a dry run that does not look.
    """
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        part = f"train: --folder {place} can't be written ({tmp_path / 'file'} is no folder)"
        assert_one_line(train.main, [*TINY, *dry, "--folder", place], 2, tmp_path, capsys, part)
    part = f"--folder {finished} holds a run; go on with it by --resume {finished}"
    assert_one_line(train.main, [*TINY, *dry, "--folder", finished], 2, finished, capsys, part)
    part = "--folder: an empty name is none of a file or folder"
    assert_one_line(train.main, [*TINY, *dry, "--folder", ""], 2, tmp_path, capsys, part)


def test_the_folder_of_all_runs_is_nothing_to_a_run_with_one_of_its_own(left, tmp_path):
    """Mutation: the right to write in LOG_DIR asked for all the same."""
    (tmp_path / "file").write_text("")
    words = [*TINY, "--log-dir", str(tmp_path / "file")]
    assert train.main([*words, "--folder", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "evaluation.json").exists()


@pytest.mark.parametrize("names", [[], [CONSOLE], [CONSOLE, "lock", ".config.json.new"]])
def test_a_folder_that_a_sweep_has_made(names, tmp_path):
    """Mutation: any file but a record taken for a stranger's."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("before\n")
    assert train.main([*TINY, "--folder", str(folder)]) == 0


def test_what_is_left_of_a_run_without_a_checkpoint(left, capsys):
    """A resume is told how to start it anew, which repeats it; it holds nothing that a run would not leave.

    Mutations: a name left out of those of a run; the hint left out, or given where a checkpoint is damaged.
    """
    for name in (CONSOLE, NON_FINITE_UNROLL):
        (left / name).write_text("")
    (left / "checkpoints").mkdir()
    anew = f"--config {left / 'config.json'} --folder {left}"
    for words in ([], ["--dry-run"]):
        part = f"no checkpoint in {left / 'checkpoints'}; start the run anew by {anew}"
        assert_one_line(train.main, ["--resume", left, *words], 5, left, capsys, part)
    before = json.loads((left / "evaluation.json").read_text())
    (left / "evaluation.json").unlink()
    assert train.main(anew.split()) == 0
    assert json.loads((left / "evaluation.json").read_text()) == before
    for file in left.glob("checkpoints/*/state.json"):
        file.unlink()
    with pytest.raises(SystemExit):
        train.main(["--resume", str(left)])
    assert "anew" not in capsys.readouterr().err


def test_a_run_does_not_end_before_where_it_is(finished, tmp_path, capsys):
    """Fewer steps than are done are refused, exit 2, and nothing is changed; as many, or more, are not.

    Mutations: fewer taken, and the record rewritten; as many refused; what the run has refused, which it
    overshot; a damaged checkpoint's steps counted.
    """
    steps = json.loads((finished / "evaluation.json").read_text())["env_steps"]
    assert steps > 300
    for fewer in (steps - 1, 299):
        for dry in ([], ["--dry-run"]):
            words = ["--resume", finished, "--total-steps", fewer, *dry]
            part = f"--total-steps {fewer}: {finished} has done {steps} env steps already"
            assert_one_line(train.main, words, 2, finished, capsys, part)
    run = shutil.copytree(finished, tmp_path / "run")
    shutil.copytree(run / "checkpoints" / f"step-{steps:015d}", run / "checkpoints" / f"step-{9000:015d}")
    (run / "checkpoints" / f"step-{9000:015d}" / "state.json").unlink()
    before = tree(run)
    for enough in (300, steps, 8000):
        assert train.main(["--resume", str(run), "--total-steps", str(enough), "--dry-run"]) == 0
    assert tree(run) == before
    assert train.main(["--resume", str(run), "--total-steps", str(steps)]) == 0
    assert json.loads((run / "config.json").read_text())["total_steps"] == steps


def test_what_is_told_to_do_next(tmp_path, capsys):
    """The curves are where the run is, and the evaluation can be had again as it was.

    Mutations: LOG_DIR told for a folder of the run's own; the seed left out; the default told, too.
    """
    folder = tmp_path / "run"
    assert train.main([*TINY, "--seed", "3", "--folder", str(folder)]) == 0
    said = capsys.readouterr().out
    assert f"curves    tensorboard --logdir {folder}\n" in said
    assert said.endswith(f"evaluate again: python -m scripts.evaluate {folder} --episodes 1000 --seed 3\n")
    assert evaluate.main(said.splitlines()[-1].split("scripts.evaluate ")[1].split()) == 0
    again = capsys.readouterr().out.splitlines()
    assert again[1:] == said.splitlines()[-len(again) : -1]
    assert train.main([*TINY, "--log-dir", str(tmp_path / "logs")]) == 0
    said = capsys.readouterr().out
    assert f"curves    tensorboard --logdir {tmp_path / 'logs'}\n" in said
    assert said.endswith("--episodes 1000\n")


def test_two_runs_on_one_folder(start, tmp_path, capsys):
    """The second is refused, exit 2, and changes nothing; one may look on; a killed one holds nothing.

    Mutations: the lock taken after the curves are cut; evaluation locked out, too; a lock that is a file.
    """
    program = start_endless(start, "--checkpoint-every-s", "0", "--log-dir", tmp_path)
    wait_for(lambda: first_point(tmp_path) and list(tmp_path.rglob("step-*/manifest.json")))
    (path,) = tmp_path.rglob("config.json")
    part = hold(program)
    assert_one_line(train.main, ["--resume", path.parent], 2, tmp_path, capsys, part)
    assert evaluate.main([str(path.parent), "--episodes", "5"]) == 0
    program.kill()
    program.communicate()
    steps = steps_of(list_checkpoints(path.parent / "checkpoints")[0])
    assert train.main(["--resume", str(path.parent), "--total-steps", str(steps)]) == 0
