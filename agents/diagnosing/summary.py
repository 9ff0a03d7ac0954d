"""A diagnosis in a line."""

from typing import Any


def summarise(found: dict[str, Any]) -> str:
    """What a diagnosis says, part by part; what was left out says nothing.

    Args:
        found: as `agents.diagnosing.record` describes it, but for its summary.
    """
    parts = [part for part in (of_cue(found), of_clearing(found), of_gradient(found)) if part]
    return "; ".join(parts)


def of_cue(found: dict[str, Any]) -> str:
    """How long the state holds the cue."""
    cue = found["cue"]
    if cue is None:
        return ""
    if cue["holds"] is None:
        first, chance = cue["state"][0], cue["chance"]
        return f"the state does not hold the cue ({first:.2f} right at once, chance {chance:.2f})"
    place = cue["lag"].index(cue["holds"])
    worst, control = min(cue["state"][: place + 1]), cue["observation"][place]
    text = f"the state holds the cue at {worst:.2f} for {cue['holds']} steps"
    if place + 1 < len(cue["lag"]):
        return f"{text} of {cue['lag'][-1]}"
    return f"{text} (the observation alone: {control:.2f} then)"


def holds_to_the_end(cue: dict[str, Any] | None) -> bool:
    """Whether the state holds the cue over every lag, and the observation alone does not."""
    if cue is None or cue["holds"] != cue["lag"][-1]:
        return False
    return cue["observation"][-1] <= (1 + cue["chance"]) / 2


def of_clearing(found: dict[str, Any]) -> str:
    """What it costs to clear the state, and when: where the intervals of cleared and never do not meet."""
    clearing = found["clearing"]
    if clearing is None:
        return found["left_out"].get("clearing", "")
    never, name = clearing["never"], found["measure"]
    costs = {
        step: never["mean"] - mean
        for step, mean, high in zip(clearing["step"], clearing["mean"], clearing["high"], strict=True)
        if high < never["low"]
    }
    if not costs:
        told = f"clearing it costs no {name} at any step, as far as these episodes tell"
        return f"{told}: the agent does not use what it holds" if holds_to_the_end(found["cue"]) else told
    when = f"between steps {min(costs)} and {max(costs)}" if len(costs) > 1 else f"at step {min(costs)}"
    return f"clearing it {when} costs up to {max(costs.values()):.3g} of {name}"


def of_gradient(found: dict[str, Any]) -> str:
    """What is left of the gradient at the cue, or at the first input."""
    gradient = found["gradient"]
    norms = gradient["norm"]
    share, where = gradient["cue_share"], "at the cue"
    if share is None:
        where = f"{gradient['lag'][-1]} steps before"
        share = norms[-1] / norms[0] if norms[0] > 0 else None
    if share is None:
        return "the choice has no gradient"
    return f"the gradient {where} is {share:.2g} times that at the choice"
