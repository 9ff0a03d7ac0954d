"""RecurrentPPO of sb3-contrib: PPO whose policy and value share one LSTM."""

import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from benchmarks.rivals.contestant import Updates, parse_args
from benchmarks.rivals.view import ENCODER_SIZE, make_env

NUM_ENVS = 16
NUM_STEPS = 128


class Encoder(BaseFeaturesExtractor):
    """A linear layer and a ReLU."""

    def __init__(self, observation_space):
        super().__init__(observation_space, ENCODER_SIZE)
        self.layers = nn.Sequential(nn.Linear(observation_space.shape[0], ENCODER_SIZE), nn.ReLU())

    def forward(self, observations):
        """Encoded observations."""
        return self.layers(observations)


class Watch(BaseCallback):
    """Tells of each update when the next rollout begins."""

    def __init__(self):
        super().__init__()
        self.updates = Updates()

    def _on_rollout_start(self):
        if self.num_timesteps:
            self.updates.tell(self.num_timesteps)

    def _on_step(self):
        return True


def main() -> None:
    """Trains until it is ended."""
    args = parse_args()
    torch.set_num_threads(args.num_cores)
    watch = Watch()
    agent = RecurrentPPO(
        "MlpLstmPolicy",
        DummyVecEnv([make_env] * NUM_ENVS),
        n_steps=NUM_STEPS,
        n_epochs=10 if args.variant == "epochs" else 1,
        batch_size=NUM_STEPS * NUM_ENVS // 4,
        policy_kwargs={
            "features_extractor_class": Encoder,
            "net_arch": [],
            "lstm_hidden_size": args.hidden_size,
            "shared_lstm": True,
            "enable_critic_lstm": False,
        },
        device="cpu",
    )
    agent.learn(10**12, callback=watch)


if __name__ == "__main__":
    main()
