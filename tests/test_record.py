"""Films: what is played, what a frame shows, what the file holds, and what the program says."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from programs import assert_one_line, tree

from agents.actor import Actor, make_envs
from agents.config import Config
from agents.network import make_network
from agents.recording import video
from agents.recording.charts import BLUE, GREEN, ORANGE, Chart, Curve, draw_bars, limits_of, round_up
from agents.recording.frames import HEIGHT, WIDTH, Title, episode_frames, fitted, verdict_of
from agents.recording.playback import Episode, play_episode
from agents.recording.video import write_video
from agents.trajectory import Inputs
from envs.scene import Scene, draw, grid
from scripts import record, train

SIZES = "--hidden-size 6 --encoder-size 7 --device cpu --num-envs 3 --total-steps 200 --unroll-length 20"
RUNS = {
    "tmaze": "--env tmaze --env-opt length=3 --core ur-lstm",
    "memoryless": "--env key-to-door --env-opt delay=2 tile_size=2 --core memoryless",
    "minigrid": "--env MiniGrid-Empty-5x5-v0 --env-opt max_steps=7 --core gru",
    "original": "--env MiniGrid-Empty-5x5-v0 --env-opt processes=true --env-backend gymnasium --runner local",
    "cartpole": "--env CartPole-v1 --core lru",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A finished run of each kind; nobody changes them."""
    folders = {}
    for name, words in RUNS.items():
        logs = tmp_path_factory.mktemp(name)
        assert train.main([*words.split(), *SIZES.split(), "--log-dir", str(logs)]) == 0
        ((folders[name],),) = ([path.parent for path in logs.rglob("config.json")],)
    return folders


def make_actor(seed=3, core="ur-lstm", greedy=False, **options):
    """One environment with a network of random weights, large enough to matter."""
    config = Config(env="passive-match", env_opt=("delay=40",), core=core, hidden_size=6, encoder_size=7)
    envs = make_envs(config, 1, 5)
    network = make_network(config, envs.single_observation_space, 4)
    with torch.no_grad():
        for head in (network.policy, network.value):
            head.weight.copy_(torch.randn_like(head.weight, dtype=torch.float32))
    return Actor(envs, network, seed=seed, greedy=greedy, **options)


def test_a_played_episode_is_an_unroll():
    """Step by step, what was thought and done is what one unroll of the whole episode says.

    Mutations: the moment after in place of this one; rewards of the moment's own action; rewards scaled;
    the core state before the last row.
    """
    torch.manual_seed(0)
    one = make_actor(reward_scale=0.1)
    torch.manual_seed(0)
    other = make_actor(reward_scale=0.1)
    episode = play_episode(one, 1000)
    unroll = other.unroll(other.allocate(70))
    moments = episode.moments
    assert (episode.num_actions, episode.ended, len(moments)) == (70, True, 71)
    assert [moment.action for moment in moments] == [*unroll.actions[:, 0].tolist(), None]
    rows = Inputs(*(field[:70] for field in unroll.inputs))
    start = other.network.initial_state(1)
    with torch.no_grad():
        output = other.network(rows, start)
        gates = other.network.core.unroll_gates(other.network.core_inputs(rows), start, rows.resets)
    np.testing.assert_allclose([m.value for m in moments[:-1]], output.values[:, 0], atol=1e-6)
    probabilities = torch.softmax(unroll.behaviour_logits[:, 0], -1)
    np.testing.assert_allclose([m.probabilities for m in moments[:-1]], probabilities, atol=1e-6)
    for name in ("forget", "input"):
        means = gates[name][:, 0].mean(-1)
        np.testing.assert_allclose([m.gates[name][0] for m in moments[:-1]], means, atol=1e-6)
        lows = np.quantile(gates[name][:, 0].numpy(), 0.1, axis=-1)
        np.testing.assert_allclose([m.gates[name][1] for m in moments[:-1]], lows, atol=1e-6)
    rewards = unroll.rewards[:, 0].numpy() / 0.1
    assert rewards.any()
    np.testing.assert_allclose([m.reward for m in moments], [0, *rewards], rtol=1e-6)
    np.testing.assert_allclose(episode.total, unroll.episodes.returns[0], rtol=1e-6)
    assert episode.success == unroll.episodes.successes[0]


def test_looking_changes_nothing():
    """Mutation: the core state after the look kept, or the generator drawn from."""
    torch.manual_seed(0)
    one = make_actor()
    torch.manual_seed(0)
    other = make_actor()
    for _ in range(3):
        one.look(), one.look()
        mine, theirs = one.unroll(one.allocate(5)), other.unroll(other.allocate(5))
        assert torch.equal(mine.actions, theirs.actions)
        assert torch.equal(mine.behaviour_logits, theirs.behaviour_logits)


def test_greedy():
    """The likeliest action always; drawn ones differ from it.

    Mutation: greedy without effect.
    """
    for greedy in (True, False):
        torch.manual_seed(0)
        moments = play_episode(make_actor(greedy=greedy), 1000).moments[:-1]
        likeliest = [int(moment.probabilities.argmax()) for moment in moments]
        assert ([moment.action for moment in moments] == likeliest) == greedy


def test_a_long_episode_is_cut_off():
    """Mutation: one action too many."""
    episode = play_episode(make_actor(core="memoryless"), 9)
    assert (episode.num_actions, episode.ended) == (9, False)
    assert verdict_of(episode)[0] == "cut off"
    assert episode.moments[0].gates == {}


@pytest.mark.parametrize(
    ("success", "word"), [(1.0, "success"), (0.0, "failure"), (0.4, "success 0.40"), (float("nan"), "end")]
)
def test_verdicts(success, word):
    """Mutation: NaN taken for success."""
    assert verdict_of(Episode([], success, True))[0] == word


def columns_of(image, colour):
    """The columns in which a colour stands."""
    return np.flatnonzero((np.asarray(image) == colour).all(-1).any(0))


def test_charts_are_drawn_up_to_now():
    """The line ends at the present decision, at its height; rewards so far have a tick.

    Mutations: the whole curve from the start; y upside down; a reward shown before it is paid.
    """
    values = list(np.linspace(0, 1, 21))
    chart = Chart((400, 120), [Curve("v", BLUE, values)], (0, 1), [0.0] * 9 + [1.0] + [0.0] * 11)
    for now in (5, 15):
        image = np.asarray(chart.draw(now))[22:]
        columns = columns_of(image, BLUE)
        assert abs(columns.max() - (40 + 350 * now / 20)) < 6
        rows = np.flatnonzero((image[:, columns.max() - 2] == BLUE).all(-1))
        assert abs(rows.mean() - (80 - 80 * now / 20)) < 4
        assert (len(columns_of(image, GREEN)) > 0) == (now == 15)


def test_bars():
    """As long as the share; the chosen one in another colour; of many the likeliest, in their order.

    Mutation: the chosen one's index among the shown bars only.
    """
    image = draw_bars((312, 132), ("a", "b"), np.array([0.25, 0.75]), 1)
    # Not the letters and digits at the sides: they wear the colour too.
    lengths = [np.ptp(columns_of(np.asarray(image)[:, 30:264], colour)) for colour in (BLUE, ORANGE)]
    assert abs(lengths[1] / lengths[0] - 3) < 0.2
    shares = np.full(18, 0.5 / 17)
    shares[16] = 0.5
    image = np.asarray(draw_bars((312, 132), [str(i) for i in range(18)], shares, 16))
    assert np.ptp(columns_of(image[:, 40:264], ORANGE)) > 90


def test_axes():
    """From or to zero, to a round number; never empty.

    Mutation: an axis cut at the least value.
    """
    assert limits_of([0.3, 0.97]) == (0.0, 1.0)
    assert limits_of([-0.5, 0.2]) == (-0.5, 0.2)
    assert limits_of([0.0, 0.0]) == (0.0, 1.0)
    assert limits_of([-3.7, -1.0]) == (-4.0, 0.0)
    for value in (1e-3, 0.11, 1.01, 7.0, 83.0, 2e5):
        assert value <= round_up(value) < 1.4 * value


def test_pictures_fit():
    """As large as fits, never larger; small images keep square pixels.

    Mutation: the larger of both scales.
    """
    assert fitted(Scene(grid(3, 50)), 588, 318).size == (550, 33)
    assert fitted(Scene(grid(2, 2)), 588, 318).size == (96, 96)
    small = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    assert fitted(small, 300, 170).size == (238, 170)
    np.testing.assert_array_equal(np.asarray(fitted(small, 300, 170))[::34, ::34], small)
    assert fitted(np.zeros((400, 600, 3), np.uint8), 300, 170).size == (255, 170)
    assert fitted(Scene(grid(400, 3)), 300, 170).height <= 170


def test_frames():
    """One a moment, of one size, none like another; the world is in them, and the end says how it went.

    Mutation: the picture of the first moment in all.
    """
    torch.manual_seed(1)
    episode = play_episode(make_actor(), 1000)
    frames = list(episode_frames(episode, Title("a title", ("n", "s", "w", "e"))))
    assert len(frames) == 71
    assert {(frame.shape, frame.dtype.name) for frame in frames} == {((HEIGHT, WIDTH, 3), "uint8")}
    assert len({frame.tobytes() for frame in frames}) == 71
    for moment, frame in zip(episode.moments, frames, strict=True):
        world = draw(moment.world, 45)
        top = 64 + (328 - world.shape[0]) // 2
        left = 16 + (600 - world.shape[1]) // 2
        np.testing.assert_array_equal(frame[top : top + world.shape[0], left : left + world.shape[1]], world)
    verdict = verdict_of(episode)[1]
    assert [(frame[HEIGHT - 30, WIDTH - 30] == verdict).all() for frame in frames] == [False] * 70 + [True]


def moving(count):
    """Frames of a white bar that moves over black, 64 x 96."""
    for t in range(count):
        frame = np.zeros((64, 96, 3), np.uint8)
        frame[:, 8 * t : 8 * t + 8] = (255, 255, 255)
        yield frame


def test_gif(tmp_path):
    """All frames in their order, with their time.

    Mutation: the first frame lost.
    """
    write_video(tmp_path / "a.gif", moving(9), 10)
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == 9
        for t, frame in enumerate(moving(9)):
            film.seek(t)
            np.testing.assert_array_equal(np.asarray(film.convert("RGB")), frame)
            assert film.info["duration"] == 100
        assert film.info["loop"] == 0


def test_mp4(tmp_path):
    """All frames in their order, nearly as they were, at the rate that was asked for.

    Mutation: the encoder not flushed, so that the last frames are missing; red and blue exchanged.
    """
    av = pytest.importorskip("av")
    write_video(tmp_path / "a.mp4", moving(9), 7)
    with av.open(str(tmp_path / "a.mp4")) as film:
        assert film.streams.video[0].average_rate == 7
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 9
    for mine, frame in zip(frames, moving(9), strict=True):
        assert np.abs(mine.astype(int) - frame).mean() < 8
    red = [np.full((64, 64, 3), (200, 30, 30), np.uint8)] * 2
    write_video(tmp_path / "b.mp4", red, 7)
    with av.open(str(tmp_path / "b.mp4")) as film:
        pixel = next(film.decode(video=0)).to_ndarray(format="rgb24")[32, 32]
    assert pixel[0] > 150 > 90 > pixel[2]


def test_png(tmp_path):
    """The last frame. Mutation: the first."""
    write_video(tmp_path / "a.png", moving(9), 8)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), list(moving(9))[-1])


@pytest.mark.parametrize("name", ["a.gif", "a.mp4"])
def test_a_film_is_whole_or_not_there(name, tmp_path):
    """An error on the way leaves the film of before, and nothing else.

    Mutation: written in place.
    """
    if name.endswith("mp4"):
        pytest.importorskip("av")

    def broken():
        yield from moving(3)
        raise RuntimeError("on the way")

    (tmp_path / name).write_bytes(b"before")
    with pytest.raises(RuntimeError, match="on the way"):
        write_video(tmp_path / name, broken(), 8)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


@pytest.mark.parametrize("name", RUNS)
def test_every_kind_of_run(name, runs, tmp_path, capsys):
    """Native and not, with gates and without, codes and pixels: a film, and a line for each episode.

    Mutations: gates asked of a core that has none; a film of the native task in place of the original.
    """
    capsys.readouterr()
    words = [str(runs[name]), "--episodes", "2", "--max-actions", "9", "--out", str(tmp_path / "f.gif")]
    assert record.main(words) == 0
    said = capsys.readouterr().out
    for part in ("weights after", "episode 1 of 2: ", "episode 2 of 2: ", "return", "wrote "):
        assert part in said
    with Image.open(tmp_path / "f.gif") as film:
        assert film.size == (WIDTH, HEIGHT)
        assert film.n_frames >= 8


def test_a_seed_gives_one_film(runs, tmp_path):
    """The same bytes for the same seed, others for another; the run is left as it is.

    Mutation: the seed without effect, or actions drawn anew.
    """
    before = tree(runs["memoryless"])

    def film(*words):
        path = tmp_path / "f.gif"
        assert record.main([str(runs["memoryless"]), "--episodes", "1", *words, "--out", str(path)]) == 0
        return path.read_bytes()

    drawn, greedy = film(), film("--greedy")
    assert film() == drawn
    assert film("--greedy") == greedy
    assert len({drawn, greedy, film("--seed", "1")}) == 3
    assert tree(runs["memoryless"]) == before
    assert [path.name for path in tmp_path.iterdir()] == ["f.gif"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("", "run"),
        ("RUN --episodes 0 --out a.gif", "--episodes must lie in 1 … 10000, got 0"),
        ("RUN --fps 0 --out a.gif", "--fps must lie in 1 … 60, got 0"),
        ("RUN --max-actions 0 --out a.gif", "--max-actions must lie in"),
        ("RUN --seed -1 --out a.gif", "--seed must lie in"),
        ("RUN --out film.avi", "--out must end in .mp4, .gif or .png, got 'film.avi'"),
        ("RUN --device tpu --out a.gif", "--device must be"),
        ("RUN --episode 3", "did you mean --episodes?"),
        ("nowhere --out a.gif", "nowhere is no run folder"),
        ("RUN --out RUN/config.json/a.gif", "config.json"),
    ],
)
def test_wrong_words(words, part, runs, tmp_path, capsys, monkeypatch):
    """Exit 2, one line, and nothing written. Mutation: any of the checks left out."""
    monkeypatch.chdir(tmp_path)
    words = [word.replace("RUN", str(runs["tmaze"])) for word in words.split()]
    assert_one_line(record.main, words, 2, tmp_path, capsys, part)


def test_a_run_without_checkpoint(runs, tmp_path, capsys):
    """Exit 5, as scripts.evaluate. Mutation: random weights in place of the error."""
    run = shutil.copytree(runs["tmaze"], tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    words = [run, "--out", tmp_path / "a.gif"]
    assert_one_line(record.main, words, 5, tmp_path, capsys, "no checkpoint in")


@pytest.mark.parametrize(("missing", "name"), [("av", "a.mp4"), ("PIL", "a.gif"), ("PIL", "a.mp4")])
def test_a_missing_package(missing, name, runs, tmp_path, capsys, monkeypatch):
    """One line that says what to install. Mutation: the ImportError let through."""
    monkeypatch.setitem(sys.modules, missing, None)
    words = [runs["tmaze"], "--out", tmp_path / name]
    assert_one_line(record.main, words, 2, tmp_path, capsys, "pip install 'longhold[video]'")


def test_a_place_that_takes_no_film(tmp_path, monkeypatch):
    """Found out before anything is played: a full disk still makes empty files. The film is named.

    Mutations: an empty file tried; the temporary name told, or left behind.
    """

    def full(path, data):
        path.touch()
        if data:
            raise OSError(28, "No space left on device", str(path))

    video.check_place(tmp_path / "film.gif")
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as caught:
        video.check_place(tmp_path / "film.gif")
    assert caught.value.filename == str(tmp_path / "film.gif")
    assert not list(tmp_path.iterdir())
