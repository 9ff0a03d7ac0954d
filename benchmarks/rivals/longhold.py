"""Longhold itself, told to train as the others do: an LSTM of the same width, all cores."""

from typing import Any

from agents.config import Config
from agents.training import Training
from benchmarks.rivals.contestant import Updates, parse_args

SETTINGS: dict[str, dict[str, Any]] = {
    "": {"num_envs": 128},
    "minigrid": {"num_envs": 32, "env_backend": "gymnasium", "runner": "process"},
}
"""By variant. "minigrid": the Python environments that the rivals step, in an actor's process."""


def main() -> None:
    """Trains until it is ended."""
    args = parse_args()
    updates = Updates()
    config = Config(
        env="MiniGrid-MemoryS13-v0",
        core="lstm",
        hidden_size=args.hidden_size,
        num_threads=args.num_cores if args.variant == "" else 1,
        total_steps=10**12,
        **SETTINGS[args.variant],
    )
    training = Training(config)
    try:
        while True:
            training.step()
            updates.tell(training.learner.env_steps)
    finally:
        training.runner.close()


if __name__ == "__main__":
    main()
