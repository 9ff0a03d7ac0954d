"""scripts.envs: the list of tasks, one task in full, and its picture."""

import numpy as np
import pytest
from episodes import NATIVE, OWN
from PIL import Image
from programs import assert_one_line

from agents.recording import gallery
from agents.recording.frames import fitted
from envs import ENVS, make_vector_env, task_card
from envs.scene import draw
from scripts import envs as program


def said(capsys, *words):
    """What the program prints."""
    capsys.readouterr()
    assert program.main(list(map(str, words))) == 0
    return capsys.readouterr().out


def test_the_list(capsys):
    """A row for every native task, with its card's numbers under the right heads.

    Mutation: columns exchanged; a task left out.
    """
    lines = said(capsys).splitlines()
    head = lines[0]
    for env_id, line in zip(ENVS, lines[1:], strict=False):
        card = task_card(env_id)
        assert line.split()[0] == env_id
        if card is None:
            assert line.split()[1:7] == ["-"] * 6
            assert ENVS[env_id].__doc__.replace("``", "").split()[:3] == line.split()[7:10]
            continue
        for column, value in (
            ("kind", card.kind),
            ("span", str(card.span)),
            ("chance", f"{card.chance:.3g}"),
            ("memoryless", f"{card.memoryless:.3g}"),
            ("oracle", f"{card.oracle:.3g}"),
            ("length", "varies" if card.episode_length is None else str(card.episode_length)),
        ):
            start = head.index(column)
            assert value in line[max(start - 3, 0) : start + len(column) + 4].split(), (env_id, column)
        assert card.summary in line
    assert "served by Gymnasium itself" in lines[-2]


def test_whose_version_serves(capsys):
    """A task says whether it stands in for Gymnasium's of that id.

    Mutation: the words left out, or said of all.
    """
    assert "native, in place of Gymnasium's" in said(capsys, "--show", "MiniGrid-MemoryS7-v0")
    assert "served by    native\n" in said(capsys, "--show", "tmaze")


@pytest.mark.parametrize("env_id", NATIVE)
def test_one_task(env_id, capsys, tmp_path):
    """Its whole card, its options and actions by name, and the frame after so many random actions.

    Mutation: the picture of the first step; the default's card in place of the options'.
    """
    options = NATIVE[env_id]
    path = tmp_path / "new" / "a.png"
    words = ["--env-opt", *(f"{name}={value}" for name, value in options.items())] if options else []
    text = said(capsys, "--show", env_id, *words, "--steps", 3, "--seed", 2, "--out", path)
    card = task_card(env_id, **options)
    names = [f"{name}=" for name in options]
    of_card = (card.summary, card.kind, card.ends, f"{card.span} actions") if card else ()
    for part in (env_id, *of_card, *names):
        assert part in text
    for name in ENVS[env_id].action_names:
        assert name in text
    env = make_vector_env(env_id, 1, seed=2, **options)
    env.reset()
    generator = np.random.default_rng(2)
    for _ in range(3):
        env.step(generator.integers(env.single_action_space.n, size=1))
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), draw(env.scene(0), 32))
    assert env.scene(0).caption in text


def test_one_of_gymnasiums(capsys, tmp_path):
    """Mutation: a card asked of a task without one."""
    path = tmp_path / "a.png"
    text = said(capsys, "--show", "MiniGrid-Playground-v0", "--out", path)
    assert "served by    Gymnasium\n" in text
    assert "2 forward" in text
    with Image.open(path) as image:
        assert image.size == (608, 608)
    assert "0, 1" in said(capsys, "--show", "CartPole-v1")


def test_all_tasks_in_one_picture(capsys, tmp_path):
    """The scene of each of Longhold's own tasks is in it, and what its agent sees.

    Mutation: a column left out; scenes of the first moment.
    """
    path = tmp_path / "all.png"
    assert "summary" in said(capsys, "--out", path, "--steps", 2, "--seed", 1)
    with Image.open(path) as image:
        pixels = np.asarray(image)
    for i, env_id in enumerate(OWN):
        env = make_vector_env(env_id, 1, seed=1)
        env.reset()
        generator = np.random.default_rng(1)
        for _ in range(2):
            env.step(generator.integers(env.single_action_space.n, size=1))
        row, column = divmod(i, gallery.COLUMNS)
        top = gallery.MARGIN + row * gallery.HEIGHT
        left = gallery.MARGIN + column * gallery.WIDTH
        for picture, (x, y, width, height) in ((env.scene(0), gallery.SCENE), (env.view(0), gallery.VIEW)):
            drawn = np.asarray(fitted(picture, width - 12, height - 10))
            y, x = top + y + (height - drawn.shape[0]) // 2, left + x + (width - drawn.shape[1]) // 2
            np.testing.assert_array_equal(pixels[y : y + len(drawn), x : x + drawn.shape[1]], drawn)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("--show tmase", "did you mean tmaze?"),
        ("--show tmaze --env-opt lenght=3", "did you mean length?"),
        ("--show tmaze --env-opt length=0", "length must be at least 1"),
        ("--show tmaze --env-opt length", "takes name=value"),
        ("--show tmaze --out a.jpg", "--out must end in .png, got 'a.jpg'"),
        ("--show tmaze --steps -1", "--steps must lie in 0"),
        ("--show tmaze --seed -1", "--seed must be at least 0"),
        ("--env-opt length=3", "--env-opt goes with --show NAME"),
        ("--show tmaze --steps 3", "--steps goes with --out FILE.png"),
        ("--sho tmaze", "--show"),
        ("stray", "stray"),
    ],
)
def test_wrong_words(words, part, tmp_path, capsys, monkeypatch):
    """Exit 2, one line, and nothing written. Mutation: any of the checks left out."""
    monkeypatch.chdir(tmp_path)
    assert_one_line(program.main, words.split(), 2, tmp_path, capsys, part)
