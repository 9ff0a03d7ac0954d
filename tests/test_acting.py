"""Acting row by row against the network over whole unrolls."""

from contextlib import suppress

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.acting import Acting, HostActing, make_acting
from agents.config import Config
from agents.network import Network, make_network
from agents.trajectory import Inputs, Trajectory
from cores import RecurrentCore

T, B, A, H, E = 5, 3, 4, 6, 7
CORES = ("ur-lstm", "gru", "mingru", "memoryless")
SPACES = (
    spaces.Discrete(5),
    spaces.MultiDiscrete(np.array([[2, 3], [4, 2]]), dtype=np.uint8),
    spaces.Box(-1, 1, (2,), np.float32),
    spaces.Box(-1, 1, (3, 2), np.float64),
    spaces.Box(0, 255, (3, 4, 3), np.uint8),
)


def new_network(core, space, seed=0, num_products=0):
    """A network whose policy does not start near zero: a test would see nothing through it."""
    config = Config(core=core, hidden_size=H, encoder_size=E, seed=seed, num_products=num_products)
    network = make_network(config, space, A)
    with torch.no_grad():
        network.policy.weight.normal_(generator=torch.Generator().manual_seed(seed + 1))
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
    with torch.no_grad(), acting.fresh_weights():
        logits, _, last, _ = network(rows, state)
        acted = torch.stack([acting.logits(rows.row(t)) for t in range(T)])
    torch.testing.assert_close(acted, logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(acting.core_state, last, rtol=1e-5, atol=1e-5)


class Last(RecurrentCore):
    """Sees its input and the one before, and keeps the tensor that it was given."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size, output_size=2 * input_size, state_shapes=((input_size,),))

    def project(self, inputs):
        """The input as it is."""
        return inputs

    def step(self, projected, state):
        """Both inputs."""
        return torch.cat([projected, state[0]], -1), (projected,)


def test_a_core_that_keeps_its_input():
    """Acting uses the memory of its inputs again; what a core keeps of them must stay.

    Mutation: the input itself handed to the core.
    """
    space = SPACES[0]
    network = Network(space, A, E, lambda size: Last(size, H))
    with torch.no_grad():
        network.policy.weight.normal_(generator=torch.Generator().manual_seed(1))
    acting, rows, state = make_acting(network, B), some_rows(space), network.initial_state(B)
    assert type(acting) is HostActing
    acted, _, _ = decided(acting, unroll_of(rows, space, 0), state, torch.zeros(T - 1, B, A))
    with torch.no_grad():
        logits = network(rows, state).logits
    torch.testing.assert_close(acted, logits[:-1], rtol=1e-5, atol=1e-5)


def unroll_of(rows, space, context_length):
    """An unroll with the rows given, of which the last leads nowhere."""
    W = context_length
    out = Trajectory.allocate(T - 1 - W, B, space, A, pin=False, context_length=W)
    for field, new in zip(out.inputs, rows, strict=True):
        field.copy_(new)
    return out


def decided(acting, out, state, gumbel):
    """Logits, actions and core state after all the steps of an unroll."""
    acting.core_state = state
    with torch.no_grad(), acting.fresh_weights():
        decide = acting.decisions(out, gumbel)
        for t in range(len(out.actions)):
            decide(t)
    return out.behaviour_logits.clone(), out.actions.clone(), acting.core_state


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize(("core", "num_products"), [*((core, 0) for core in CORES), ("ur-lstm", 5)])
def test_compiled_decisions_are_the_literal_ones(core, num_products, space):
    """With weights that changed since the unroll before, from a row in the middle on.

    Mutations: the policy's or the encoder's weights not taken up again; the code or the reward of the row
    before left standing; those of a reset let through; a core without state told its last action; encoded
    observations let through below zero; products left out; rows of context taken for the unroll's; the noise
    of step 0 for all steps; its sign.
    """
    network, rows, W = new_network(core, space, num_products=num_products), some_rows(space), 1
    compiled = make_acting(network, B)
    assert type(compiled) is HostActing
    gumbel = (
        torch.empty(T - 1 - W, B, A).exponential_(generator=torch.Generator().manual_seed(3)).log_().neg_()
    )
    state = tuple(torch.randn_like(tensor) for tensor in network.initial_state(B))
    decided(compiled, unroll_of(rows, space, W), state, gumbel)
    network.load_state_dict(new_network(core, space, 1, num_products).state_dict())
    found = decided(compiled, unroll_of(rows, space, W), state, gumbel)
    expected = decided(Acting(network, B), unroll_of(rows, space, W), state, gumbel)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-5)
    assert torch.equal(found[1], expected[1])
    assert len(found[1].unique()) > 1
    torch.testing.assert_close(found[2], expected[2], rtol=1e-5, atol=1e-5)


class Sideways(RecurrentCore):
    """Sums its inputs, and answers in columns of a wider array or in another number format."""

    dtype = torch.float32

    def forward(self, inputs, state, reset):
        out, state = super().forward(inputs, state, reset)
        return out.transpose(0, 2).contiguous().transpose(0, 2).to(self.dtype), state

    def project(self, x):
        return x[..., : self.hidden_size]

    def step(self, projected, state):
        total = state[0] + projected
        return total, (total,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_products", [0, 5])
def test_a_core_may_answer_in_any_layout(monkeypatch, dtype, num_products):
    """Mutations: columns read as rows; 64 bits read as twice 32."""
    monkeypatch.setattr(Sideways, "dtype", dtype)
    space = SPACES[2]
    network = Network(space, A, E, lambda size: Sideways(size, H), num_products=num_products)
    network.policy.weight.data.normal_()
    rows, state = some_rows(space), network.initial_state(B)
    assert not network.core(torch.ones(1, B, A + E + 1), state, rows.resets[:1])[0][0].is_contiguous()
    found = decided(make_acting(network, B), unroll_of(rows, space, 0), state, torch.zeros(T - 1, B, A))
    rows_by_network = Inputs(*(field[:-1] for field in rows))
    with torch.no_grad():
        read, _ = network.core(network.core_inputs(rows_by_network), state, rows_by_network.resets)
        expected = network.logits(read.float(), network.core_inputs(rows_by_network))
    torch.testing.assert_close(found[0], expected, rtol=1e-5, atol=1e-5)


def test_what_is_not_compiled_acts_all_the_same():
    """A network in another number format, and one that rounds. Mutation: taken for float32."""
    network = new_network("ur-lstm", SPACES[2])
    assert type(make_acting(network, B)) is HostActing
    network.uses_bfloat16 = True
    assert type(make_acting(network, B)) is Acting
    network.uses_bfloat16 = False
    assert type(make_acting(network.double(), B)) is Acting


def test_not_a_number_is_seen_and_hurts_nothing():
    """A NaN among the observations gives NaN among the logits, and some action. Mutation: max(x, 0)."""
    space = SPACES[2]
    network, rows = new_network("ur-lstm", space), some_rows(space)
    rows.observations[0, 1] = torch.nan
    logits, actions, _ = decided(
        make_acting(network, B), unroll_of(rows, space, 0), network.initial_state(B), torch.zeros(T - 1, B, A)
    )
    assert logits[0, 1].isnan().all()
    assert not logits[0, 0].isnan().any()
    assert ((actions >= 0) & (actions < A)).all()


def test_an_action_out_of_range_is_left_out():
    """As a damaged file may hold it. Mutation: its place in memory written to."""
    space = SPACES[2]
    network, rows = new_network("ur-lstm", space), some_rows(space)
    acting = make_acting(network, B)
    for wrong in (-1, A, 10**9):
        rows.prev_actions[0] = wrong
        decided(acting, unroll_of(rows, space, 0), network.initial_state(B), torch.zeros(T - 1, B, A))
    with torch.no_grad():
        acting.decisions(unroll_of(rows, space, 0), torch.zeros(T - 1, B, A))(0)
    assert not acting._inputs[:, -A - 1 : -1].any()


@pytest.mark.parametrize("make", [Acting, make_acting])
def test_a_symbol_out_of_range_is_an_error(make):
    """Mutation: its row of the table read from wherever it lies."""
    network, rows = new_network("ur-lstm", SPACES[0]), some_rows(SPACES[0])
    rows.observations[0, 1] = 5
    acting, state = make(network, B), network.initial_state(B)
    with pytest.raises(IndexError, match="beyond the 5 rows"):
        decided(acting, unroll_of(rows, SPACES[0], 0), state, torch.zeros(T - 1, B, A))


def test_small_steps_keep_to_one_thread():
    """And what comes after has its threads again, whatever happened. Mutation: they are not given back."""
    network = new_network("ur-lstm", SPACES[2])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with suppress(ZeroDivisionError), Acting(network, B).fresh_weights():
            assert torch.get_num_threads() == 1
            raise ZeroDivisionError
        assert torch.get_num_threads() == 2
        with Acting(network, 1_000_000).fresh_weights():
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
