"""Foresight against sums written out, step by step; what it codes, and what it lends the gradient."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from gymnasium import spaces
from test_learner import new_learner, unrolls

from agents import foresight as foresight_module
from agents.foresight import Foresight, foresight_loss, foresight_targets
from agents.learner import reward_events

T, B, D, A = 6, 3, 4, 3


def literal_targets(rewarded, discounts, predicted, valid):
    """Row by row: what came until the episode or the unroll ended, each discounted by what lay between."""
    targets = torch.zeros(T, B, D, dtype=torch.float64)
    for t in range(T):
        for b in range(B):
            factor = 1.0
            for k in range(t, T + 1):
                if k == T or not valid[k, b]:
                    targets[t, b] += factor * predicted[k, b]
                    break
                targets[t, b] += factor * rewarded[k, b]
                factor *= discounts[k, b]
    return targets


def test_targets():
    """They are the sums written out.

    Mutations: what is predicted at the unroll's end, or at a truncation, left out; codes of one episode
    handed on to the one before.
    """
    generator = torch.Generator().manual_seed(0)
    rewarded = torch.randn(T, B, D, generator=generator, dtype=torch.float64)
    predicted = torch.randn(T + 1, B, D, generator=generator, dtype=torch.float64)
    discounts = torch.full((T, B), 0.9, dtype=torch.float64)
    valid = torch.ones(T, B, dtype=torch.bool)
    discounts[2, 0] = 0.0  # terminated, and the next row resets
    valid[3, 0] = valid[2, 1] = False  # column 1: truncated at row 1
    found = foresight_targets(rewarded, discounts, predicted, valid)
    torch.testing.assert_close(found[valid], literal_targets(rewarded, discounts, predicted, valid)[valid])


def test_loss():
    """Half the mean over valid rows of the squared distance; rows that are not valid may hold anything.

    Mutations: a mean over all rows, over entries; NaN let through.
    """
    predicted, targets = (torch.randn(T, B, D, generator=torch.Generator().manual_seed(i)) for i in (1, 2))
    valid = torch.rand(T, B, generator=torch.Generator().manual_seed(3)) < 0.7
    predicted[~valid] = torch.nan
    predicted.requires_grad_()
    rows = [((predicted[t, b] - targets[t, b]) ** 2).sum() / 2 for t, b in valid.nonzero().tolist()]
    found, expected = foresight_loss(predicted, targets, valid), torch.stack(rows).mean()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*(torch.autograd.grad(x, predicted)[0][valid] for x in (found, expected)))
    assert (torch.autograd.grad(foresight_loss(predicted, targets, valid), predicted)[0][~valid] == 0).all()


@pytest.mark.parametrize(
    ("space", "size"),
    [
        (spaces.Discrete(5), 5),
        (spaces.MultiDiscrete(np.array([[2, 3], [4, 2]]), dtype=np.uint8), 11),
        (spaces.Box(-1, 1, (2,), np.float32), 2),
        (spaces.Box(0, 255, (14, 21, 3), np.uint8), 147),
    ],
    ids=str,
)
def test_codes(space, size):
    """Codes of what was seen, then the action; of no rows at all, too.

    Mutation: the actions left out, or in another order.
    """
    foresight = Foresight(space, A, 8)
    space.seed(0)
    observations = torch.from_numpy(np.stack([[space.sample() for _ in range(B)] for _ in range(T)]))
    actions = torch.randint(A, (T, B), generator=torch.Generator().manual_seed(0))
    codes = foresight.codes(observations, actions)
    assert codes.shape == (T, B, size + A)
    assert foresight.codes(observations[0, :0], actions[0, :0]).shape == (0, size + A)
    assert foresight.head(torch.randn(T, B, 8)).shape == codes.shape
    assert (codes[..., size:].argmax(-1) == actions).all()
    seen = codes[..., :size]
    if isinstance(space, spaces.Discrete):
        assert (seen.argmax(-1) == observations).all()
    elif isinstance(space, spaces.MultiDiscrete):
        assert (seen.sum(-1) == 4).all()
    elif space.dtype == np.uint8:  # 2 x 3 pixels make a cell, channels last as in the image
        cell = observations[2, 1, 4:6, 3:6].float().mean((0, 1)) / 255
        torch.testing.assert_close(seen[2, 1].view(3, 7, 7)[:, 2, 1], cell)
    else:
        assert torch.equal(seen, observations)


@pytest.mark.parametrize("known", ["all", "some", "none"])
@pytest.mark.parametrize("context_length", [0, 2])
def test_what_the_learner_makes_of_it(context_length, known):
    """The weighted term of the loss, from the core's output alone, of the unroll's rows.

    And of every entry of the code, whichever of them the head knows something about.

    Mutations: the weight left out; the wrong rows where there is context; targets that carry a gradient; the
    head reading something else; entries left out that are known by their bias alone, or new; the mean of the
    codes left in, or taken off wholly.
    """
    learner, envs = new_learner(foresight_cost=0.7)
    plain, _ = new_learner()
    plain.network.load_state_dict(learner.network.state_dict(), strict=False)
    (trajectory,) = unrolls(learner, envs, 1, 8)
    with torch.no_grad():
        head, draw = learner.network.foresight.head, torch.Generator().manual_seed(5)
        if known == "all":
            head.weight.normal_(generator=draw)
        if known == "some":
            head.weight[0].normal_(generator=draw)
            head.bias[1] = 0.3
    learner.network.foresight.code_sum[:2], learner.network.foresight.reward_sum[...] = 0.6, 2.0
    if context_length:
        W = context_length
        later = {
            name: getattr(trajectory, name)[W:]
            for name in ("actions", "behaviour_logits", "rewards", "terminated", "valid")
        }
        trajectory = dataclasses.replace(trajectory, **later)
    whole, metrics = learner.loss(trajectory, 0.1, 0.2)
    without, _ = plain.loss(trajectory, 0.1, 0.2)
    torch.testing.assert_close(whole, without + 0.7 * metrics["loss/foresight"])

    output = learner.network(trajectory.inputs, trajectory.core_state).core_output[context_length:]
    foresight, rewards = learner.network.foresight, trajectory.rewards
    predicted = foresight.head(output)
    codes = foresight.codes(trajectory.inputs.observations[context_length:-1], trajectory.actions)
    codes[..., :2] -= 0.8 * 0.3  # of the mean
    discounts = learner.config.discount * ~trajectory.terminated
    targets = foresight_targets(rewards[..., None] * codes, discounts, predicted.detach(), trajectory.valid)
    expected = foresight_loss(predicted[:-1], targets, trajectory.valid)
    torch.testing.assert_close(metrics["loss/foresight"], expected.detach())
    found = torch.autograd.grad(whole - without, list(foresight.parameters()))
    wanted = torch.autograd.grad(0.7 * expected, list(foresight.parameters()))
    torch.testing.assert_close(found, wanted)
    assert any(gradient.any() for gradient in found)


def test_entries_that_there_is_something_to_learn_about():
    """Known by a weight or a bias, or seen with a reward, a negative one too; not those seen without.

    Mutations: each of the four ways left out; what is seen in other rows counts.
    """
    foresight = Foresight(spaces.Discrete(6), A, 8)
    with torch.no_grad():
        foresight.head.weight[0, 3], foresight.head.bias[2] = -1.0, 0.5
    observations, actions = torch.tensor([[4, 5], [4, 3]]), torch.tensor([[0, 1], [0, 2]])
    rewards = torch.tensor([[0.0, 0.0], [0.0, -2.0]])
    entries, cumulants = foresight.cumulants(observations, actions, rewards)
    assert entries.tolist() == [0, 2, 3, 6 + 2]
    expected = rewards[..., None] * foresight.codes(observations, actions)
    assert torch.equal(cumulants, expected[..., entries])
    assert foresight.cumulants(observations, actions, 0 * rewards)[0].tolist() == [0, 2]
    foresight.update_mean_code(observations, actions, rewards)
    foresight.update_mean_code(observations, actions, torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    entries, cumulants = foresight.cumulants(observations, actions, rewards)
    assert entries.tolist() == [0, 2, 3, 4, 6 + 0, 6 + 2]  # 4 and 6 are not seen with it, for once
    mean = foresight.code_sum / foresight.reward_sum
    expected = rewards[..., None] * (foresight.codes(observations, actions) - 0.8 * mean)
    assert torch.equal(cumulants, expected[..., entries])


def test_a_gpu_does_the_same_with_all_rows(monkeypatch):
    """Loss, gradients and mean are those of rewarded rows and known entries alone.

    Mutation: rows without reward in the mean.
    """
    found = []
    for everything in (False, True):
        if everything:
            monkeypatch.setattr(foresight_module, "takes_all", lambda rewards: True)
        learner, envs = new_learner(foresight_cost=0.7, learning_rate=1e-2, learning_rate_final=1e-2)
        for trajectory in unrolls(learner, envs, 5, 8):
            metrics = learner.step(trajectory)
        entries, _ = learner.network.foresight.cumulants(*reward_events(trajectory))
        found.append((len(entries), learner.network.state_dict(), metrics["loss/foresight"]))
    assert 0 < found[0][0] < found[1][0]
    torch.testing.assert_close(found[0][1:], found[1][1:])
    assert found[0][1]["foresight.head.weight"].any()


def test_the_mean_code():
    """Each row with a reward weighs by its size, and by 0.99 for each unroll with rewards that came after.

    Mutations: all rows weigh the same; the sign of a reward kept; an unroll without rewards lets it fade.
    """
    foresight, draw = Foresight(spaces.Box(-1, 1, (2,), np.float32), A, 8), torch.Generator().manual_seed(0)
    codes, weights = torch.zeros(0, 2 + A), torch.zeros(0)
    for number in range(30):
        observations = torch.randn(T, B, 2, generator=draw)
        actions = torch.randint(A, (T, B), generator=draw)
        rewards = torch.randn(T, B, generator=draw) * (torch.rand(T, B, generator=draw) < 0.2)
        if number % 3 == 1:
            rewards.zero_()
        foresight.update_mean_code(observations, actions, rewards)
        codes = torch.cat([codes, foresight.codes(observations, actions).flatten(0, 1)])
        weights = torch.cat([weights * (0.99 if rewards.any() else 1.0), rewards.abs().flatten()])
    assert (weights > 0).sum() > 20
    mean = (weights.unsqueeze(1) * codes).sum(0) / weights.sum()
    torch.testing.assert_close(foresight.code_sum / foresight.reward_sum, mean, rtol=1e-4, atol=1e-6)


def test_the_mean_code_of_ranks():
    """What the others saw counts as well. Mutation: their sums left out."""
    foresight, others = (Foresight(spaces.Discrete(4), A, 8) for _ in range(2))
    observations, actions, rewards = (
        torch.tensor([[0, 3]]),
        torch.tensor([[1, 2]]),
        torch.tensor([[1.0, 2.0]]),
    )
    foresight.update_mean_code(observations, actions, rewards, lambda sums: 3 * sums)
    others.update_mean_code(observations, actions, 3 * rewards)
    assert torch.equal(foresight.code_sum, others.code_sum)
    assert foresight.reward_sum == others.reward_sum == 9


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_does_not_reach_the_mean(value):
    """Neither as a reward nor in an observation. Mutation: let in."""
    foresight = Foresight(spaces.Box(-1, 1, (2,), np.float32), A, 8)
    observations, actions = torch.ones(T, B, 2), torch.zeros(T, B, dtype=torch.int64)
    rewards = torch.zeros(T, B)
    rewards[0] = torch.tensor([1.0, value, 1.0])
    observations[0, 2, 1] = value
    foresight.update_mean_code(observations, actions, rewards)
    assert foresight.code_sum.tolist() == [2, 1, 2, 0, 0]
    assert foresight.reward_sum == 2


def test_an_update_moves_the_mean_code_once():
    """The loss by itself, which may be computed again to look for what is not finite, does not.

    Mutations: noted in the loss; never noted.
    """
    learner, envs = new_learner(foresight_cost=0.7)
    (trajectory,) = unrolls(learner, envs, 1, 8)
    foresight, paid = learner.network.foresight, trajectory.rewards[trajectory.valid].abs().sum()
    learner.loss(trajectory, 0.1, 0.2)
    assert foresight.reward_sum == 0 < paid
    learner.step(trajectory)
    torch.testing.assert_close(foresight.reward_sum, paid)


def test_rewards_of_invalid_rows_do_not_count():
    """Mutation: a row that is not valid summed up like others."""
    learner, envs = new_learner(foresight_cost=0.7)
    (trajectory,) = unrolls(learner, envs, 1, 8)
    assert not trajectory.valid.all()
    _, metrics = learner.loss(trajectory, 0.1, 0.2)
    changed = copy.deepcopy(trajectory)
    changed.rewards[~changed.valid] = torch.nan
    _, again = learner.loss(changed, 0.1, 0.2)
    assert torch.equal(again["loss/foresight"], metrics["loss/foresight"])
