"""Looks for faults, and says of each what it means and where to look.

python -m scripts.doctor core my_package.my_module:MyCore --core-opt depth=2 --hidden-size 12
python -m scripts.doctor rules
"""

import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import torch
import tyro

from agents.command_line import parse, usage_errors
from agents.metrics import say
from agents.options import parse_options
from cores import make_core
from cores.conformance import RULES, Finding, check_core

RULE_BROKEN = 1
"""Exit code."""


@dataclass(frozen=True)
class Core:
    """Checks whether a core keeps the rules that agents rely on; exit code 1 if it breaks one."""

    core: Annotated[str, tyro.conf.Positional]
    """Name of a core, or package.module:Class."""
    core_opt: tuple[str, ...] = ()
    """Options of the core, name=value."""
    hidden_size: int = 12
    """Units of the core."""
    input_size: int = 4
    """Entries of one input."""


@dataclass(frozen=True)
class Rules:
    """Lists the rules, and what it means if a core breaks one."""


def main(words: Sequence[str]) -> int:
    """Looks at what was asked for; returns the exit code."""
    commands = Annotated[Core, tyro.conf.subcommand("core")] | Annotated[Rules, tyro.conf.subcommand("rules")]
    with usage_errors("doctor"):
        asked = parse(commands, "doctor", words)
        if isinstance(asked, Core):
            options = parse_options("core-opt", asked.core_opt)
            make = partial(make_core, asked.core, asked.input_size, asked.hidden_size, **options)
            make()
    if isinstance(asked, Rules):
        for name, rule in RULES.items():
            say(f"{name:<16}{rule.check.__doc__}\n{indented(rule.meaning)}")
        return 0
    torch.set_num_threads(1)  # threads of small products wait for each other far longer than they compute
    findings = check_core(make)
    for finding in findings:
        say(line(finding))
    num_broken = sum(finding.complaint is not None for finding in findings)
    say(f"{asked.core}: {len(findings) - num_broken} of {len(findings)} rules hold")
    if num_broken > 1:
        say("mend the first broken one first: those below it may follow from it")
    return RULE_BROKEN if num_broken else 0


def line(finding: Finding) -> str:
    """What one rule found: a line, and if the rule is broken, below it, what that means."""
    if finding.complaint is None:
        return f"ok      {finding.rule}"
    return f"BROKEN  {finding.rule:<16}{finding.complaint}\n{indented(finding.meaning)}"


def indented(text: str) -> str:
    """A text in lines of 80 columns, below a rule's name."""
    return textwrap.indent(textwrap.fill(text, 70), " " * 8)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
