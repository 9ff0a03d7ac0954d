"""Scenes of the active T-maze, of memory size and of the card tasks, held against the state."""

import numpy as np
import pytest
from episodes import make, random_actions
from test_scene import play_by_oracle, things

from envs import make_vector_env
from envs.glyphs import SUITS
from envs.sprites import NORTH, SOUTH, Sprite
from envs.tasks.deck_scene import row_of_cards


def faces_up(scene, row):
    """What the cards in a row show, by column; the others are backs."""
    return {
        column: sprite.mark
        for layer in scene.layers
        for (r, column), sprite in layer.items()
        if r == row and sprite.shape == "card"
    }


def backs(scene):
    """The columns of the backs."""
    return [column for _, column in things(scene, "card-back")]


def test_the_active_tmaze_shows_the_cue_while_it_is_in_view():
    """A question over the oracle, then the arrow for one step, then nothing; the walker is where it is.

    Mutation: the arrow as long as the agent stands at the oracle; the start at the oracle; the flag in
    the other arm.
    """
    for seed in range(4):
        env = make_vector_env("tmaze-active", 1, length=4, seed=seed)
        env.reset()
        north = env.state["cue"][0] == 0
        scene = env.scene(0)
        assert scene.ground[2][1] == Sprite("floor", "yellow")
        assert scene.ground[1 if north else 3][6].shape == "goal"
        assert scene.ground[3 if north else 1][6].shape == "empty"
        assert things(scene, "mark") == [(1, 1)]
        assert not scene.seen[1, 1]
        assert things(scene, "walker") == [(2, 2)]
        env.step(env.oracle())
        scene = env.scene(0)
        assert scene.layers[0][1, 1] == Sprite("arrow", "yellow", NORTH if north else SOUTH)
        np.testing.assert_array_equal(np.argwhere(scene.seen), [[1, 1], [2, 1]])
        env.step(np.array([2]))  # a bump: the agent stays at the oracle
        assert set(env.scene(0).layers[0]) == {(2, 1)}
        for column in range(2, 7):
            env.step(env.oracle())
            assert things(env.scene(0), "walker") == [(2, column)]
        # The steps are used up but for the walker's way into an arm, which is not the cue's.
        env.reset()
        for action in (3, 3, 3, 3, 1):
            env.step(np.array([action]))
        assert things(env.scene(0), "walker") == [(3, 6)]


def test_memory_size_shows_its_bits_and_which_is_asked_for():
    """Bits are lit at the first step, the question at its own, the bar always; the flag is for the right.

    Mutation: the bits from the last to the first; the question lit from the first step on; a second row
    that begins where the first does.
    """
    for seed in range(3):
        env = make_vector_env("memory-size", 1, num_bits=20, length=5, seed=seed)
        env.reset()
        shown = env.observations[0, -20:]
        asked = divmod(int(env.state["asked"][0]), 16)
        for step in range(6):
            scene = env.scene(0)
            places = [(2 * (bit // 16) + 1, bit % 16 + 2) for bit in range(20)]
            assert [int(scene.layers[0][place].mark) for place in places] == list(shown > 0)
            assert {bool(scene.seen[place]) for place in places} == {step == 0}
            ((row, column),) = [place for place in things(scene, "mark") if place not in places]
            assert (row, column) == (2 * asked[0], asked[1] + 2)
            assert scene.seen[row, column] == (step == 5)
            bar = scene.layers[0].get((1, 0), Sprite("none", mark="0"))
            assert int(bar.mark) == 10 - 2 * step
            env.step(env.oracle())
        assert env.scene(0).ground[1][0].shape == "goal"
    assert env.entry_names[:2] + env.entry_names[-1:] == ("time left", "asked 0", "bit 19")


@pytest.mark.parametrize("delay", [3, 30])
def test_repeat_previous_shows_the_cards_to_be_asked_for(delay):
    """The last cards with those yet to be asked for open; the question lies over the card it asks for.

    Mutation: the question one place on; no gap before the cards of a long delay; the ring read at a
    place too far; a question to the last card.
    """
    env = make_vector_env("repeat-previous", 1, delay=delay)
    env.reset()
    dealt = []
    for t in range(52):
        dealt.append(SUITS[env.observations[0, 0]])
        scene = env.scene(0)
        right = min(t, 16)
        asked = t - delay if t >= delay and t < 51 else None
        open_cards = {right - t + place: dealt[place] for place in range(max(t - delay, t - 16, 0), t + 1)}
        if asked is not None and asked < t - right:
            open_cards = {0: dealt[asked]} | {c: mark for c, mark in open_cards.items() if c > 1}
        assert faces_up(scene, 1) == open_cards
        assert things(scene, "mark") == ([] if asked is None else [(0, max(right - delay, 0))])
        gap = {1} if delay == 30 and asked is not None else set()
        assert {*open_cards, *backs(scene)} == set(range(right + 1)) - gap
        np.testing.assert_array_equal(np.argwhere(scene.seen), [[1, right]])
        assert env.view(0).caption == dealt[-1]
        env.step(env.oracle())


def test_repeat_first_shows_the_first_card_and_the_present_one():
    """The others are backs; the question is over the first card from the second step to the last answer.

    Mutation: the present card at the first's place; a question at the first step.
    """
    env = make_vector_env("repeat-first", 1, length=30)
    env.reset()
    first = SUITS[env.cue()[0]]
    for t in range(32):
        scene, present = env.scene(0), SUITS[env.observations[0, 0]]
        right = min(t, 16)
        asked = 0 < t <= 30
        if t == 31:  # the end: nothing is asked, so the row's beginning is out of sight
            assert faces_up(scene, 1) == {right: present}
        else:
            assert faces_up(scene, 1) == {0: first} | {right: present}
        assert things(scene, "mark") == ([(0, 0)] if asked else [])
        np.testing.assert_array_equal(np.argwhere(scene.seen), [[1, right]])
        env.step(env.oracle())


def test_autoencode_shows_the_cards_and_whose_turn_it_is():
    """Cards come in from the left; then the question walks back over them, and turns them down.

    Mutation: the question one card on; cards that stay open; the last card watched still lit while it is
    asked for.
    """
    env = make_vector_env("autoencode", 1, length=20)
    env.reset()
    dealt = []
    for t in range(20):
        dealt.append(SUITS[env.observations[0, 0]])
        scene = env.scene(0)
        start = max(0, t - 16)
        assert faces_up(scene, 1) == dict(enumerate(dealt[start:]))
        assert things(scene, "mark") == []
        np.testing.assert_array_equal(np.argwhere(scene.seen), [[1, t - start]])
        env.step(env.oracle())
    for asked in range(19, -1, -1):
        scene = env.scene(0)
        ((row, column),) = things(scene, "mark")
        start = asked - column
        assert row == 0
        assert 0 <= start <= 3
        assert faces_up(scene, 1) == dict(enumerate(dealt[start : asked + 1]))
        assert backs(scene) == list(range(column + 1, min(17, 20 - start)))
        assert not scene.seen.any()
        assert env.view(0).caption == "no card"
        assert f"asked: {dealt[asked]}" in scene.caption
        env.step(env.oracle())
    assert "20 of 20 right" in env.scene(0).caption
    assert len(backs(env.scene(0))) == 17


def test_a_row_with_a_card_asked_for_far_back():
    """Mutation: the gap left out, so that two cards far apart look like neighbours."""
    suits = dict.fromkeys(range(40), 1)
    scene = row_of_cards(suits, 40, seen=39, asked=3, last=39, caption="")
    assert things(scene, "mark") == [(0, 0)]
    assert set(faces_up(scene, 1)) == {0, *range(2, 17)}
    assert scene.ground[1][1].shape == "outside"


def test_concentration_shows_what_lies_up_and_what_has_been_shown():
    """Faces that lie up are lit, those shown before dimmed, backs for the others; the view has those up.

    Mutation: cards of which nothing was shown open; known cards lit; the flipped card's ground and the
    asked one's exchanged; the sought card still shown beside an open pair that failed.
    """
    env = make("concentration", 4)
    env.reset()
    known = np.zeros((4, 6), bool)
    failed = 0
    for row in random_actions(env, 60):
        for i, s in enumerate(env.state):
            scene, symbols = env.scene(i), env.observations[i]
            known[i] = (known[i] & (s["turns"] > 0)) | (symbols[:6] > 0)
            marks = faces_up(scene, 0)
            assert {c - 3 for c in marks if c >= 3} == set(np.flatnonzero(known[i]))
            for card in range(6):
                assert marks.get(3 + card, "1") == str(s["face"][card] + 1) or not known[i, card]
                assert scene.seen[0, 3 + card] == (symbols[card] > 0 or not known[i, card])
            assert marks.get(1) == (str(symbols[-1]) if symbols[-1] else None)
            on = {sprite.colour: column - 3 for column, sprite in enumerate(scene.ground[0])}
            assert on.get("yellow", -1) == s["asked"]
            assert on.get("red", -1) == s["flipped"]
            failed += "red" in on
            up = faces_up(env.view(i), 0)
            assert {c - 3: int(mark) for c, mark in up.items() if c >= 3} == {
                card: code for card, code in enumerate(symbols[:6]) if code
            }
        env.step(row)
    assert failed


def test_concentrations_table():
    """Sixteen cards lie in two full rows, in order.

    Mutation: columns first.
    """
    env = play_by_oracle("concentration", 9)
    scene = env.scene(0)
    assert scene.shape == (2, 11)
    marks = [mark for row in (0, 1) for column, mark in sorted(faces_up(scene, row).items()) if column >= 3]
    known = np.flatnonzero(env.state["seen"][0])
    assert len(known) > 5
    assert marks == [str(face + 1) for face in env.state["face"][0, known]]
