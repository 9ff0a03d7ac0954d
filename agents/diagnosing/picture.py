"""A diagnosis as one figure of four panels."""

from pathlib import Path
from typing import Any

BLUE, ORANGE, GREY = "C0", "C1", "grey"


def draw(path: Path, found: dict[str, Any]) -> None:
    """Draws all parts; a part that was left out says why.

    Args:
        path: the PNG.
        found: as `agents.diagnosing.record` describes it.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: it can't be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 2, figsize=(11, 7.2), layout="constrained")
    drawers = {"cue": draw_cue, "clearing": draw_clearing, "gradient": draw_gradient, "gates": draw_gates}
    for panel, (part, drawer) in zip(panels.flat, drawers.items(), strict=True):
        if found[part] is None:
            panel.text(0.5, 0.5, found["left_out"][part], ha="center", va="center", color=GREY)
            panel.set(xticks=[], yticks=[])
        panel.set_title(TITLES[part], fontsize="medium")
        if found[part] is not None:
            drawer(panel, found)
            panel.grid(alpha=0.3)
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.legend(frameon=False, fontsize="small", **PLACES.get(part, {}))
    title = f"{found['env']}, {found['core']}, after {found['env_steps']:,} env steps; "
    figure.suptitle(title + f"{found['episodes']:,} fresh episodes")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


TITLES = {
    "cue": "How well a linear probe reads the cue",
    "clearing": "How it goes when the state is cleared once",
    "gradient": "What the choice hangs on: gradient of its log-probability",
    "gates": "Gates and time scales along an episode",
}
PLACES: dict[str, Any] = {"gates": {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "ncols": 2}}
"""Of legends that have no free place among the lines: below the panel."""


def draw_cue(panel: Any, found: dict[str, Any]) -> None:
    """Accuracy against time since the cue."""
    cue = found["cue"]
    label = f"from the core state ({cue['episodes'][0]:,} episodes saw it)"
    panel.plot(cue["lag"], cue["state"], color=BLUE, label=label)
    panel.fill_between(cue["lag"], cue["state_low"], cue["state_high"], color=BLUE, alpha=0.2, linewidth=0)
    panel.plot(cue["lag"], cue["observation"], color=ORANGE, label="from the observation alone")
    panel.axhline(cue["chance"], color=GREY, linestyle=":", label="chance")
    panel.set(xlabel="steps since the cue was in view", ylabel="share right", ylim=(-0.02, 1.04))


def draw_clearing(panel: Any, found: dict[str, Any]) -> None:
    """Success or return against the step at which the state was cleared."""
    clearing, name = found["clearing"], found["measure"]
    never = clearing["never"]
    panel.axhline(never["mean"], color=GREY, linestyle="--", label="never cleared")
    panel.axhspan(never["low"], never["high"], color=GREY, alpha=0.15, linewidth=0)
    panel.plot(clearing["step"], clearing["mean"], color=BLUE, marker="o", markersize=4, label="cleared")
    low, high = clearing["low"], clearing["high"]
    panel.fill_between(clearing["step"], low, high, color=BLUE, alpha=0.2, linewidth=0)
    panel.set(xlabel="cleared before this action of the episode", ylabel=name)
    if name == "success":
        panel.set_ylim(-0.02, 1.04)


def draw_gradient(panel: Any, found: dict[str, Any]) -> None:
    """Norm of the gradient against the lag; zeros have no place on a logarithmic axis."""
    gradient = found["gradient"]
    points = [(lag, norm) for lag, norm in zip(gradient["lag"], gradient["norm"], strict=True) if norm > 0]
    choice = {"question": "at the question", "last": "the last of the episode"}[gradient["choice"]]
    marker = "o" if len(points) < 3 else None
    panel.plot(*zip(*points, strict=True), color=BLUE, marker=marker, label=f"choice {choice}")
    panel.set(xlabel="steps from the input to the choice", ylabel="norm, mean over episodes", yscale="log")
    panel.set_xlim(-1, gradient["lag"][-1] + 1)
    if gradient["cue_lag"] is not None:
        panel.axvline(gradient["cue_lag"], color=GREY, linestyle=":", label="last sight of the cue (median)")


def draw_gates(panel: Any, found: dict[str, Any]) -> None:
    """Quantiles of the time scale over units, and the mean gates on an axis of their own.

    Units are often either open or shut: quantiles of the gates themselves would lie upon one another.
    """
    gates = found["gates"]
    steps, scale = gates["step"], gates["time_scale"]
    panel.plot(steps, scale["median"], color=BLUE, label="time scale, median unit")
    panel.fill_between(
        steps, scale["low"], scale["high"], color=BLUE, alpha=0.2, label="10 … 90 % of the units"
    )
    panel.set(xlabel="action of the episode", ylabel="time scale 1 / (1 - forget), steps", yscale="log")
    other = panel.twinx()
    for name, color in (("forget", ORANGE), ("input", "C2")):
        if name in gates:
            other.plot(steps, gates[name]["mean"], color=color, linestyle="--")
            panel.plot([], [], color=color, linestyle="--", label=f"{name} gate, mean of the units")
    other.set(ylabel="gate", ylim=(-0.02, 1.04))
