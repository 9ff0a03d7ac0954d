"""V-trace targets: off-policy corrected values and policy-gradient advantages.

Source: Espeholt et al. 2018, "IMPALA: Scalable Distributed Deep-RL with Importance Weighted
Actor-Learner Architectures" (arXiv 1802.01561), equation 1 and section 4.2.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from cores.kernels.discounting import discounted_sums


class VTraceReturns(NamedTuple):
    """What V-trace gives the learner, both [T, B] and without gradient."""

    vs: Tensor
    """[T, B]: the target of the baseline (v_s)."""
    pg_advantages: Tensor
    """[T, B]: the weight of the policy gradient (rho_s (r_s + gamma v_{s+1} - V(x_s)))."""


@torch.no_grad()
def vtrace(
    log_rhos: Tensor,
    discounts: Tensor,
    rewards: Tensor,
    values: Tensor,
    bootstrap_value: Tensor,
    *,
    rho_bar: float = 1.0,
    pg_rho_bar: float = 1.0,
    c_bar: float = 1.0,
    lambda_: float = 1.0,
) -> VTraceReturns:
    """Computes the V-trace targets and advantages of one unroll (Espeholt et al. 2018, eq. 1).

    By its recursion (remark 1): v_s - V(x_s) = delta_s + gamma_s c_s (v_{s+1} - V(x_{s+1})).

    A row that is no transition (the step that only resets an environment) is handed in with
    log_rho = -inf: it then adds nothing, its target is its own value, and no trace crosses it.

    Args:
        log_rhos: [T, B] log of target over behaviour probability of the action taken (log pi/mu).
        discounts: [T, B] discount of what follows step t, 0 where the episode terminated (gamma).
        rewards: [T, B] reward of step t (r).
        values: [T, B] baseline at row t (V(x_t)).
        bootstrap_value: [B] baseline at row T (V(x_T)).
        rho_bar: clip of the weights in the temporal differences (bar rho); decides the fixed point.
        pg_rho_bar: clip of the weights in the policy gradient.
        c_bar: clip of the trace coefficients (bar c); decides the speed, not the fixed point.
        lambda_: decay of the traces (remark 2); 1 gives the plain n-step correction.

    Returns:
        vs and pg_advantages, both [T, B].

    Raises:
        ValueError: a shape does not fit the others.
    """
    if log_rhos.ndim != 2 or not log_rhos.shape == discounts.shape == rewards.shape == values.shape:
        raise ValueError(
            "log_rhos, discounts, rewards and values must share one shape [T, B], got "
            f"{[tuple(x.shape) for x in (log_rhos, discounts, rewards, values)]}"
        )
    if bootstrap_value.shape != values.shape[1:]:
        raise ValueError(
            f"bootstrap_value must be [B] = {tuple(values.shape[1:])}, got {tuple(bootstrap_value.shape)}"
        )
    rhos = log_rhos.exp()
    next_values = torch.cat([values[1:], bootstrap_value[None]])
    deltas = rhos.clamp(max=rho_bar) * (rewards + discounts * next_values - values)
    decays = discounts * lambda_ * rhos.clamp(max=c_bar)

    vs = values + discounted_sums(deltas, decays, torch.zeros_like(bootstrap_value))

    next_vs = torch.cat([vs[1:], bootstrap_value[None]])
    pg_advantages = rhos.clamp(max=pg_rho_bar) * (rewards + discounts * next_vs - values)
    return VTraceReturns(vs, pg_advantages)
