"""What stands in a report, from its runs: the sections in their order, and the pictures."""

from collections.abc import Sequence
from functools import partial

from agents.reporting import tables
from agents.reporting.blocks import Block, Code, Figures, Photos, Section, Text
from agents.reporting.charts import draw_cue, draw_curves, draw_horizon, draw_nothing
from agents.reporting.commands import commands_of
from agents.reporting.diagnoses import cue_curves, picture_of, place_of_picture, representative
from agents.reporting.groups import Task, all_labels, notes
from agents.reporting.horizon import HELD, Horizon, find_horizons
from agents.reporting.pictures import Row, svg_of
from agents.reporting.styles import Style

MANY_DELAYS = 6
"""Of a task at more delays the sheet shows the horizon; its curves are on the page."""
MAX_PICTURES_BYTES = 3_000_000
"""Of all diagnoses on the page; they take 4/3 of it there."""
METHOD = """IQM is the interquartile mean over seeds: the mean of the middle half of their mass. Intervals \
are 95 % bootstrap intervals, seeds drawn anew within each task (Agarwal et al. 2021). Tables hold the \
figure over fresh episodes after the last step of training, with no checkpoint picked. A curve holds that \
of the episodes of training since its last point. Against env steps it ends where the shortest of its \
finished seeds does; against time a seed that is over keeps its last value. Time is that of training, over \
all that resumed a run, without the start and the evaluation."""


def sections_of(tasks: Sequence[Task], styles: dict[str, Style], command: str) -> list[Section]:
    """All sections.

    Args:
        tasks: with their runs.
        styles: how each group is drawn.
        command: the one that makes this report.
    """
    horizons = find_horizons(tasks)
    told = [Text(line) for line in notes(tasks)]
    sections = [Section("Before you read", [*told])] if told else []
    sections += [horizon_section(k, horizon, styles) for k, horizon in enumerate(horizons)]
    successes = [task for task in tasks if task.measure == "success" and any(map(task.finished, task.groups))]
    if len(successes) > 1 and len((table := tables.overall(successes)).rows) > 1:
        text = "Over all seeds of all tasks together; a core counts that has finished runs in each of them."
        sections.append(Section(f"All {len(successes)} tasks", [Text(text), table]))
    sections += [task_section(k, task, styles) for k, task in enumerate(tasks)]
    sections += comparison_section(tasks)
    sections += diagnosis_sections(tasks, styles)
    return [*sections, commands_section(tasks, command)]


def horizon_section(k: int, horizon: Horizon, styles: dict[str, Style]) -> Section:
    """Success against delay, and the longest delay held."""
    labels = all_labels(list(horizon.tasks.values()))
    draw = partial(draw_horizon, horizon=horizon, labels=labels, styles=styles)
    title = f"Memory horizon: {horizon.label}"
    figures = Figures([svg_of(draw, f"horizon-{k}", title)], labels)
    text = (
        f"The longest {horizon.option} at which success is at least {HELD:g}, there and at every shorter one "
    )
    text += f"that was run ({', '.join(f'{delay:g}' for delay in horizon.tasks)})."
    return Section(title, [Text(text), figures, tables.held(horizon)])


def task_section(k: int, task: Task, styles: dict[str, Style]) -> Section:
    """A task's card, curves, results and costs."""
    blocks: list[Block] = []
    if task.card is not None:
        card = task.card
        text = f"{card.summary[:1].upper()}{card.summary[1:]}. Kind: {card.kind}; span {card.span} steps; "
        blocks.append(Text(f"{text}chance {card.chance:.3g}, best memoryless {card.memoryless:.3g}, oracle "
                           f"{card.oracle:.3g}; {card.ends}."))  # fmt: skip
    svgs = []
    for x in axes_with_curves(task):
        draw = partial(draw_curves, task=task, x=x, styles=styles)
        name = x.replace("_", " ")
        svgs.append(
            svg_of(draw, f"{name.replace(' ', '-')}-{k}", f"{task.measure} against {name}, {task.label}")
        )
    if svgs:
        blocks.append(Figures(svgs, list(task.groups)))
    table = tables.results(task)
    if len(table.rows) > table.faint:
        blocks += [table, tables.costs(task)]
    return Section(task.label, blocks)


def rows_of(tasks: Sequence[Task], styles: dict[str, Style]) -> list[Row]:
    """The pictures of the sheet: horizons by twos, then the curves of a task in a row."""
    horizons: Row = []
    at_many_delays: set[str] = set()
    for horizon in find_horizons(tasks):
        labels = all_labels(list(horizon.tasks.values()))
        draw = partial(draw_horizon, horizon=horizon, labels=labels, styles=styles)
        horizons.append((f"{horizon.label}: memory horizon", draw))
        if len(horizon.tasks) > MANY_DELAYS:
            at_many_delays |= {task.label for task in horizon.tasks.values()}
    curves: list[Row] = [
        [(task.label, partial(draw_curves, task=task, x=x, styles=styles)) for x in axes_with_curves(task)]
        for task in tasks
        if task.label not in at_many_delays
    ]
    rows = [*(horizons[k : k + 2] for k in range(0, len(horizons), 2)), *filter(None, curves)]
    return rows or [[("", draw_nothing)]]


def axes_with_curves(task: Task) -> list[str]:
    """What a task's curves can be drawn against; nothing where no run has a point yet."""
    runs = [run for group in task.groups.values() for run in group]
    return [x for x in ("env_steps", "seconds") if any(len(run.curve(x, task.measure)[0]) for run in runs)]


def comparison_section(tasks: Sequence[Task]) -> list[Section]:
    """Every two groups side by side, by their ends and by their curves; none of a single group."""
    ends = tables.improvements(tasks, Task.scores, "ends better than")
    if len(ends.rows) < 2:
        return []
    text = "How probably a run of the row's core ends better than one of the column's: "
    text += "P(X > Y) + P(X = Y) / 2, as a mean over the tasks that both have, and its 95 % interval, "
    text += "if one of them has several seeds. 0.50: neither is better."
    faster = tables.improvements(tasks, Task.areas, "learns faster than")
    also = "The same of the mean over training: of the area under the curve, over the env steps that all "
    also += "finished runs of a task have in common. It tells who learns in fewer steps where all end alike."
    return [Section("Who is better than whom", [Text(text), ends, Text(also), faster])]


def diagnosis_sections(tasks: Sequence[Task], styles: dict[str, Style]) -> list[Section]:
    """How long the cue can be read from the core state, and one run of each core in pictures."""
    sections, size = [], 0
    for k, task in enumerate(tasks):
        blocks: list[Block] = []
        cues = cue_curves(task)
        if cues:
            text = "How often a linear probe reads the cue from the core state, so many steps after "
            text += "it was last seen; dotted, from what the agent sees at that step alone. The band is "
            text += "the 95 % interval."
            draw = partial(draw_cue, cues=cues, styles=styles)
            svg = svg_of(draw, f"cue-{k}", f"cue read against steps since it was seen, {task.label}")
            blocks += [Text(text, on_page=True), Figures([svg], list(cues))]
        pngs, left = [], []
        for label in task.groups:
            run = representative(task, label)
            if run is not None:
                png = picture_of(run)
                size += len(png)
                caption = f"{label}, seed {run.config.seed}: the seed in the middle by {task.measure}"
                if size <= MAX_PICTURES_BYTES:
                    pngs.append((caption, png))
                else:
                    left.append(str(place_of_picture(run)))
        if pngs:
            blocks.append(Photos(pngs))
        if left:
            text = f"Left out, as the page would be too large: {', '.join(left)}"
            blocks.append(Text(text, on_page=True))
        if blocks:
            sections.append(Section(f"Diagnosis: {task.label}", blocks))
    return sections


def commands_section(tasks: Sequence[Task], command: str) -> Section:
    """How runs, figures and report were made."""
    runs = [run for task in tasks for group in task.groups.values() for run in group]
    return Section(
        "How it was made",
        [
            Text("The runs:"),
            Code("\n".join(commands_of(runs))),
            Text("This report:"),
            Code(command),
            Text(METHOD, small=True),
        ],
    )
