"""The terms of the loss and their gradients, against NumPy one row at a time."""

import math

import numpy as np
import pytest
import torch

from agents import loss

T, B, A = 5, 3, 4


@pytest.fixture
def data():
    """Random arguments in float64, 11 of 15 rows valid."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    valid = torch.ones(T, B, dtype=torch.bool)
    valid[[0, 1, 1, 4], [2, 0, 1, 2]] = False
    return {
        "logits": 2 * normal(T, B, A),
        "actions": torch.randint(A, (T, B), generator=generator),
        "pg_advantages": normal(T, B),
        "values": normal(T, B),
        "vs": normal(T, B),
        "valid": valid,
    }


TERMS = {
    "policy_gradient_loss": ("logits", "actions", "pg_advantages", "valid"),
    "baseline_loss": ("values", "vs", "valid"),
    "entropy": ("logits", "valid"),
    "exploration_loss": ("logits", "valid"),
}
OPTIONS = {"exploration_loss": (1.0,)}


def term(name, data):
    """The term as the agent computes it."""
    arguments = [data[argument] for argument in TERMS[name]]
    if TERMS[name][0] == "logits":
        arguments[0] = loss.log_policy(data["logits"], data["valid"])
    return getattr(loss, name)(*arguments, *OPTIONS.get(name, ()))


def literal(name, data):
    """The mean over valid rows of what the term is for one of them."""
    rows = []
    for t in range(T):
        for b in range(B):
            if not data["valid"][t, b]:
                continue
            exps = [math.exp(x) for x in data["logits"][t, b].tolist()]
            pi = [x / sum(exps) for x in exps]
            action, advantage, value, v = (
                data[x][t, b].item() for x in ("actions", "pg_advantages", "values", "vs")
            )
            rows.append(
                {
                    "policy_gradient_loss": -advantage * math.log(pi[action]),
                    "baseline_loss": 0.5 * (v - value) ** 2,
                    "entropy": -sum(p * math.log(p) for p in pi),
                    "exploration_loss": sum(1 / A * math.log(1 / p) for p in pi),
                }[name]
            )
    return np.mean(rows)


@pytest.mark.parametrize("name", TERMS)
def test_value(name, data):
    """Mutations: any sign; a sum in place of the mean; the mean over all rows; the baseline's half."""
    np.testing.assert_allclose(term(name, data).item(), literal(name, data), rtol=1e-12)


@pytest.mark.parametrize("name", TERMS)
def test_gradient(name, data):
    """Autograd's gradient is the literal's slope, by logits or by values; masked rows have none.

    Mutation: a term computed without gradient.
    """
    by = TERMS[name][0]
    data[by].requires_grad_()
    term(name, data).backward()
    gradient, step = data[by].grad, 1e-6
    data[by] = data[by].detach().clone()
    for index in np.ndindex(tuple(data[by].shape)):
        centre = data[by][index].item()
        ends = []
        for end in (centre + step, centre - step):
            data[by][index] = end
            ends.append(literal(name, data))
        data[by][index] = centre
        slope = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(gradient[index], slope, rtol=1e-6, atol=1e-8)
    assert (gradient[~data["valid"]] == 0).all()
    assert (gradient[data["valid"]] != 0).all()


def test_gradient_of_the_exploration_loss(data):
    """With a floor of 1: (pi - 1/A) / number of valid rows. It doesn't vanish with pi, as the entropy's does.

    Mutation: KL(policy || uniform) in place of KL(uniform || policy).
    """
    data["logits"][0, 0, 0] = -30  # an action that has died
    logits = data["logits"].requires_grad_()
    term("exploration_loss", data).backward()
    expected = (logits.detach().softmax(-1) - 1 / A) / 11
    expected[~data["valid"]] = 0
    torch.testing.assert_close(logits.grad, expected)
    assert logits.grad[0, 0, 0] < -0.24 / 11


def test_above_the_floor_nothing_pulls(data):
    """Of each row, what is missing to the floor; the gradient is that of the actions below it alone.

    Mutations: all actions counted once one is below; the mean over the actions below.
    """
    floor = 0.2
    data["logits"][2, 1] = 0  # all above it
    logits = data["logits"].requires_grad_()
    log_policy = loss.log_policy(logits, data["valid"])
    result = loss.exploration_loss(log_policy, data["valid"], floor)
    result.backward()
    policy = log_policy.detach().exp()
    below = (policy < floor) & data["valid"].unsqueeze(-1)
    assert below.any(-1).sum() >= 5
    assert (~below.any(-1) & data["valid"]).sum() >= 1
    missing = [math.log(floor / p) / A for p in policy[below].tolist()]
    np.testing.assert_allclose(result.item(), sum(missing) / 11, rtol=1e-12)
    expected = (policy * below.sum(-1, keepdim=True) - below.double()) / A / 11
    torch.testing.assert_close(logits.grad, expected * data["valid"].unsqueeze(-1))


def test_what_peers_have_in_common(data):
    """Less the mean of the others' valid advantages at the same step, weighted as the own one is.

    Mutations: the own advantage in the mean; rows that are not valid in it; the mean over all steps; not
    weighted; not valid rows given a value.
    """
    advantages, valid = data["pg_advantages"], data["valid"]
    valid[3, :2] = False  # one alone
    advantages[~valid] = math.nan
    rhos = data["values"].abs()
    found = loss.subtract_peer_mean(advantages, rhos, valid)
    for t in range(T):
        for b in range(B):
            others = [advantages[t, k].item() for k in range(B) if k != b and valid[t, k]]
            mean = np.mean(others) if others else 0.0
            expected = advantages[t, b].item() - rhos[t, b].item() * mean if valid[t, b] else 0.0
            np.testing.assert_allclose(found[t, b].item(), expected, rtol=1e-12)


def test_peers_leave_the_mean_gradient_as_it_is():
    """Over all actions of two environments, whatever their rewards: the gradient's mean, with and without.

    Mutation: the own advantage in the mean.
    """
    logits = torch.tensor([[0.3, -0.5, 1.0], [0.0, 0.7, -0.2]], dtype=torch.float64)
    rewards = torch.tensor([[1.0, 5.0, -2.0], [3.0, 4.0, 9.0]], dtype=torch.float64)
    policy, valid = logits.softmax(-1), torch.ones(1, 2, dtype=torch.bool)
    means = []
    for change in (lambda x: x, lambda x: loss.subtract_peer_mean(x, torch.ones_like(x), valid)):
        mean = torch.zeros_like(logits)
        for pair in np.ndindex(3, 3):
            actions = torch.tensor(pair)
            advantages = change(rewards.gather(1, actions.unsqueeze(1)).T)[0]
            slopes = torch.eye(3, dtype=torch.float64)[actions] - policy
            likely = policy.gather(1, actions.unsqueeze(1)).prod()
            mean += likely * slopes * advantages.unsqueeze(1)
        means.append(mean)
    torch.testing.assert_close(means[0], means[1])


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_masked_rows_may_hold_anything(name, value, data):
    """Neither the value nor a gradient changes when masked rows are NaN or infinite.

    Mutations: a product with the mask in place of a selection; a selection of the result alone (the gradient
    of what was not selected is 0 times NaN).
    """
    clean = {key: x.clone() for key, x in data.items()}
    for x in data.values():
        if x.is_floating_point():
            x[~data["valid"]] = value
    assert loss.masked_mean(data["vs"], data["valid"]) == loss.masked_mean(clean["vs"], clean["valid"])
    results = []
    for case in (clean, data):
        by = case[TERMS[name][0]].requires_grad_()
        result = term(name, case)
        result.backward()
        results.append((result.item(), by.grad))
    assert results[0][0] == results[1][0]
    torch.testing.assert_close(results[0][1], results[1][1], rtol=0, atol=0)


def test_targets_carry_no_gradient(data):
    """Mutation: a detach left out (the baseline's target would follow the baseline)."""
    for x in ("pg_advantages", "vs", "logits", "values"):
        data[x].requires_grad_()
    (term("policy_gradient_loss", data) + term("baseline_loss", data)).backward()
    assert data["pg_advantages"].grad is None
    assert data["vs"].grad is None


def test_nothing_valid(data):
    """An unroll in which every step only resets has losses of 0 and gradients of 0.

    Mutation: the mean without a least count of one.
    """
    data["valid"][:] = False
    for name in ("policy_gradient_loss", "baseline_loss", "entropy"):
        assert term(name, data).item() == 0
    assert loss.masked_mean(data["values"], data["valid"]).item() == 0


def test_log_prob_of_extreme_logits():
    """Mutation: the logarithm of the softmax in place of log_softmax (-inf)."""
    logits, valid = torch.tensor([[[0.0, 1000.0], [1000.0, 0.0]]]), torch.ones(1, 2, dtype=torch.bool)
    actions = torch.tensor([[0, 0]])
    assert loss.log_prob(loss.log_policy(logits, valid), actions).tolist() == [[-1000.0, 0.0]]
