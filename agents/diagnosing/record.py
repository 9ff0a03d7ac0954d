"""What a diagnosis found, as a file: RUN/diagnosis/diagnosis.json.

    format          1
    env, core       as the run's configuration has them
    env_steps       age of the weights
    episodes        fresh episodes that were played
    seed            of these episodes
    measure         "success", or "return" where the task tells no success or all episodes fail
    summary         what it says in a line
    left_out        {part: reason} of each part below that is null
    cue             how often a linear probe reads the cue, on episodes that it was not fitted to
      num_cues, chance
      lag           [L] steps since the cue was last in view
      state         [L] share that is right: from the core state; state_low, state_high: 95 % interval
      observation   [L] the same from the encoded observation of that step alone, the control
      episodes      [L] on how many episodes this stands
      holds         the longest lag up to which it reads more than half of what chance leaves; null if none
    clearing        how episodes go whose core state is cleared once
      never         {mean, low, high} where it is not; intervals are 95 %
      step          [S] before which action it was cleared, counted from 0
      mean, low, high   [S]
      cleared       [S] how many episodes lasted so long; the others went on untouched
    gradient        of the log-probability of a choice with respect to each input of the core
      choice        "question": the first decision in which the cue is of use; "last": an episode's last
      lag           [L] steps before the choice
      norm          [L] Euclidean norm, mean over episodes
      episodes      [L]
      cue_lag       from the last sight of the cue to the choice, median; null without a cue
      cue_share     the norm at that sight over that at the choice; null without a cue
    gates           over the units of the core, along one episode of median length
      step          [T]
      forget, input, time_scale   {low, median, high}: [T] each, quantiles 0.1, 0.5 and 0.9, and of the
                    gates the mean; a unit's time scale is 1 / (1 - forget), in steps

All numbers are finite. A part that does not apply is null.
"""

from pathlib import Path
from typing import Any

from agents.files import parse_json, read_bounded, write_json

FORMAT = 1
FOLDER, NAME = "diagnosis", "diagnosis.json"
PARTS = ("cue", "clearing", "gradient", "gates")
MAX_BYTES = 2**25


def write(run: Path, diagnosis: dict[str, Any]) -> Path:
    """Writes a diagnosis into a run's folder; a reader finds a whole file at any time.

    Returns:
        The folder that holds it.

    Raises:
        OSError: it can't be written.
        ValueError: a number is not finite.
    """
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    write_json(folder / NAME, diagnosis)
    return folder


def read(run: Path) -> dict[str, Any] | None:
    """A run's diagnosis; None where nobody made one.

    Raises:
        ValueError: one line; the file is damaged, or of a newer Longhold.
    """
    path = run / FOLDER / NAME
    if not path.exists():
        return None
    try:
        found = parse_json(read_bounded(path, MAX_BYTES))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"{path}: no diagnosis of format {FORMAT}")
    return found
