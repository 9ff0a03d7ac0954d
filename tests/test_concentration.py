"""Concentration against its rules written out, and its card against play and against other policies."""

import itertools

import numpy as np
import pytest
import torch
from episodes import assert_follows, results
from reference_tasks_literature import ConcentrationReference

from envs import make_vector_env
from envs.pcg64 import environment_seeds
from envs.tasks.concentration import Concentration, best_guess


def any_card_down(seen, generator):
    """One of the cards that lie face down, each as likely."""
    return np.where(seen[:, :-1] == 0, generator.random(seen[:, :-1].shape), -1).argmax(1)


@pytest.mark.parametrize("pairs", [2, 3, 6, 26])
def test_rules_step_by_step(pairs):
    """Every observation, reward and end of many episodes is the reference's, draws and resets included.

    Mutations: the shuffle from the first card on; a card drawn that lies up; the failed pair turned down
    at once, or never; a found card turned down; a face-up card that may be its own twin; a turn more; the
    face still named while a failed pair lies open.
    """
    env = make_vector_env("concentration", 6, seed=9, first_index=2, pairs=pairs)
    references = [ConcentrationReference(np.random.default_rng(s), pairs) for s in environment_seeds(9, 2, 6)]
    successes = assert_follows(env, references, 2500)
    assert 5 < successes.sum() < len(successes) - 5


@pytest.mark.parametrize("pairs", [2, 3, 4, 7, 26])
def test_a_player_who_forgets_nothing_wins_always(pairs):
    """With at most 2 pairs - 2 failed turns, and with just so many somewhere: the limit is tight.

    Mutations: a turn less; the oracle flips a card it has seen while it looks for an unseen one.
    """
    env = make_vector_env("concentration", 500, seed=1, pairs=pairs, copy=False)
    success, returns = results(env, lambda _: env.oracle(), 2000 if pairs > 7 else 8000)
    failures = np.rint((1 - returns) * (3 * pairs - 2)).astype(int)
    assert (success == Concentration.card(pairs=pairs).oracle).all()
    assert failures.max() <= 2 * pairs - 2
    if pairs < 4:
        assert failures.max() == 2 * pairs - 2


def test_the_oracle_knows_what_was_shown_and_no_more():
    """Two tables that differ only in cards never shown get the same actions.

    Mutation: the oracle looks at faces that it has not seen.
    """
    env = make_vector_env("concentration", 300, seed=1, pairs=5)
    env.reset()
    checked = 0
    for _ in range(8):
        before, actions = env.state["face"].copy(), env.oracle()
        for faces, seen in zip(env.state["face"], env.state["seen"], strict=True):
            unseen = np.flatnonzero(seen[:10] == 0)
            faces[unseen] = faces[unseen[::-1]]
            checked += len(unseen) > 1
        np.testing.assert_array_equal(env.oracle(), actions)
        env.state["face"] = before
        env.step(actions)
    assert checked > 1000


@pytest.mark.parametrize("pairs", [2, 3, 4, 6])
def test_chance(pairs):
    """Any card that lies face down, each as likely, wins as often as the card says (4 deviations).

    A player who takes up cards too wins less. Mutation: a turn more or less; a failed pair left open.
    """
    env, generator = make_vector_env("concentration", 1000, seed=2, pairs=pairs), np.random.default_rng(0)
    success, returns = results(env, lambda seen: any_card_down(seen, generator), 20_000)
    card = Concentration.card(pairs=pairs)
    assert card.chance == card.memoryless == best_guess(pairs)
    assert abs(success.mean() - card.chance) < 4 * np.sqrt(card.chance * (1 - card.chance) / len(success))
    assert -1 <= returns.min() < returns.max() <= 1
    wild = results(env, lambda seen: generator.integers(2 * pairs, size=1000), 5000)[0]
    assert wild.mean() < card.chance - 0.03


def test_no_map_from_table_to_card_beats_the_card():
    """Two pairs: all 3^8 maps from (card, face) to another card, exactly; the best one is played too.

    While no pair is found the table shows the card that is turned up and its face, so p, the chance to
    find its twin, is the share of the four cards whose image is their twin. Three of the four turns
    may go by until then, since the last pair is found at once. Mutations: ``best_guess`` for a turn
    less; the next card turned up in the order of the table.
    """
    tables = set(itertools.permutations((0, 0, 1, 1)))
    others = [[c for c in range(4) if c != card] for card in range(4)]
    maps = np.array(list(itertools.product(range(3), repeat=8))).reshape(-1, 4, 2)  # [3^8, card, face]
    maps = np.array(others)[np.arange(4)[:, None], maps]
    wins = np.zeros(len(maps))
    for table in tables:
        twin = [next(c for c in others[card] if table[c] == table[card]) for card in range(4)]
        found = (maps[:, np.arange(4), table] == twin).mean(1)
        wins += (1 - (1 - found) ** 3) / len(tables)
    assert wins.max() < best_guess(2) < wins.max() + 0.03
    best, generator = maps[wins.argmax()], np.random.default_rng(0)

    def choose(seen):
        asked, down = np.maximum(seen[:, -1].astype(int) - 1, 0), seen[:, :-1] == 0
        card = (seen[:, :-1] == asked[:, None] + 1).argmax(1)
        return np.where(down.sum(1) == 3, best[card, asked], any_card_down(seen, generator))

    success = results(make_vector_env("concentration", 1000, seed=3, pairs=2), choose, 40_000)[0]
    assert abs(success.mean() - wins.max()) < 4 * np.sqrt(0.25 / len(success))


def test_gradient_ascent_finds_nothing_better():
    """Three pairs: the exact share of wins, climbed over all memoryless policies, ends at the card's.

    A policy is a distribution for each table that can be seen: the pair found, if any, with its face,
    and the card that is turned up with its own. Of seven turns the last pair needs one: it is found at
    once. Mutation: ``best_guess`` for a turn more or less, or with 1/(2r) for 1/(2r - 1).
    """
    tables, rows = sorted(set(itertools.permutations((0, 0, 1, 1, 2, 2)))), {}

    def row(table, card, pair=()):
        key = (pair, *(table[c] for c in pair[:1]), card, table[card])
        return rows.setdefault(key, len(rows))

    pairs = [[tuple(c for c in range(6) if table[c] == face) for face in range(3)] for table in tables]
    at_first = torch.tensor([[row(table, card) for card in range(6)] for table in tables])
    later = torch.tensor(
        [
            [[row(table, card, pair) for card in range(6)] for pair in found]
            for table, found in zip(tables, pairs, strict=True)
        ]
    )
    twins = torch.tensor(
        [[sum(found[table[c]]) - c for c in range(6)] for table, found in zip(tables, pairs, strict=True)]
    )
    faces = torch.nn.functional.one_hot(torch.tensor(tables), 3).float()  # [90, 6, 3]
    shut = torch.zeros(len(rows), 6)
    for (pair, *_, card, _), place in rows.items():
        shut[place, [*pair, card]] = -torch.inf
    assert (len(tables), len(rows)) == (90, 18 + 15 * 3 * (4 * 2 + 2))

    torch.manual_seed(1)
    logits = (2 * torch.randn(len(rows), 6)).requires_grad_()
    optimizer = torch.optim.Adam([logits], 0.1)
    for _ in range(400):
        policy = torch.softmax(logits + shut, 1)
        hits = torch.einsum("nc,ncf->nf", policy[at_first, twins] / 6, faces)  # [90, 3]: of each pair, a turn
        seconds = torch.einsum("nfc,ncf->nf", policy[later, twins[:, None]] / 4, 1 - faces)
        wins = sum(
            (hits * (1 - hits.sum(1, keepdim=True)) ** (turn - 1) * (1 - (1 - seconds) ** (6 - turn))).sum(1)
            for turn in range(1, 6)
        ).mean()
        optimizer.zero_grad()
        (-wins).backward()
        optimizer.step()
    assert wins.item() == pytest.approx(best_guess(3), abs=1e-4)


def test_card_and_options():
    """The span follows the option; the length of an episode is not fixed; what does not fit is refused."""
    card = Concentration.card(pairs=8)
    assert (card.span, card.episode_length, card.kind) == (34, None, "memory")
    assert card.ends == "termination when all 8 pairs are found, or after 22 turns"
    for pairs, bound in [(1, "at least 2"), (27, "at most 26")]:
        for refuse in (lambda n: Concentration(3, pairs=n), lambda n: Concentration.card(pairs=n)):
            with pytest.raises(ValueError, match=rf"^pairs must be {bound}, got {pairs}$"):
                refuse(pairs)
