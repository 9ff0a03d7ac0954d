"""V-trace against the double sum of equation 1, and against what it must be in cases that are known."""

import numpy as np
import pytest
import torch
from reference_vtrace import literal_returns, literal_vtrace

from agents.vtrace import vtrace

T, B = 5, 3
OPEN = 1e9  # a clip that clips nothing
UNCLIPPED = {"rho_bar": OPEN, "pg_rho_bar": OPEN, "c_bar": OPEN, "lambda_": 1.0}
PAPER = {"rho_bar": 1.0, "pg_rho_bar": 1.0, "c_bar": 1.0, "lambda_": 1.0}


def random_case(generator, T=T, B=B):
    """Arguments of V-trace in float64: weights from 1/50 to 50, some episodes that terminate."""
    return [
        generator.normal(0, 1.3, (T, B)),
        generator.choice([0.0, 0.5, 0.9, 1.0], (T, B), p=[0.15, 0.25, 0.3, 0.3]),
        generator.normal(0, 1, (T, B)),
        generator.normal(0, 2, (T, B)),
        generator.normal(0, 2, B),
    ]


def call(case, **clips):
    """Runs the agent's V-trace on arrays."""
    return [x.numpy() for x in vtrace(*map(torch.from_numpy, case), **clips)]


def assert_literal(case, **clips):
    """Compares with the double sum."""
    for ours, literal in zip(call(case, **clips), literal_vtrace(*case, **clips), strict=True):
        np.testing.assert_allclose(ours, literal, rtol=1e-10, atol=1e-10)


def test_equals_the_double_sum():
    """1000 random cases with all clips at random, and some long ones.

    Mutations: lambda_ left out; c clipped at rho_bar; pg_advantages clipped at rho_bar; the trace without the
    discount; advantages to V(x_{s+1}) in place of v_{s+1}; the bootstrap value left out.
    """
    generator = np.random.default_rng(0)
    for n in range(1010):
        case = random_case(generator) if n < 1000 else random_case(generator, T=40, B=2)
        rho_bar, pg_rho_bar, c_bar = generator.choice([0.3, 1.0, 1.7, OPEN], 3)
        lambda_ = generator.choice([0.0, 0.4, 0.95, 1.0])
        assert_literal(case, rho_bar=rho_bar, pg_rho_bar=pg_rho_bar, c_bar=c_bar, lambda_=lambda_)


@pytest.mark.parametrize("name", ["rho_bar", "pg_rho_bar", "c_bar", "lambda_"])
def test_each_clip_by_itself(name):
    """One clip among open ones does what equation 1 says, and does something.

    Mutation: any of the four without effect.
    """
    generator = np.random.default_rng(1)
    for _ in range(20):
        case = random_case(generator)
        case[0][:2] = generator.normal([1.0, -1.0, 1.0], 0.3, (2, B))  # both sides of a clip at 1
        case[1][:2] = 0.9
        clips = {**UNCLIPPED, name: 0.7 if name == "lambda_" else 1.0}
        assert_literal(case, **clips)
        changed = [
            not np.allclose(closed, opened)
            for closed, opened in zip(call(case, **clips), call(case, **UNCLIPPED), strict=True)
        ]
        # What clips the policy gradient leaves the targets alone; the others move both.
        assert changed == ([False, True] if name == "pg_rho_bar" else [True, True])


def test_defaults_are_the_papers():
    """Mutation: another default for any of the clips."""
    case = random_case(np.random.default_rng(2))
    np.testing.assert_allclose(call(case), literal_vtrace(*case, **PAPER), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("last_discount", [0.0, 0.9], ids=["terminated", "truncated"])
def test_a_masked_row_parts_two_episodes(last_discount):
    """A row with log_rho = -inf gives what the episodes before and after it give by themselves.

    The value of the masked row is that of the final observation: the bootstrap of an episode that was cut.

    Mutation: log_rho = 0 there (the trace runs on into the next episode).
    """
    T, borders = 8, [2, 3, 5]
    generator = np.random.default_rng(3)
    clips = {"rho_bar": 1.2, "pg_rho_bar": 1.5, "c_bar": 1.1, "lambda_": 0.9}
    case = random_case(generator, T)
    log_rhos, discounts, rewards, values, bootstrap_value = case
    for b, row in enumerate(borders):
        discounts[row - 1, b] = last_discount
        discounts[row, b] = 0.9
        log_rhos[row, b] = -np.inf
    vs, pg_advantages = call(case, **clips)
    for b, row in enumerate(borders):
        for rows, bootstrap in ((slice(row), values[row, b]), (slice(row + 1, T), bootstrap_value[b])):
            part = [x[rows, b : b + 1] for x in (log_rhos, discounts, rewards, values)]
            alone = literal_vtrace(*part, np.array([bootstrap]), **clips)
            np.testing.assert_allclose(vs[rows, b], alone[0][:, 0], rtol=1e-10, atol=1e-10)
            np.testing.assert_allclose(pg_advantages[rows, b], alone[1][:, 0], rtol=1e-10, atol=1e-10)
        assert vs[row, b] == values[row, b]
        assert pg_advantages[row, b] == 0


def test_on_policy_is_the_n_step_return():
    """With rho = 1 the targets are the discounted rewards up to the bootstrap value, whatever the values.

    Mutation: the temporal difference without the value that it starts from.
    """
    generator = np.random.default_rng(4)
    for _ in range(20):
        _, discounts, rewards, values, bootstrap_value = random_case(generator)
        returns = literal_returns(discounts, rewards, bootstrap_value)
        vs, pg_advantages = call([np.zeros((T, B)), discounts, rewards, values, bootstrap_value])
        np.testing.assert_allclose(vs, returns, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(pg_advantages, returns - values, rtol=1e-10, atol=1e-10)


def test_nothing_after_a_termination_counts():
    """Where the discount is 0, all later rewards, values and weights are without effect.

    Mutation: the temporal difference without the discount.
    """
    generator = np.random.default_rng(5)
    case, other = random_case(generator), random_case(generator)
    for x, y in zip(case, other, strict=True):
        if x.ndim == 2:
            y[:3] = x[:3]
    case[1][2] = other[1][2] = 0
    for ours, theirs in zip(call(case, **UNCLIPPED), call(other, **UNCLIPPED), strict=True):
        np.testing.assert_array_equal(ours[:3], theirs[:3])
        assert not np.isclose(ours[3:], theirs[3:]).any()


def test_weights_beyond_the_range_of_floats():
    """A policy that has moved far gives an infinite rho, which the clips make finite.

    Mutation: the temporal difference clipped in place of its weight.
    """
    case = [x.astype(np.float32) for x in random_case(np.random.default_rng(6))]
    case[0][1, 0], case[0][2, 1] = 200, -200
    literals = literal_vtrace(*(x.astype(np.float64) for x in case), **PAPER)
    for ours, literal in zip(call(case), literals, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, literal, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("argument", range(5))
@pytest.mark.parametrize("change", ["transposed", "one row less", "flat", "one axis more"])
def test_shapes_are_checked(argument, change):
    """Mutation: the check of any argument left out (it broadcasts, or the error names no argument)."""
    case = [torch.from_numpy(x) for x in random_case(np.random.default_rng(7))]
    x = case[argument]
    case[argument] = {
        "transposed": x.t() if x.ndim == 2 else x[:, None],
        "one row less": x[:-1],
        "flat": x.flatten() if x.ndim == 2 else x[0],
        "one axis more": x[None],
    }[change]
    with pytest.raises(ValueError, match=r"must share one shape \[T, B\]|bootstrap_value must be \[B\]"):
        vtrace(*case)


def test_an_axis_too_many_or_too_few_in_all_arguments():
    """Mutation: the shapes compared with each other only."""
    case = [torch.from_numpy(x) for x in random_case(np.random.default_rng(7))]
    for change in (lambda x: x[..., None], lambda x: x[..., 0]):
        with pytest.raises(ValueError, match=r"must share one shape \[T, B\]"):
            vtrace(*map(change, case))


def test_no_gradient_passes():
    """Mutation: the decorator left out."""
    case = [torch.from_numpy(x).requires_grad_() for x in random_case(np.random.default_rng(8))]
    assert not any(x.requires_grad for x in vtrace(*case))
