"""Trains an agent, or goes on with a run, and evaluates it on fresh episodes at the end.

python -m scripts.train --env tmaze --core ur-lstm --total-steps 2e6 --seed 3 --log-dir runs
python -m scripts.train --config mine.toml --seed 4 --dry-run
python -m scripts.train --resume runs/tmaze/ur-lstm/seed3-20260102-030405
torchrun --nproc-per-node 2 -m scripts.train --env tmaze
"""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from agents.about import add_start
from agents.checkpoint import load_checkpoint
from agents.checkpoint_writer import SaveError
from agents.command_line import (
    ACTORS_FAILED,
    FAILED,
    NON_FINITE,
    complain,
    flags_said,
    flat,
    parse,
    usage_errors,
)
from agents.config import MAY_CHANGE, Config, flag
from agents.config_checks import check
from agents.console import say
from agents.distributed import Group, RankLost, group_of_torchrun
from agents.evaluation import evaluate
from agents.guard import NON_FINITE_UNROLL, NonFiniteUpdates
from agents.origins import FLAG, Settings, blame, described, missing_note, settle
from agents.run_checks import check_run
from agents.run_folder import EVALUATION, RECORD, place_of, read_config_and_lacks, read_origins, record
from agents.runners.failures import ActorFailure
from agents.training import Training

NUM_EVALUATION_EPISODES = 1000


@dataclass(frozen=True)
class Arguments:
    """Trains an agent with a recurrent memory; evaluates it on fresh episodes at the end."""

    fields: Annotated[Config, tyro.conf.arg(name="")] = Config()  # noqa: RUF009  (frozen)
    config: Path | None = None
    """FILE.toml or FILE.json with any of the fields below by name; a run's config.json repeats it. Flags win
    over it, and it over the task's preset."""
    resume: Path | None = None
    """Folder of a run to go on with; its configuration holds."""
    folder: Path | None = None
    """The run's folder, in place of LOG_DIR/env/core/seedN-time; one that holds a checkpoint is refused."""
    dry_run: bool = False
    """Check everything, say what would be done, and stop."""


def main(argv: Sequence[str]) -> int:
    """Trains, with the other ranks where torchrun started several; returns the exit code."""
    group = group_of_torchrun()
    try:
        with group.joined():
            trained, code = train(argv, group)
    except RankLost as error:
        complain(f"train: rank {group.rank}: {flat(error)}")
        return FAILED
    if trained is not None and group.leads:
        conclude(trained)
    return code


def train(argv: Sequence[str], group: Group) -> tuple[Training | None, int]:
    """Trains one rank; returns the exit code, and with it what was trained to its end."""
    with usage_errors("train", group):
        arguments = parse(Arguments, "train", argv)
        settings = read_settings(arguments, argv)
        config, resume = settings.config, arguments.resume
        with blame(settings.origins):
            check(config)
            machine, warnings = check_run(config)
            training = Training(config, group)
    with usage_errors("train", group):
        notes = list(settings.notes)
        group.check_same("their configuration", repr(config))
        if arguments.dry_run:
            notes += foreseen(training, resume, arguments.folder)
        elif resume is None:
            training.create(arguments.folder)
        else:
            notes += training.restore(resume)
        if group.leads and not arguments.dry_run:
            record(training.folder, config, settings.origins)
            add_start(training)
    with usage_errors("train", group):
        group.check_same("the checkpoint they found", str(training.learner.env_steps))
    for line in [*notes, *training.plan(), f"machine   {machine}"]:
        say(line)
    for line in described(config, settings.origins):
        say(f"settings  {line}")
    for line in warnings:
        say(f"warning: {line}")
    if arguments.dry_run:
        training.runner.close()
        say("a dry run: nothing was begun, and nothing written")
        return None, 0
    say(f"curves    tensorboard --logdir {config.log_dir}")

    try:
        finished = training.run()
    except (ActorFailure, NonFiniteUpdates) as error:
        complain(f"train: {flat(error)}")
        if isinstance(error, NonFiniteUpdates):
            say(f"the unroll is in {training.folder / NON_FINITE_UNROLL}")
        say(f"everything is saved. Go on with\n  python -m scripts.train --resume {training.folder}")
        return None, ACTORS_FAILED if isinstance(error, ActorFailure) else NON_FINITE
    except SaveError as error:
        complain(f"train: {flat(error)}")
        return None, FAILED
    if not finished:
        assert training.stopped_by is not None
        steps = training.learner.env_steps
        say(f"stopped by {training.stopped_by.name} at {steps:,} env steps; everything is saved. Go on with")
        say(f"  python -m scripts.train --resume {training.folder}")
        return None, 128 + training.stopped_by
    return training, 0


def conclude(training: Training) -> None:
    """Evaluates what was trained, and says how good it is."""
    config = training.config
    evaluation = evaluate(
        config,
        training.network,
        num_episodes=NUM_EVALUATION_EPISODES,
        seed=config.seed,
        env_steps=training.learner.env_steps,
    )
    evaluation.save(training.folder / EVALUATION)
    say(evaluation.table(config, training.card))
    say(f"evaluate again: python -m scripts.evaluate {training.folder} --episodes 1000")


def foreseen(training: Training, resume: Path | None, folder: Path | None) -> list[str]:
    """Says where a run would go, or from where it would go on, and writes nothing.

    Raises:
        CheckpointError: no checkpoint verifies.
    """
    config = training.config
    training.folder = resume or folder or place_of(config) / f"seed{config.seed}-…"
    if resume is None:
        return []
    _, checkpoint, refused = load_checkpoint(resume / "checkpoints")
    return [*(f"a damaged checkpoint: {line}" for line in refused), f"would resume from {checkpoint}"]


def read_settings(arguments: Arguments, argv: Sequence[str]) -> Settings:
    """Puts the configuration together: defaults < preset < file < flags, or, in a resumed run, what it has.

    Raises:
        ValueError: a file that can't be used, or another value for what a resumed run can't change.
    """
    flags = flags_said(argv)
    names = [field.name for field in dataclasses.fields(Config) if flag(field.name) in flags]
    said = {name: getattr(arguments.fields, name) for name in names}
    if arguments.resume is None:
        return settle(said, arguments.config)
    if arguments.config is not None:
        raise ValueError("--config does not go with --resume: the run's own configuration holds")
    if arguments.folder is not None:
        raise ValueError("--folder does not go with --resume: the run has a folder")
    before, lacks = read_config_and_lacks(arguments.resume)
    origins = read_origins(arguments.resume) | dict.fromkeys(said, FLAG)
    for name, value in said.items():
        if name not in MAY_CHANGE and value != getattr(before, name):
            had = getattr(before, name)
            raise ValueError(f"{flag(name)} can't change in a resumed run, which has {had!r}")
    notes = missing_note(arguments.resume / RECORD, [name for name in lacks if name not in said])
    return Settings(dataclasses.replace(before, **said), origins, notes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
