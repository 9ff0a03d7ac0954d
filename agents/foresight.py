"""Foresight: an auxiliary loss that makes the memory predict what rewards will be made of.

Beside the value, a linear head predicts a vector from every step: the discounted sum of each coming reward
times a code of what was seen and done when it came. A value says how much will be got; this says for what. A
core that is to predict it must keep what decides which choice pays, long before a policy makes use of it. It
is a value function with vectors for rewards: successor features (Barreto et al. 2017, arXiv 1606.05312,
eq. 3) that count only where there is reward.

Most of the codes' mean over rewards is taken off. What is seen with every reward, such as walls, tells only
whether there will be one, which mostly nobody can know: a hundred such entries, all off by the same, would
drown the few that tell one reward from another. A rest is left, for whether there will be one is worth
predicting, too.
"""

from collections.abc import Callable

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from agents.encoders import Flatten, OneHot, make_encoder
from agents.loss import blank, masked_mean
from cores.kernels.discounting import discounted_sums

Rows = tuple[Tensor, ...] | tuple[slice, ...]

THUMBNAIL_SIZE = 7
"""Rows and columns of an image's code."""
REMEMBERED = 0.99
"""Share of what the mean code is made of that an unroll leaves in it: it spans some hundred unrolls."""
TAKEN_OFF = 0.8
"""Share of the mean that is taken off codes. What it does to learning: docs/results/negative.md."""


class Thumbnail(nn.Module):
    """uint8 images [..., height, width, channels] -> [..., 49 channels]: means of 7 x 7 cells, in [0, 1]."""

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.output_size = THUMBNAIL_SIZE**2 * shape[-1]

    def forward(self, observations: Tensor) -> Tensor:
        """Means of the images."""
        lead = observations.shape[:-3]
        images = observations.reshape(-1, *observations.shape[-3:]).permute(0, 3, 1, 2).float() / 255
        return functional.adaptive_avg_pool2d(images, THUMBNAIL_SIZE).reshape(*lead, self.output_size)


def make_code(space: spaces.Space) -> OneHot | Flatten | Thumbnail:
    """What stands for an observation: one-hot codes of categories, vectors as they are, thumbnails of images.

    Nothing of it is learnt: a target that learns can become constant. One-hot codes are not made denser by a
    projection either: with Adam, which scales each row of the head by itself, rare categories keep their say.
    """
    if isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3:
        return Thumbnail(space.shape)
    encoder = make_encoder(space)
    assert isinstance(encoder, OneHot | Flatten)
    return encoder


def takes_all(rewards: Tensor) -> bool:
    """Whether rows without reward are looked at, too: to find the others the host would wait for a GPU."""
    return rewards.is_cuda


class Foresight(nn.Module):
    """The head, and the code of what it predicts, with its mean over rewards."""

    code_sum: Tensor
    reward_sum: Tensor

    def __init__(self, space: spaces.Space, num_actions: int, core_size: int):
        """Begins by predicting zeros."""
        super().__init__()
        self.code, self.action_code = make_code(space), OneHot(np.array(num_actions))
        self.head = nn.Linear(core_size, self.code.output_size + num_actions)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("code_sum", torch.zeros(self.head.out_features))
        self.register_buffer("reward_sum", torch.zeros(()))

    def codes(self, observations: Tensor, actions: Tensor) -> Tensor:
        """What was seen and done: [..., *shape] and [...] int64 -> [..., D]."""
        return torch.cat([self.code(observations), self.action_code(actions)], -1)

    def rewarded(self, observations: Tensor, actions: Tensor, rewards: Tensor) -> tuple[Rows, Tensor]:
        """Where in [T, B] there was a reward, and the codes there, [..., D]; all rows where `takes_all`."""
        rows: Rows = (slice(None), slice(None)) if takes_all(rewards) else rewards.nonzero(as_tuple=True)
        return rows, self.codes(observations[rows], actions[rows])

    @torch.no_grad()
    def update_mean_code(
        self,
        observations: Tensor,
        actions: Tensor,
        rewards: Tensor,
        total: Callable[[Tensor], Tensor] = lambda x: x,
    ) -> None:
        """Moves the mean code, in which each row weighs by the size of its reward.

        Args:
            observations: [T, B, *shape].
            actions: [T, B] int64.
            rewards: [T, B], 0 where there was none.
            total: sums over those who hold other environments of the batch.
        """
        rows, codes = self.rewarded(observations, actions, rewards)
        weighted = rewards[rows].abs().unsqueeze(-1) * functional.pad(codes, (0, 1), value=1.0)
        # What is not finite is left out: the mean would never be rid of it.
        sums = total(weighted.flatten(0, -2).nan_to_num(0.0, 0.0, 0.0).sum(0).to(self.code_sum.dtype))
        remembered = torch.where(sums[-1] > 0, REMEMBERED, 1.0)
        for kept, new in ((self.code_sum, sums[:-1]), (self.reward_sum, sums[-1])):
            kept.mul_(remembered).add_(new)

    @torch.no_grad()
    def cumulants(self, observations: Tensor, actions: Tensor, rewards: Tensor) -> tuple[Tensor, Tensor]:
        """Rewards times the codes of what they came with, and the entries there is anything to learn about.

        An entry that no reward has come with yet has weights of zero, is predicted as what it is, 0, and has
        no gradient. Of a grid's one-hot codes those are most.

        Args:
            observations: [T, B, *shape].
            actions: [T, B] int64.
            rewards: [T, B], 0 where there was none.

        Returns:
            [K] int64 indices of entries, and [T, B, K] rewards times codes less most of their mean; all D
            entries where `takes_all`.
        """
        rows, codes = self.rewarded(observations, actions, rewards)
        mean = self.code_sum / self.reward_sum.clamp(min=torch.finfo(torch.float32).tiny)
        codes = codes - TAKEN_OFF * mean
        if takes_all(rewards):
            entries = torch.arange(codes.shape[-1], device=codes.device)
        else:
            known = (self.head.weight != 0).any(1) | (self.head.bias != 0)
            entries = (known | (codes != 0).any(0)).nonzero().squeeze(1)
        cumulants = codes.new_zeros(*rewards.shape, len(entries))
        cumulants[rows] = rewards[rows].unsqueeze(-1) * codes.index_select(-1, entries)
        return entries, cumulants

    def predict(self, core_output: Tensor, entries: Tensor) -> Tensor:
        """Some entries of what the head predicts: [..., H], [K] -> [..., K]."""
        weight, bias = (parameter.index_select(0, entries) for parameter in self.head.parameters())
        return functional.linear(core_output, weight, bias)


@torch.no_grad()
def foresight_targets(cumulants: Tensor, discounts: Tensor, predicted: Tensor, valid: Tensor) -> Tensor:
    """What should have been predicted: discounted sums to the end of the episode or of the unroll.

    No correction for actors that lag behind: what they do is what is predicted.

    Args:
        cumulants: [T, B, D] reward of step t times the code of what was seen and done.
        discounts: [T, B] discount of what follows step t, 0 where the episode terminated.
        predicted: [T + 1, B, D] the head's own predictions, which stand for what lies beyond the unroll.
        valid: [T, B] bool real transitions. The row of a step that only resets is the final observation of an
            episode: where it was truncated, what is predicted there stands for what would have come.

    Returns:
        [T, B, D].
    """
    own = torch.where(valid.unsqueeze(-1), cumulants, predicted[:-1])
    return discounted_sums(own, discounts * valid, predicted[-1])


def foresight_loss(predicted: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """Half the mean squared distance of predicted [T, B, D] to targets [T, B, D], over valid rows [T, B]."""
    return 0.5 * masked_mean(blank(targets - predicted, valid).square().sum(-1), valid)
