"""What a task asks for where it is not the default, and why."""

from typing import Any

from agents.options import parse_options

FORESIGHT = {
    "num_envs": 8,  # more updates for each env step
    "learning_rate": 1e-3,
    "exploration_floor": 1.0,  # until it knows that it pays, an agent has no reason to look at what it needs
    "exploration_cost": 3e-3,
    "num_products": 64,
    "foresight_cost": 100.0,
    "baseline_cost": 2.0,
    "max_grad_norm": 10.0,  # the foresight's gradient is large, and would take all of a smaller one
    "replays": 1,  # what foresight learns is true of old unrolls, too
    "replay_size": 256,
}
"""What pays depends on something seen long ago and on something seen now: rewards alone don't teach that."""

MATCH = FORESIGHT | {
    "reward_scale": 0.1,  # the last reward is 10: scaled to 1, the size that the defaults are made for
    "total_steps": 10_000_000,
}
"""Which pad pays depends on a colour, and on where its like lies."""

ACTIVE_MATCH = MATCH | {
    "num_envs": 32,  # a colour seen at a glance, and not in every episode, is lost in the noise of 8
    "replay_size": 64,
    "total_steps": 80_000_000,
}
"""The colour has to be looked for, which pays only who remembers it, and has learnt what for."""

MEMORY = FORESIGHT | {"unroll_length": 32}  # more updates for each env step; episodes are short
"""Which end of the hallway pays depends on an object, and on where its like lies."""

TMAZE = {
    "total_steps": 500_000,
    "num_envs": 8,  # more updates for each env step
    "replays": 1,  # and twice as many; without, some agents never turned at the end of 250 or 500 steps
    "discount": 0.97,  # a lost step costs at once: values that look far ahead only err more
    "exploration_cost": 4e-3,  # less in longer corridors, see `preset`
    "num_products": 64,  # what the end asks for is seen there: without, some agents never turn
    "foresight_cost": 1.0,  # the cue is held before the policy has settled on one arm; more disturbs the walk
    "optimizer_epsilon": 1e-12,  # gradients of the walk are so small that 1e-8 would slow it
    "max_grad_growth": 4.0,  # those at the end are a hundred times as large: one step could undo the walk
    "adam_beta2": 0.99,  # and after them it would walk on in small steps for as long as 0.999 remembers them
}
"""Every step of a long walk has to be right, and by itself weighs next to nothing."""

TMAZE_ACTIVE = TMAZE | {
    "total_steps": 5_000_000,
    "exploration_cost": 1e-3,  # at 5e-5 nobody goes back for the cue, for which no reward asks
    "exploration_floor": 0.3,
}
"""The cue has to be fetched, at one step of the walk, by a detour that leaves no step to spare."""

MEMORY_LEN = {"total_steps": 1_000_000, "num_envs": 8, "replays": 1}  # many updates for each env step
PRESETS: dict[str, dict[str, Any]] = {"tmaze": TMAZE, "tmaze-active": TMAZE_ACTIVE, "memory-len": MEMORY_LEN}
PRESETS |= {"passive-match": MATCH, "active-match": ACTIVE_MATCH}
PRESETS["key-to-door"] = MATCH | {"total_steps": 3_000_000}
for _size, _millions in {"S7": 0.5, "S9": 0.8, "S11": 2, "S13": 3, "S13Random": 3, "S17Random": 3}.items():
    PRESETS[f"MiniGrid-Memory{_size}-v0"] = MEMORY | {"total_steps": round(_millions * 1_000_000)}
"""Per task: the fields that differ from `Config`'s defaults, for whatever the user doesn't say."""

SHORT, LONG = 50, 10_000
"""Corridors of T-mazes, in steps, between which the preset is made for the length."""


def preset(env: object, env_opt: object = ()) -> dict[str, Any]:
    """What a task asks for, with its options; nothing where there is no such task or no preset.

    A T-maze's walk bears less exploration the longer it is: a cost of c makes each step one that loses it
    with a probability in proportion to c x length, for a lost step costs 1 / length, and there are length
    such steps. To learn it takes longer, too.

    Args:
        env: the task's name.
        env_opt: its options, as name=value; those that can't be read are for the checks to tell.
    """
    fields = PRESETS.get(env, {}) if isinstance(env, str) else {}
    length = min(corridor(env_opt), LONG)
    if env != "tmaze" or length <= SHORT:
        return fields
    exploration_cost = float(f"{10 / length**2:.2g}")
    return fields | {"exploration_cost": exploration_cost, "total_steps": max(500_000, 8_000 * length)}


def corridor(env_opt: object) -> int:
    """The length that options give a corridor, `SHORT` where they don't."""
    try:
        length = parse_options("env-opt", env_opt).get("length") if isinstance(env_opt, tuple) else None
    except ValueError:
        length = None
    return length if type(length) is int else SHORT
