"""What every native task shows to people: a scene, what the agent itself sees, frames, names of actions."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Box, MultiDiscrete

from envs.checks import whole_number
from envs.painting import Painter
from envs.scene import Scene, draw, observation_scene
from envs.sprites import Sprite

RENDERING = {"render_modes": ["rgb_array"], "render_fps": 8}
"""What the metadata of every native task say of ``render``."""
FRAME_TILE_SIZE = 32


class Visible:
    """The part of NativeVectorEnv that is looked at; a task overrides ``scene``.

    Attributes:
        action_names: one per action, as people call them; their numbers where a task says nothing.
        palette: the sprite of every code in an observation that is a grid of codes, by mixed-radix
            number where a cell has several (``scene.symbol_weights``); empty for other observations.
        entry_names: what each entry of a vector observation stands for, if the task says.
        egocentric: such a grid is MiniGrid's view: its first axis counts columns, and the agent stands in
            the middle of its lower edge and looks up.
        render_mode: "rgb_array", or None: ``render`` gives nothing.
    """

    action_names: tuple[str, ...] = ()
    palette: ClassVar[Sequence[Sprite]] = ()
    egocentric: ClassVar[bool] = False
    entry_names: tuple[str, ...] = ()

    num_envs: int
    single_observation_space: Any
    render_mode: str | None = None
    _symbols: np.ndarray
    """[N, ...]: what the kernel writes."""
    _symbol_space: Box | MultiDiscrete
    _observations: np.ndarray
    """[N, ...]: what agents get: the symbols, or pictures of them."""
    _painter: Painter | None

    def scene(self, i: int) -> Scene:
        """Return what there is to see of environment i, hidden things included; by default, its ``view``."""
        return self.view(i)

    def view(self, i: int) -> Scene:
        """Return what the agent of environment i sees now: its observation, as cells."""
        return observation_scene(
            self._symbols[i],
            self._symbol_space,
            self.palette,
            egocentric=self.egocentric,
            names=self.entry_names,
        )

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Return a frame of every environment, [H, W, 3] uint8 each, or None without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(draw(self.scene(i), FRAME_TILE_SIZE) for i in range(self.num_envs))

    def _lay_out(self, space: Box | MultiDiscrete, tile_size: int) -> None:
        """Make the buffers of the observations, and their pictures' where a tile has a size."""
        self._symbol_space = space
        self._symbols = np.zeros((self.num_envs, *space.shape), space.dtype)
        self._painter = None
        self._observations, self.single_observation_space = self._symbols, space
        if whole_number("tile_size", tile_size, 0):
            self._painter = Painter(self._symbols, space, self.palette, tile_size, self.egocentric)
            self._observations, self.single_observation_space = self._painter.pictures, self._painter.space

    def _refresh(self) -> None:
        """Bring the observations up to date with the symbols."""
        if self._painter is not None:
            self._painter.paint()


def checked_render_mode(render_mode: str | None) -> str | None:
    """Return a render mode that there is, or raise ValueError."""
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"render_mode must be rgb_array, got {render_mode!r}")
    return render_mode
