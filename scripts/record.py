"""Makes a film of a trained agent: the world, what the agent sees, its policy, its value and its gates.

python -m scripts.record runs/tmaze/ur-lstm/seed3-20260102-030405 --episodes 3 --out tmaze.mp4
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from agents.actor import Actor
from agents.command_line import parse, usage_errors
from agents.config import Config, stream_seed
from agents.console import say
from agents.evaluation import load_run
from agents.machine import resolve_device
from agents.network import Network
from agents.recording.video import check_format, check_place, write_video
from envs import GymVectorEnv, NativeVectorEnv, make_vector_env

Envs = GymVectorEnv | NativeVectorEnv
END_FRAMES = 8
"""How long an episode's last frame stays."""


@dataclass(frozen=True)
class Arguments:
    """Plays fresh episodes with a trained agent and makes a film of them."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""
    episodes: int = 3
    """How many episodes."""
    out: Path = Path("film.mp4")
    """The film: FILE.mp4 or FILE.gif; or FILE.png, its last frame alone."""
    seed: int = 0
    """Decides environments and actions; never those of training."""
    greedy: bool = False
    """Take the likeliest action, in place of drawing one as in training."""
    fps: int = 8
    """Frames per second; a frame is an action."""
    max_actions: int = 1000
    """Longer episodes are cut off."""
    checkpoint: str = "latest"
    """latest, best (by success over the last 100 episodes of training, or by return), or its env steps."""
    device: str = "cpu"
    """auto, cpu, cuda or cuda:N."""


def main(argv: Sequence[str]) -> int:
    """Makes the film; returns the exit code."""
    with usage_errors("record"):
        arguments = parse(Arguments, "record", argv)
        check(arguments)
        device = resolve_device(arguments.device)
        config, network, env_steps, refused = load_run(arguments.run, arguments.checkpoint)
        envs = make_rendered(config, stream_seed(arguments.seed, "evaluation"))
        check_place(arguments.out)
    for line in refused:
        say(f"skipped a damaged checkpoint: {line}")
    say(f"weights after {env_steps:,} env steps of {arguments.run}")
    try:
        film = frames(arguments, config, network.to(device), envs)
        write_video(arguments.out, film, arguments.fps)
    finally:
        envs.close()
    say(f"wrote {arguments.out}, {arguments.out.stat().st_size / 1e6:.2f} MB")
    return 0


def check(arguments: Arguments) -> None:
    """Checks every number and the film's format.

    Raises:
        ValueError: one line with the flag.
    """
    for flag, low, high in (
        ("episodes", 1, 10_000),
        ("seed", 0, 2**63 - 1),
        ("fps", 1, 60),
        ("max_actions", 1, 1_000_000),
    ):
        value = getattr(arguments, flag)
        if not low <= value <= high:
            name = flag.replace("_", "-")
            raise ValueError(f"--{name} must lie in {low} … {high}, got {value}")
    check_format(arguments.out)


def make_rendered(config: Config, seed: int) -> Envs:
    """One environment of a run's task, which gives pictures.

    Raises:
        ValueError: its environment can't.
    """
    options = {**config.env_options, "render_mode": "rgb_array"}
    options.pop("processes", None)  # one environment, drawn in this process
    envs = make_vector_env(config.env, 1, seed=seed, copy=False, backend=config.env_backend, **options)
    if "rgb_array" not in envs.metadata.get("render_modes", ()):
        envs.close()
        raise ValueError(f"{config.env} gives no pictures: it has no render mode rgb_array")
    return envs


def frames(arguments: Arguments, config: Config, network: Network, envs: Envs) -> Iterator[np.ndarray]:
    """The film's frames, episode by episode; says how each episode went."""
    from agents.recording.frames import Title, episode_frames, verdict_of
    from agents.recording.playback import play_episode

    seed = stream_seed(arguments.seed, "evaluation") + 1
    for k in range(arguments.episodes):
        actor = Actor(envs, network, seed=seed + k, reward_scale=config.reward_scale, greedy=arguments.greedy)
        episode = play_episode(actor, arguments.max_actions)
        verdict, _ = verdict_of(episode)
        which = f"episode {k + 1} of {arguments.episodes}"
        say(f"{which}: {episode.num_actions} actions, return {episode.total:.3g}, {verdict}")
        title = Title(f"{config.env}, {config.core}, {which}", envs.action_names)
        for frame in episode_frames(episode, title):
            yield frame
        for _ in range(END_FRAMES - 1):
            yield frame


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
