"""Our sprites for MiniGrid's codes: object, colour and state of a cell, each by MiniGrid's number."""

from envs.sprites import Sprite

COLOUR_NAMES = ("red", "green", "blue", "purple", "yellow", "grey")
STATE_NAMES = ("open", "closed", "locked")
OBJECT_NAMES = (
    "unseen",
    "empty",
    "wall",
    "floor",
    "door",
    "key",
    "ball",
    "box",
    "goal",
    "lava",
    "agent",
)
ONE_LOOK = {"unseen", "empty", "goal", "lava"}
"""Objects that look alike in every colour."""


def minigrid_sprite(thing: int, colour: int, state: int) -> Sprite:
    """Return what a cell shows.

    Args:
        thing: MiniGrid's number of the object.
        colour: of the colour.
        state: of a door's state, or the agent's direction (0 east, 1 south, 2 west, 3 north).
    """
    name = OBJECT_NAMES[thing]
    if name in ONE_LOOK:
        return Sprite(name)
    if name == "agent":
        return Sprite(name, turn=state)
    return Sprite(f"door-{STATE_NAMES[state]}" if name == "door" else name, COLOUR_NAMES[colour])


PALETTE = tuple(
    minigrid_sprite(thing, colour, state)
    for thing in range(len(OBJECT_NAMES))
    for colour in range(len(COLOUR_NAMES))
    for state in range(len(STATE_NAMES))
)
"""The sprite of (object, colour, state) at (object * 6 + colour) * 3 + state: [198]."""
