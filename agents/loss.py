"""The terms of the loss, each a mean over the valid transitions.

Source: Espeholt et al. 2018 (arXiv 1802.01561), section 4.2. Means, not sums, so that a learning rate
and a cost keep their meaning when the batch or the unroll changes. Rows that are not valid may hold anything,
NaN included.
"""

import math

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


def baseline_loss(values: Tensor, vs: Tensor, valid: Tensor) -> Tensor:
    """Half the mean squared distance of values [T, B] to the V-trace targets vs [T, B]."""
    return 0.5 * masked_mean(blank(vs.detach() - values, valid).square(), valid)


def entropy(log_policy: Tensor, valid: Tensor) -> Tensor:
    """Mean entropy of the policy in nats: log_policy [T, B, A], valid [T, B] -> []."""
    return masked_mean(-(log_policy.exp() * log_policy).sum(-1), valid)


def uniform_divergence(log_policy: Tensor, valid: Tensor) -> Tensor:
    """Mean divergence KL(uniform || policy) in nats: log_policy [T, B, A], valid [T, B] -> [].

    Its gradient by the logit of action a is pi(a) - 1/A: it does not vanish with pi(a), as that of the
    entropy does. So no action's probability dies where others pay more; it falls like cost / advantage and
    not like exp(-advantage / cost), and what was never worth trying is still tried when its worth changes.
    """
    return masked_mean(-log_policy.mean(-1), valid) - math.log(log_policy.shape[-1])
