"""The terms of the loss, each a mean over the valid transitions.

Source: Espeholt et al. 2018 (arXiv 1802.01561), section 4.2. Means, not sums, so that a learning rate
and a cost keep their meaning when the batch or the unroll changes. Rows that are not valid may hold anything,
NaN included.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def blank(x: Tensor, valid: Tensor) -> Tensor:
    """Puts zeros into x [T, B, ...] where valid [T, B] is not: no value, no gradient passes, NaN or not."""
    return torch.where(valid.view(*valid.shape, *(1,) * (x.ndim - 2)), x, 0.0)


def masked_mean(x: Tensor, valid: Tensor) -> Tensor:
    """Mean of x [T, B] over the rows where valid [T, B]."""
    return blank(x, valid).sum() / valid.sum().clamp(min=1)


def log_policy(logits: Tensor, valid: Tensor) -> Tensor:
    """Log-probabilities of all actions: logits [T, B, A], valid [T, B] -> [T, B, A].

    Rows that are not valid are uniform, and have no gradient.
    """
    return blank(logits, valid).log_softmax(-1)


def log_prob(log_policy: Tensor, actions: Tensor) -> Tensor:
    """Log-probability of the action taken: log_policy [..., A], actions [...] int64 -> [...]."""
    return log_policy.gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def policy_gradient_loss(log_policy: Tensor, actions: Tensor, pg_advantages: Tensor, valid: Tensor) -> Tensor:
    """Minus the mean of log pi(a|x) times its advantage, which carries no gradient.

    Args:
        log_policy: [T, B, A] target policy, by the function of that name.
        actions: [T, B] int64 actions taken.
        pg_advantages: [T, B] V-trace advantages.
        valid: [T, B] bool real transitions.
    """
    return -masked_mean(log_prob(log_policy, actions) * pg_advantages.detach(), valid)


def subtract_peer_mean(
    pg_advantages: Tensor, rhos: Tensor, valid: Tensor, total: Callable[[Tensor], Tensor] = lambda x: x
) -> Tensor:
    """Takes off each advantage what the other environments' have in common with it at the same step.

    Source: the leave-one-out baseline of Kool, van Hoof, Welling 2019, "Buy 4 REINFORCE samples, get a
    baseline for free!", here over a batch of environments, a mean for each step. What a value function has
    wrong in the same way everywhere, as it does while it is being learnt, weighs nothing any more; where a
    task's episodes run in step with each other it is a baseline that knows the time. It depends on no action
    of the environment's own, so that the mean of the gradient stays as it is where no weight is clipped.
    (With `--runner ray` a batch may hold two unrolls of one actor, of which one then depends on the other.)

    Args:
        pg_advantages: [T, B] V-trace advantages.
        rhos: [T, B] the clipped weights in them: a baseline is weighted as what it is taken from.
        valid: [T, B] bool real transitions; the others have no say.
        total: sums over those who hold other environments of the batch.

    Returns:
        [T, B]; unchanged where no other environment has a valid transition.
    """
    mine, counts = blank(pg_advantages, valid), valid.to(pg_advantages.dtype)
    sums = total(torch.stack([mine.sum(1), counts.sum(1)])).unsqueeze(-1)  # [2, T, 1]
    peers = (sums[0] - mine) / (sums[1] - counts).clamp(min=1)
    return mine - blank(rhos, valid) * peers


def baseline_loss(values: Tensor, vs: Tensor, valid: Tensor) -> Tensor:
    """Half the mean squared distance of values [T, B] to the V-trace targets vs [T, B]."""
    return 0.5 * masked_mean(blank(vs.detach() - values, valid).square(), valid)


def entropy(log_policy: Tensor, valid: Tensor) -> Tensor:
    """Mean entropy of the policy in nats: log_policy [T, B, A], valid [T, B] -> []."""
    return masked_mean(-(log_policy.exp() * log_policy).sum(-1), valid)


def exploration_loss(log_policy: Tensor, valid: Tensor, floor: float) -> Tensor:
    """By how many nats actions are less probable than a floor, a mean over actions: [T, B, A] -> [].

    The gradient by the logit of an action below the floor does not vanish with its probability, as that of
    the entropy does: where others pay more the probability falls like cost / advantage and not like
    exp(-advantage / cost), and what was never worth trying is still tried when its worth changes. Above the
    floor there is no gradient: a policy that has just begun to learn is not drawn back to chance. With a
    floor of 1 the gradient is that of KL(uniform || policy).

    Args:
        log_policy: [T, B, A] target policy, by the function of that name.
        valid: [T, B] bool real transitions.
        floor: probability, in 0 ... 1.
    """
    return masked_mean((math.log(floor) - log_policy).clamp(min=0).mean(-1), valid)
