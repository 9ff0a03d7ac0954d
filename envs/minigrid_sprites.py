"""Our sprites for MiniGrid's codes: object, colour and state of a cell, each by MiniGrid's number."""

from envs.grid import COLOURS, OBJECTS
from envs.sprites import Sprite

STATE_NAMES = ("open", "closed", "locked")
ONE_LOOK = {"unseen", "empty", "goal", "lava"}
"""Objects that look alike in every colour."""


def minigrid_sprite(thing: int, colour: int, state: int) -> Sprite:
    """Return what a cell shows.

    Args:
        thing: MiniGrid's number of the object.
        colour: of the colour.
        state: of a door's state, or the agent's direction (0 east, 1 south, 2 west, 3 north).
    """
    name = OBJECTS[thing]
    if name in ONE_LOOK:
        return Sprite(name)
    if name == "agent":
        return Sprite(name, turn=state)
    return Sprite(f"door-{STATE_NAMES[state]}" if name == "door" else name, COLOURS[colour])


PALETTE = tuple(
    minigrid_sprite(thing, colour, state)
    for thing in range(len(OBJECTS))
    for colour in range(len(COLOURS))
    for state in range(len(STATE_NAMES))
)
"""The sprite of (object, colour, state) at (object * 6 + colour) * 3 + state: [198]."""
