"""A program: trains on a small disk that fills up, and then becomes read-only; prints what came of it.

PYTHONPATH=.:tests unshare -rm python tests/full_disk.py FOLDER (it mounts what nobody else sees)
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

from runs import points, scalars, small

from agents.checkpoint import list_checkpoints, load_checkpoint, steps_of
from agents.checkpoint_writer import SaveError
from agents.training import Training

NUM_UPDATES = 40


def mount(*words: str) -> None:
    """Mounts or unmounts."""
    subprocess.run(words, check=True)


def fill(folder: Path) -> Path:
    """Fills a disk to the last byte; gives the file that does."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


def train_on(training: Training) -> str:
    """Some updates, with a point and a save after each, as the loop has them; gives what was said."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        for _ in range(NUM_UPDATES):
            training.step()
            training._write_point()
            training._save(last=False)
        training.checkpoints.close()
    return said.getvalue()


def suffer(training: Training, spoil, mend) -> dict[str, object]:
    """What training does while the disk takes nothing, and after."""
    folder = training.folder / "checkpoints"
    train_on(training)
    before = steps_of(list_checkpoints(folder)[0])
    spoil()
    version = training.learner.version
    said = train_on(training)
    updates = training.learner.version - version
    path, refused = load_checkpoint(folder)[1:]  # the state would keep its files busy
    try:
        training._save()
        code = 0
    except SaveError:
        code = 1
    mend()
    later = train_on(training)
    recovered = steps_of(list_checkpoints(folder)[0]) == training.learner.env_steps
    return {
        "updates": updates,
        "warnings": said.count("warning: the checkpoint of "),
        "older": steps_of(path) == before and not refused,
        "recovered": recovered and later.count("checkpoints are written again") == 1,
        "exit": code,
    }


def main(folder: Path) -> None:
    """Both kinds of disk, one after the other."""
    mount("mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder))
    training = Training(small(folder, total_steps=10**6, checkpoint_every_s=0.0))
    run = training.create()
    found = {"full": suffer(training, lambda: fill(folder), lambda: os.unlink(folder / "filler"))}
    checkpoints = str(run / "checkpoints")

    def lock() -> None:
        training.checkpoints._warn.__init__()  # a minute later
        mount("mount", "--bind", checkpoints, checkpoints)
        mount("mount", "-o", "remount,bind,ro", checkpoints)

    found["read-only"] = suffer(training, lock, lambda: mount("umount", checkpoints))
    training.close()
    steps = [row["env_steps"] for row in points(run)]
    whole = all(
        [step for step, _ in curve] == steps for name, curve in scalars(run).items() if "loss/" in name
    )
    found["curves"] = whole and len(steps) == 6 * NUM_UPDATES
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
