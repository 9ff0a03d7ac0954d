"""The checkpoints of a run: what goes in comes out, whole or not at all; which stay and which are chosen."""

import pytest
from checkpoint_states import FILES, assert_same, new_state, newest, save_two

from agents import checkpoint, checkpoint_format
from agents.checkpoint import load_checkpoint, save_checkpoint
from agents.checkpoint_format import CheckpointError


@pytest.fixture
def two(tmp_path):
    """A folder with checkpoints of steps 100 and 200."""
    return save_two(tmp_path)


def test_round_trip(tmp_path):
    """Nested dicts come back with every type, dtype, shape and bit; the newest is read.

    Mutations: empty dicts dropped; views saved as the whole they look into; the oldest read first.
    """
    for step in (1000, 999, 20_000):
        path = save_checkpoint(tmp_path, new_state(step), step)
        assert sorted(file.name for file in path.iterdir()) == sorted(FILES)
    state, path, refused = load_checkpoint(tmp_path)
    assert path.name == f"step-{20_000:015d}"
    assert_same(state, new_state(20_000))
    assert refused == []


def test_a_state_is_not_changed_by_saving(tmp_path):
    """Mutation: tensors taken out of the caller's own dicts."""
    state = new_state()
    save_checkpoint(tmp_path, state, 0)
    assert_same(load_checkpoint(tmp_path)[0], state)
    assert state["deep"]["weight"].requires_grad


def test_the_newest_three_are_kept(tmp_path):
    """Mutation: the oldest kept."""
    for step in (1, 2, 4, 30, 500):
        save_checkpoint(tmp_path, {"step": step}, step)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"step-{step:015d}" for step in (4, 30, 500)]


def test_the_same_step_again(two):
    """A second save of one step replaces the first: a run that is resumed at its end saves there again.

    Mutation: the rename without making room.
    """
    save_checkpoint(two, new_state(7), 200)
    state, path, _ = load_checkpoint(two)
    assert path == newest(two)
    assert_same(state, new_state(7))
    assert len(list(two.iterdir())) == 2


def crash_points():
    """Names of what a save calls, with whose: at each call of each of them it may be stopped."""
    files = [("flush", n) for n in range(4)] + [("save_file", 0), ("measure", 0), ("measure", 1), ("seal", 0)]
    paths = [("write_text", 0), ("write_text", 1), ("rename", 0), ("rename", 1)]
    points = [(checkpoint_format, *point) for point in files] + [(checkpoint.Path, *point) for point in paths]
    return [*points, (checkpoint, "flush", 0)]


@pytest.mark.parametrize(("owner", "function", "call"), crash_points())
@pytest.mark.parametrize("cleanup", [False, True], ids=["killed", "raised"])
@pytest.mark.parametrize("step", [200, 300], ids=["same step", "new step"])
def test_a_save_that_is_stopped(owner, function, call, cleanup, step, two, monkeypatch):
    """Wherever a save is stopped, the older checkpoints stay, and what it left is neither read nor kept.

    The new one is read once its folder has its name, that is after the last rename, and not before. The
    former one of the same step is read until then.

    Mutations: files written into the folder of the final name; the former folder of a step removed first, or
    not looked for.
    """

    class Stop(BaseException):
        pass

    count = 0

    def stopping(*arguments, **keywords):
        nonlocal count
        count += 1
        if count == call + 1:
            raise Stop
        return original(*arguments, **keywords)

    original = getattr(owner, function)
    monkeypatch.setattr(owner, function, stopping)
    if not cleanup:  # as kill -9: nothing is tidied up
        monkeypatch.setattr(checkpoint.shutil, "rmtree", lambda *arguments, **keywords: None)
    stopped = False
    try:
        save_checkpoint(two, new_state(300), step)
    except Stop:
        stopped = True
    monkeypatch.undo()
    assert stopped == (count > call)

    state, path, refused = load_checkpoint(two)
    assert refused == []
    renamed = not stopped or owner is checkpoint
    assert_same(state, new_state(300 if renamed else 200))
    assert f"step-{step if renamed else 200:015d}" in path.name
    # What is left of it goes with the next save.
    save_checkpoint(two, new_state(400), 400)
    assert all(path.name.startswith("step-") for path in two.iterdir())
    assert_same(load_checkpoint(two)[0], new_state(400))


def test_a_folder_under_a_temporary_name_is_not_read(two):
    """Mutation: every folder taken for a checkpoint."""
    for path in list(two.iterdir()):
        path.rename(two / f".{path.name}-new")
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        load_checkpoint(two)


def test_a_full_disk(two, monkeypatch):
    """The error comes through, the older checkpoints stay and nothing is left of the new one.

    Mutation: the temporary folder left behind.
    """

    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_format, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(two, new_state(300), 300)
    assert sorted(path.name for path in two.iterdir()) == [f"step-{step:015d}" for step in (100, 200)]
    assert_same(load_checkpoint(two)[0], new_state(200))


def names(folder):
    """Env steps of the checkpoints that are there, and names of whatever else is."""
    return sorted(
        int(path.name[5:]) if path.name.startswith("step-") else path.name for path in folder.iterdir()
    )


def save_rated(folder, steps, keep=2, **figures):
    """Saves a state that says how its episodes went."""
    return save_checkpoint(folder, {"step": steps}, steps, figures=figures, keep=keep)


def test_the_best_is_kept_besides(tmp_path):
    """It stays while a better one is missing; of two that are as good, the newer.

    Mutations: the best by its return where success is known; the older of equals; no best kept.
    """
    for steps, success, total in (
        (1, 0.2, 9),
        (2, 0.9, 1),
        (3, 0.5, 9),
        (4, 0.9, 0),
        (5, 0.1, 9),
        (6, 0.1, 9),
    ):
        save_rated(tmp_path, steps, episodes=100, success=success, **{"return": total})
        if steps == 3:
            assert names(tmp_path) == [2, 3]
    assert names(tmp_path) == [4, 5, 6]
    assert load_checkpoint(tmp_path, "best")[0] == {"step": 4}
    assert load_checkpoint(tmp_path)[0] == {"step": 6}
    assert load_checkpoint(tmp_path, "5")[0] == {"step": 5}


def test_a_mean_over_few_episodes_is_not_the_best(tmp_path):
    """Nor is a checkpoint that tells nothing; where success is not told, the return counts.

    Mutation: the number of episodes not looked at.
    """
    save_rated(tmp_path, 1, keep=9, episodes=99, **{"return": 50.0})
    save_rated(tmp_path, 2, keep=9, episodes=100, **{"return": -3.0})
    save_rated(tmp_path, 3, keep=9, episodes=100, **{"return": -5.0})
    save_rated(tmp_path, 4, keep=9, episodes=0)
    ranked = checkpoint.rank(checkpoint.list_checkpoints(tmp_path))
    assert [checkpoint.steps_of(path) for _, path in ranked] == [2, 3, 1]
    assert ranked[0][0] == "return -3 over 100 episodes of training"


def test_a_damaged_best_hides_nothing(tmp_path):
    """The latest is read as ever, and the next best is said to take its place.

    Mutations: the error of its manifest let through; the best read before it is verified.
    """
    for steps, success in ((1, 0.9), (2, 0.5), (3, 0.4)):
        save_rated(tmp_path, steps, keep=3, episodes=100, success=success)
    (tmp_path / f"step-{1:015d}" / FILES[1]).write_text("{}")
    state, _, refused = load_checkpoint(tmp_path, "best")
    assert state == {"step": 2}
    assert "state.json" in refused[0]
    (tmp_path / f"step-{1:015d}" / FILES[2]).write_text('{"figures": 1}')
    assert load_checkpoint(tmp_path, "best")[::2] == ({"step": 2}, [])
    assert load_checkpoint(tmp_path)[::2] == ({"step": 3}, [])


def test_checkpoints_that_were_passed_over_are_set_aside(tmp_path):
    """A run that went on from an older one keeps what it saves; what it passed over stays to be looked at.

    Mutations: the newest by name kept, which would remove what was just saved; the refused removed.
    """
    for steps in (1, 30, 40, 50):
        save_rated(tmp_path, steps, keep=4)
    for steps in (30, 40, 50):
        (tmp_path / f"step-{steps:015d}" / FILES[1]).write_text("{}")
    assert load_checkpoint(tmp_path)[0] == {"step": 1}
    save_rated(tmp_path, 2, keep=2)
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {f"step-{n:015d}" for n in (1, 2)} | {f"refused-step-{n:015d}" for n in (30, 40, 50)}
    assert load_checkpoint(tmp_path)[::2] == ({"step": 2}, [])


def test_words_for_a_checkpoint(two):
    """Mutations: the nearest step taken; a bad word taken for the latest."""
    for word in ("150", "newest", "2e2.5", "-200"):
        with pytest.raises(ValueError, match=r"--checkpoint .*200, 100") as error:
            load_checkpoint(two, word)
        assert "\n" not in str(error.value)
    assert load_checkpoint(two, "2e2")[1] == newest(two)
    with pytest.raises(CheckpointError, match="there is no best"):
        load_checkpoint(two, "best")
    (newest(two) / FILES[1]).write_text("{}")
    with pytest.raises(CheckpointError, match="verifies"):  # who names one wants no other
        load_checkpoint(two, "200")


@pytest.mark.parametrize("error", [KeyError("a"), RuntimeError("two\nlines"), ValueError(), OverflowError()])
def test_one_that_does_not_fit(two, error):
    """Whoever takes a state over may find it of another shape: then the one before is tried.

    Mutation: the error let through.
    """

    def use(state):
        if state["version"] == 200:
            raise error

    state, _, (line,) = load_checkpoint(two, use=use)
    assert state["version"] == 100
    assert "does not fit" in line
    assert "\n" not in line
