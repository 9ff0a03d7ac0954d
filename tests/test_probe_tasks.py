"""What the probes show and ask: held against the definitions, and nothing answered by the question itself."""

import gzip
import math

import numpy as np
import pytest
import torch
from programs import tree

from agents.probing import digits, recall, sequences
from agents.probing.tasks import Choice, make_task
from envs import ENVS, make_vector_env
from envs.tasks import match_rules

CUED = [name for name, task in ENVS.items() if recall.has_question(task)]
COLOURS = range(match_rules.COLOUR, match_rules.NUM_CODES)


@pytest.mark.parametrize("length", [21, 22, 40])
def test_copy(length):
    """Against the layout written out step by step.

    Mutations: the delimiter one step later; labels of the ten steps in reversed order.
    """
    observations, labels = sequences.copy(np.random.default_rng(3), length, 5)
    assert observations.shape == (length, 5)
    for column, answers in zip(observations.T.tolist(), labels.T.tolist(), strict=True):
        assert column == [*answers, *[8] * (length - 21), 9, *[8] * 10]
    assert set(sequences.copy(np.random.default_rng(0), 30, 99).labels.ravel().tolist()) == set(range(8))


@pytest.mark.parametrize("length", [2, 7, 40])
def test_adding(length):
    """One mark in each half, and their sum.

    Mutations: both marks in the first half; the label of the first mark alone.
    """
    observations, labels = sequences.adding(np.random.default_rng(3), length, 300)
    assert (observations.shape, labels.shape) == ((length, 300, 2), (1, 300))
    marked = set()
    for column, label in zip(observations.unbind(1), labels[0], strict=True):
        steps = [t for t in range(length) if column[t, 1] == 1]
        assert len(steps) == 2
        assert steps[0] < length // 2 <= steps[1]
        assert set(column[:, 1].tolist()) <= {0.0, 1.0}
        assert float(label) == pytest.approx(sum(float(column[t, 0]) for t in steps))
        marked |= set(steps)
    assert marked == set(range(length))


def test_baselines():
    """The loss of the best constant answer, on data.

    Mutation: 1/12, the variance of one number, in place of 1/6.
    """
    labels = next(make_task(Choice("adding", 9)).stream(0, 20_000, False)).labels
    assert float((labels - 1).square().mean()) == pytest.approx(make_task(Choice("adding", 9)).baseline, 0.03)
    assert make_task(Choice("copy", 30)).baseline == pytest.approx(2.0794, abs=1e-4)
    assert make_task(Choice("recall", 3, env="passive-match")).baseline == pytest.approx(math.log(3))


def first_sight(env_id, observations):
    """The cue as the observations of an episode show it, [B]; -1 where they do not."""
    if env_id == "tmaze":
        return observations[0, :, -2:].argmax(-1)
    if env_id == "memory-len":
        return (observations[0, :, -1] > 0).long()
    if env_id == "memory-size":
        question, context = observations[-1, :, 1:4], observations[0, :, 4:]
        return ((question * context).sum(-1) > 0).long()
    if env_id == "repeat-first":
        return observations[0, :, 0].long()
    seen = (observations[:15].long() - (match_rules.COLOUR - 1)).clamp(0).amax((0, 2, 3))
    return seen - 1


def change_cue(envs, env_id, shift):
    """Make the cue another one, and nothing else."""
    if env_id == "memory-size":
        envs.state["context"] ^= shift << envs.state["asked"]
        return
    field = {"tmaze": "cue", "memory-len": "context", "repeat-first": "first"}.get(env_id, "target")
    envs.state[field] = (envs.state[field] + shift) % envs.num_cues


@pytest.mark.parametrize("env_id", CUED)
def test_the_cue_is_what_the_observation_shows(env_id):
    """Mutations: the T-maze's cues swapped; the target counted from 1; the first bit, not the asked one."""
    observations, cues = next(recall.stream(env_id, 6, 2, 300, False))
    shown = first_sight(env_id, observations)
    seen = shown >= 0
    assert bool((shown[seen] == cues[0, seen]).all())
    assert seen.float().mean() > (0.55 if env_id == "active-match" else 0.999)
    assert set(cues.ravel().tolist()) == set(range(ENVS[env_id].num_cues))


@pytest.mark.parametrize("env_id", CUED)
def test_the_question_comes_one_span_after_the_cue_and_does_not_show_it(env_id):
    """No frame after the last that may show the cue differs with it; the last is `span` steps before.

    The environments step with the same random numbers and actions; only the cue in their state is another.
    Mutations: the question one step earlier or later; a pad in view at the question.
    """
    delay = 5
    card = ENVS[env_id].card(**{recall.span_option(env_id): delay})
    envs = recall.make_envs(env_id, delay, 40, 7)
    question = envs.question_step
    rng = np.random.default_rng(0)
    actions = rng.integers(envs.single_action_space.n, size=(question, 40))
    views = []
    for shift in range(envs.num_cues):
        envs.reset(seed=7)
        before = envs.cue()
        change_cue(envs, env_id, shift)
        np.testing.assert_array_equal(envs.cue(), (before + shift) % envs.num_cues)
        views.append([])
        for row in actions:
            views[-1].append(envs.step(row)[0].copy())
    for others in views[1:]:
        assert all((a == b).all() for a, b in zip(views[0], others, strict=True))
    last_sight = 14 if env_id.endswith("-match") else 0
    assert question - last_sight == card.span
    if env_id.endswith("-match"):
        assert set(envs.state["phase"]) == {match_rules.CHOICE}
        assert set(envs.state["frame"]) == {0}
        assert not set(np.unique(views[0][-1])) & set(COLOURS)
        assert set(np.unique(views[0][12])) <= set(range(match_rules.NUM_CODES))
    if env_id == "passive-match":
        observations = next(recall.stream(env_id, delay, 2, 30, False)).observations
        shows = [bool((row >= match_rules.COLOUR).any()) for row in observations]
        assert [t for t, is_shown in enumerate(shows) if is_shown] == list(range(15))
        assert len(shows) == question + 1


def test_a_task_without_a_cue():
    """Mutation: Key-to-Door answers with a target that was never drawn."""
    envs = make_vector_env("key-to-door", 3)
    with pytest.raises(NotImplementedError, match="KeyToDoor has no cue"):
        envs.cue()
    with pytest.raises(NotImplementedError, match="KeyToDoor has no question"):
        _ = envs.question_step
    with pytest.raises(
        ValueError, match="no native task that asks for a cue at a known step; choose one of tmaze, "
    ):
        make_task(Choice("recall", 5, env="key-to-door"))


@pytest.mark.parametrize(
    "choice", [Choice("recall", 4, env="active-match"), Choice("copy", 24), Choice("adding", 9)]
)
def test_a_seed_decides_the_sequences(choice):
    """The same from the same seed; others from another, in the next batch and among the held out.

    Mutation: the held-out sequences from the generator of the others.
    """

    def two(seed, held_out):
        stream = make_task(choice).stream(seed, 7, held_out)
        return [next(stream).observations for _ in range(2)]

    first, again = two(1, False), two(1, False)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    for other in (first[1], two(2, False)[0], two(1, True)[0]):
        assert other.shape == first[0].shape
        assert not torch.equal(other, first[0])


def write_idx(path, array):
    """Writes bytes in MNIST's format."""
    header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def mnist(tmp_path):
    """A folder in MNIST's form: 9 and 4 images of 2 x 3 pixels, some files packed."""
    generator = np.random.default_rng(0)
    for part, count, ending in (("train", 9, ".gz"), ("t10k", 4, "")):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte{ending}", generator.integers(256, size=(count, 2, 3)))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte{ending}", np.arange(count))
    return tmp_path


@pytest.fixture
def cifar(tmp_path):
    """A folder in CIFAR-10's binary form."""
    generator = np.random.default_rng(0)
    for name, count in (("data_batch_1", 3), ("data_batch_2", 2), ("test_batch", 4)):
        records = generator.integers(256, size=(count, digits.CIFAR_RECORD)).astype(np.uint8)
        records[:, 0] = np.arange(count)
        (tmp_path / f"{name}.bin").write_bytes(records.tobytes())
    return tmp_path


def test_mnist(mnist):
    """Pixels row by row, scaled to 0 … 1, with their classes; permuted: the same pixels in one other order.

    Mutations: columns before rows; the labels' order left when the images are shuffled.
    """
    pictures = digits.load(mnist)
    assert pictures.name == "mnist"
    assert (pictures.pixels.shape, pictures.held_out_pixels.shape) == ((9, 6, 1), (4, 6, 1))
    packed = gzip.decompress((mnist / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    observations, labels = next(digits.stream(pictures, False, 1, 5, False))
    assert (observations.shape, labels.shape) == ((6, 5, 1), (1, 5))
    for column, label in zip(observations.unbind(1), labels[0].tolist(), strict=True):
        assert [round(255 * float(pixel)) for pixel in column] == list(packed[6 * label : 6 * label + 6])
    permuted, same_labels = next(digits.stream(pictures, True, 1, 5, False))
    assert torch.equal(labels, same_labels)
    assert not torch.equal(permuted, observations)
    assert torch.equal(permuted.sort(0).values, observations.sort(0).values)
    assert next(digits.stream(pictures, False, 1, 512, True)).labels.sort().values.tolist() == [[0, 1, 2, 3]]


def test_cifar(cifar):
    """Three channels a pixel.

    Mutation: the planes read as if the colours of a pixel lay side by side.
    """
    pictures = digits.load(cifar)
    assert pictures.name == "cifar10"
    assert (pictures.pixels.shape, pictures.held_out_pixels.shape) == ((5, 1024, 3), (4, 1024, 3))
    assert pictures.labels.tolist() == [0, 1, 2, 0, 1]
    record = (cifar / "data_batch_2.bin").read_bytes()[digits.CIFAR_RECORD :]
    for pixel in (0, 33, 1023):
        assert pictures.pixels[4, pixel].tolist() == [record[1 + 1024 * c + pixel] for c in range(3)]


def test_scikit_learns_digits():
    """Mutation: held-out digits among the others."""
    pytest.importorskip("sklearn")
    task = make_task(Choice("pixels"))
    held_out = next(task.stream(1, 512, True))
    assert held_out.observations.shape == (64, 360, 1)
    assert 0 <= float(held_out.observations.min()) < float(held_out.observations.max()) == 1
    pictures = digits.load(None)
    assert len(pictures.pixels) + len(pictures.held_out_pixels) == 1797
    shared = {row.tobytes() for row in pictures.pixels} & {row.tobytes() for row in pictures.held_out_pixels}
    assert not shared


def test_without_scikit_learn(monkeypatch):
    """Mutation: the ImportError let through."""
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with pytest.raises(ValueError, match=r"pip install .*\.\[probe\]"):
        digits.load(None)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def other_kind(path):
    path.write_bytes(b"\0\0\x0d" + path.read_bytes()[3:])


def high_class(path):
    content = bytearray(path.read_bytes())
    content[-1 if "labels" in path.name else 0] = 10
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage", "part"),
    [
        ("train-images-idx3-ubyte.gz", cut, "is damaged"),
        ("t10k-images-idx3-ubyte", cut, "39 bytes where its header tells 40"),
        ("t10k-images-idx3-ubyte", other_kind, "is no idx file of bytes with 3 dimensions"),
        ("t10k-labels-idx1-ubyte", high_class, "class 10"),
        ("t10k-labels-idx1-ubyte", lambda path: path.unlink(), "lacks t10k-labels-idx1-ubyte"),
        ("t10k-labels-idx1-ubyte", lambda path: write_idx(path, np.arange(5)), "4 t10k images, but 5 labels"),
        ("t10k-images-idx3-ubyte", lambda path: write_idx(path, np.zeros((4, 3, 3))), "different sizes"),
        ("train-images-idx3-ubyte.gz", lambda path: path.unlink(), "neither MNIST"),
    ],
)
def test_damaged_mnist(name, damage, part, mnist):
    """Mutation: any of the checks left out."""
    damage(mnist / name)
    before = tree(mnist)
    with pytest.raises(ValueError, match=part) as caught:
        digits.load(mnist)
    assert "\n" not in str(caught.value)
    assert tree(mnist) == before


@pytest.mark.parametrize(
    ("name", "damage", "part"),
    [
        ("data_batch_2.bin", cut, "no multiple of 3,073"),
        ("data_batch_2.bin", lambda path: path.write_bytes(b""), "no multiple of"),
        ("test_batch.bin", high_class, "class 10"),
        ("test_batch.bin", lambda path: path.unlink(), "is missing"),
    ],
)
def test_damaged_cifar(name, damage, part, cifar):
    """Mutation: any of the checks left out."""
    damage(cifar / name)
    with pytest.raises(ValueError, match=part):
        digits.load(cifar)
