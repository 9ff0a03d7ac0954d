"""Looks for faults, and says of each what it means and where to look.

python -m scripts.doctor            # of the installation
python -m scripts.doctor --quick    # without the self-test
python -m scripts.doctor core my_package.my_module:MyCore --core-opt depth=2 --hidden-size 12
python -m scripts.doctor rules
"""

import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.command_line import parse, usage_errors
from agents.config import Config
from agents.console import say
from agents.installation import carry_out, checks
from agents.options import parse_options
from agents.self_test import SELF_TEST
from agents.trial import step_core, told
from cores import make_core
from cores.conformance import RULES, Finding, check_core
from cores.conformance.trial import Make
from envs.checks import nearest

FAULT_FOUND = 1
"""Exit code: a rule of cores broken, or an installation that can't be used."""
COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


@dataclass(frozen=True)
class Installation:
    """Checks the installation, and that training, resuming and evaluation work; exit code 1 if they don't.

    `core NAME` checks a core instead, and `rules` lists what is checked there; each has its --help.
    """

    quick: bool = False
    """Leave out the self-test, which trains for a minute or less."""
    log_dir: str = Config.log_dir
    """Where runs would go."""


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


def main(argv: Sequence[str]) -> int:
    """Looks at what was asked for; returns the exit code."""
    with usage_errors("doctor"):
        asked = parse_command(argv)
        if isinstance(asked, Core):
            options = parse_options("core-opt", asked.core_opt)
            make = partial(make_core, asked.core, asked.input_size, asked.hidden_size, **options)
            check_whole(make)
    if isinstance(asked, Installation):
        return check_installation(asked)
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
    return FAULT_FOUND if num_broken else 0


def check_whole(make: Make) -> None:
    """Checks that a core can be made, and has the methods without which no rule can be tried.

    Raises:
        ValueError: it can't, or one is missing.
    """
    core = None
    try:
        core = make()
        step_core(core)
    except ValueError:
        if core is None:
            raise
    except Exception as error:  # of a stranger's core; what is wrong with its steps, the rules tell
        if core is None or isinstance(error, NotImplementedError):
            raise ValueError(told(error, core)) from None


def parse_command(argv: Sequence[str]) -> Installation | Core | Rules:
    """What is to be looked at: a core where that is the first word, the installation where there is none.

    Raises:
        ValueError: bad arguments, in one line.
    """
    if not argv or argv[0].startswith("-"):
        return parse(Installation, "doctor", argv)
    if argv[0] not in ("core", "rules"):
        near = nearest(argv[0], ["core", "rules"])
        known = "'core NAME' checks a core, 'rules' lists its rules, no word at all checks the installation"
        raise ValueError(f"unknown word {argv[0]!r}{near or f'; {known}'}")
    core, rules = tyro.conf.subcommand("core"), tyro.conf.subcommand("rules")
    commands: Any = Annotated[Core, core] | Annotated[Rules, rules]
    return parse(commands, "doctor", argv)


def check_installation(asked: Installation) -> int:
    """Goes through all checks and shows what they found; returns the exit code."""
    torch.set_num_threads(1)
    console = Console(highlight=False)
    found = {}
    for name, check in (checks(Path(asked.log_dir)) | ({} if asked.quick else SELF_TEST)).items():
        with console.status(name):
            found[name] = carry_out(check)
    table = Table("", "check", "found", box=None, pad_edge=False)
    for name, finding in found.items():
        text = finding.found + (f"\n→ {finding.remedy}" if finding.remedy else "")
        table.add_row(f"[{COLOURS[finding.state]}]{finding.state}[/]", name, Text(text, overflow="fold"))
    with console.capture() as captured:
        console.print(table)
    for row in captured.get().splitlines():
        say(row.rstrip())
    states = [finding.state for finding in found.values()]
    failed, warnings = states.count("failed"), states.count("warning")
    say(f"{'can not be used as it is' if failed else 'can be used'}: {failed} failed, {warnings} warnings")
    return FAULT_FOUND if failed else 0


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
