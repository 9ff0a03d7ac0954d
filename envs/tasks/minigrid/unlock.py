"""MiniGrid's tasks behind a locked door: Unlock, UnlockPickup, BlockedUnlockPickup and KeyCorridor."""

from envs.checks import whole_number
from envs.compiled import part
from envs.grid import (
    BALL,
    BOX,
    KEY,
    KEY_BOX,
    OPEN,
    PICKUP,
    RANK,
    TOGGLE,
    at,
    draw_colour,
    out_of_time,
    prize,
    put,
    take_action,
)
from envs.pcg64 import integers
from envs.step_kernel import step_kernel
from envs.tasks.minigrid.rooms import (
    EAST,
    WEST,
    add_door,
    add_object,
    begin_rooms,
    connect_all,
    place_agent_in_room,
    remove_north_wall,
    room_fields,
    room_rules,
)
from envs.tasks.minigrid.task import NAMES, MiniGridTask, World, variant
from envs.view import observe, observe_with_mission

ROOM_SIZE = 6
FIELDS = [*room_fields(1, 2), ("wanted", "u1")]


@part
def act_pick_up(s, action, rules):
    """Pick the wanted thing up."""
    take_action(s, action, rules)
    late = out_of_time(s, rules)
    if action == PICKUP and s.carrying == s.wanted:
        s.success = 1.0
        return prize(s, rules), True, late
    return 0.0, False, late


@part
def begin_unlock(s, rules):
    """Draw the door and its colour, the key's place, and the agent's."""
    begin_rooms(s, rules)
    colour = draw_colour(s)
    add_door(s, rules, 0, 0, EAST, colour, True)
    add_object(s, rules, 0, 0, KEY + colour)
    place_agent_in_room(s, rules, 0, 0)


@part
def act_unlock(s, action, rules):
    """Open the door."""
    take_action(s, action, rules)
    late = out_of_time(s, rules)
    door = s.grid[at(rules, s.door_x[0, EAST], s.door_y[0, EAST])]
    if action == TOGGLE and door >= OPEN and door < KEY_BOX:
        s.success = 1.0
        return prize(s, rules), True, late
    return 0.0, False, late


class Unlock(MiniGridTask):
    """Open a locked door whose key lies in the same room."""

    kernel = step_kernel(begin_unlock, act_unlock, observe)

    @classmethod
    def world(cls) -> World:
        """Return two rooms of 6 × 6."""
        return two_rooms(8, "open the door")


@part
def begin_unlock_pickup(s, rules):
    """Draw the box, then the door, in whose way a ball may lie, the key, and the agent's cell."""
    begin_rooms(s, rules)
    wanted = draw_colour(s)
    s.wanted = BOX + wanted
    add_object(s, rules, 1, 0, s.wanted)
    colour = draw_colour(s)
    add_door(s, rules, 0, 0, EAST, colour, True)
    if rules.blocked:
        put(s, rules, s.door_x[0, EAST] - 1, s.door_y[0, EAST], BALL + draw_colour(s))
    add_object(s, rules, 0, 0, KEY + colour)
    place_agent_in_room(s, rules, 0, 0)
    s.mission[0] = RANK[wanted]
    if rules.blocked:
        s.mission[len(s.mission) - 1] = 0  # MiniGrid's mission may say a key here, but never does


class UnlockPickup(MiniGridTask):
    """Unlock a door and pick up the box behind it."""

    kernel = step_kernel(begin_unlock_pickup, act_pick_up, observe_with_mission)

    @classmethod
    def world(cls) -> World:
        """Return two rooms of 6 × 6."""
        return two_rooms(8, "pick up the {} box", [NAMES], blocked=False)


class BlockedUnlockPickup(MiniGridTask):
    """Clear the way to a door, unlock it and pick up the box behind it."""

    kernel = UnlockPickup.kernel

    @classmethod
    def world(cls) -> World:
        """Return two rooms of 6 × 6."""
        return two_rooms(16, "pick up the {} {}", [NAMES, ("box", "key")], blocked=True)


def two_rooms(steps: int, mission: str, choices: tuple | list = (), blocked: bool = False) -> World:
    """Return the world of two rooms; ``steps`` is allowed for each cell of one."""
    return World(
        2 * ROOM_SIZE - 1,
        ROOM_SIZE,
        steps * ROOM_SIZE**2,
        rules=room_rules(ROOM_SIZE, 1, 2) | {"blocked": blocked},
        fields=FIELDS,
        mission=mission,
        choices=choices,
    )


@part
def begin_key_corridor(s, rules):
    """Join the middle rooms; draw the locked room, its content, the key's room, the agent, other doors."""
    begin_rooms(s, rules)
    for j in range(1, rules.num_rows):
        remove_north_wall(s, rules, 1, j)
    locked = integers(s.rng, rules.num_rows)
    colour = draw_colour(s)
    add_door(s, rules, 2, locked, WEST, colour, True)
    wanted = draw_colour(s)
    s.wanted = rules.kind + wanted
    add_object(s, rules, 2, locked, s.wanted)
    add_object(s, rules, 0, integers(s.rng, rules.num_rows), KEY + colour)
    place_agent_in_room(s, rules, 1, rules.num_rows // 2)
    connect_all(s, rules)
    s.mission[0] = RANK[wanted]


class KeyCorridor(MiniGridTask):
    """Find the key in the rooms along a corridor, and pick up the ball in the locked one."""

    kernel = step_kernel(begin_key_corridor, act_pick_up, observe_with_mission)

    @classmethod
    def world(cls, *, num_rows: int = 3, room_size: int = 6, obj_type: str = "ball") -> World:
        """Return ``num_rows`` × 3 rooms of ``room_size`` × ``room_size``; ``obj_type``: ball or box."""
        whole_number("num_rows", num_rows, 1)
        whole_number("room_size", room_size, 3)
        if obj_type not in ("ball", "box"):
            raise ValueError(f"obj_type must be ball or box, got {obj_type!r}")
        return World(
            3 * (room_size - 1) + 1,
            num_rows * (room_size - 1) + 1,
            30 * room_size**2,
            rules=room_rules(room_size, num_rows, 3) | {"kind": BALL if obj_type == "ball" else BOX},
            fields=[*room_fields(num_rows, 3), ("wanted", "u1")],
            mission="pick up the {} {}",
            choices=[NAMES, (obj_type,)],
        )


TASKS = {
    "MiniGrid-Unlock-v0": variant(Unlock, "MiniGrid-Unlock-v0"),
    "MiniGrid-UnlockPickup-v0": variant(UnlockPickup, "MiniGrid-UnlockPickup-v0"),
    "MiniGrid-BlockedUnlockPickup-v0": variant(BlockedUnlockPickup, "MiniGrid-BlockedUnlockPickup-v0"),
    **{
        f"MiniGrid-KeyCorridorS{size}R{rows}-v0": variant(
            KeyCorridor, f"MiniGrid-KeyCorridorS{size}R{rows}-v0", room_size=size, num_rows=rows
        )
        for size, rows in [(3, 1), (3, 2), (3, 3), (4, 3), (5, 3), (6, 3)]
    },
}
"""MiniGrid's ids."""
