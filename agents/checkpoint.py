"""The checkpoints of a run: written whole or not at all, read from the newest that verifies, kept in number.

Each is a folder `step-<env steps>` (its files: `agents/checkpoint_format.py`). It is written under a
temporary name, flushed to the disk and renamed, so that a folder with the final name is whole. The latest is
the one with the greatest number; the best is found in the manifests. There is no pointer that could lie.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.checkpoint_format import (
    CheckpointError,
    Snapshot,
    State,
    flush,
    read_checkpoint,
    read_manifest,
    take_snapshot,
    write_checkpoint,
)
from agents.options import parse_count

ENOUGH_EPISODES = 100
"""A mean over fewer is too uncertain to be called the best."""

_NAME = re.compile(r"step-(\d{15,})|\.step-(\d{15,})-old")
"""A checkpoint; or the former one of a step that is being written again, which counts until it is."""


def save_checkpoint(
    folder: Path, state: State, env_steps: int, *, figures: dict[str, float] | None = None, keep: int = 3
) -> Path:
    """Takes a snapshot and writes it: `take_snapshot` and `publish` in one."""
    return publish(folder, take_snapshot(state, env_steps, figures or {}), keep=keep)


def publish(folder: Path, snapshot: Snapshot, *, keep: int) -> Path:
    """Writes a checkpoint, and then removes all but the newest and the best.

    Checkpoints of later steps are no part of a run that is at this step: it went on from an older one since
    they did not verify. They are set aside as `refused-step-*`, for whoever wants to look into them.

    Args:
        folder: the run's folder of checkpoints; made where missing.
        snapshot: what to write.
        keep: how many of the newest stay.

    Returns:
        The checkpoint's folder.

    Raises:
        OSError: the disk is full or can't be written; older checkpoints are untouched.
    """
    final = folder / f"step-{snapshot.env_steps:015d}"
    for left in folder.glob(".step-*-new"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    temporary, replaced = (folder / f".{final.name}-{end}" for end in ("new", "old"))
    if not folder.exists():
        folder.mkdir(parents=True)
        flush(folder.parent)
    temporary.mkdir()
    try:
        write_checkpoint(temporary, snapshot)
        if final.exists():
            shutil.rmtree(replaced, ignore_errors=True)
            final.rename(replaced)
        temporary.rename(final)
        flush(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    tidy(folder, snapshot.env_steps, keep)
    return final


def tidy(folder: Path, env_steps: int, keep: int) -> None:
    """Leaves the newest and the best of the checkpoints up to a step; sets those after it aside."""
    for path in folder.glob(".step-*-old"):
        shutil.rmtree(path, ignore_errors=True)
    paths = list_checkpoints(folder)
    for later in [path for path in paths if steps_of(path) > env_steps]:
        aside = later.with_name(f"refused-{later.name}")
        shutil.rmtree(aside, ignore_errors=True)
        later.rename(aside)
        paths.remove(later)
    best = [path for _, path in rank(paths)[:1]]
    for old in paths[keep:]:
        if old not in best:
            shutil.rmtree(old, ignore_errors=True)


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, newest first."""
    paths = {path.name: path for path in folder.glob("*step-*") if _NAME.fullmatch(path.name)}
    former = [name for name in paths if name.startswith(".") and name[1:-4] in paths]
    return sorted((path for name, path in paths.items() if name not in former), key=steps_of, reverse=True)


def steps_of(checkpoint: Path) -> int:
    """Env steps of a checkpoint, by its name."""
    match = _NAME.fullmatch(checkpoint.name)
    assert match is not None
    return int(match[1] or match[2])


def rank(checkpoints: list[Path]) -> list[tuple[str, Path]]:
    """The checkpoints whose last episodes are known, best first, each with what is known.

    More success is better, or, in tasks that don't tell it, more return; among equals the newer is. A mean
    over less than 100 episodes comes after all others. Only manifests are read, and damaged ones passed over.
    """
    found = []
    for path in checkpoints:
        try:
            figures = read_manifest(path).get("figures", {})
            name = "success" if "success" in figures else "return"
            score, episodes = float(figures[name]), int(figures["episodes"])
        except (CheckpointError, AttributeError, ArithmeticError, KeyError, TypeError, ValueError):
            continue
        said = f"{name} {score:.3g} over {episodes} episodes of training"
        found.append((episodes >= ENOUGH_EPISODES, score, steps_of(path), said, path))
    return [(said, path) for *_, said, path in sorted(found, reverse=True)]


def choose(folder: Path, which: str) -> list[Path]:
    """The checkpoints that a user's word means, the next to try last.

    Args:
        folder: the run's folder of checkpoints.
        which: "latest", "best", or the env steps of one.

    Raises:
        ValueError: there is none of that step, or the word is none of these.
        CheckpointError: there is none at all, or none whose episodes are known.
    """
    paths = list_checkpoints(folder)
    if not paths:
        raise CheckpointError(f"no checkpoint in {folder}")
    if which == "latest":
        return paths
    if which == "best":
        best = [path for _, path in rank(paths)]
        if not best:
            raise CheckpointError(f"no checkpoint in {folder} tells how its episodes went: there is no best")
        return best
    there = ", ".join(str(steps_of(path)) for path in paths)
    try:
        steps = parse_count(which)
    except ValueError:
        raise ValueError(f"--checkpoint must be latest, best or one of {there}, got {which!r}") from None
    if chosen := [path for path in paths if steps_of(path) == steps]:
        return chosen
    raise ValueError(f"--checkpoint {which}: no such checkpoint in {folder}; it has {there}")


def load_checkpoint(
    folder: Path, which: str = "latest", use: Callable[[State], object] = lambda state: None
) -> tuple[State, Path, list[str]]:
    """Reads the newest checkpoint that verifies, or the best that does, or the one of a step.

    Args:
        folder: the run's folder of checkpoints.
        which: as of `choose`.
        use: takes the state over; one that it finds of another shape or kind does not verify.

    Returns:
        The state, the checkpoint's folder, and one line for each that was tried before and refused.

    Raises:
        CheckpointError: there is none that verifies.
        ValueError: as `choose`.
    """
    refused: list[str] = []
    for checkpoint in choose(folder, which):
        try:
            state = read_checkpoint(checkpoint)
            _try(use, state, checkpoint)
            return state, checkpoint, refused
        except CheckpointError as error:
            refused.append(str(error))
    raise CheckpointError(f"no checkpoint in {folder} verifies: " + "; ".join(refused))


def _try(use: Callable[[State], Any], state: State, checkpoint: Path) -> None:
    """Hands a state over; whatever a state of other shapes or kinds leads to becomes one error."""
    try:
        use(state)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise CheckpointError(f"{checkpoint} does not fit this configuration ({reason})") from None
