"""The optimiser against its equations, its state, and what it must not import."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from agents.optimizer import Optimizer

METHODS = ("adam", "rmsprop")
LEARNING_RATES = (0.1, 0.05, 0.2, 0.1)


def named_parameters(seed=0):
    """Two parameters."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a": (3, 5), "b": (4,)}
    return {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}


def gradients_of(num_steps, seed=1):
    """What `named_parameters` are given, step by step."""
    generator = torch.Generator().manual_seed(seed)
    return [{"a": torch.randn(3, 5, generator=generator), "b": torch.randn(4, generator=generator)}
            for _ in range(num_steps)]  # fmt: skip


def take(optimizer, parameters, gradients, learning_rate):
    """One step."""
    optimizer.zero_grad()
    for name, gradient in gradients.items():
        parameters[name].grad = gradient.clone()
    optimizer.step(learning_rate)


def literal(method, start, gradients, epsilon):
    """Adam by Algorithm 1 of its paper, RMSProp by the lecture; float64."""
    x, first, second = start.double().numpy().copy(), 0.0, 0.0
    for t, (gradient, rate) in enumerate(zip(gradients, LEARNING_RATES, strict=True), 1):
        g = gradient.double().numpy()
        if method == "adam":
            first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
            x -= rate * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + epsilon)
        else:
            second = 0.99 * second + 0.01 * g**2
            x -= rate * g / (np.sqrt(second) + epsilon)
    return x


@pytest.mark.parametrize("method", METHODS)
def test_steps_are_those_of_the_equations(method):
    """Four steps of changing size.

    Mutations: the learning rate of the first step kept; epsilon not handed on; beta2 0.99; alpha 0.9.
    """
    parameters = named_parameters()
    start = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    optimizer, all_gradients = Optimizer(parameters.items(), method, 0.01), gradients_of(4)
    for gradients, rate in zip(all_gradients, LEARNING_RATES, strict=True):
        take(optimizer, parameters, gradients, rate)
    for name, parameter in parameters.items():
        expected = literal(method, start[name], [each[name] for each in all_gradients], 0.01)
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_adams_beta2_is_the_one_given():
    """The second of two steps, by the equations. Mutation: the usual one in its place."""
    parameters = named_parameters()
    start = parameters["b"].detach().clone()
    optimizer, gradients = Optimizer(parameters.items(), "adam", 0.01, beta2=0.9), gradients_of(2)
    for each in gradients:
        take(optimizer, parameters, each, 0.1)
    first, second = (each["b"] for each in gradients)
    mean = (0.09 * first + 0.1 * second) / (1 - 0.9**2)
    mean_square = (0.09 * first**2 + 0.1 * second**2) / (1 - 0.9**2)
    moved = 0.1 * first.sign() * first.abs() / (first.abs() + 0.01) + 0.1 * mean / (mean_square.sqrt() + 0.01)
    torch.testing.assert_close(start - parameters["b"].detach(), moved)


def norm_of(gradients):
    """The norm of all of them together."""
    return torch.cat([gradient.flatten() for gradient in gradients.values()]).norm()


def clipped(optimizer, parameters, gradients, *limits):
    """What is left of gradients, and the norm that was told."""
    for name, gradient in gradients.items():
        parameters[name].grad = gradient.clone()
    norm = optimizer.clip(*limits)
    return {name: parameter.grad.clone() for name, parameter in parameters.items()}, norm


@pytest.mark.parametrize("method", METHODS)
def test_a_gradient_may_grow_only_so_much(method):
    """Against the mean square of what was, written out; the first gradient has none, and passes.

    Mutations: the last norm in place of the mean; the mean not corrected for its beginning; the first
    gradient taken away; the direction changed; the norm told after the clip.
    """
    parameters = named_parameters()
    optimizer, (first, second, third) = Optimizer(parameters.items(), method, 1e-8), gradients_of(3)
    left, _ = clipped(optimizer, parameters, first, 1e12, 2.0)
    assert all(torch.equal(left[name], first[name]) for name in first)
    for gradients in (first, second):
        take(optimizer, parameters, gradients, 0.1)
    decay = {"adam": 0.999, "rmsprop": 0.99}[method]
    weights = (decay * (1 - decay), 1 - decay)
    squares = sum(w * norm_of(g) ** 2 for w, g in zip(weights, (first, second), strict=True))
    usual = (squares / (1 - decay**2)).sqrt()
    large = {name: 100 * gradient for name, gradient in third.items()}
    left, norm = clipped(optimizer, parameters, large, 1e12, 2.0)
    torch.testing.assert_close(norm, norm_of(large))
    torch.testing.assert_close(norm_of(left), 2.0 * usual, rtol=1e-4, atol=0)
    torch.testing.assert_close(left["a"] / norm_of(left), large["a"] / norm)
    small = {name: 0.01 * gradient for name, gradient in third.items()}
    left, _ = clipped(optimizer, parameters, small, 1e12, 2.0)
    torch.testing.assert_close(left, small)


def test_the_smaller_limit_holds():
    """Mutations: the growth allowed beyond the largest norm; a limit of growth where none is asked for."""
    parameters = named_parameters()
    optimizer, (first, second) = Optimizer(parameters.items(), "adam", 1e-8), gradients_of(2)
    take(optimizer, parameters, first, 0.1)
    large = {name: 100 * gradient for name, gradient in second.items()}
    assert norm_of(clipped(optimizer, parameters, large, 0.5, 1e6)[0]) == pytest.approx(0.5, rel=1e-4)
    assert norm_of(clipped(optimizer, parameters, large, 1e12, 0.0)[0]) == pytest.approx(
        float(norm_of(large))
    )


def test_gradients_of_zero_pass():
    """And what comes after them. Mutations: NaN in their place; all that follows taken for a leap."""
    parameters = named_parameters()
    optimizer, (gradients,) = Optimizer(parameters.items(), "adam", 1e-8), gradients_of(1)
    nothing = {name: torch.zeros_like(gradient) for name, gradient in gradients.items()}
    take(optimizer, parameters, nothing, 0.1)
    assert norm_of(clipped(optimizer, parameters, nothing, 1.0, 2.0)[0]) == 0
    assert norm_of(clipped(optimizer, parameters, gradients, 1e12, 2.0)[0]) > 0


@pytest.mark.parametrize("method", METHODS)
def test_a_parameter_without_a_gradient_stays(method):
    """Mutation: the steps of all parameters counted, so that its first real step is not corrected as such."""
    parameters = named_parameters()
    before = parameters["a"].detach().clone()
    optimizer, (first, second) = Optimizer(parameters.items(), method, 1e-8), gradients_of(2)
    take(optimizer, parameters, {"b": first["b"]}, 0.1)
    assert torch.equal(parameters["a"], before)
    assert optimizer.state_dict()["a"]["step"] == 0
    take(optimizer, parameters, second, 0.1)
    assert [int(moments["step"]) for moments in optimizer.state_dict().values()] == [1, 2]
    assert not torch.equal(parameters["a"], before)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("break_it", ["too few", "too many", "another method", "another shape"])
def test_a_foreign_state_changes_nothing(method, break_it):
    """Mutation: parameters before the wrong one already taken over."""
    parameters = named_parameters()
    optimizer = Optimizer(parameters.items(), method, 1e-8)
    other = Optimizer(named_parameters().items(), METHODS[1 - METHODS.index(method)], 1e-8)
    take(optimizer, parameters, gradients_of(1)[0], 0.1)
    before = {name: {k: v.clone() for k, v in m.items()} for name, m in optimizer.state_dict().items()}
    state = {name: {k: v + 1 for k, v in m.items()} for name, m in before.items()}
    if break_it == "too few":
        del state["b"]
    elif break_it == "too many":
        state["c"] = state["a"]
    elif break_it == "another method":
        state["b"] = other.state_dict()["b"]
    else:
        state["b"] = {key: torch.zeros(2) for key in state["b"]}
    with pytest.raises((KeyError, RuntimeError)):
        optimizer.load_state_dict(state)
    for name, moments in optimizer.state_dict().items():
        assert all(torch.equal(moments[key], before[name][key]) for key in moments)


def test_a_run_does_not_import_the_compiler():
    """It takes a second and 140 MB.

    Mutation: an optimiser object of torch's in place of this one.
    """
    words = """
import sys
from agents.config import Config
from agents.training import Training
training = Training(Config(num_envs=3, unroll_length=5, hidden_size=6))
training.step()
training.runner.close()
print(sorted(sys.modules.keys() & {"torch._dynamo", "torch._inductor", "sympy"}))
"""
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
