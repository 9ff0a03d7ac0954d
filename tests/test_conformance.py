"""Tests of the conformance kit: every core keeps every rule, and every planted fault is found and named."""

from functools import partial
from pathlib import Path

import pytest
import torch
from faulty_cores import FAULTS, Sound
from torch import nn

from cores import CORES, conformance, make_core
from cores.conformance import RULES, assert_rule, check_core, examine
from cores.conformance.trial import difference

X, H = 4, 6  # inputs, units


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", CORES)
def test_every_core_keeps_every_rule(name, rule):
    """Fails if the fused unroll enters its first step without the reset."""
    assert_rule(rule, partial(make_core, name, X, H))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_planted_faults_are_found_and_named(fault):
    """Fails if a rule's check returns None, or if "finite" stands below "no-randomness"."""
    broken = [finding for finding in check_core(lambda: fault(X, H)) if finding.complaint is not None]
    assert broken, "nothing found"
    assert broken[0].rule == FAULTS[fault]
    assert "\n" not in broken[0].complaint
    assert broken[0].meaning == RULES[FAULTS[fault]].meaning


def test_the_faults_are_in_the_cores_and_not_in_what_they_inherit():
    """Fails if `Sound` multiplies its state by 3: a fault that all of them had would prove nothing."""
    assert [finding for finding in check_core(lambda: Sound(X, H)) if finding.complaint] == []


def test_every_rule_has_a_fault_that_breaks_it_first():
    """Fails if a rule is added without one: nobody would know whether it can find anything."""
    assert set(FAULTS.values()) == set(RULES)


class WithDropout(Sound):
    """Has a dropout module, which is silent in eval mode: no fault."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.dropout = nn.Dropout(0.2)

    def project(self, x):
        return self.dropout(super().project(x))


class WithCounter(Sound):
    """Has whole numbers in its state, beside a tensor of higher rank: no fault."""

    def __init__(self, input_size, hidden_size):
        shapes = ((hidden_size,), (1,), (2, hidden_size))
        super().__init__(input_size, hidden_size, state_shapes=shapes)

    def initial_state(self, batch_size):
        h, count, window = super().initial_state(batch_size)
        return h, count.long(), window

    def step(self, projected, state):
        h, count, window = state
        out, (h,) = super().step(projected, (h + 0.1 * window[:, 0],))
        return out, (h, count + 1, torch.stack([window[:, 1], h], 1))


class WithFrozenWeights(Sound):
    """Learns only a part of its weights: no fault."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.recur.weight.requires_grad_(False)


@pytest.mark.parametrize("kind", [WithDropout, WithCounter, WithFrozenWeights])
def test_what_is_allowed(kind):
    """Fails if `prepare` leaves dropout on, or a rule asks whole numbers or frozen weights for gradients."""
    assert [finding for finding in check_core(lambda: kind(X, H)) if finding.complaint] == []


def test_differences_are_measured_by_the_largest_entry():
    """Fails if each entry is measured by itself: zero is left of large sums that cancel, but for rounding."""
    wanted = torch.tensor([[1000.0, 0.0]])
    assert difference(torch.tensor([[1000.0, 0.005]]), wanted) is None
    assert difference(torch.tensor([[1000.0, 0.02]]), wanted) == "by 0.02, first at [0, 1]"
    assert difference(wanted * float("nan"), wanted) == "by nan, first at [0, 0]"
    assert difference(wanted[0], wanted) == "in shape: [2], not [1, 2]"


@pytest.mark.parametrize(("name", "options"), [("on-lstm", {"chunk": 3}), ("chrono", {"t_max": 1000})])
def test_options_and_other_sizes(name, options):
    """Fails if a rule takes T, B or H for granted: these sizes are neither."""
    make = partial(make_core, name, 1, 30, **options)
    assert [finding for finding in check_core(make) if finding.complaint] == []


def test_a_finding_says_where_an_exception_was_raised():
    """Fails if the last line of the stack is given: a line of torch's."""

    class Raises(Sound):
        def step(self, projected, state):
            return nn.functional.dropout(projected, 2.0), state

    complaint = examine("shapes", lambda: Raises(X, H)).complaint
    line = Raises.step.__code__.co_firstlineno + 1
    assert complaint.startswith(f"raised ValueError at {Path(__file__).name}:{line}: ")


def test_the_kit_leaves_the_generator_alone_and_repeats_itself():
    """Fails if fork_rng is left out: a test of one's own that calls the kit would change those after it."""
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    first = check_core(lambda: Sound(X, H))
    assert torch.equal(torch.rand(3), wanted)
    assert check_core(lambda: Sound(X, H)) == first


def test_the_documented_lines_are_the_interface():
    """Fails if assert_rule passes on a broken rule, or is renamed without the module's docstring."""
    assert '@pytest.mark.parametrize("rule", RULES)' in conformance.__doc__
    assert "assert_rule(rule, lambda: MyCore(input_size=4, hidden_size=6))" in conformance.__doc__
    broken = next(fault for fault, rule in FAULTS.items() if rule == "resets")
    with pytest.raises(AssertionError, match=r"^resets: out of environment 0 .* Look at"):
        assert_rule("resets", lambda: broken(X, H))
