"""The conformance kit: named rules that every core must keep, and what a broken one means.

Three lines in one's own tests run a core of one's own through all of them:

    @pytest.mark.parametrize("rule", RULES)
    def test_my_core(rule):
        assert_rule(rule, lambda: MyCore(input_size=4, hidden_size=6))

On the command line: `python -m scripts.doctor core my_package.my_module:MyCore`.

Source: none; the rules are the contract of `cores.core.RecurrentCore`, and the wounds that other projects'
recurrent agents were seen to have. They build on each other: what comes first is to be mended first.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from traceback import extract_tb
from typing import NamedTuple

import torch

from cores.conformance import copies, gradients, unrolls
from cores.conformance.trial import Make

__all__ = ["RULES", "Finding", "Rule", "assert_rule", "check_core", "examine"]


class Rule(NamedTuple):
    """What a core must keep.

    Attributes:
        check: looks at cores of a factory; returns a complaint of one line, or None.
        meaning: what it means if a core breaks it, and where to look.
    """

    check: Callable[[Make], str | None]
    meaning: str


class Finding(NamedTuple):
    """What one rule found.

    Attributes:
        rule: its name.
        complaint: what is wrong, in one line; None where the rule holds.
        meaning: as in `Rule`.
    """

    rule: str
    complaint: str | None
    meaning: str


RULES: dict[str, Rule] = {
    "initial-state": Rule(
        unrolls.initial_state,
        "Episodes start in a wrong state. Look at initial_state: a tuple of tensors [B, *shape], one for "
        "each of state_shapes, in the parameters' dtype, with the same row for every environment.",
    ),
    "shapes": Rule(
        unrolls.shapes,
        "What comes out does not fit what goes in next. Look at what step and forward return, and at "
        "output_size and state_shapes as given to RecurrentCore.__init__.",
    ),
    "finite": Rule(
        unrolls.finite,
        "The core blows up by itself. Look for exponentials, quotients, roots and logarithms without a "
        "bound, and for a recurrence whose factor exceeds one.",
    ),
    "seed": Rule(
        copies.seed,
        "A run cannot be repeated. Look at how parameters are drawn: by torch, not numpy or random, and none "
        "left as torch.empty made it.",
    ),
    "no-randomness": Rule(
        copies.no_randomness,
        "Acting and learning see different cores. Look for dropout or noise in step; a dropout module is "
        "allowed, as eval mode silences it, functional dropout with training=True is not.",
    ),
    "nothing-kept": Rule(
        copies.nothing_kept,
        "Memory leaks from one unroll into another, from actor into learner. Look for tensors assigned to "
        "self in step or forward, and for running statistics: what is remembered belongs in the state.",
    ),
    "arguments": Rule(
        copies.arguments,
        "The actor's stored state is overwritten before the learner starts from it. Look for operations in "
        "place (add_, +=, out=, state[0][...] = ...) in step and forward.",
    ),
    "modes": Rule(
        copies.modes,
        "The agent that is evaluated is not the one that was trained. Look for self.training, and for batch "
        "normalisation.",
    ),
    "split": Rule(
        unrolls.split,
        "An episode cut by the end of an unroll goes on wrongly. Look at the state that forward returns: it "
        "must be the one after the last step, complete.",
    ),
    "steps": Rule(
        unrolls.steps,
        "Acting, which steps, and learning, which unrolls, compute different things. Look at an overridden "
        "forward that does not follow step, or, without gradients, at its faster path.",
    ),
    "environments": Rule(
        unrolls.environments,
        "Environments see each other's memory. Look for means, sums, normalisations or softmaxes over the "
        "batch, and for views and reshapes that mix its axis with another.",
    ),
    "resets": Rule(
        unrolls.reset_starts_anew,
        "Episodes do not start anew. Look at an overridden forward: the state is to be replaced by the "
        "initial one before the step of which reset is true, in that environment only.",
    ),
    "reset-gradient": Rule(
        gradients.reset_gradient,
        "An episode learns from the one before. Look at how the reset is applied: by torch.where, or "
        "cores.core.restart.",
    ),
    "broken-state": Rule(
        unrolls.broken_state,
        "One NaN spoils every episode after it. Look at how the reset is applied: a product with a mask "
        "keeps NaN and infinity; torch.where, or cores.core.restart, does not.",
    ),
    "parameters": Rule(
        gradients.parameters,
        "Something is never learnt. Look for detach, .data, no_grad, a parameter that step does not use, or "
        "a weight that starts at zero behind another.",
    ),
    "through-time": Rule(
        gradients.through_time,
        "The core cannot learn what to remember. Look for detach, .data or no_grad on the state, and for a "
        "state that step does not read.",
    ),
    "float64": Rule(
        gradients.float64,
        "Gradients cannot be checked, and a core is not what its dtype says. Look for .float(), "
        "dtype=torch.float32, torch.zeros without dtype, and tensors that are no registered buffers.",
    ),
    "gradients": Rule(
        gradients.finite_differences,
        "The core learns from wrong gradients. Look at a backward of one's own, for detach in a part of "
        "a step, and for a count kept in a floating state: it belongs in a tensor of whole numbers.",
    ),
    "save-load": Rule(
        copies.save_load,
        "A checkpoint does not bring back the agent. Look for constants drawn at random and kept outside "
        "parameters and buffers: register_buffer.",
    ),
    "updates": Rule(
        copies.updated_weights,
        "The core acts or learns with old weights. Look for weights transposed, cast or copied once and "
        "kept.",
    ),
    "stepper": Rule(
        unrolls.stepper,
        "Acting differs from learning. Look at an overridden stepper: step must take the resets, refresh all "
        "weights, and the state it tells must be a copy.",
    ),
    "deep-copy": Rule(
        copies.deep_copy,
        "Actors share what should be their own. Look for parameters in globals or class attributes, and at "
        "__deepcopy__.",
    ),
    "gates": Rule(
        unrolls.gates,
        "The curves of the memory would be wrong. Look at gates: tensors [B, H], with the factor of what is "
        'remembered as "forget" and of what is written as "input".',
    ),
}
"""All rules by name; a broken one may break others below it."""


def examine(rule: str, make: Make) -> Finding:
    """Looks whether a core keeps a rule.

    Args:
        rule: a key of `RULES`.
        make: makes a core anew at every call, always of the same sizes and options.

    Returns:
        What was found; an exception on the way is a complaint. The same in every run, and torch's global
        generator is left as it was.
    """
    check, meaning = RULES[rule]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            complaint = check(make)
        except Exception as error:  # whatever a stranger's core raises
            complaint = _describe(error)
    return Finding(rule, complaint, meaning)


def check_core(make: Make, rules: Iterable[str] = tuple(RULES)) -> list[Finding]:
    """Looks which rules a core keeps.

    Args:
        make: makes a core anew at every call, always of the same sizes and options.
        rules: keys of `RULES`; all, if not given.

    Returns:
        A finding for each rule, in their order.
    """
    return [examine(rule, make) for rule in rules]


def assert_rule(rule: str, make: Make) -> None:
    """Holds a core to a rule, in a test.

    Args:
        rule: a key of `RULES`.
        make: makes a core anew at every call, always of the same sizes and options.

    Raises:
        AssertionError: the core breaks the rule; in one line, what is wrong, what it means, where to look.
    """
    found = examine(rule, make)
    if found.complaint is not None:
        raise AssertionError(f"{rule}: {found.complaint}. {found.meaning}")


def _describe(error: Exception) -> str:
    """Says in one line what was raised, and on which line of the core."""
    outside = (str(Path(__file__).parent), str(Path(torch.__file__).parent))
    frames = [frame for frame in extract_tb(error.__traceback__) if not frame.filename.startswith(outside)]
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"raised {type(error).__name__}{where}: {' '.join(str(error).split())}"
