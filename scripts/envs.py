"""Lists the native tasks with what is known of each, or shows one: its card, and a picture of it.

python -m scripts.envs
python -m scripts.envs --out tasks.png
python -m scripts.envs --show passive-match --env-opt delay=30 --steps 40 --out passive-match.png
"""

import inspect
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gymnasium import spaces

from agents.command_line import parse, usage_errors
from agents.console import say
from agents.options import parse_options
from agents.recording.video import check_place, require_pillow
from envs import ENVS, GymVectorEnv, NativeVectorEnv, TaskCard, make_vector_env, task_card

HEADER = ("id", "kind", "span", "chance", "memoryless", "oracle", "length", "summary")
GYMNASIUM_ID = re.compile(r"-v\d+$")
"""How Gymnasium's ids end, and ours never do."""
MAX_STEPS = 1_000_000


@dataclass(frozen=True)
class Arguments:
    """Lists the native tasks, or shows one of them or of Gymnasium's."""

    show: str = ""
    """Task to show: its card, its options and a picture."""
    env_opt: tuple[str, ...] = ()
    """Options of that task as name=value, e.g. length=100."""
    steps: int = 0
    """Random actions before a picture."""
    seed: int = 0
    """Decides the episode and the actions."""
    out: Path | None = None
    """The picture, FILE.png: of that task, or of all of Longhold's own; none if not given."""


def main(argv: Sequence[str]) -> int:
    """Lists or shows; returns the exit code."""
    with usage_errors("envs"):
        arguments = parse(Arguments, "envs", argv)
        check(arguments)
        if not arguments.show:
            lines = table()
        else:
            options = parse_options("env-opt", arguments.env_opt)
            card = task_card(arguments.show, **options)
            if arguments.out:
                options["render_mode"] = "rgb_array"
            envs = make_vector_env(arguments.show, 1, seed=arguments.seed, **options)
            if arguments.out and envs.render_mode not in envs.metadata.get("render_modes", ()):
                raise ValueError(f"{arguments.show} gives no pictures: it has no render mode rgb_array")
            lines = description(arguments.show, card, envs)
    for line in lines:
        say(line)
    if arguments.out:
        caption = ""
        if arguments.show:
            picture, caption = picture_of(envs, arguments.steps, arguments.seed)
        else:
            picture = picture_of_all(arguments.steps, arguments.seed)
        save(picture, arguments.out)
        say(f"picture      {arguments.out}, after {arguments.steps} random actions{caption}")
    return 0


def check(arguments: Arguments) -> None:
    """Checks the flags by themselves.

    Raises:
        ValueError: one line with the flag.
    """
    if not 0 <= arguments.steps <= MAX_STEPS:
        raise ValueError(f"--steps must lie in 0 … {MAX_STEPS}, got {arguments.steps}")
    if arguments.seed < 0:
        raise ValueError(f"--seed must be at least 0, got {arguments.seed}")
    if arguments.env_opt and not arguments.show:
        raise ValueError("--env-opt goes with --show NAME")
    if arguments.steps and not arguments.out:
        raise ValueError("--steps goes with --out FILE.png")
    if arguments.out:
        if arguments.out.suffix.lower() != ".png":
            raise ValueError(f"--out must end in .png, got {arguments.out.name!r}")
        require_pillow()
        check_place(arguments.out)


def table() -> list[str]:
    """The native tasks with their cards' numbers, a line each, and who serves all other ids."""
    rows: list[tuple[str, ...]] = [HEADER]
    for env_id, task in ENVS.items():
        card = task.card()
        if card is None:
            rows.append((env_id, *["-"] * (len(HEADER) - 2), summary_of(task, card)))
            continue
        length = "varies" if card.episode_length is None else str(card.episode_length)
        numbers = (f"{value:.3g}" for value in (card.chance, card.memoryless, card.oracle))
        rows.append((env_id, card.kind, str(card.span), *numbers, length, summary_of(task, card)))
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEADER) - 1)]
    right = {2, 3, 4, 5, 6}
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if k in right else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        lines.append("  ".join([*cells, row[-1]]))
    lines.append("")
    lines.append("span and length in actions, with the task's default options; all these tasks are native.")
    lines.append("MiniGrid's ids are Longhold's own compiled versions, equal step by step and seed by seed;")
    lines.append("--env-backend gymnasium takes the original.")
    lines.append("Any other id of Gymnasium or MiniGrid with discrete actions is served by Gymnasium itself.")
    lines.append("More on one of them: python -m scripts.envs --show ID")
    return lines


def summary_of(task: type[NativeVectorEnv], card: TaskCard | None) -> str:
    """A task in one line: its card's, or the first of its docstring."""
    if card is not None:
        return card.summary
    return (inspect.getdoc(task) or "").partition("\n")[0].rstrip(".").replace("``", "")


def replaces(env_id: str) -> bool:
    """Tells whether a native task carries the id of one of Gymnasium's, which it replaces."""
    return env_id in ENVS and GYMNASIUM_ID.search(env_id) is not None


def description(env_id: str, card: TaskCard | None, envs: GymVectorEnv | NativeVectorEnv) -> list[str]:
    """All that is known of a task, a line each."""
    native = isinstance(envs, NativeVectorEnv)
    served = "native" if native else "Gymnasium"
    if replaces(env_id):
        served = "native, in place of Gymnasium's of that id"
    lines = [("id", env_id), ("served by", served)]
    if card is not None:
        length = "varies" if card.episode_length is None else f"{card.episode_length} actions"
        success = f"chance {card.chance:.3g}, memoryless {card.memoryless:.3g}, oracle {card.oracle:.3g}"
        lines += [
            ("summary", card.summary),
            ("kind", card.kind),
            ("span", f"{card.span} actions"),
            ("success", success),
            ("length", length),
            ("ends", card.ends),
            ("solved", card.known_budget),
        ]
    elif isinstance(envs, NativeVectorEnv):
        lines.append(("summary", summary_of(type(envs), card)))
    if isinstance(envs, NativeVectorEnv):
        lines.append(("options", options_of(type(envs))))
    names = ", ".join(f"{i} {name}" if name != str(i) else name for i, name in enumerate(envs.action_names))
    lines += [("actions", names), ("observation", space_text(envs.single_observation_space))]
    return [f"{name:<13}{text}" for name, text in lines]


def options_of(task: type[NativeVectorEnv]) -> str:
    """A task's own options with their defaults."""
    return ", ".join(f"{name}={default}" for name, default in task.option_defaults().items()) or "none"


def space_text(space: spaces.Space) -> str:
    """A space in a few words: its kind, its shape and what its numbers may be."""
    shape = "x".join(map(str, space.shape or ())) or "one number"
    counts = getattr(space, "nvec", None)
    if counts is None:
        return f"{type(space).__name__} {shape} {space.dtype}"
    each = "x".join(map(str, np.unique(counts)))
    kinds = f"codes below {each}" if len(np.unique(counts)) == 1 else "codes of several kinds"
    return f"{type(space).__name__} {shape}, {kinds}"


def picture_of(envs: GymVectorEnv | NativeVectorEnv, steps: int, seed: int) -> tuple[np.ndarray, str]:
    """A frame after random actions, and its caption."""
    walk(envs, steps, seed)
    frames = envs.render()
    assert frames is not None
    caption = envs.scene(0).caption if isinstance(envs, NativeVectorEnv) else ""
    envs.close()
    return np.asarray(frames[0]), f": {caption}" if caption else ""


def picture_of_all(steps: int, seed: int) -> np.ndarray:
    """Longhold's own tasks after random actions, beside what their agents see."""
    from agents.recording.gallery import Exhibit, gallery

    exhibits = []
    for env_id in ENVS:
        if replaces(env_id):
            continue
        envs = make_vector_env(env_id, 1, seed=seed)
        assert isinstance(envs, NativeVectorEnv)
        walk(envs, steps, seed)
        exhibits.append(Exhibit(env_id, envs.scene(0), envs.view(0)))
    return gallery(exhibits)


def walk(envs: GymVectorEnv | NativeVectorEnv, steps: int, seed: int) -> None:
    """Takes random actions from a first reset."""
    generator = np.random.default_rng(seed)
    envs.reset()
    for _ in range(steps):
        envs.step(generator.integers(len(envs.action_names), size=1))


def save(picture: np.ndarray, path: Path) -> None:
    """Writes a PNG."""
    from PIL import Image

    Image.fromarray(picture).save(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
