"""Who takes part, and with what."""

from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"


@dataclass(frozen=True)
class Contestant:
    """A module that trains until it is ended, and the virtual environment it runs in."""

    title: str
    """As in the table."""
    module: str
    """In `benchmarks.rivals`."""
    package: str | None = None
    """What to install; None: Longhold's own environment will do."""
    variant: str = ""
    """The module's word for its settings."""

    @property
    def requirements(self) -> Path | None:
        """Its pinned packages; two contestants of one file share an environment."""
        return REQUIREMENTS / f"{self.package}.txt" if self.package else None

    @property
    def version(self) -> str:
        """The pinned version of its package."""
        lines = self.requirements.read_text().splitlines() if self.requirements else []
        pins = dict(line.lower().replace("-", "_").split("==") for line in lines)
        return pins.get(str(self.package), "")


LONGHOLD = Contestant("Longhold", "longhold")

RIVALS = {
    "recurrent-ppo": Contestant("RecurrentPPO, 1 epoch", "recurrent_ppo", "sb3_contrib"),
    "recurrent-ppo-default": Contestant(
        "RecurrentPPO, its 10 epochs", "recurrent_ppo", "sb3_contrib", "epochs"
    ),
    "sample-factory": Contestant("Sample Factory APPO, 1 epoch", "sample_factory_appo", "sample_factory"),
    "rllib": Contestant("RLlib IMPALA", "rllib", "ray"),
    "longhold-minigrid": Contestant("Longhold on MiniGrid's environments", "longhold", variant="minigrid"),
}
"""By the name that a user gives. The last is no rival: it tells what the rest owes to the environments."""
