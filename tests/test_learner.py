"""The learner: what it makes of an unroll, what it must not see in it, and what it keeps."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from counting import CountingEnv, counting_network
from reference_vtrace import literal_vtrace

from agents import learner as learner_module
from agents.actor import Actor, make_envs
from agents.checkpoint import load_checkpoint, save_checkpoint
from agents.config import Config
from agents.learner import Learner
from agents.network import make_network
from agents.trajectory import Inputs

T, B, A, H = 5, 3, 4, 6
CORES = ("lstm", "chrono", "ur-lstm", "on-lstm", "memoryless")
OPTIMIZERS = ("adam", "rmsprop")


def new_learner(core="lstm", env="tmaze", options=("length=2",), **fields):
    """A learner whose policy and values are far from uniform and from zero, and environments for it."""
    config = Config(env=env, env_opt=options, core=core, hidden_size=H, encoder_size=7, **fields)
    envs = make_envs(config, B, 0)
    network = make_network(config, envs.single_observation_space, int(envs.single_action_space.n))
    with torch.no_grad():
        network.policy.weight.normal_(generator=torch.Generator().manual_seed(1))
        network.value.weight.normal_(generator=torch.Generator().manual_seed(2))
    return Learner(network, config), envs


def unrolls(learner, envs, num_unrolls, unroll_length=T):
    """Unrolls on end by an actor of the learner's present weights."""
    actor = Actor(envs, copy.deepcopy(learner.network), seed=4)
    buffers = actor.allocate(unroll_length)
    return [copy.deepcopy(actor.unroll(buffers)) for _ in range(num_unrolls)]


def weights_of(learner):
    """All weights in one row."""
    return torch.cat([parameter.detach().flatten() for parameter in learner.network.parameters()])


@pytest.fixture
def calls(monkeypatch):
    """What the learner handed to V-trace and got from it: (arguments, clips, returns) of each call."""
    seen = []

    def record(*arguments, **clips):
        returns = vtrace(*arguments, **clips)
        seen.append((arguments, clips, returns))
        return returns

    vtrace = learner_module.vtrace
    monkeypatch.setattr(learner_module, "vtrace", record)
    return seen


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(
    ("env", "options"),
    [("tmaze", ("length=2",)), ("CartPole-v1", ("max_episode_steps=3",))],
    ids=["terminated", "truncated"],
)
def test_replay_with_the_same_weights_is_on_policy(core, env, options, calls):
    """With the weights that acted, log rho is 0 in every transition and -inf in every step that only resets.

    A period of 4 rows in unrolls of 11: episodes begin in every row, several in each unroll.

    Mutations: the core state stored after the unroll; resets a row late; the previous action not blanked; the
    mask of rows that only reset left out.
    """
    learner, envs = new_learner(core, env, options)
    for trajectory in unrolls(learner, envs, 4, unroll_length=11):
        learner.loss(trajectory, 0.0, 0.0)
        log_rhos = calls[-1][0][0]
        assert (~trajectory.valid).sum() >= 2 * B
        assert (log_rhos[~trajectory.valid] == -np.inf).all()
        assert log_rhos[trajectory.valid].abs().max() < 1e-5
        assert trajectory.behaviour_logits.std(0).min() > 1e-3
    envs.close()


def test_weights_that_moved_are_off_policy(calls):
    """Log rho is that of target over behaviour probability, for the action taken.

    Mutation: behaviour over target.
    """
    learner, envs = new_learner()
    (trajectory,) = unrolls(learner, envs, 1)
    with torch.no_grad():
        learner.network.policy.bias.copy_(torch.tensor([1.0, -1.0, 2.0, 0.0]))
    _, metrics = learner.loss(trajectory, 0.0, 0.0)
    logits = learner.network(trajectory.inputs, trajectory.core_state).logits[:-1].detach()
    rhos = []
    for t in range(T):
        for b in range(B):
            if trajectory.valid[t, b]:
                action = trajectory.actions[t, b]
                target = logits[t, b].softmax(0)[action]
                rhos.append((target / trajectory.behaviour_logits[t, b].softmax(0)[action]).item())
                np.testing.assert_allclose(calls[-1][0][0][t, b].exp(), rhos[-1], rtol=1e-4)
    assert min(rhos) < 0.9 < 1.1 < max(rhos)
    np.testing.assert_allclose(metrics["vtrace/mean_rho"], np.mean(rhos), rtol=1e-4)
    np.testing.assert_allclose(metrics["vtrace/clipped_share"], np.mean(np.array(rhos) > 1), rtol=1e-4)


def test_what_goes_into_vtrace(calls):
    """Rewards, values, discounts and the clips, each in its place: not one is at its default.

    Mutations: the value of row T left out of the bootstrap; the discount kept at a termination; any two clips
    exchanged.
    """
    clips = {"rho_bar": 1.5, "pg_rho_bar": 1.2, "c_bar": 0.8, "lambda_": 0.6}
    learner, envs = new_learner(discount=0.7, **clips)
    for trajectory in unrolls(learner, envs, 3):
        with torch.no_grad():
            learner.network.policy.weight += 0.1
            values = learner.network(trajectory.inputs, trajectory.core_state).values.numpy()
        learner.loss(trajectory, 0.0, 0.0)
        arguments, seen_clips, returns = calls[-1]
        assert seen_clips == clips
        discounts = np.where(trajectory.terminated, 0, 0.7)
        np.testing.assert_allclose(arguments[1], discounts, rtol=1e-6)
        np.testing.assert_array_equal(arguments[2], np.where(trajectory.valid, trajectory.rewards, 0))
        np.testing.assert_array_equal(arguments[3], values[:-1])
        np.testing.assert_array_equal(arguments[4], values[-1])
        log_rhos = arguments[0].double().numpy()
        literal = literal_vtrace(log_rhos, discounts, arguments[2].numpy(), values[:-1], values[-1], **clips)
        np.testing.assert_allclose(returns.vs, literal[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(returns.pg_advantages, literal[1], rtol=1e-4, atol=1e-5)


def test_how_an_episode_ends_decides_its_targets(calls):
    """On-policy targets by hand: a terminated episode is worth what it paid, a truncated one what follows.

    What follows a truncation is the value of its final observation, in the core state of its own episode; the
    step that resets and the next episode have no part in it.

    Mutations: time limits treated as termination; a termination bootstrapped; the bootstrap from the first
    observation of the next episode; the episode's end not cutting the trace.
    """
    # Episode 1 is truncated, episode 2 terminated: after 2 rows, in the last row, or in none of an unroll.
    envs = CountingEnv([[2, 7], [5, 3], [9, 1]], A)
    config = Config(discount=0.5)
    learner = Learner(counting_network(A), config)
    actor = Actor(envs, copy.deepcopy(learner.network), seed=0, reward_scale=1e-3)
    seen = set()
    for n in range(4):
        trajectory = actor.unroll(actor.allocate(T))
        learner.loss(trajectory, 0.0, 0.0)
        vs = calls[-1][2].vs
        values = learner.network(trajectory.inputs, trajectory.core_state).values.detach().numpy()
        assert (np.abs(values) > 1e-3).all()
        for b in range(B):
            for t in range(T):
                if not envs.steps[b][n * T + t][4]:
                    continue
                target, worth = 0.0, 1.0
                for k in range(t, T):
                    _, reward, terminated, truncated, _ = envs.steps[b][n * T + k]
                    target += worth * 1e-3 * reward
                    worth *= 0.5
                    if terminated or truncated or k == T - 1:
                        target += 0.0 if terminated else worth * values[k + 1, b]
                        seen.add(
                            ("terminated" if terminated else "truncated" if truncated else "cut", k == T - 1)
                        )
                        break
                np.testing.assert_allclose(vs[t, b], target, rtol=1e-4)
    assert seen == {(end, last) for end in ("terminated", "truncated") for last in (True, False)} | {
        ("cut", True)
    }


def test_the_loss_is_the_sum_of_its_terms():
    """Each term with its own weight.

    Mutations: any weight left out; the entropy's sign.
    """
    learner, envs = new_learner(baseline_cost=0.3, foresight_cost=0.4, exploration_floor=1.0)
    (trajectory,) = unrolls(learner, envs, 1)
    loss, metrics = learner.loss(trajectory, 0.7, 0.2)
    expected = (
        metrics["loss/policy_gradient"]
        + 0.3 * metrics["loss/baseline"]
        + 0.7 * metrics["loss/exploration"]
        - 0.2 * metrics["learner/entropy"]
        + 0.4 * metrics["loss/foresight"]
    )
    torch.testing.assert_close(loss.detach(), expected)
    assert all(abs(metrics[name]) > 1e-3 for name in metrics if name.startswith("loss/"))
    assert not any(value.requires_grad for value in metrics.values())


@pytest.mark.parametrize("core", CORES)
def test_steps_that_only_reset_are_without_effect(core):
    """Whatever stands in their rows, NaN included, an update is the same bit for bit.

    Mutations: rewards not masked (0 times NaN is NaN); log rho masked by a product.
    """
    learner, envs = new_learner(core)
    clean = next(unroll for unroll in unrolls(learner, envs, 3) if not unroll.valid.all())
    masked = ~clean.valid
    dirty = copy.deepcopy(clean)
    dirty.rewards[masked] = np.nan
    dirty.behaviour_logits[masked] = np.nan
    dirty.actions[masked] = (dirty.actions[masked] + 1) % A
    other = copy.deepcopy(clean)
    other.rewards[clean.valid] += 0.1
    updated = []
    for trajectory in (clean, dirty, other):
        twin = copy.deepcopy(learner)
        metrics = twin.update(trajectory)
        assert all(math.isfinite(value) for value in metrics.values())
        updated.append(weights_of(twin))
    assert torch.equal(updated[0], updated[1])
    assert not torch.equal(updated[0], updated[2])


def test_no_gradient_from_rows_that_only_reset():
    """The loss has no slope by the outputs of a masked row, and has one by those of every other.

    Mutation: the mean over all rows.
    """
    learner, envs = new_learner(entropy_cost=0.1)
    trajectory = next(unroll for unroll in unrolls(learner, envs, 3) if not unroll.valid.all())
    outputs = []
    handle = learner.network.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    loss, _ = learner.loss(trajectory, 0.1, 0.1)
    handle.remove()
    (output,) = outputs
    by_logits, by_values = torch.autograd.grad(loss, (output.logits, output.values))
    valid = trajectory.valid
    assert (by_logits[:-1][~valid] == 0).all()
    assert (by_values[:-1][~valid] == 0).all()
    assert (by_logits[:-1][valid] != 0).any(-1).all()
    assert (by_values[:-1][valid] != 0).all()
    assert not by_logits[-1].any()  # row T only bootstraps
    assert not by_values[-1].any()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_one_step_of_the_optimiser(optimizer):
    """The first step by the optimiser's equations, from the clipped gradient.

    Mutations: rmsprop in place of adam; epsilon not handed on; another decay of rmsprop; no clip.
    """
    learner, envs = new_learner(
        optimizer=optimizer, optimizer_epsilon=0.01, max_grad_norm=0.05, learning_rate=0.1
    )
    (trajectory,) = unrolls(learner, envs, 1)
    before = weights_of(learner).double()
    loss, _ = learner.loss(trajectory, learner.config.exploration_cost, 0.0)
    gradients = torch.autograd.grad(loss, list(learner.network.parameters()))
    gradient = torch.cat([x.flatten() for x in gradients]).double()
    norm = gradient.norm()
    assert norm > 0.1
    gradient *= 0.05 / norm
    metrics = learner.update(trajectory)
    np.testing.assert_allclose(metrics["learner/gradient_norm"], norm, rtol=1e-5)
    # Adam's moments are corrected for their start at zero, so that the first step has the gradient's own.
    scale = gradient.abs() if optimizer == "adam" else (0.01 * gradient.square()).sqrt()
    expected = before - 0.1 * gradient / (scale + 0.01)
    torch.testing.assert_close(weights_of(learner).double(), expected, rtol=1e-5, atol=1e-6)


def test_a_short_gradient_is_not_stretched():
    """Mutation: the gradient normalised."""
    learner, envs = new_learner(max_grad_norm=1e6)
    (trajectory,) = unrolls(learner, envs, 1)
    metrics = learner.update(trajectory)
    norm = torch.stack([parameter.grad.norm() for parameter in learner.network.parameters()]).norm()
    torch.testing.assert_close(norm, metrics["learner/gradient_norm"], rtol=1e-4, atol=0)


def test_the_gradient_grows_only_as_the_configuration_allows():
    """With a beta2 of 0 to a thousandth of what the last one was, after its own clip.

    Mutations: either field not handed on; the norm told after the clip.
    """
    learner, envs = new_learner(max_grad_norm=1e6, max_grad_growth=1e-3, adam_beta2=0.0)
    told = [learner.update(unroll)["learner/gradient_norm"] for unroll in unrolls(learner, envs, 3)]
    left = torch.stack([parameter.grad.norm() for parameter in learner.network.parameters()]).norm()
    torch.testing.assert_close(left, 1e-6 * told[0], rtol=1e-3, atol=0)
    assert told[2] > 10 * left


def test_schedules():
    """Constant for the first half of the run, then linear to the end or a share, then constant again.

    Mutation: linear from the first step on; beyond the end by an overshoot; to the end, whatever the share.
    """
    learner, _ = new_learner(total_steps=1000)
    for env_steps, expected in [
        (0, 3.0),
        (499, 3.0),
        (500, 3.0),
        (750, 2.0),
        (900, 1.4),
        (1000, 1.0),
        (1100, 1.0),
    ]:
        learner.env_steps = env_steps
        np.testing.assert_allclose(learner.schedule(3.0, 1.0), expected)
    for env_steps, expected in [(500, 3.0), (625, 2.0), (750, 1.0), (1000, 1.0)]:
        learner.env_steps = env_steps
        np.testing.assert_allclose(learner.schedule(3.0, 1.0, until=0.75), expected)


def test_tries_end_before_learning_does():
    """In the last quarter neither exploration nor entropy has a weight, while the learning rate has.

    Mutation: their schedules go on to the end.
    """
    weights = {"exploration_cost": 0.5, "exploration_floor": 1.0, "entropy_cost": 0.1, "total_steps": 1000}
    learner, envs = new_learner(**weights)
    for progress, tries in ((0.7, True), (0.8, False)):
        learner.env_steps = round(progress * 1000)
        metrics = learner.update(unrolls(learner, envs, 1)[0])
        rest = metrics["loss/policy_gradient"] + 0.5 * metrics["loss/baseline"]
        assert (abs(metrics["loss/total"] - rest).item() > 1e-3) == tries
        assert metrics["learner/learning_rate"] > 0


def test_peers_weigh_by_the_clipped_ratio():
    """And the metric of what is clipped has the limit of the temporal differences.

    Mutations: the ratio itself; the other limit.
    """
    learner, envs = new_learner(pg_rho_bar=0.8, rho_bar=1.3, baseline_cost=0.0, exploration_cost=0.0)
    (unroll,) = unrolls(learner, envs, 1)
    unroll.behaviour_logits += torch.randn(T, B, A, generator=torch.Generator().manual_seed(6))
    network, valid = learner.network, unroll.valid
    with torch.no_grad():
        logits, values, *_ = network(unroll.inputs, unroll.core_state)
    log_target = logits[:-1].log_softmax(-1)
    chosen = unroll.actions.unsqueeze(-1)
    taken = log_target.gather(-1, chosen).squeeze(-1)
    rhos = (taken - unroll.behaviour_logits.log_softmax(-1).gather(-1, chosen).squeeze(-1)).exp()
    assert (rhos[valid] > 1.3).any()
    returns = learner_module.vtrace(
        rhos.log().masked_fill(~valid, -torch.inf),
        0.99 * ~unroll.terminated,
        unroll.rewards.masked_fill(~valid, 0.0),
        values[:-1],
        values[-1],
        rho_bar=1.3,
        pg_rho_bar=0.8,
    )
    weights, expected = rhos.clamp(max=0.8), 0.0
    for t, b in valid.nonzero().tolist():
        others = [returns.pg_advantages[t, i] for i in range(B) if i != b and valid[t, i]]
        mean = sum(others) / len(others) if others else 0.0
        expected -= taken[t, b] * (returns.pg_advantages[t, b] - weights[t, b] * mean) / valid.sum()
    metrics = learner.update(unroll)
    torch.testing.assert_close(metrics["loss/policy_gradient"], expected, rtol=1e-4, atol=1e-5)
    share = (rhos[valid] > 1.3).float().mean()
    torch.testing.assert_close(metrics["vtrace/clipped_share"], share)


def test_schedules_are_used():
    """Step size and both costs of an update are those of its env steps.

    Mutations: the step size left as it was at the start; the start's cost used throughout.
    """
    learner, envs = new_learner(
        total_steps=1000,
        learning_rate=0.3,
        learning_rate_final=0.1,
        exploration_cost=0.5,
        exploration_cost_final=0.9,
        entropy_cost=0.2,
        entropy_cost_final=0.6,
        baseline_cost=0.0,
    )
    learner.env_steps = 625
    (trajectory,) = unrolls(learner, envs, 1)
    metrics = learner.update(trajectory)
    np.testing.assert_allclose(metrics["learner/learning_rate"], 0.25)
    expected = metrics["loss/policy_gradient"] + 0.7 * metrics["loss/exploration"]
    torch.testing.assert_close(metrics["loss/total"], expected - 0.4 * metrics["learner/entropy"])


@pytest.mark.parametrize("core", CORES)
def test_context_lends_its_gradient_alone(core):
    """The loss is that of the unroll; its gradient is that of one which goes on into the context.

    Mutations: losses of the context's rows; the state before the context given to the unroll's first row; the
    bootstrap taken at row T of all rows.
    """
    learner, envs = new_learner(core)
    actor = Actor(envs, copy.deepcopy(learner.network), seed=4, context_length=3)
    buffers = actor.allocate(T)
    _, with_context = (copy.deepcopy(actor.unroll(buffers)) for _ in range(2))
    found, _ = learner.loss(with_context, 0.1, 0.2)
    gradients = torch.autograd.grad(found, list(learner.network.parameters()))

    inputs, network = with_context.inputs, learner.network
    context, own = (Inputs(*(field[rows] for field in inputs)) for rows in (slice(3), slice(3, None)))
    _, _, state, _ = network(context, with_context.core_state)
    plain = dataclasses.replace(with_context, inputs=own, core_state=state)
    expected, _ = learner.loss(plain, 0.1, 0.2)
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(expected, list(network.parameters()))
    torch.testing.assert_close(gradients, wanted, rtol=1e-4, atol=1e-6)
    if network.core.state_shapes:  # and it does reach into the context
        cut, _ = learner.loss(
            dataclasses.replace(plain, core_state=tuple(s.detach() for s in state)), 0.1, 0.2
        )
        stopped = torch.autograd.grad(cut, list(network.parameters()))
        assert any(not torch.allclose(a, b, rtol=1e-3) for a, b in zip(wanted, stopped, strict=True))


def test_counters():
    """Env steps count transitions, the version counts updates, the lag is between actor and learner.

    Mutation: env steps counted as T * B.
    """
    learner, envs = new_learner()
    first, second, third = unrolls(learner, envs, 3)
    third.version = 1
    lags = [learner.update(trajectory)["vtrace/policy_lag"] for trajectory in (first, second, third)]
    assert lags == [0, 1, 1]
    assert learner.version == 3
    assert learner.env_steps == sum(int(x.valid.sum()) for x in (first, second, third)) < 3 * T * B


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("core", CORES)
def test_equal_states_give_equal_updates(core, optimizer):
    """Two learners in one state stay bit for bit alike.

    Mutation: weights initialised from the global generator.
    """
    results = []
    for _ in range(2):
        torch.rand(1)
        learner, envs = new_learner(core, optimizer=optimizer)
        for trajectory in unrolls(learner, envs, 2):
            learner.update(trajectory)
        results.append(weights_of(learner))
    assert torch.equal(*results)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("core", CORES)
def test_state_goes_through_a_checkpoint(core, optimizer, tmp_path):
    """A learner that is given a state, by way of a file, learns on bit for bit as the one that told it.

    Mutations: the optimiser's moments not restored; restored in another order; env steps not restored.
    """
    fields = {"optimizer": optimizer, "total_steps": 40, "learning_rate": 0.01}
    learner, envs = new_learner(core, **fields)
    first, second, third, fourth = unrolls(learner, envs, 4)
    learner.update(first)
    learner.update(second)
    save_checkpoint(tmp_path, learner.state_dict(), 0)
    learner.update(third)
    learner.update(fourth)

    other, _ = new_learner(core, **fields, seed=9)
    other.update(fourth)
    other.load_state_dict(load_checkpoint(tmp_path)[0])
    other.update(third)
    other.update(fourth)
    assert torch.equal(weights_of(learner), weights_of(other))
    assert (learner.version, learner.env_steps) == (other.version, other.env_steps)
    assert len(learner.state_dict()["optimizer"]) == len(list(learner.network.parameters()))


def test_a_state_before_the_first_update(tmp_path):
    """Mutation: moments demanded that there cannot be yet."""
    learner, envs = new_learner()
    save_checkpoint(tmp_path, learner.state_dict(), 0)
    other, _ = new_learner(seed=9)
    other.load_state_dict(load_checkpoint(tmp_path)[0])
    (trajectory,) = unrolls(learner, envs, 1)
    learner.update(trajectory)
    other.update(trajectory)
    assert torch.equal(weights_of(learner), weights_of(other))


def test_two_learners_of_one_state_share_nothing():
    """Mutation: the moments taken over without a copy, so that one learner's step moves the other's."""
    learner, envs = new_learner()
    first, second = unrolls(learner, envs, 2)
    learner.update(first)
    other, _ = new_learner()
    other.load_state_dict(learner.state_dict())
    learner.update(second)
    other.update(second)
    assert torch.equal(weights_of(learner), weights_of(other))


@pytest.mark.parametrize("break_it", ["a weight", "a moment", "all moments' names", "no optimiser"])
def test_a_foreign_state_is_refused(break_it):
    """Mutation: moments of unknown names passed over in silence, so that a run goes on without them."""
    learner, envs = new_learner()
    (trajectory,) = unrolls(learner, envs, 1)
    learner.update(trajectory)
    state = learner.state_dict()
    if break_it == "a weight":
        del state["network"]["core.weight_hh"]
    elif break_it == "a moment":
        del state["optimizer"]["core.weight_hh"]
    elif break_it == "all moments' names":
        state["optimizer"] = {f"old.{name}": values for name, values in state["optimizer"].items()}
    else:
        del state["optimizer"]
    other, _ = new_learner()
    with pytest.raises((KeyError, RuntimeError)):
        other.load_state_dict(state)


def test_the_learner_improves_what_it_measures():
    """An action that pays in every state becomes the usual one, and the values come to its returns.

    Mutation: the sign of either loss.
    """
    fields = {"learning_rate": 1e-2, "learning_rate_final": 1e-2, "exploration_cost": 0.0, "discount": 0.5}
    learner, envs = new_learner(**fields)
    actor = Actor(envs, learner.network, seed=4)
    buffers, paid, losses = actor.allocate(20), [], []
    for _ in range(150):
        trajectory = actor.unroll(buffers)
        trajectory.rewards[:] = trajectory.actions == 1
        paid.append(trajectory.rewards[trajectory.valid].mean().item())
        losses.append(learner.update(trajectory)["loss/baseline"].item())
    assert np.mean(paid[:10]) < 0.5
    assert np.mean(paid[-10:]) > 0.95
    assert 0 < np.mean(losses[-10:]) < 0.2 * np.mean(losses[:10])
