"""IMPALA of RLlib: V-trace over an LSTM, env runners in processes of their own."""

import ray
from ray.rllib.algorithms.impala import IMPALAConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.tune.registry import register_env

from benchmarks.rivals.contestant import Updates, parse_args
from benchmarks.rivals.view import ENCODER_SIZE, make_env


def main() -> None:
    """Trains until it is ended."""
    args = parse_args()
    updates = Updates()
    ray.init("local", num_cpus=args.num_cores + 2, include_dashboard=False, log_to_driver=False)
    register_env("memory", lambda _: make_env())
    config = (
        IMPALAConfig()
        .environment("memory")
        .env_runners(num_env_runners=args.num_cores, num_envs_per_env_runner=16, rollout_fragment_length=64)
        .learners(num_learners=0)
        .training(train_batch_size_per_learner=2048, num_epochs=1)
        .rl_module(
            model_config=DefaultModelConfig(
                fcnet_hiddens=[ENCODER_SIZE],
                fcnet_activation="relu",
                head_fcnet_hiddens=[],
                vf_share_layers=True,
                use_lstm=True,
                lstm_cell_size=args.hidden_size,
                max_seq_len=64,
            )
        )
        .reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=0)
    )
    agent = config.build_algo()
    last = 0
    while True:
        result = agent.train()
        learner = result.get("learners", {}).get("default_policy", {})
        trained = learner.get("num_module_steps_trained_lifetime", 0)  # counts the rows that only bootstrap
        if trained > last:
            updates.tell(min(trained, result["num_env_steps_sampled_lifetime"]))
            last = trained


if __name__ == "__main__":
    main()
