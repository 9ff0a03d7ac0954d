"""The program that diagnoses runs, as its user meets it."""

import json
import shutil
import sys

import pytest
from PIL import Image
from programs import assert_one_line, tree

from agents.run_folder import find_runs
from scripts import diagnose, train

SIZES = "--hidden-size 6 --encoder-size 7 --device cpu --num-envs 3 --total-steps 200 --unroll-length 20"
RUNS = {
    "tmaze": "--env tmaze --env-opt length=3 --core ur-lstm",
    "context": "--env MiniGrid-MemoryS7-v0 --env-opt max_steps=9 --core gru --context-length 4",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with finished runs below it; nobody changes them."""
    logs = tmp_path_factory.mktemp("logs")
    for words in RUNS.values():
        assert train.main([*words.split(), *SIZES.split(), "--log-dir", str(logs)]) == 0
    return logs


@pytest.fixture
def logs(finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "logs")


def test_all_runs_of_a_folder(logs, capsys):
    """Each gets its numbers, its picture, its curves and a line; the rest of the run is left as it is.

    Mutations: only the first run done; the checkpoint's age of another run.
    """
    before = tree(logs)
    capsys.readouterr()
    assert diagnose.main([str(logs), "--episodes", "40"]) == 0
    said = capsys.readouterr().out
    runs = find_runs([logs])
    assert len(runs) == 2
    for run in runs:
        found = json.loads((run / "diagnosis" / "diagnosis.json").read_text())
        assert (found["episodes"], found["seed"], found["format"]) == (40, 0, 1)
        age = max(int(path.name.split("-")[1]) for path in (run / "checkpoints").iterdir())
        assert found["env_steps"] == age
        assert found["summary"] in said
        with Image.open(run / "diagnosis" / "diagnosis.png") as image:
            assert image.size[0] > 800
        assert len(list((run / "diagnosis").iterdir())) == 3
    assert [entry for entry in tree(logs) if "diagnosis" not in entry[0]] == before


def test_a_run_that_cannot_be_read_holds_up_no_other(logs, capsys):
    """One line and its exit code; the others are done. Mutation: the first failure ends all."""
    first, second = find_runs([logs])
    shutil.rmtree(first / "checkpoints")
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        diagnose.main([str(first), str(second), "--episodes", "20"])
    said = capsys.readouterr()
    assert caught.value.code == 5
    assert said.err.count("\n") == 1
    assert str(first) in said.err
    assert (second / "diagnosis" / "diagnosis.json").exists()
    assert not (first / "diagnosis").exists()


def test_without_matplotlib(logs, capsys, monkeypatch):
    """The numbers all the same, and what to install. Mutation: the ImportError let through."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run = find_runs([logs])[1]
    assert diagnose.main([str(run), "--episodes", "20"]) == 0
    assert "no picture without matplotlib" in capsys.readouterr().out
    assert not (run / "diagnosis" / "diagnosis.png").exists()


def test_runs_are_found(logs, tmp_path):
    """At any depth, each once, and where there is none that is said.

    Mutation: a run named twice done twice.
    """
    runs = find_runs([logs])
    assert find_runs([runs[0], logs, logs / "tmaze"]) == [runs[0], *(run for run in runs if run != runs[0])]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no run in .*empty"):
        find_runs([logs, tmp_path / "empty"])


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("", "runs"),
        ("nowhere", "no run in nowhere"),
        ("LOGS --episodes -1", "--episodes must lie in"),
        ("LOGS --max-actions 0", "--max-actions must lie in"),
        ("LOGS --seed -1", "--seed must lie in"),
        ("LOGS --device tpu", "--device must be"),
        ("LOGS --episode 3", "did you mean --episodes?"),
        ("LOGS/tmaze --checkpoint 3", "3"),
        ("LOGS/tmaze --checkpoint newest", "newest"),
    ],
)
def test_wrong_words(words, part, finished, tmp_path, capsys, monkeypatch):
    """Exit 2, one line, and nothing written. Mutation: any of the checks left out."""
    monkeypatch.chdir(tmp_path)
    words = [word.replace("LOGS", str(finished)) for word in words.split()]
    assert_one_line(diagnose.main, words, 2, finished, capsys, part)
