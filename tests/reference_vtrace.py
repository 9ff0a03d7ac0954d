"""V-trace written out: the double sum of equation 1 of Espeholt et al. 2018, one number at a time.

No recursion, no tensors: what the vectorised form is held against.
"""

import math

import numpy as np


def literal_vtrace(
    log_rhos, discounts, rewards, values, bootstrap_value, *, rho_bar, pg_rho_bar, c_bar, lambda_
):
    """Returns vs and pg_advantages, both [T, B] float64, for arguments shaped as those of `vtrace`.

    v_s = V(x_s) + sum_{t=s}^{T-1} (prod_{i=s}^{t-1} gamma_i c_i) delta_t         (equation 1)
    delta_t = min(rho_bar, rho_t) (r_t + gamma_t V(x_{t+1}) - V(x_t))
    c_i = lambda min(c_bar, rho_i)                                                 (remark 2)
    advantage_s = min(pg_rho_bar, rho_s) (r_s + gamma_s v_{s+1} - V(x_s))          (section 4.2)
    """
    T, B = rewards.shape
    vs, pg_advantages = np.zeros((T, B)), np.zeros((T, B))
    for b in range(B):
        rhos = [math.exp(x) for x in log_rhos[:, b]]
        v = [*values[:, b], bootstrap_value[b]]
        for s in range(T):
            vs[s, b] = v[s]
            for t in range(s, T):
                trace = math.prod(discounts[i, b] * lambda_ * min(c_bar, rhos[i]) for i in range(s, t))
                delta = min(rho_bar, rhos[t]) * (rewards[t, b] + discounts[t, b] * v[t + 1] - v[t])
                vs[s, b] += trace * delta
        for s in range(T):
            target = vs[s + 1, b] if s + 1 < T else bootstrap_value[b]
            pg_advantages[s, b] = min(pg_rho_bar, rhos[s]) * (rewards[s, b] + discounts[s, b] * target - v[s])
    return vs, pg_advantages


def literal_returns(discounts, rewards, bootstrap_value):
    """Returns the discounted sums of rewards up to row T, then the bootstrap value, [T, B] float64."""
    T, B = rewards.shape
    returns = np.zeros((T, B))
    for b in range(B):
        for s in range(T):
            for t in range(s, T):
                returns[s, b] += math.prod(discounts[s:t, b]) * rewards[t, b]
            returns[s, b] += math.prod(discounts[s:, b]) * bootstrap_value[b]
    return returns
