"""R10, R12, R13, R14: what is learnt from, at length: bad values, resets, returns, seeds."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch
from planting import BAD, PLACES, new_learner, plant, same, spoil_gradient, state_of
from reference_vtrace import literal_returns, literal_vtrace
from runs import assert_equal_states, small, train

from agents.vtrace import vtrace
from cores import CORES, make_core
from cores.core import RecurrentCore
from envs import ENVS, make_vector_env

pytestmark = pytest.mark.slow

NUM_PLANTED, NUM_UNROLLS, NUM_CASES, NUM_UPDATES = 1000, 5, 10_000, 1000
VARIANTS = [(core, {}) for core in CORES] + [(core, {"layers": 2}) for core in ("ur-lstm", "gru", "lru")]
VARIANTS += [("ur-lstm", {"layer_norm": True}), ("on-lstm", {"chunk": 2})]
BACKENDS = {"fused": lambda core: core.forward, "reference": lambda core: RecurrentCore.forward.__get__(core)}


def test_bad_values(figure):
    """R10: a thousand of each, over all cores. Mutations: as of tests/test_guard.py."""
    generator = np.random.default_rng(10)
    for place in PLACES:
        names = [core for core in CORES if (core, place) != ("memoryless", "core state")]
        cases = {core: new_learner(core, max_skipped_updates=10**6) for core in names}
        reached = 0
        for number in range(NUM_PLANTED):
            learner, unroll, _ = cases[names[number % len(names)]]
            learner.update(unroll)
            before, skipped, value = state_of(learner), learner.guard.num_skipped, BAD[number % 3]
            bad, _, _ = plant(unroll, place, value, generator)
            hook = spoil_gradient(learner.network, value, generator)[0] if place == "gradient" else None
            learner.update(bad)
            if hook:
                hook.remove()
            reached += not same(state_of(learner), before) or learner.guard.num_skipped != skipped + 1
        goal = f"{NUM_PLANTED} NaN, inf and -inf as {place}: skipped, counted"
        figure("R10", goal, f"{reached} reached the weights or were not counted")
        assert reached == 0


def relative(ours, theirs):
    """The largest difference, by the largest entry or 1."""
    return float((ours - theirs).detach().abs().max() / theirs.abs().max().clamp(min=1.0))


def stepped(core, inputs, state, reset):
    """Outputs and last state, one step after the other, the state replaced by hand."""
    outputs = []
    for t in range(len(inputs)):
        start = core.initial_state(inputs.shape[1])
        state = tuple(
            torch.where(reset[t].view(-1, *(1,) * (old.ndim - 1)), new, old)
            for new, old in zip(start, state, strict=True)
        )
        out, state = core.step(core.project(inputs[t]), state)
        outputs.append(out)
    return torch.stack(outputs), *state


def leak(unroll, inputs, state, reset):
    """The largest gradient, by inputs before each environment's last reset, of outputs after it."""
    leaf = inputs.clone().requires_grad_()
    out, _ = unroll(leaf, state, reset)
    after = reset.flip(0).cumsum(0).flip(0) == 0  # no reset at or after this step
    after |= reset & (after.roll(-1, 0) | (torch.arange(len(reset)) == len(reset) - 1)[:, None])
    after |= ~reset.any(0)
    (gradient,) = torch.autograd.grad((out * after[..., None]).sum(), leaf)
    return float(gradient[~after].abs().max()) if (~after).any() else 0.0


def test_resets(figure):
    """R12: step by step against the unroll; and what flows back over a reset.

    In float64 they agree to rounding; in float32 the roundings of 200 steps add up.

    Mutations: the reset one step late; the state multiplied by 0 in the backward pass alone.
    """
    generator = np.random.default_rng(12)
    worst = {(backend, bits): (0.0, "") for bits in (32, 64) for backend in BACKENDS}
    leaked, count = 0.0, 0
    for (name, options), bits in itertools.product(VARIANTS, (32, 64)):
        dtype = {32: torch.float32, 64: torch.float64}[bits]
        for _ in range(NUM_UNROLLS):
            T, B = int(generator.integers(1, 201)), int(generator.integers(1, 33))
            torch.manual_seed(int(generator.integers(2**31)))
            core = make_core(name, 5, 8, **options).to(dtype)
            inputs = torch.randn(T, B, 5, dtype=dtype)
            reset = torch.rand(T, B) < generator.choice([0.0, 0.02, 0.2, 0.9])
            state = tuple(
                torch.randn_like(part) if part.is_floating_point() else part for part in core.initial_state(B)
            )
            with torch.no_grad():
                wanted = stepped(core, inputs, state, reset)
            for backend, unroll_of in BACKENDS.items():
                unroll = unroll_of(core)
                out, last = unroll(inputs, state, reset)
                error = max(map(relative, (out, *last), wanted))
                worst[backend, bits] = max(worst[backend, bits], (error, name))
                leaked = max(leaked, leak(unroll, inputs, state, reset))
            count += 1
    for (backend, bits), (error, name) in worst.items():
        goal = (
            f"{count // 2} unrolls, {backend}, float{bits}: step by step, {'1e-6' if bits == 32 else '1e-12'}"
        )
        figure("R12", goal, f"{error:.1e} at most, {name}")
    figure("R12", "gradient over a reset exactly 0", f"{leaked:g}")
    assert leaked == 0
    assert max(worst[backend, 64][0] for backend in BACKENDS) < 1e-12
    assert max(worst[backend, 32][0] for backend in BACKENDS) < 1e-5


def test_vtrace(figure):
    """R13: float32 against the double sum, masked rows among them. Mutations: as of tests/test_vtrace.py."""
    generator = np.random.default_rng(13)
    worst = {"double sum": 0.0, "two episodes apart": 0.0, "n-step return": 0.0}
    for _ in range(NUM_CASES):
        T, B = int(generator.integers(1, 13)), int(generator.integers(1, 4))
        log_rhos, rewards = generator.normal(0, 0.7, (T, B)), generator.normal(0, 1, (T, B))
        discounts = generator.choice([0.0, 0.5, 0.99, 1.0], (T, B), p=[0.1, 0.1, 0.7, 0.1])
        values, bootstrap = generator.normal(0, 1, (T, B)), generator.normal(0, 1, B)
        masked = generator.uniform(size=(T, B)) < 0.1
        log_rhos[masked], rewards[masked] = -np.inf, 0.0
        case = [x.astype(np.float32) for x in (log_rhos, discounts, rewards, values, bootstrap)]
        clips = dict(
            zip(("rho_bar", "pg_rho_bar", "c_bar"), generator.choice([0.5, 1.0, 1.5], 3), strict=True)
        )
        clips["lambda_"] = generator.choice([0.5, 0.95, 1.0])
        ours = [x.numpy() for x in vtrace(*map(torch.from_numpy, case), **clips)]
        theirs = literal_vtrace(*(x.astype(np.float64) for x in case), **clips)
        for mine, literal in zip(ours, theirs, strict=True):
            worst["double sum"] = max(
                worst["double sum"], np.abs(mine - literal).max() / max(1, np.abs(literal).max())
            )
        b, rows = 0, np.flatnonzero(masked[:, 0])
        if len(rows):  # what stands before a masked row is bootstrapped with that row's value
            row = rows[0]
            part = [x[:row, b : b + 1].astype(np.float64) for x in case[:4]]
            if row:
                alone = literal_vtrace(*part, case[3][row, b : b + 1].astype(np.float64), **clips)[0][:, 0]
                error = np.abs(ours[0][:row, b] - alone).max() / max(1, np.abs(alone).max())
                worst["two episodes apart"] = max(worst["two episodes apart"], error)
        on_policy = [np.zeros_like(case[0]), *case[1:]]
        returns = literal_returns(*(x.astype(np.float64) for x in (case[1], case[2], case[4])))
        error = np.abs(vtrace(*map(torch.from_numpy, on_policy))[0].numpy() - returns).max() / max(
            1, np.abs(returns).max()
        )
        worst["n-step return"] = max(worst["n-step return"], error)
    for name, error in worst.items():
        figure("R13", f"{NUM_CASES:,} cases in float32 against the {name}: 1e-5", f"{error:.1e}")
    assert max(worst.values()) < 1e-5


def test_two_runs_of_a_seed(tmp_path, figure):
    """R14: a thousand updates, curves, checkpoint and all. Mutation: a seed from the clock."""
    config = small(tmp_path, total_steps=12 * NUM_UPDATES, log_every_steps=120)
    runs = [train(config) for _ in range(2)]
    assert_equal_states(*runs)
    curves = []
    for run in runs:
        rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
        curves.append([{k: v for k, v in row.items() if not k.startswith("speed/")} for row in rows])
    figure(
        "R14",
        f"two runs of a seed, {NUM_UPDATES} updates, bit for bit",
        f"equal after {runs[0].learner.version} updates",
    )
    assert curves[0] == curves[1]
    assert runs[0].learner.version >= NUM_UPDATES
    other = train(dataclasses.replace(config, seed=1, total_steps=1000))
    assert other.learner.version > 50


def test_batches(figure):
    """R14: what an environment does depends on no other one. Mutation: seeds by the batch."""
    generator, B, steps = np.random.default_rng(14), 5, 60
    for name in ENVS:
        together = make_vector_env(name, B, seed=3)
        apart = [make_vector_env(name, 1, seed=3, first_index=b) for b in range(B)]
        seen = together.reset()[0]
        for b, env in enumerate(apart):
            assert np.array_equal(env.reset()[0][0], seen[b])
        num_actions = int(together.single_action_space.n)
        for _ in range(steps):
            actions = generator.integers(num_actions, size=B)
            results = together.step(actions)
            for b, env in enumerate(apart):
                for ours, theirs in zip(results[:4], env.step(actions[b : b + 1])[:4], strict=True):
                    assert np.array_equal(ours[b], theirs[0])
    figure("R14", f"1 batch of {B} is {B} batches of 1, {steps} steps", f"equal in all {len(ENVS)} tasks")
