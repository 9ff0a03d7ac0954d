"""Trains an agent, or goes on with a run, and evaluates it on fresh episodes at the end.

python -m scripts.train --env tmaze --core ur-lstm --total-steps 2e6 --seed 3 --log-dir runs
python -m scripts.train --config mine.toml --seed 4 --dry-run
python -m scripts.train --resume runs/tmaze/ur-lstm/seed3-20260102-030405
torchrun --nproc-per-node 2 -m scripts.train --env tmaze
"""

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from agents.about import add_start
from agents.checkpoint import list_checkpoints, load_checkpoint, steps_of
from agents.checkpoint_format import CheckpointError
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
from agents.compilation import saying_of_compilation
from agents.config import MAY_CHANGE, Config, flag
from agents.config_checks import check
from agents.console import say
from agents.distributed import Group, RankLost, group_of_torchrun
from agents.evaluation import evaluate
from agents.guard import NON_FINITE_UNROLL, NonFiniteUpdates
from agents.origins import FLAG, Settings, blame, described, missing_note, settle
from agents.run_checks import check_run
from agents.run_folder import (
    EVALUATION,
    RECORD,
    check_new_folder,
    place_of,
    read_config_and_lacks,
    read_origins,
    record,
)
from agents.runners.failures import ActorFailure
from agents.signals import last_words
from agents.training import Training

NUM_EVALUATION_EPISODES = 1000


@dataclass(frozen=True)
class Arguments:
    """Trains an agent with a recurrent memory; evaluates it on fresh episodes at the end.

    A task may have a preset, which replaces some of the defaults below: of --total-steps, for one. --dry-run
    shows the values that hold, and who gave them.
    """

    fields: Annotated[Config, tyro.conf.arg(name="")] = Config()  # noqa: RUF009  (frozen)
    config: Path | None = None
    """FILE.toml or FILE.json with any of the fields below by name; a run's config.json repeats it. Flags win
    over it, and it over the task's preset."""
    resume: Path | None = None
    """Folder of a run to go on with; its configuration holds."""
    folder: Path | None = None
    """The run's folder, in place of LOG_DIR/env/core/seedN-time: a new or empty one, or that of a run without
    a checkpoint."""
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
            if arguments.folder is not None and group.leads:
                check_new_folder(arguments.folder)
            makes_folder = resume is None and arguments.folder is None
            machine, warnings = check_run(config, makes_folder=makes_folder)
            training = Training(config, group)
    with usage_errors("train", group):
        notes = list(settings.notes)
        group.check_same("their configuration", repr(config))
        with suggest_anew(resume):
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
    say(f"curves    tensorboard --logdir {config.log_dir if makes_folder else training.folder}")
    return work(training)


def work(training: Training) -> tuple[Training | None, int]:
    """Does the training; returns what `train` does."""
    begun_at = training.learner.version

    def farewell() -> str:
        fresh = training.group.leads and training.learner.version == begun_at
        return "stopped before the first update: nothing to save" if fresh else ""

    try:
        with last_words(farewell), saying_of_compilation():
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
    seed = f" --seed {config.seed}" if config.seed else ""
    say(f"evaluate again: python -m scripts.evaluate {training.folder} --episodes 1000{seed}")


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


@contextmanager
def suggest_anew(resume: Path | None) -> Iterator[None]:
    """Adds to the error of a run without a checkpoint how it is started anew.

    Raises:
        CheckpointError: in place of one that says less.
    """
    try:
        yield
    except CheckpointError as error:
        if resume is None or list_checkpoints(resume / "checkpoints"):
            raise
        anew = f"--config {resume / RECORD} --folder {resume}"
        raise CheckpointError(f"{error}; start the run anew by {anew}") from None


def check_end(resume: Path, total_steps: int) -> None:
    """Checks that a resumed run is not to end before where it is.

    Raises:
        CheckpointError: no checkpoint verifies.
        ValueError: it is.
    """
    newest = list_checkpoints(resume / "checkpoints")[:1]
    if not newest or steps_of(newest[0]) <= total_steps:
        return
    steps = steps_of(load_checkpoint(resume / "checkpoints")[1])  # the newest may be damaged
    if steps > total_steps:
        raise ValueError(f"--total-steps {total_steps}: {resume} has done {steps:,} env steps already")


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
    if said.get("total_steps", before.total_steps) != before.total_steps:
        check_end(arguments.resume, said["total_steps"])
    notes = missing_note(arguments.resume / RECORD, [name for name in lacks if name not in said])
    return Settings(dataclasses.replace(before, **said), origins, notes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
