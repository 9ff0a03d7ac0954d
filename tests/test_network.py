"""The encoders against literal codes, and what the network lets its core and its heads see."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.config import Config
from agents.encoders import make_embedding, make_encoder
from agents.network import Network, make_network
from agents.trajectory import Inputs
from cores import RecurrentCore, make_core

T, B, A, H, E = 5, 3, 4, 6, 7
CORES = ("lstm", "chrono", "ur-lstm", "on-lstm", "memoryless")
VECTOR = spaces.Box(-1, 1, (2,), np.float32)


def random_inputs(space, seed=0, rows=T):
    """Rows whose previous actions and rewards are not blanked at resets: that is up to the network."""
    generator = torch.Generator().manual_seed(seed)
    space.seed(seed)
    observations = np.stack([[space.sample() for _ in range(B)] for _ in range(rows)])
    return Inputs(
        torch.from_numpy(observations),
        torch.rand(rows, B, generator=generator) < 0.3,
        torch.randint(A, (rows, B), generator=generator),
        torch.randn(rows, B, generator=generator),
    )


def new_network(core="lstm", space=VECTOR, seed=0, num_products=5):
    """A network whose heads do not start near zero: a test would see nothing through them."""
    config = Config(core=core, hidden_size=H, encoder_size=E, seed=seed, num_products=num_products)
    network = make_network(config, space, A)
    with torch.no_grad():
        network.policy.weight.normal_(generator=torch.Generator().manual_seed(1))
        network.value.weight.normal_(generator=torch.Generator().manual_seed(2))
    return network


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(5),
        spaces.MultiDiscrete([3, 2, 4]),
        spaces.MultiDiscrete(np.array([[2, 3], [4, 2], [3, 3]]), dtype=np.uint8),
    ],
    ids=str,
)
def test_categories_become_one_hot_codes(space):
    """The codes of all entries one after the other, of as many places as each has categories.

    Mutations: the entries' offsets left out; as many places for each entry as the largest needs.
    """
    encoder = make_encoder(space)
    space.seed(0)
    observations = np.stack([[space.sample() for _ in range(B)] for _ in range(T)])
    codes = encoder(torch.from_numpy(observations))
    counts = np.atleast_1d(space.nvec if isinstance(space, spaces.MultiDiscrete) else space.n).ravel()
    assert encoder.output_size == counts.sum()
    for t in range(T):
        for b in range(B):
            literal = []
            for value, count in zip(np.ravel(observations[t, b]), counts, strict=True):
                literal += [1.0 if place == value else 0.0 for place in range(count)]
            assert codes[t, b].tolist() == literal


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_embedding_is_a_linear_layer_on_codes(dtype):
    """The same numbers and gradients as a linear layer of the same weights on one-hot codes.

    Mutations: the offsets of symbols left out; the bias left out.
    """
    space = spaces.MultiDiscrete(np.array([[2, 3, 5], [4, 2, 7]]), dtype=dtype)
    space.seed(0)
    seen = torch.from_numpy(np.stack([[space.sample() for _ in range(B)] for _ in range(T)]))
    embedding, codes = make_embedding(space, E), make_encoder(space)
    linear = torch.nn.Linear(codes.output_size, E)
    with torch.no_grad():
        embedding.bias.normal_()
        linear.weight.copy_(embedding.table.t())
        linear.bias.copy_(embedding.bias)
    weights = torch.randn(T, B, E)
    mine, theirs = embedding(seen), linear(codes(seen))
    torch.testing.assert_close(mine, theirs)
    (mine * weights).sum().backward()
    (theirs * weights).sum().backward()
    torch.testing.assert_close(embedding.table.grad.t(), linear.weight.grad)
    torch.testing.assert_close(embedding.bias.grad, linear.bias.grad)


def test_a_symbol_is_seen_among_many():
    """Another symbol in one of 147 places moves each unit by about 1, as in one of a single place.

    Mutation: vectors drawn by the number of codes, as a linear layer's.
    """
    for counts in (np.full((7, 7, 3), 7), np.array([7])):
        space = spaces.MultiDiscrete(counts)
        embedding = make_embedding(space, 512)
        seen = torch.from_numpy(np.zeros((2, *counts.shape), np.int64))
        seen[1].view(-1)[0] = 1
        with torch.no_grad():
            one, other = embedding(seen)
        assert 0.9 < (other - one).abs().mean() < 1.4


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_vectors_go_in_as_they_are(dtype):
    """Mutation: rows and environments flattened together."""
    space = spaces.Box(-9, 9, (2, 3), dtype)
    observations = np.arange(T * B * 6).reshape(T, B, 2, 3).astype(dtype)
    encoder = make_encoder(space)
    encoded = encoder(torch.from_numpy(observations))
    assert encoded.dtype == torch.float32
    assert encoder.output_size == 6
    np.testing.assert_array_equal(encoded, observations.reshape(T, B, 6))


@pytest.mark.parametrize("size", [(7, 9), (13, 16)])
def test_images(size):
    """Features of an image depend on it alone, on its brightest value as 1, and on where things are in it.

    Mutations: height and width taken for channels; not scaled; rows and environments mixed up.
    """
    space = spaces.Box(0, 255, (*size, 3), np.uint8)
    encoder = make_encoder(space)
    images = torch.randint(256, (T, B, *size, 3), dtype=torch.uint8)
    features = encoder(images)
    assert features.shape == (T, B, encoder.output_size)
    scaled = images.double().numpy() / 255
    for t, b in ((0, 0), (1, 2), (4, 1)):
        channels_first = torch.tensor(np.moveaxis(scaled[t, b], -1, 0), dtype=torch.float32)
        alone = encoder.layers(channels_first[None]).flatten()
        torch.testing.assert_close(features[t, b], alone, rtol=1e-4, atol=1e-5)
    # Halved as long as both sides are above 12: small images keep their resolution.
    assert encoder.output_size == 64 * (7 * 9 if size == (7, 9) else 7 * 8)


@pytest.mark.parametrize(
    "space",
    [spaces.Text(5), spaces.Dict(a=spaces.Discrete(2)), spaces.MultiBinary(3), spaces.Tuple([VECTOR])],
    ids=str,
)
def test_spaces_without_an_encoder(space):
    """Mutation: the error left out (None is handed back)."""
    with pytest.raises(ValueError, match=r"^no encoder for the observation space "):
        make_encoder(space)


class Echo(RecurrentCore):
    """Puts out what it reads, and keeps the last of it."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size, output_size=input_size, state_shapes=((input_size,),))

    def project(self, x):
        return x

    def step(self, projected, state):
        return projected, (projected,)


def test_what_the_core_sees():
    """The encoded observation, the previous action's code and the previous reward; no past at a reset.

    Mutations: the previous action or reward kept at a reset; action 0 in place of none there.
    """
    torch.manual_seed(0)
    network = Network(VECTOR, A, E, lambda input_size: Echo(input_size, H))
    inputs = random_inputs(VECTOR)
    assert 0 < inputs.resets.sum() < T * B
    seen, _ = network.core(network.core_inputs(inputs), network.initial_state(B), inputs.resets)
    linear = network.encoder[1]
    weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    for t in range(T):
        for b in range(B):
            encoded = np.maximum(weight @ inputs.observations[t, b].numpy() + bias, 0)
            past = np.zeros(A + 1)
            if not inputs.resets[t, b]:
                past[inputs.prev_actions[t, b]] = 1
                past[A] = inputs.prev_rewards[t, b]
            np.testing.assert_allclose(seen[t, b].detach(), [*encoded, *past], rtol=1e-5, atol=1e-6)


def test_what_the_heads_see():
    """The core's output alone, where there are no products; what comes out is policy, values and core state.

    Mutation: both heads with the weights of one.
    """
    network, inputs = new_network(num_products=0), random_inputs(VECTOR)
    output = network(inputs, network.initial_state(B))
    hidden, state = network.core(network.core_inputs(inputs), network.initial_state(B), inputs.resets)
    assert network.policy.in_features == network.value.in_features == H
    for t in range(T):
        for b in range(B):
            logits = network.policy.weight @ hidden[t, b] + network.policy.bias
            value = network.value.weight[0] @ hidden[t, b] + network.value.bias[0]
            torch.testing.assert_close(output.logits[t, b], logits)
            torch.testing.assert_close(output.values[t, b], value)
    torch.testing.assert_close(output.core_state, state, rtol=0, atol=0)
    assert output.logits.shape == (T, B, A)
    assert output.values.shape == (T, B)


@pytest.mark.parametrize("core", CORES)
def test_only_a_core_with_memory_depends_on_the_past(core):
    """Another past (rows, core state, and this row's previous action and reward) changes what is said now.

    Not so for the memoryless control, to which the past is not shown: it must be unable to pass on anything.

    Mutations: the previous action shown to the memoryless core; the state not handed to the others.
    """
    network = new_network(core)
    inputs, other = random_inputs(VECTOR, 0), random_inputs(VECTOR, 1)
    for mine, theirs in zip(inputs[:2], other[:2], strict=True):
        theirs[-1] = mine[-1]
    inputs.resets[:] = other.resets[:] = False
    assert (inputs.prev_actions[-1] != other.prev_actions[-1]).any()
    mine, theirs = network(inputs, network.initial_state(B)), network(other, network.initial_state(B))
    same = torch.equal(mine.logits[-1], theirs.logits[-1]) and torch.equal(mine.values[-1], theirs.values[-1])
    assert same == (core == "memoryless")
    assert not torch.isclose(mine.logits[0], theirs.logits[0]).all()


@pytest.mark.parametrize("core", CORES)
def test_nothing_passes_a_reset(core):
    """At the first row of an episode the past is without effect, and it gets no gradient from there on.

    Mutations: resets not handed to the core; the previous action or reward kept.
    """
    network = new_network(core)
    inputs, other = random_inputs(VECTOR, 0), random_inputs(VECTOR, 1)
    inputs.resets[:] = other.resets[:] = False
    inputs.resets[3] = other.resets[3] = True
    inputs.observations[3:], other.prev_actions[4:] = other.observations[3:], inputs.prev_actions[4:]
    other.prev_rewards[4:] = inputs.prev_rewards[4:]
    generator = torch.Generator().manual_seed(3)
    state = tuple(torch.randn(x.shape, generator=generator) for x in network.initial_state(B))
    state = tuple(x.requires_grad_() for x in state)
    mine, theirs = network(inputs, state), network(other, network.initial_state(B))
    torch.testing.assert_close(mine.logits[3:], theirs.logits[3:], rtol=0, atol=0)
    torch.testing.assert_close(mine.values[3:], theirs.values[3:], rtol=0, atol=0)
    if core != "memoryless":
        assert not torch.isclose(mine.logits[2], theirs.logits[2]).all()
        by_state = torch.autograd.grad(mine.values[3:].sum(), state, retain_graph=True, allow_unused=True)
        assert all(gradient is None or not gradient.any() for gradient in by_state)
        assert torch.autograd.grad(mine.values[2].sum(), state)[0].all()


def test_rows_and_environments_do_not_mix():
    """An unroll of all environments gives what each gives by itself, row for row.

    Mutation: the time axis taken for the batch.
    """
    network, inputs = new_network("ur-lstm"), random_inputs(VECTOR)
    whole = network(inputs, network.initial_state(B))
    for b in range(B):
        state = network.initial_state(1)
        for t in range(T):
            row = Inputs(*(field[t : t + 1, b : b + 1] for field in inputs))
            logits, values, state, _ = network(row, state)
            torch.testing.assert_close(logits[0, 0], whole.logits[t, b], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(values[0, 0], whole.values[t, b], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("core", CORES)
def test_the_seed_decides_the_weights_and_nothing_else_does(core):
    """Mutations: the weights drawn from the global generator as it stands, or the generator left moved."""

    def weights(seed, global_seed):
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        network = make_network(Config(core=core, hidden_size=H, encoder_size=E, seed=seed), VECTOR, A)
        assert torch.equal(before, torch.get_rng_state())
        return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])

    first = weights(0, 1)
    assert torch.equal(first, weights(0, 2))
    assert not torch.equal(first, weights(1, 1))


def test_the_first_policy_explores_and_the_first_values_are_zero():
    """Mutation: heads that start as torch's linear layers do."""
    network = make_network(Config(core="lstm", hidden_size=H, encoder_size=E), VECTOR, A)
    logits, values, *_ = network(random_inputs(VECTOR), network.initial_state(B))
    assert (logits.softmax(-1) - 1 / A).abs().max() < 0.01
    assert (values == 0).all()


def test_products():
    """The heads read the core's output, and sums over its entries times sums over those of its input.

    Mutation: a sum of both in place of the product; the output left out.
    """
    network = make_network(Config(core="lstm", hidden_size=H, encoder_size=E, num_products=3), VECTOR, A)
    with torch.no_grad():
        network.policy.weight.normal_(generator=torch.Generator().manual_seed(1))
    inputs = random_inputs(VECTOR)
    result = network(inputs, network.initial_state(B))
    seen, output = network.core_inputs(inputs)[2, 1], result.core_output[2, 1]
    read = [*output]
    for of_memory, of_input in zip(
        network.products.of_memory.weight, network.products.of_input.weight, strict=True
    ):
        read.append((of_memory * output).sum() * (of_input * seen).sum())
    expected = network.policy.weight @ torch.stack(read) + network.policy.bias
    torch.testing.assert_close(result.logits[2, 1], expected)


def test_the_configuration_decides_core_and_sizes():
    """Mutation: the core's options left out."""
    config = Config(core="lstm", core_opt=("forget_bias=3",), hidden_size=H, encoder_size=E)
    network = make_network(config, VECTOR, A)
    assert (network.core.input_size, network.core.hidden_size) == (E + A + 1, H)
    assert network.core.bias[:H].tolist() == [3.0] * H
    assert type(network.core) is type(make_core("lstm", E, H))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"core": "ur-lstn"}, r"^unknown core 'ur-lstn': did you mean ur-lstm"),
        ({"core_opt": ("forget_bais=1",)}, r"has no option 'forget_bais': did you mean forget_bias\?$"),
        ({"core_opt": ("input_size=1",)}, r"^--core-opt can't set 'input_size'"),
    ],
)
def test_wrong_cores(change, message):
    """Mutation: an option of the core that the network gives handed on twice (a TypeError)."""
    with pytest.raises(ValueError, match=message):
        make_network(Config(**{"core": "lstm", "hidden_size": H, **change}), VECTOR, A)
