"""Reports: which runs are found and compared, how long a delay is held, what made the runs, and the page."""

import csv
import io
import json
import math
import re
import shlex
import subprocess
from html.parser import HTMLParser
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image
from planted_runs import plant, plant_all, plant_evaluation
from programs import assert_one_line

from agents.config import Config
from agents.origins import settle
from agents.presets import PRESETS
from agents.reporting.charts import band_of, lines_of_card, tick_labels
from agents.reporting.commands import commands_of
from agents.reporting.diagnoses import cue_curves, picture_of, representative
from agents.reporting.groups import Task, all_labels, notes, sort_runs
from agents.reporting.horizon import Point, find_horizons, held_in_words, longest_held, points
from agents.reporting.page import html_table
from agents.reporting.runs import read_run, read_runs
from agents.reporting.tables import held, improvements, overall, results, write_csv
from scripts import report
from scripts.train import Arguments, parse, read_settings

POINT = '{"env_steps": 100, "episode/success": 0.5, "speed/env_steps_per_s": 10.0}\n'


def tasks_of(*folders):
    return sort_runs(read_runs(folders))


def test_what_a_run_says(tmp_path):
    """Time is steps over speed, point by point. Mutation: the last point's speed taken for all."""
    run = read_run(plant(tmp_path / "run", 0.75, points=[(100, 0.5, 50.0), (300, 0.8, 25.0)]))
    assert run.points["seconds"].tolist() == [2.0, 10.0]
    assert run.steps_per_s == 30.0
    assert run.finished
    assert (run.score("success"), run.score("return")) == (0.75, 0.75)
    assert not read_run(plant(tmp_path / "other", None)).finished


def test_a_run_that_goes_on_is_not_finished(tmp_path):
    """It was evaluated, and then resumed with more steps: what it came to is not known yet.

    Mutation: any evaluation taken for the last.
    """
    run = plant(tmp_path / "run", 0.75, total_steps=300)
    assert read_run(run).finished
    plant_evaluation(run, 299, 0.75, 0.75)
    assert not read_run(run).finished
    (task,) = tasks_of(tmp_path)
    assert results(task).rows[0][0] == "oracle"
    assert notes([task])[0].startswith("1 run is not finished")
    write_csv([task], tmp_path / "runs.csv")
    (row,) = csv.DictReader((tmp_path / "runs.csv").read_text().splitlines())
    assert (row["finished"], row["success"], row["env_steps"]) == ("False", "", "200")


def test_a_point_without_episodes_leaves_a_gap(tmp_path):
    """And half a line at the end is of a run under way. Mutations: a NaN in the curve; the line refused."""
    run = plant(tmp_path / "run", None)
    lines = [json.dumps({"env_steps": steps, "speed/env_steps_per_s": 10.0}) for steps in (100, 200)]
    lines.insert(1, json.dumps({"env_steps": 150, "episode/success": 0.5, "speed/env_steps_per_s": 10.0}))
    (run / "metrics.jsonl").write_text("\n".join([*lines, '{"env_steps": 25']))
    at, success = read_run(run).curve("seconds", "success")
    assert (at.tolist(), success.tolist()) == ([15.0], [0.5])


def test_runs_are_found_once(tmp_path):
    """Two folders that hold the same run count it once. Mutation: a seed counted twice."""
    plant_all(tmp_path / "runs", {"lstm": [0.5, 0.6]})
    assert len(read_runs([tmp_path, tmp_path / "runs" / ".." / "runs" / "lstm"])) == 2


@pytest.mark.parametrize(
    ("file", "content", "part"),
    [
        ("evaluation.json", "{}", "evaluation.json: no evaluation (lacks 'success')"),
        ("evaluation.json", "[" * 1000, "evaluation.json: no evaluation (nested deeper"),
        ("evaluation.json", "x" * 10**6, "evaluation.json: no evaluation (holds 1,000,000 bytes"),
        ("metrics.jsonl", '{"env_steps": 1}\nx\n', "metrics.jsonl, line 2: "),
        ("metrics.jsonl", '{"env_steps": "1"}\n', "metrics.jsonl, line 1: no table of numbers"),
        (
            "metrics.jsonl",
            POINT * 2 + '{"env_steps": 3\n' + POINT,
            "metrics.jsonl, line 3: no JSON (Expecting",
        ),
        (
            "metrics.jsonl",
            POINT * 2 + "\n" + POINT,
            "metrics.jsonl, line 3: no JSON (Expecting value, at char",
        ),
        ("metrics.jsonl", POINT * 2 + '{"env_steps": 1e999}\n', "metrics.jsonl, line 3: no table of numbers"),
        (
            "metrics.jsonl",
            POINT * 2 + '{"env_steps": 1' + "0" * 400 + "}\n",
            "metrics.jsonl, line 3: no table",
        ),
        ("metrics.jsonl", "{}\n", "metrics.jsonl, line 1: lacks 'env_steps'"),
        ("config.json", "{}]", "config.json: "),
        ("config.json", '{"env": "tmase"}', "run: unknown environment 'tmase'; did you mean tmaze"),
        (
            "config.json",
            '{"env_opt": ["lenght=3"]}',
            "run: tmaze has no option 'lenght'; did you mean length?",
        ),
        ("origins.json", "[]", "origins.json: not a table of texts"),
        ("about.json", "{}", "about.json: not a list of tables"),
        ("diagnosis/diagnosis.json", "{}", "diagnosis.json: no diagnosis of format 1"),
    ],
)
def test_files_that_are_none(file, content, part, tmp_path, capsys):
    """One line with the file, exit 2, nothing written.

    Mutations: an error let through; a number that is infinite, or too large for an array; of the curves, the
    parser's count of lines in place of the file's.
    """
    run = plant(tmp_path / "run", 0.5)
    (run / "diagnosis").mkdir()
    (run / file).write_text(content)
    assert_one_line(report.main, [run, "--out", tmp_path / "out"], 2, tmp_path, capsys, part)


def test_tasks_and_groups(tmp_path):
    """Defaults are options too; cores, options and fields that differ within a task are told apart.

    Mutations: a default taken for another task; a field that differs between tasks alone in the labels;
    the control first.
    """
    plant(tmp_path / "a", 0.6, core="lstm", env="memory-len")
    plant(
        tmp_path / "b",
        0.7,
        core="lstm",
        env="memory-len",
        env_opt=("length=50",),
        seed=1,
        log_dir="elsewhere",
    )
    plant(tmp_path / "c", 0.9, core="memoryless", env="memory-len")
    plant(tmp_path / "d", 0.2, core="lstm", env="memory-len", exploration_cost=0.0)
    plant(tmp_path / "e", 0.3, core="chrono", env="memory-len", core_opt=("t_max=9",))
    plant(tmp_path / "f", 0.4, core="chrono", env="memory-len", core_opt=("t_max=99",))
    plant(tmp_path / "g", 0.5, core="lstm", env="repeat-first", total_steps=77)
    memory_len, repeat_first = tasks_of(tmp_path)
    assert (memory_len.label, repeat_first.label) == ("memory-len", "repeat-first")
    labels = ["lstm", "chrono (t_max=99)", "chrono (t_max=9)", "lstm, exploration-cost 0", "memoryless"]
    assert list(memory_len.groups) == labels
    assert list(repeat_first.groups) == ["lstm"]
    assert memory_len.scores("lstm").tolist() == [0.6, 0.7]
    assert all_labels([memory_len, repeat_first])[-1] == "memoryless"


def test_the_order_of_a_report(tmp_path):
    """Cores that are alike in one task are told apart by the other. Mutation: ties broken by name."""
    plant_all(tmp_path / "a", {"gru": [1.0], "lstm": [1.0], "chrono": [1.0], "memoryless": [1.0]})
    plant_all(tmp_path / "b", {"gru": [0.7], "lstm": [0.9], "chrono": [0.8]}, env="memory-len")
    assert all_labels(tasks_of(tmp_path)) == ["lstm", "chrono", "gru", "memoryless"]


def test_notes(tmp_path):
    """Unfinished runs named and counted, a seed that is there twice, no control, one seed.

    Mutation: the unfinished run in the table.
    """
    plant(tmp_path / "a", None, seed=1)
    plant(tmp_path / "b", 0.5, seed=2)
    plant(tmp_path / "c", 0.7, seed=2)
    (task,) = tasks_of(tmp_path)
    assert notes([task]) == [
        f"1 run is not finished, shown in curves and not in tables: {tmp_path / 'a'}",
        "tmaze, ur-lstm: seed 2 is there 2 times; the newest counts",
        "tmaze: one seed, and so no interval: ur-lstm",
        "no control was run (--core memoryless): tmaze",
    ]
    assert results(task).rows[0][:2] == ["ur-lstm", "0.700"]
    assert len(task.groups["ur-lstm"]) == 3


def test_notes_of_many_tasks(tmp_path):
    """They are counted where they are too many to be named. Mutation: a task with its control among them."""
    for length in range(1, 11):
        plant_all(tmp_path / str(length), {"lstm": [0.5, 0.6]}, env_opt=(f"length={length}",))
    plant_all(tmp_path / "control", {"memoryless": [0.5, 0.5]}, env_opt=("length=10",))
    (line,) = notes(tasks_of(tmp_path))
    names = "; ".join(f"tmaze length={length}" for length in range(1, 9))
    assert line == f"no control was run (--core memoryless): {names} and 1 more"


def test_names_with_commas_are_told_apart_in_notes(tmp_path):
    """Mutation: groups, or folders, joined by commas."""
    plant(tmp_path / "a, b", None, core="lstm")
    plant(tmp_path / "c", None, core="lstm")
    plant(tmp_path / "d", 0.5, core="lstm")
    plant(tmp_path / "e", 0.4, core="lstm", reward_scale=2.0)
    lines = notes(tasks_of(tmp_path))
    assert lines[0].endswith(f": {tmp_path / 'a, b'}; {tmp_path / 'c'}")
    assert lines[1] == "tmaze: one seed, and so no interval: lstm; lstm, reward-scale 2"


def test_the_table(tmp_path):
    """IQM, interval, mean, worst, each seed, steps; then what the task allows.

    Mutations: mean and IQM exchanged; the seeds unsorted; a core without finished runs in it.
    """
    plant_all(tmp_path / "a", {"lstm": [1.0, 0.0, 0.9, 0.8], "memoryless": [0.5, 0.5]})
    plant(tmp_path / "b", None, core="gru")
    (task,) = tasks_of(tmp_path)
    table = results(task)
    assert [row[0] for row in table.rows] == [
        "lstm",
        "memoryless",
        "oracle",
        "best memoryless policy",
        "chance",
    ]
    assert table.rows[0][1] == "0.850"
    assert table.rows[0][3:] == ["0.675", "0.000", "0.000 0.800 0.900 1.000", "200"]
    assert table.rows[1][2] == "0.500 … 0.500"
    assert table.faint == 3


def test_better_and_overall(tmp_path):
    """Each core against each, over the tasks that both have; all tasks together where a core has all.

    Mutation: rows and columns exchanged.
    """
    plant_all(tmp_path / "a", {"lstm": [0.9, 0.8], "memoryless": [0.5, 0.8]})
    plant_all(tmp_path / "b", {"lstm": [0.7, 0.9], "gru": [0.1, 0.2]}, env="memory-len")
    tasks = tasks_of(tmp_path)
    table = improvements(tasks, Task.scores, "ends better than")
    assert table.head[1:] == [row[0] for row in table.rows] == ["lstm", "gru", "memoryless"]
    assert table.rows[0][1:] == ["", "1.00 (1.00 … 1.00)", table.rows[0][3]]
    assert table.shades[0][3] == 0.875
    assert table.shades[2][1] == 0.125
    assert table.rows[1][3] == table.rows[2][2] == "–"
    assert [row[0] for row in overall(tasks).rows] == ["lstm"]
    assert overall(tasks).rows[0][1] == "0.850"


def test_single_seeds_have_no_interval(tmp_path):
    """Nobody knows how far one seed can be trusted. As soon as a side has two seeds somewhere, there is one.

    Mutations: an interval of width zero; none where one side has two seeds.
    """
    for env in ("tmaze", "memory-len"):
        plant_all(tmp_path / env, {"lstm": [0.9], "gru": [0.7], "memoryless": [0.5]}, env=env)
    table = improvements(tasks_of(tmp_path), Task.scores, "ends better than")
    assert [row[1:] for row in table.rows] == [
        ["", "1.00", "1.00"],
        ["0.00", "", "1.00"],
        ["0.00", "0.00", ""],
    ]
    assert table.shades[0] == [None, None, 1.0, 1.0]
    assert "<small>" not in html_table(table, {})
    assert overall(tasks_of(tmp_path)).rows[0][2] == "–"
    plant(tmp_path / "more", 0.9, core="lstm", env="tmaze", seed=2)
    rows = improvements(tasks_of(tmp_path), Task.scores, "ends better than").rows
    assert rows[0][1:] == ["", "1.00 (1.00 … 1.00)", "1.00 (1.00 … 1.00)"]
    assert rows[1][3] == "1.00"


def test_who_learns_faster(tmp_path):
    """All end alike; who rises earlier has the larger area, over the env steps that all have in common.

    Mutations: each curve's own end; its points weighted alike; the steps before its first point as zeros.
    """
    late = [(100, 0.0, 10.0), (200, 0.0, 10.0), (300, 1.0, 10.0)]
    early = [(100, 0.5, 10.0), (150, 1.0, 10.0), (400, 1.0, 10.0)]
    plant(tmp_path / "late", 1.0, core="lstm", points=late)
    plant(tmp_path / "early", 1.0, core="gru", points=early)
    plant(tmp_path / "none", 1.0, core="chrono", points=[])
    (task,) = tasks_of(tmp_path)
    assert task.areas("lstm") == pytest.approx([50 / 300], abs=1e-3)
    assert task.areas("gru") == pytest.approx([(50 + 37.5 + 150) / 300], abs=1e-3)
    assert len(task.areas("chrono")) == 0
    table = improvements([task], Task.areas, "learns faster than")
    places = {row[0]: k for k, row in enumerate(table.rows)}
    assert table.rows[places["gru"]][places["lstm"] + 1] == "1.00"
    assert table.rows[places["gru"]][places["chrono"] + 1] == "–"


def test_the_horizon(tmp_path):
    """One task at several delays; tasks that differ otherwise, or not in their span, are none.

    Mutations: delays sorted as text; a task with another option in it; a horizon over `agent_view_size`.
    """
    for length, success in ((5, 1.0), (10, 0.96), (100, 0.5)):
        options = () if length == 50 else (f"length={length}",)
        plant_all(tmp_path / str(length), {"lstm": [success, success - 0.02]}, env_opt=options)
    plant_all(tmp_path / "size", {"lstm": [1.0]}, env="memory-size", env_opt=("num_bits=1",))
    plant_all(tmp_path / "other", {"lstm": [1.0]}, env="memory-size", env_opt=("num_bits=2",))
    (horizon,) = find_horizons(tasks_of(tmp_path))
    assert (horizon.label, horizon.option, list(horizon.tasks)) == ("tmaze", "length", [5, 10, 100])
    found = points(horizon, "lstm")
    assert [point.iqm for point in found] == pytest.approx([0.99, 0.95, 0.49])
    assert [point.worst for point in found] == pytest.approx([0.98, 0.94, 0.48])
    assert held_in_words(found, lambda p: p.worst) == "5"


def test_a_delay_that_a_core_lacks_has_its_place_in_the_table(tmp_path):
    """Mutation: the figures of those that it has, one after another, under the heading of all."""
    plant_all(tmp_path / "50", {"lstm": [1.0]}, env_opt=("length=50",))
    plant_all(tmp_path / "100", {"lstm": [0.5], "gru": [0.25]}, env_opt=("length=100",))
    (horizon,) = find_horizons(tasks_of(tmp_path))
    table = held(horizon)
    assert table.head[-1] == "IQM at 50 100"
    assert {row[0]: row[-1] for row in table.rows} == {"lstm": "1.000 0.500", "gru": "– 0.250"}


def test_an_option_is_a_delay_where_the_span_rises_with_it(tmp_path):
    """Not MiniGrid's view, with which it falls: what a smaller view holds is no longer delay missed.

    Mutations: any option with several spans; spans compared without their order; one that stays the same.
    """
    for size in (3, 5, 7):
        options = (f"agent_view_size={size}",)
        plant_all(tmp_path / str(size), {"lstm": [1.0]}, env="MiniGrid-MemoryS13-v0", env_opt=options)
    tasks = tasks_of(tmp_path)
    assert [task.card.span for task in tasks] == sorted({task.card.span for task in tasks})
    assert find_horizons(tasks) == []
    for spans, delays in (
        ((1, 2, 3), [[2, 10, 30]]),
        ((1, None, 3), [[2, 30]]),
        ((1, 3, 2), []),
        ((1, 2, 2), []),
        ((1, None, None), []),
    ):
        found = [spanning(length, span) for length, span in zip((2, 10, 30), spans, strict=True)]
        assert [list(horizon.tasks) for horizon in find_horizons(found[::-1])] == delays


def spanning(length, span):
    """A task with an option, and a card of this span; None: without a card."""
    card = None if span is None else SimpleNamespace(span=span)
    run = SimpleNamespace(finished=True, config=SimpleNamespace(seed=1))
    return Task("x", "auto", {"length": length}, f"x length={length}", card, "success", {"lstm": [run]})


@pytest.mark.parametrize(
    "delays", [(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 40, 90, 100), (100, 250, 260, 500), (3, 4)]
)
@pytest.mark.parametrize("wide", [True, False])
def test_texts_of_delays_do_not_cover_each_other(delays, wide):
    """The longest has one, and every other that is not too near to a longer one that has.

    Mutations: the shortest first; places not on the axis's scale.
    """
    labels = tick_labels(delays, wide)
    places = [(math.log(d) if wide else d) for d in delays]
    share = [(place - places[0]) / (places[-1] - places[0]) for place in places]
    assert labels[-1] == f"{delays[-1]}"
    for k, label in enumerate(labels[:-1]):
        longer = min(share[j] for j in range(k + 1, len(delays)) if labels[j])
        assert label == (f"{delays[k]}" if longer - share[k] >= 0.07 else "")


def literal_longest(delays, figures):
    longest = None
    for delay, figure in zip(delays, figures, strict=True):
        if figure < 0.95:
            break
        longest = delay
    return longest


def test_the_longest_delay_held():
    """A gap ends it, even if a longer delay is held again. Mutation: the longest of all that are held."""
    rng = np.random.default_rng(4)
    for _ in range(200):
        figures = rng.choice([0.94, 0.95, 1.0], 4).tolist()
        found = [Point(delay, figure, 0, 0, 0) for delay, figure in zip((3, 9, 27, 81), figures, strict=True)]
        assert longest_held(found, lambda p: p.iqm) == literal_longest((3, 9, 27, 81), figures)
    held = [Point(delay, 1.0, 0.96, 1.0, 0.9) for delay in (3.0, 9.0)]
    assert held_in_words(held, lambda p: p.iqm) == "9 or more"
    assert held_in_words(held, lambda p: p.worst) == "below 3"
    assert held_in_words([], lambda p: p.iqm) == "–"


def unfolded(commands, tmp_path):
    """The words of each command that a shell would run."""
    script = "train() { printf '%q ' \"$@\"; echo; }\n"
    script += "\n".join(commands).replace("python -m scripts.train", "train")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    return [shlex.split(line) for line in done.stdout.splitlines()]


def test_the_commands_make_the_runs_again(tmp_path):
    """What a shell runs gives each run's configuration, preset and all, and no other.

    Mutations: the preset's values written for defaults; a list of options in one word; a seed lost.
    """
    for seed in (1, 2, 5):
        for core in ("lstm", "memoryless"):
            plant(tmp_path / core / str(seed), 0.5, core=core, seed=seed, env_opt=("length=7",), lambda_=0.5)
    plant(tmp_path / "x", 0.5, core="chrono", core_opt=("t_max=9", "layers=2"), seed=3)
    preset = PRESETS["passive-match"]
    plant(tmp_path / "y", 0.5, env="passive-match", origins=("total_steps",), **preset)
    runs = read_runs([tmp_path])
    commands = commands_of(runs)
    assert any(
        line.startswith("for core in lstm memoryless; do for seed in 1 2 5; do\n") for line in commands
    )
    assert any("passive-match --core ur-lstm --total-steps 10000000 --seed 0" in line for line in commands)
    words = unfolded(commands, tmp_path)
    made = [read_settings(parse(Arguments, "train", one), one).config for one in words]
    assert sorted(made, key=repr) == sorted((run.config for run in runs), key=repr)
    assert settle({"env": "passive-match"}, None).config == Config(env="passive-match", **preset)


def test_ranks_are_in_the_command(tmp_path):
    """Mutation: a run of two learners told as one of one."""
    run = read_run(plant(tmp_path / "run", 0.5, about=[{"ranks": 2}]))
    assert commands_of([run])[0].startswith("torchrun --nproc-per-node 2 -m scripts.train --env tmaze ")


def test_the_curve_of_a_group(tmp_path):
    """Against env steps as far as all seeds reach; against time from the first to the last value of each.

    Mutations: the shorter run extended against env steps; the grid turned round where one run is over
    before the other begins.
    """
    plant(tmp_path / "a", 1.0, seed=1, points=[(100, 0.0, 100.0), (200, 1.0, 100.0)])
    plant(tmp_path / "b", 1.0, seed=2, points=[(100, 0.0, 10.0), (300, 1.0, 100.0)])
    runs = read_runs([tmp_path])
    grid, middle, low, high = band_of(runs, "env_steps", "success")
    assert (grid[0], grid[-1]) == (100, 200)
    assert middle[-1] == pytest.approx((1.0 + 0.5) / 2)
    assert (low <= middle).all()
    assert (middle <= high).all()
    grid, middle, _, _ = band_of(runs, "seconds", "success")
    assert (grid[0], grid[-1]) == (1.0, 12.0)
    assert (middle[0], middle[-1]) == (0.0, 1.0)
    assert (np.diff(grid) > 0).all()


@pytest.mark.parametrize(
    ("memoryless", "places"),
    [
        (0.98, {0.5: "chance", 0.99: "oracle\nbest memoryless"}),
        (0.5, {0.5: "best memoryless\nchance", 1.0: "oracle"}),
        (0.7, {0.5: "chance", 0.7: "best memoryless", 1.0: "oracle"}),
    ],
)
def test_names_of_near_lines_do_not_cover_each_other(memoryless, places):
    """Each height has its line; near ones have their names one above the other, midway.

    Mutations: names at each line; the lower name on top; one line for those that are near.
    """
    axes = MagicMock()
    card = SimpleNamespace(chance=0.5, memoryless=memoryless, oracle=1.0)
    lines_of_card(axes, SimpleNamespace(card=card))
    assert sorted(call.args[0] for call in axes.axhline.mock_calls) == sorted([0.5, memoryless, 1.0])
    assert {call.args[1]: call.args[2] for call in axes.text.mock_calls} == places


def diagnosed(run, state, lag=(0, 1, 2)):
    """Leaves a diagnosis in a run's folder: how often the cue is read at each lag, and a picture."""
    n = len(lag)
    cue = {"lag": list(lag), "state": state, "state_low": [0.0] * n, "state_high": [1.0] * n, "chance": 0.5}
    (run / "diagnosis").mkdir(exist_ok=True)
    found = {"format": 1, "cue": {**cue, "observation": [0.5] * n}}
    (run / "diagnosis" / "diagnosis.json").write_text(json.dumps(found))
    Image.new("RGB", (2400, 900), (200, 30, 20)).save(run / "diagnosis" / "diagnosis.png")
    return run


def test_diagnoses(tmp_path, capsys, monkeypatch):
    """The cue's curve is the IQM over seeds at the lags that all have; the seed in the middle is shown.

    The Markdown, which holds no picture of them, describes none, and says where they are.

    Mutations: figures of one lag taken for those of another; the best seed shown; a picture as large as it
    is; too many of them on the page; the text on lines and bands in the Markdown.
    """
    for seed, success in ((1, 0.9), (2, 0.5), (3, 0.7)):
        plant(tmp_path / str(seed), success, seed=seed)
    diagnosed(tmp_path / "1", [1.0, 0.9, 0.8])
    diagnosed(tmp_path / "2", [0.7, 0.6], lag=(1, 2))
    diagnosed(tmp_path / "3", [0.2, 0.8, 0.4])
    (task,) = tasks_of(tmp_path)
    cue = cue_curves(task)["ur-lstm"]
    assert cue.lag.tolist() == [1, 2]
    assert cue.state == pytest.approx([0.8, 0.6])
    assert representative(task, "ur-lstm").config.seed == 3
    with Image.open(io.BytesIO(picture_of(task.finished("ur-lstm")[0]))) as picture:
        assert picture.size == (1200, 450)
    assert report.main([str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out.html").read_text()
    assert text.count("data:image/png;base64,") == 1
    assert "ur-lstm, seed 3: the seed in the middle by success" in text
    assert "dotted" in text
    told = (tmp_path / "out.md").read_text()
    assert "dotted" not in told
    assert "## Diagnosis: tmaze\n\nIts pictures are on the page, [out.html](out.html).\n\n## How" in told
    monkeypatch.setattr("agents.reporting.contents.MAX_PICTURES_BYTES", 10)
    assert report.main([str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out.html").read_text()
    assert "data:image" not in text
    assert (
        f"Left out, as the page would be too large: {tmp_path / '3' / 'diagnosis' / 'diagnosis.png'}" in text
    )


@pytest.mark.parametrize(
    ("file", "content", "part"),
    [
        ("diagnosis.json", '{"format": 1, "cue": {}}', "diagnosis.json: its cue lacks 'lag'"),
        ("diagnosis.json", '{"format": 1, "cue": 3}', "diagnosis.json: "),
        ("diagnosis.json", '{"format": 1, "cue": {"lag": "x"}}', "diagnosis.json: "),
        ("diagnosis.png", "no picture", "diagnosis.png: no picture"),
    ],
)
def test_diagnoses_that_are_none(file, content, part, tmp_path, capsys):
    """One line, exit 2. Mutation: an error let through."""
    run = diagnosed(plant(tmp_path / "run", 0.5), [0.5, 0.5, 0.5])
    (run / "diagnosis" / file).write_text(content)
    assert_one_line_at_last(report.main, [str(run), "--out", str(tmp_path / "out")], capsys, part)


def assert_one_line_at_last(main, words, capsys, part):
    """As `assert_one_line`, of what is found out after the program has said what it found."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert said.count("\n") == 1
    assert part in said


class Outline(HTMLParser):
    """Ids, what is fetched, and tags that nobody closed."""

    def __init__(self):
        super().__init__()
        self.ids, self.fetched, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.fetched += [found[name] for name in ("src", "href", "xlink:href") if name in found]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else(tmp_path, capsys):
    """No network, no id twice, every tag closed, dark and light; names are no HTML.

    Mutations: matplotlib's ids as they are; a name that is not escaped; a picture by its path.
    """
    plant_all(tmp_path / "a", {"lstm": [0.9, 0.8], "memoryless": [0.5, 0.4]}, env_opt=("length=5",))
    plant_all(tmp_path / "b", {"lstm": [0.7, 0.6]}, env_opt=("length=9",))
    (tmp_path / "a" / "lstm" / "seed1").rename(tmp_path / "a" / "lstm" / "<i>seed1")
    (tmp_path / "a" / "lstm" / "<i>seed1" / "evaluation.json").unlink()
    words = [str(tmp_path), "--out", str(tmp_path / "out" / "name.with.dots")]
    assert report.main(words) == 0
    told = capsys.readouterr().out
    assert "note: 1 run is not finished" in told
    text = (tmp_path / "out" / "name.with.dots.html").read_text()
    assert "://" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", text)
    assert "<i>" not in text
    assert "prefers-color-scheme: dark" in text
    assert "#010203" not in text
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    assert len(set(outline.ids)) == len(outline.ids) > 10
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in outline.fetched)
    assert {target[1:] for target in outline.fetched if target.startswith("#")} <= set(outline.ids)
    for part in ("Memory horizon: tmaze", "Who is better than whom", "for seed in", shlex.join(words)):
        assert part in text
    told = (tmp_path / "out" / "name.with.dots.md").read_text()
    assert told.count("| *oracle* | 1.000 |") == told.count("| *chance* |") == 2
    assert "| *memoryless*" not in told
    rows = list(csv.DictReader((tmp_path / "out" / "name.with.dots.csv").read_text().splitlines()))
    assert len(rows) == 6
    assert [row["finished"] for row in rows].count("False") == 1
