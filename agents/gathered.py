"""What a run has seen since the last point of its curves, and of its last episodes."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.trajectory import Episodes

NUM_RECENT = 100
"""Episodes that tell how good an agent is now."""


class Gathered:
    """Metrics of updates and episodes that wait for their point, and the last 100 episodes."""

    def __init__(self):
        self.updates: list[dict[str, Tensor | float]] = []
        self.episodes: list[Episodes] = []
        self.recent = Episodes.concatenate([])

    def add(self, update: dict[str, Tensor | float], episodes: Episodes) -> None:
        """Takes what one update and its unroll told."""
        self.updates.append(update)
        self.episodes.append(episodes)
        if len(episodes.returns):
            both = Episodes.concatenate([self.recent, episodes])
            self.recent = Episodes(*(field[-NUM_RECENT:] for field in both))

    def clear(self) -> None:
        """Begins the next point."""
        self.updates, self.episodes = [], []

    def figures(self) -> dict[str, float]:
        """How the last episodes went: how many they are, their mean success and return where known."""
        figures: dict[str, float] = {"episodes": len(self.recent.returns)}
        for name, values in (("success", self.recent.successes), ("return", self.recent.returns)):
            known = values[np.isfinite(values)]
            if len(known):
                figures[name] = float(known.mean(dtype=np.float64))
        return figures

    def state_dict(self) -> dict[str, Any]:
        """Everything, in the form of a checkpoint."""
        names = list(self.updates[0]) if self.updates else []
        return {
            "names": names,
            "on_device": [isinstance(self.updates[0][name], Tensor) for name in names],
            "updates": np.array([[float(update[name]) for name in names] for update in self.updates]),
            "episodes": Episodes.concatenate(self.episodes)._asdict(),
            "recent": self.recent._asdict(),
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Goes on from a state, or from nothing.

        Args:
            state: what `state_dict` gave, or an empty dict.
            device: where the metrics of updates live.

        Raises:
            KeyError, TypeError, ValueError: the state is none.
        """
        self.__init__()  # type: ignore[misc]
        if not state:
            return
        kinds = list(zip(state["names"], state["on_device"], strict=True))
        for row in state["updates"].tolist():
            values = zip(kinds, row, strict=True)
            self.updates.append({n: torch.tensor(v, device=device) if on else v for (n, on), v in values})
        self.episodes = [as_episodes(state["episodes"])]
        self.recent = as_episodes(state["recent"])


def as_episodes(fields: dict[str, Tensor]) -> Episodes:
    """Episodes from the tensors that a checkpoint gives back.

    Raises:
        ValueError: they are not those of episodes.
    """
    episodes = Episodes(**{name: np.asarray(field).copy() for name, field in fields.items()})
    for own, field in zip(Episodes.concatenate([]), episodes, strict=True):
        if (field.dtype, field.shape) != (own.dtype, episodes.returns.shape[:1]):
            raise ValueError("the episodes are not whole")
    return episodes
