"""Trains an agent, or goes on with a run, and evaluates it on fresh episodes at the end.

python -m scripts.train --env tmaze --core ur-lstm --total-steps 2e6 --seed 3 --log-dir runs
python -m scripts.train --resume runs/tmaze/ur-lstm/seed3-20260102-030405
"""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from agents.command_line import ACTORS_FAILED, NON_FINITE, complain, flat, parse, usage_errors
from agents.config import PRESETS, Config, check, flag
from agents.evaluation import evaluate
from agents.guard import NonFiniteUpdates
from agents.metrics import say
from agents.run_folder import read_config
from agents.runners.supervision import ActorFailure
from agents.training import NON_FINITE_UNROLL, Training

NUM_EVALUATION_EPISODES = 1000
MAY_CHANGE = {"total_steps", "device", "num_threads"}
MAY_CHANGE |= {"runner", "num_actors", "max_policy_lag", "actor_deadline_s", "max_actor_failures"}
MAY_CHANGE |= {"max_skipped_updates"}
MAY_CHANGE |= {"log_every_steps", "gates_every_steps", "checkpoint_every_s"}
"""What a resumed run may do differently; all else would make it another run."""


@dataclass(frozen=True)
class Arguments:
    """Trains an agent with a recurrent memory; evaluates it on fresh episodes at the end."""

    config: Annotated[Config, tyro.conf.arg(name="")] = Config()  # noqa: RUF009  (frozen)
    resume: Path | None = None
    """Folder of a run to go on with; its configuration holds."""


def main(words: Sequence[str]) -> int:
    """Trains; returns the exit code."""
    with usage_errors("train"):
        config, resume = read_words(words)
        training = Training(config)
        notes = []
        if resume is None:
            training.create()
        else:
            notes = training.restore(resume)
    for line in notes + training.plan():
        say(line)
    say(f"curves    tensorboard --logdir {config.log_dir}")

    try:
        finished = training.run()
    except (ActorFailure, NonFiniteUpdates) as error:
        complain(f"train: {flat(error)}")
        if isinstance(error, NonFiniteUpdates):
            say(f"the unroll is in {training.folder / NON_FINITE_UNROLL}")
        say(f"everything is saved. Go on with\n  python -m scripts.train --resume {training.folder}")
        return ACTORS_FAILED if isinstance(error, ActorFailure) else NON_FINITE
    if not finished:
        assert training.stopped_by is not None
        steps = training.learner.env_steps
        say(f"stopped by {training.stopped_by.name} at {steps:,} env steps; everything is saved. Go on with")
        say(f"  python -m scripts.train --resume {training.folder}")
        return 128 + training.stopped_by
    evaluation = evaluate(
        config,
        training.network,
        num_episodes=NUM_EVALUATION_EPISODES,
        seed=config.seed,
        env_steps=training.learner.env_steps,
    )
    evaluation.save(training.folder / "evaluation.json")
    say(evaluation.table(config, training.card))
    say(f"evaluate again: python -m scripts.evaluate {training.folder} --episodes 1000")
    return 0


def read_words(words: Sequence[str]) -> tuple[Config, Path | None]:
    """The configuration, and the folder to resume if one is named.

    Where the user says nothing, the task's preset holds, or, in a resumed run, what that run has.

    Raises:
        ValueError: bad words, in one line.
    """
    said = parse(Arguments, "train", words)
    if said.resume is None:
        env = said.config.env
        default = dataclasses.replace(Config(env=env), **PRESETS.get(env, {}))
    else:
        default = read_config(said.resume)
    config = parse(Arguments, "train", words, Arguments(default)).config
    check(config)
    for field, value in dataclasses.asdict(default).items():
        if said.resume is not None and field not in MAY_CHANGE and getattr(config, field) != value:
            raise ValueError(f"{flag(field)} can't change in a resumed run, which has {value!r}")
    return config, said.resume


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
