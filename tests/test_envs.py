"""The package's front door: names, options, cards, and what importing it costs."""

import subprocess
import sys
from pathlib import Path

import pytest

from envs import ENVS, GymVectorEnv, NativeVectorEnv, make_vector_env, task_card
from envs.tasks import minigrid
from envs.tasks.tmaze import TMaze

HARDER = {
    "tmaze": ("length", 700),
    "tmaze-active": ("length", 700),
    "memory-len": ("length", 700),
    "memory-size": ("length", 700),
    "passive-match": ("delay", 700),
    "active-match": ("delay", 700),
    "key-to-door": ("delay", 700),
    "repeat-previous": ("delay", 200),
    "repeat-first": ("length", 700),
    "autoencode": ("length", 200),
    "concentration": ("pairs", 20),
}
"""Each task's option of difficulty, and a value above its default."""


def test_ids():
    """Native ids first, Gymnasium's after; options reach the constructor."""
    matches = ["passive-match", "active-match", "key-to-door"]
    cards = ["repeat-previous", "repeat-first", "autoencode", "concentration"]
    own = ["tmaze", "tmaze-active", "memory-len", "memory-size", *matches, *cards]
    assert list(ENVS) == [*own, *minigrid.TASKS]
    native = make_vector_env("tmaze", 3, length=9, copy=False)
    assert isinstance(native, NativeVectorEnv)
    assert (native.has_state, native.copy, native.length) == (True, False, 9)
    assert isinstance(make_vector_env("CartPole-v1", 3), GymVectorEnv)


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("tmase", "unknown environment 'tmase'; did you mean tmaze?"),
        ("Passive-Match", "unknown environment 'Passive-Match'; did you mean passive-match, active-match?"),
        ("MiniGrid-MemoryS7", "unknown environment 'MiniGrid-MemoryS7'; did you mean MiniGrid-MemoryS7-v0, "),
        ("CartPol-v1", "unknown environment 'CartPol-v1'; did you mean CartPole-v1, "),
        ("qqqqqq", f"unknown environment 'qqqqqq'; Longhold's own are {', '.join(HARDER)}"),
    ],
)
@pytest.mark.parametrize("call", [lambda env_id: make_vector_env(env_id, 2), task_card])
def test_unknown_ids(call, env_id, message):
    """One line with the nearest names, native and Gymnasium's."""
    with pytest.raises(ValueError, match="unknown environment") as error:
        call(env_id)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("env_id", HARDER)
def test_unknown_options(env_id):
    """One line with the nearest option."""
    option, _ = HARDER[env_id]
    message = rf"^{env_id} has no option '{option}x'; did you mean {option}\?$"
    with pytest.raises(ValueError, match=message):
        make_vector_env(env_id, 2, **{f"{option}x": 3})
    with pytest.raises(ValueError, match=message):
        task_card(env_id, **{f"{option}x": 3})


@pytest.mark.parametrize("env_id", HARDER)
def test_cards(env_id):
    """A card follows its options and is told in the task's docstring.

    Mutation: the card's numbers fixed at the defaults.
    """
    option, value = HARDER[env_id]
    card, longer = task_card(env_id), task_card(env_id, **{option: value})
    assert card.name == env_id
    assert card.summary
    assert "\n" not in card.summary + card.ends + card.known_budget
    assert card.span < longer.span
    if card.episode_length is None:
        assert longer.episode_length is None
        assert card.ends != longer.ends
    else:
        assert card.episode_length < longer.episode_length
        assert str(longer.episode_length) in longer.ends
    assert 0 < card.chance <= card.memoryless <= card.oracle == 1
    assert (card.kind == "memory") == (card.memoryless == card.chance)
    assert "Card:" in ENVS[env_id].__doc__


@pytest.fixture
def cart_pole(monkeypatch):
    """For one test there is a native version of CartPole-v1: a T-maze."""
    monkeypatch.setitem(ENVS, "CartPole-v1", TMaze)


@pytest.mark.usefixtures("cart_pole")
def test_backends():
    """The native version where there is one, unless the original is asked for; the card is of both.

    Mutations: the backend not looked at; no card for the original; the native card for options it lacks.
    """
    assert isinstance(make_vector_env("CartPole-v1", 2, length=9), TMaze)
    assert isinstance(make_vector_env("CartPole-v1", 2, backend="auto"), TMaze)
    assert isinstance(make_vector_env("CartPole-v1", 2, backend="gymnasium"), GymVectorEnv)
    assert isinstance(make_vector_env("Acrobot-v1", 2, backend="gymnasium"), GymVectorEnv)
    for backend in ("auto", "gymnasium"):
        assert task_card("CartPole-v1", backend=backend, length=9) == TMaze.card(length=9)
        assert task_card("Acrobot-v1", backend=backend) is None
    assert task_card("CartPole-v1", backend="gymnasium", sutton_barto_reward=True) is None
    with pytest.raises(ValueError, match=r"^CartPole-v1 has no option 'sutton_barto_reward'"):
        task_card("CartPole-v1", sutton_barto_reward=True)


@pytest.mark.parametrize("call", [lambda *a, **o: make_vector_env(*a, 2, **o), task_card])
def test_wrong_backends(call):
    """One line each. Mutation: the native version given where the original was asked for."""
    own = r"^tmaze is a native task: the backend gymnasium has no original of it$"
    with pytest.raises(ValueError, match=own):
        call("tmaze", backend="gymnasium")
    with pytest.raises(ValueError, match=r"^backend must be auto or gymnasium, got 'native'$"):
        call("tmaze", backend="native")


def test_foreign_tasks_have_no_card():
    """Gymnasium's ids have no card, and asking is no error."""
    assert task_card("CartPole-v1") is None
    assert task_card("MiniGrid-Playground-v0", agent_view_size=3) is None


def test_import_leaves_the_rest_alone():
    """MiniGrid costs a quarter of a second and pygame's greeting; torch belongs to other folders.

    Mutation: ``import minigrid`` at the top of a module.
    """
    code = (
        "import sys, envs; envs.make_vector_env('tmaze', 1); print({'minigrid', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[1], text=True, capture_output=True
    )
    assert done.stdout == "set()\n", done.stderr
