"""Measures speed: native environments alone, recurrent cores alone, whole training, and how far it scales.

python -m scripts.benchmark envs --envs tmaze MiniGrid-MemoryS13-v0
python -m scripts.benchmark cores --hidden-sizes 128 --learning 80x16 --acting 64
python -m scripts.benchmark train --envs tmaze passive-match --cores lstm ur-lstm
python -m scripts.benchmark saving --hidden-sizes 128 1024
python -m scripts.benchmark scale --env tmaze --learner-rate 1e6 --gigabits-a-s 25

Rates on shared machines move by a quarter from run to run: compare within one table.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from agents.command_line import parse, usage_errors
from agents.speed.cores import Cores
from agents.speed.envs import Envs
from agents.speed.saving import Saving
from agents.speed.scaling import Scale
from agents.speed.training import Train


def main(argv: Sequence[str]) -> int:
    """Measures what was asked for; returns the exit code."""
    commands: Any = (
        Annotated[Envs, tyro.conf.subcommand("envs")]
        | Annotated[Cores, tyro.conf.subcommand("cores")]
        | Annotated[Train, tyro.conf.subcommand("train")]
        | Annotated[Saving, tyro.conf.subcommand("saving")]
        | Annotated[Scale, tyro.conf.subcommand("scale")]
    )
    with usage_errors("benchmark"):
        asked: Envs | Cores | Train | Saving | Scale = parse(commands, "benchmark", argv)
        asked.check()
    asked.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
