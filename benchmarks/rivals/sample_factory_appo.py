"""APPO of Sample Factory: rollout workers, inference and learner in processes of their own."""

import sys
import tempfile

from sample_factory.algo.runners.runner import AlgoObserver
from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
from sample_factory.envs.env_utils import register_env
from sample_factory.train import make_runner

from benchmarks.rivals.contestant import Updates, parse_args
from benchmarks.rivals.view import ENCODER_SIZE, make_env

SETTINGS = {
    "algo": "APPO",
    "env": "memory",
    "experiment": "race",
    "restart_behavior": "overwrite",
    "device": "cpu",
    "num_envs_per_worker": 16,
    "worker_num_splits": 2,
    "rollout": 64,
    "recurrence": 64,
    "batch_size": 2048,
    "num_batches_per_epoch": 1,
    "num_epochs": 1,
    "normalize_input": False,
    "decorrelate_experience_max_seconds": 0,
    "decorrelate_envs_on_one_worker": False,
    "encoder_mlp_layers": ENCODER_SIZE,
    "nonlinearity": "relu",
    "use_rnn": True,
    "rnn_type": "lstm",
    "rnn_num_layers": 1,
    "train_for_env_steps": 10**12,
    "save_every_sec": 10**6,
    "with_wandb": False,
}
"""Of its command line; what is not here has its default."""


class Watch(AlgoObserver):
    """Tells of each training step."""

    def __init__(self):
        self.updates = Updates()

    def on_training_step(self, runner, training_iteration_since_resume):
        """Env steps that the learner has taken."""
        if runner.env_steps.get(0):
            self.updates.tell(runner.env_steps[0])


def make_memory(*_args, **_kwargs):
    """One environment; Sample Factory tells its name and settings, which don't matter here."""
    return make_env()


def main() -> None:
    """Trains until it is ended."""
    args = parse_args()
    watch = Watch()
    register_env("memory", make_memory)
    with tempfile.TemporaryDirectory() as folder:
        settings = {**SETTINGS, "rnn_size": args.hidden_size, "num_workers": args.num_cores}
        flags = [f"--{name}={value}" for name, value in {**settings, "train_dir": folder}.items()]
        parser, _ = parse_sf_args(flags)
        _, runner = make_runner(parse_full_cfg(parser, flags))
        runner.register_observer(watch)
        runner.init()
        sys.exit(runner.run())


if __name__ == "__main__":
    main()
