"""The guide's task, as a user would make it: the text of CONTRIBUTING.md saved to a file."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from envs import find_task, make_vector_env, task_card

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def lights(tmp_path_factory):
    """The guide's file in a folder of its own, which programs can import."""
    code = re.search(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S).group(1)
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "lights.py").write_text(code)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("lights", None)


def test_the_guide_is_short(lights):
    """The issue of a new task is a file of at most 80 lines."""
    assert len((lights / "lights.py").read_text().splitlines()) <= 80


@pytest.mark.usefixtures("lights")
def test_the_guides_task():
    """It keeps its card, whatever the batch, and goes on from a saved state.

    Mutation: the guide's ``begin`` without its draw.
    """
    card = task_card("lights:Lights", lights=3, delay=5)
    whole = make_vector_env("lights:Lights", 300, lights=3, delay=5)
    part = make_vector_env("lights:Lights", 100, first_index=200, lights=3, delay=5)
    rng, wins, guessed = np.random.default_rng(0), [], []
    seen = whole.reset()[0]
    assert set(whole.oracle().tolist()) == {0, 1, 2}
    np.testing.assert_array_equal(part.reset()[0], seen[200:])
    for t in range(120):
        actions = whole.oracle() if t < 60 else rng.integers(3, size=300)
        seen, _, terminated, _, infos = whole.step(actions)
        np.testing.assert_array_equal(part.step(actions[200:])[0], seen[200:])
        if infos:
            (wins if t < 60 else guessed).append(infos["episode"]["success"].mean())
            assert (infos["episode"]["l"][terminated] == card.episode_length).all()
    assert np.mean(wins) == card.oracle
    assert np.mean(guessed) == pytest.approx(card.chance, abs=0.03)
    saved, rows = whole.state_dict(), rng.integers(3, size=(9, 300))
    one = [whole.step(row)[0] for row in rows]
    whole.load_state_dict(saved)
    np.testing.assert_array_equal([whole.step(row)[0] for row in rows], one)


def test_programs_take_it_by_name(lights, tmp_path):
    """Training and the list's ``--show`` from the folder that holds the file, no file of Longhold changed."""

    def run(*words):
        environment = {"PYTHONPATH": f"{ROOT}:{lights}", "PATH": "", "XDG_CACHE_HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=lights, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    words = ["--env-opt", "delay=5", "--total-steps", "2000", "--num-envs", "8", "--hidden-size", "8"]
    run("scripts.train", "--env", "lights:Lights", *words, "--log-dir", str(tmp_path / "runs"))
    assert len(list((tmp_path / "runs").rglob("config.json"))) == 1
    assert "point at the light that flashed" in run("scripts.envs", "--show", "lights:Lights")


@pytest.mark.usefixtures("lights")
def test_names_that_lead_nowhere():
    """A module that is not there is told; what is no native task is left to Gymnasium."""
    with pytest.raises(ValueError, match=r"^'nowhere:Lights' cannot be imported: ModuleNotFoundError: "):
        find_task("nowhere:Lights")
    assert find_task("lights:begin") is None
    with pytest.raises(ValueError, match="no original of it"):
        find_task("lights:Lights", "gymnasium")


def test_what_goes_wrong_with_a_users_task(lights, tmp_path):
    """A class misspelt, a folder of the same name as one of Longhold's, a picture without a caption.

    Mutations: the option blamed for the class; ImportError's traceback; a colon with nothing after it.
    """

    def program(folder, *words):
        command = [sys.executable, "-m", *words]
        path = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=folder, env=path, capture_output=True, text=True, timeout=120)

    wrong = program(lights, "scripts.train", "--env", "lights:Light", "--env-opt", "lights=3", "--dry-run")
    told = "train: --env: unknown environment 'lights:Light'; did you mean lights:Lights?\n"
    assert (wrong.returncode, wrong.stdout, wrong.stderr) == (2, "", told)
    shown = program(lights, "scripts.envs", "--show", "lights:Lights", "--out", tmp_path / "a.png")
    assert shown.stdout.endswith(f"picture      {tmp_path / 'a.png'}, after 0 random actions\n")
    for name, file in (
        ("package", "envs/__init__.py"),
        ("module", "cores.py"),
        ("folder", "agents/notes.txt"),
    ):
        path = tmp_path / name / file
        path.parent.mkdir(parents=True)
        path.write_text("")
        found = program(tmp_path / name, "scripts.doctor", "rules")
        taken = path.parent if path.name == "__init__.py" else path
        line = f"{taken} stands where Longhold's own would be found; start from another folder\n"
        expected = (0, "") if name == "folder" else (2, line)
        assert (found.returncode, found.stderr) == expected
