"""Acting row by row against the network over whole unrolls."""

from contextlib import suppress

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.acting import Acting, EmbeddedRows
from agents.config import Config
from agents.network import make_network
from agents.trajectory import Inputs

T, B, A, H, E = 5, 3, 4, 6, 7
CORES = ("ur-lstm", "gru", "mingru", "memoryless")
SPACES = (
    spaces.Discrete(5),
    spaces.MultiDiscrete(np.array([[2, 3], [4, 2]]), dtype=np.uint8),
    spaces.Box(-1, 1, (2,), np.float32),
)


def new_network(core, space, seed=0, num_products=0):
    """A network whose policy does not start near zero: a test would see nothing through it."""
    config = Config(core=core, hidden_size=H, encoder_size=E, seed=seed, num_products=num_products)
    network = make_network(config, space, A)
    with torch.no_grad():
        network.policy.weight.normal_(generator=torch.Generator().manual_seed(1))
    return network


def some_rows(space):
    """T rows whose previous actions and rewards are not blanked at resets, one of the latter NaN there."""
    generator = torch.Generator().manual_seed(2)
    space.seed(2)
    observations = np.stack([[space.sample() for _ in range(B)] for _ in range(T)])
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[0, 1] = resets[2, 0] = resets[3, 0] = True
    rewards = torch.randn(T, B, generator=generator)
    rewards[2, 0] = torch.nan
    actions = torch.randint(A, (T, B), generator=generator)
    return Inputs(torch.from_numpy(observations), resets, actions, rewards)


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize(("core", "num_products"), [*((core, 0) for core in CORES), ("ur-lstm", 5)])
def test_rows_one_by_one_equal_the_unroll(core, num_products, space):
    """With weights that changed since the rows before.

    Mutations: the weights not taken up at the start of an unroll; the one-hot code not cleared from the row
    before; the reward of a reset let through; a core without state told its last action; products left out.
    """
    network, rows = new_network(core, space, num_products=num_products), some_rows(space)
    acting = Acting(network, B)
    acting.logits(rows.row(4))
    network.load_state_dict(new_network(core, space, 1, num_products).state_dict())
    state = tuple(torch.randn_like(tensor) for tensor in network.initial_state(B))
    acting.core_state = state
    with torch.no_grad(), acting.unroll():
        logits, _, last, _ = network(rows, state)
        acted = torch.stack([acting.logits(rows.row(t)) for t in range(T)])
    torch.testing.assert_close(acted, logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(acting.core_state, last, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("core", ["ur-lstm", "memoryless"])
def test_embedded_rows_are_the_networks_own(core):
    """Bit for bit. Mutation: encoded observations let through below zero."""
    space = SPACES[1]
    network, rows = new_network(core, space), some_rows(space)
    embedded = EmbeddedRows(network, network.encoder, B)
    for t in range(T):
        with torch.no_grad():
            assert torch.equal(embedded(rows.row(t)), network.core_inputs(rows.row(t)))


def test_a_symbol_out_of_range_is_an_error():
    """Mutation: its row of the table read from wherever it lies."""
    network, rows = new_network("ur-lstm", SPACES[0]), some_rows(SPACES[0])
    rows.observations[0, 1] = 5
    with torch.no_grad(), pytest.raises(IndexError, match="beyond the 5 rows"):
        Acting(network, B).logits(rows.row(0))


def test_small_steps_keep_to_one_thread():
    """And what comes after has its threads again, whatever happened. Mutation: they are not given back."""
    network = new_network("ur-lstm", SPACES[2])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with suppress(ZeroDivisionError), Acting(network, B).unroll():
            assert torch.get_num_threads() == 1
            raise ZeroDivisionError
        assert torch.get_num_threads() == 2
        with Acting(network, 1_000_000).unroll():
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
