"""The probe as a whole: who learns and who cannot, what is written, and how a sweep goes on."""

import csv
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from programs import assert_one_line

from agents.probing import fitting, records, sweep
from agents.probing.fitting import Fit, Point, fit, make_reader
from agents.probing.tasks import Choice, make_task
from cores import make_core
from scripts import probe

ROOT = Path(__file__).parent.parent
TINY = "--task copy --length 22 --hidden-size 6 --steps 3 --batch-size 4 --core lstm memoryless --seeds 1 2"


def words(text, out):
    """A command line that writes to `out`."""
    return [*text.split(), "--out", str(out)]


@pytest.fixture(autouse=True)
def few_held_out(monkeypatch):
    """Fewer sequences to be judged on, in a number that the evaluation cannot split evenly."""
    monkeypatch.setattr(fitting, "NUM_HELD_OUT", 300)


def learnt(choice, core, steps, learning_rate=1e-2, **options):
    """The fit of a small core."""
    task = make_task(choice)
    reader = make_reader(task, lambda size: make_core(core, size, 24), 1)
    with sweep.fast_floats():
        return fit(task, reader, seed=1, steps=steps, batch_size=16, learning_rate=learning_rate, **options)


@pytest.mark.parametrize(
    "choice", [Choice("recall", 3, env="passive-match"), Choice("recall", 6, env="tmaze")]
)
def test_recall_on_both_sides(choice):
    """A memory solves it and ends early; who has none, or one too short, stays at chance.

    Mutations: the answers read off the first steps in place of the last; `reset` true at every step; for
    the controls, the label of the question visible in its frame.
    """
    result = learnt(choice, "lstm", 400, learning_rate=2e-3)
    assert result.solved_at is not None
    assert result.points[-1].updates < 400
    assert result.points[-1].accuracy >= fitting.SOLVED_ACCURACY
    for control in ("memoryless", "frame-stack"):
        result = learnt(choice, control, 60)
        chance = make_task(choice).chance
        # Five standard deviations of 300 guesses.
        assert abs(result.points[-1].accuracy - chance) < 5 * (chance * (1 - chance) / 300) ** 0.5
        assert (result.solved_at, result.points[-1].updates) == (None, 60)


@pytest.mark.parametrize(
    ("choice", "lstm_share", "control_share"),
    [(Choice("copy", 21), 0.75, 0.98), (Choice("adding", 6), 0.1, 0.76)],
)
def test_sequences_on_both_sides(choice, lstm_share, control_share):
    """A memory gets well below the baseline; the control does not.

    In a sum of six the last number is marked in a third of the sequences: who sees only that one can have
    (1/6 - 1/36), 0.83 of the baseline.

    Mutations: the sign of the gradient; the loss over all steps in place of the last ones.
    """
    task = make_task(choice)
    assert learnt(choice, "lstm", 300).points[-1].loss < lstm_share * task.baseline
    assert learnt(choice, "memoryless", 100).points[-1].loss > control_share * task.baseline


def test_every_core_gets_the_same_sequences_and_a_seed_its_weights(monkeypatch):
    """Mutation: the batches drawn from torch's global generator, after the weights."""
    seen = []
    update = fitting.update

    def watched(task, reader, optimizer, batches, device):
        batch = next(batches)
        seen[-1].append(batch.observations)
        update(task, reader, optimizer, iter([batch]), device)

    monkeypatch.setattr(fitting, "update", watched)
    losses = []
    for core in ("lstm", "gru", "lstm"):
        seen.append([])
        losses.append(learnt(Choice("adding", 5), core, 3).points[-1].loss)
    for others in seen[1:]:
        assert all((a == b).all() for a, b in zip(seen[0], others, strict=True))
    assert losses[0] == losses[2] != losses[1]


def test_when_a_run_is_solved(monkeypatch):
    """At the first of two good evaluations on end, not at one that luck gave.

    Mutation: one evaluation suffices; the second one's updates recorded.
    """
    accuracies = iter([0.1, 1.0, 0.9, 1.0, 0.996, 1.0])
    monkeypatch.setattr(fitting, "evaluate", lambda *_: Point(_[3], 1.0, next(accuracies)))
    result = learnt(Choice("copy", 21), "gru", 40)
    assert (result.solved_at, result.points[-1].updates) == (3, 4)


def test_a_run_whose_loss_is_no_number_ends(monkeypatch):
    """Mutation: it goes on for all its updates."""
    monkeypatch.setattr(fitting, "evaluate", lambda *_: Point(_[3], float("nan"), 0.3))
    assert len(learnt(Choice("copy", 21), "gru", 40).points) == 1


def test_evaluation_counts_every_sequence_once():
    """Against one pass over all.

    Mutation: the mean of the parts' means, though the last part is smaller.
    """
    task = make_task(Choice("copy", 25))
    reader = make_reader(task, partial(make_core, "lstm", hidden_size=6), 0)
    held_out = next(task.stream(3, 300, True))
    cpu = fitting.torch.device("cpu")
    point = fitting.evaluate(task, reader, held_out, 0, cpu)
    answers = reader(held_out.observations, 10).detach()
    assert point.loss == pytest.approx(float(fitting.losses(task, answers, held_out.labels).mean()), 1e-4)
    assert point.accuracy == pytest.approx(float((answers.argmax(-1) == held_out.labels).float().mean()))
    log_shares = answers.log_softmax(-1).numpy()
    literal = [
        -log_shares[q, b, held_out.labels[q, b]] for q in range(10) for b in range(held_out.labels.shape[1])
    ]
    assert point.loss == pytest.approx(float(np.mean(literal)), 1e-4)


def test_files(tmp_path, capsys):
    """A row for each run, its curve, a table and a plot; a second time nothing is done, with a seed more one.

    Mutations: finished runs done again; the key without the seed; a table that does not say how it was made.
    """
    out = tmp_path / "below" / "copy.v1"
    assert probe.main(words(TINY, out)) == 0
    said = capsys.readouterr().out
    assert {path.name for path in out.parent.iterdir()} == {
        f"copy.v1{ending}" for ending in (".csv", "-curves.csv", ".md", ".png")
    }
    with open(f"{out}.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["core"], row["seed"]) for row in rows] == [
        (core, seed) for seed in "12" for core in ("lstm", "memoryless")
    ]
    assert {(row["updates"], row["sequences"], row["setting"]) for row in rows} == {("3", "12", "length=22")}
    table = Path(f"{out}.md").read_text()
    assert table.startswith("copy, H=6, B=4, learning rate 0.001, at most 3 updates\n\n| setting |")
    assert table in said
    files = [f"{out}{ending}" for ending in (".csv", "-curves.csv", ".md", ".png")]
    assert said.endswith(f"\nwrote {', '.join(files)}\n")
    for part in ("| length=22 | lstm | ", "| 0/2 |", "| length=22 | *has not read the sequence* | 2.079 |"):
        assert part in table
    curves = Path(f"{out}-curves.csv").read_text()
    assert curves.count("\n") == 1 + 4 * 4

    assert probe.main(words(TINY, out)) == 0
    assert "4 of 4 runs are in" in capsys.readouterr().out
    assert Path(f"{out}-curves.csv").read_text() == curves
    assert probe.main(words(TINY.replace("--seeds 1 2", "--seeds 2 3"), out)) == 0
    assert "2 of 4 runs are in" in capsys.readouterr().out
    assert "| 0/3 |" in Path(f"{out}.md").read_text()
    assert probe.main(words(TINY.replace("--length 22", "--length 22 23"), out)) == 0
    assert "| length=23 | memoryless |" in Path(f"{out}.md").read_text()


def test_the_help_says_what_a_seed_is(capsys):
    """A sweep's file counts seeds, the probe takes their numbers. Mutation: nothing said of it."""
    with pytest.raises(SystemExit):
        probe.main(["--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "numbers of the seeds, not how many: 2 is the one seed 2" in said


def test_one_seed_has_no_interval(tmp_path):
    """Mutation: an interval of width zero, as if one seed told all."""
    assert probe.main(words(TINY.replace("--seeds 1 2", "--seeds 2"), tmp_path / "x")) == 0
    rows = [line.split(" | ") for line in (tmp_path / "x.md").read_text().splitlines() if "| lstm |" in line]
    assert [row[3] for row in rows] == ["–"]
    assert probe.main(words(TINY, tmp_path / "x")) == 0
    rows = [line.split(" | ") for line in (tmp_path / "x.md").read_text().splitlines() if "| lstm |" in line]
    assert " … " in rows[0][3]


def test_two_processes_write_what_one_does(tmp_path, capsys, monkeypatch):
    """Mutations: a run handed out twice, or its row lost; another seed's weights in another process."""

    def table(out):
        with open(f"{out}.csv") as file:
            rows = [{**row, "seconds": ""} for row in csv.DictReader(file)]
        return sorted(map(str, rows))

    text = TINY.replace("memoryless", "chrono,t_max=9")
    assert probe.main([*words(text, tmp_path / "two"), "--jobs", "2"]) == 0
    said = capsys.readouterr()
    assert "4/4 runs" in said.out
    assert said.err == ""
    monkeypatch.setattr(fitting, "NUM_HELD_OUT", 512)  # the fixture's number does not reach other processes
    assert probe.main(words(text, tmp_path / "one")) == 0
    assert table(tmp_path / "two") == table(tmp_path / "one")


@pytest.mark.parametrize(
    ("jobs", "number", "code"),
    [("1", signal.SIGTERM, 143), ("2", signal.SIGINT, 130), ("2", signal.SIGKILL, -signal.SIGKILL)],
)
def test_interrupted(jobs, number, code, tmp_path):
    """It leaves with the shell's code and in silence, and no process stays, not even when it is killed.

    Mutations: the processes left alone, so that each goes on with its run; ``end_with_parent`` not started.
    """
    text = "--task copy --length 21 --hidden-size 8 --steps 100000 --seeds 1 2 3 --core lstm memoryless"
    command = [sys.executable, "-m", "scripts.probe", *words(text, tmp_path / "x"), "--jobs", jobs]
    pipe = subprocess.PIPE
    group = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    assert group.stdout is not None
    assert group.stdout.readline() == f"6 runs to do, {jobs} at once\n"
    time.sleep(1)
    os.kill(group.pid, number)
    _, said = group.communicate(timeout=60)
    assert group.returncode == code
    assert said == "" or number == signal.SIGKILL  # Python's own watch over semaphores speaks up then
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(group.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        raise AssertionError("a process stays")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "--task"),
        ("--task echo", "echo"),
        ("--task copy --core lstn", "unknown core 'lstn': did you mean lstm"),
        ("--task copy --core chrono,t_max=1", "t_max must be"),
        ("--task copy --core lstm,t_max=9", "no option 't_max'"),
        ("--task copy --core lstm,t_max", "takes name=value"),
        ("--task copy --core lstm lstm", "--core gives a value twice"),
        ("--task copy --length 20", "--length must be at least 21, got 20"),
        ("--task adding --length 1", "--length must be at least 2"),
        ("--task copy --length 1.5", "['1.5']"),
        ("--task copy --delay 30", "--delay is for recall, not for copy"),
        ("--task recall --length 30", "--length is for adding and copy, not for recall"),
        ("--task recall --delay 0", "delay must be at least 1"),
        ("--task recall --env key-to-door", "no native task that asks for a cue"),
        ("--task recall --env CartPole-v1", "no native task that asks for a cue"),
        ("--task copy --env tmaze", "--env is for recall"),
        ("--task copy --permute", "--permute and --data are for pixels"),
        ("--task pixels --data nowhere", "nowhere is no folder"),
        ("--task pixels --data .", "neither MNIST"),
        ("--task copy --seeds -1", "--seeds must be at least 0"),
        ("--task copy --seeds 1 1", "--seeds gives a value twice"),
        ("--task copy --steps -1", "--steps must be at least 0"),
        ("--task copy --hidden-size 0", "--hidden-size must lie in 1 … 65536"),
        ("--task copy --batch-size 0", "--batch-size must be at least 1"),
        ("--task copy --jobs 0", "--jobs must be at least 1"),
        ("--task copy --learning-rate nan", "--learning-rate must be a number above 0"),
        ("--task copy --learning-rate 0", "--learning-rate must be a number above 0"),
        ("--task copy --device tpu", "--device must be"),
        ("--task copy --lenght 30", "did you mean --length?"),
    ],
)
def test_wrong_words(text, part, tmp_path, capsys, monkeypatch):
    """Mutation: any of the checks left out."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert_one_line(probe.main, words(text, tmp_path / "x" / "y"), 2, tmp_path, capsys, part)


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("x.csv", "a,b\n1,2\n", "is no table of a probe"),
        ("x.csv", "{head}copy,length=22,lstm,1,6,4,3\n", "x.csv, line 2: damaged"),
        ("x.csv", "{head}copy,length=22,lstm,1,6,4,3,0.001,3,12,inf,0.1,,1.0\n", "x.csv, line 2: damaged"),
        ("x.csv", "{head}copy,length=22,lstm,1,6,4,3,0.001,3,12,2,0.1,,1.0\n", "lacks the curve of copy"),
        ("x-curves.csv", "a\n", "x-curves.csv is no table of a probe"),
    ],
)
def test_a_table_that_cannot_be_read(name, content, part, tmp_path, capsys):
    """Mutation: such a row passed over, and the run done again in silence."""
    head = ",".join((*records.KEY, *records.FIGURES)) + "\n"
    (tmp_path / name).write_text(content.replace("{head}", head))
    assert_one_line(probe.main, words(TINY, tmp_path / "x"), 2, tmp_path, capsys, part)


def test_a_table_in_a_place_that_cannot_be_written(tmp_path, capsys):
    """Mutation: found out after the first run is done."""
    (tmp_path / "file").write_text("")
    assert_one_line(probe.main, words(TINY, tmp_path / "file" / "x"), 2, tmp_path, capsys)


def test_a_run_cut_off_between_its_two_files(tmp_path):
    """Its curve is there twice then, and is read once.

    Mutation: the points of both laid end to end.
    """
    path, key = tmp_path / "x.csv", tuple("abcdefgh")
    result = Fit([Point(0, 2.0, 0.1), Point(5, 1.0, 0.5)], None)
    records.append_rows(records.curves_path(path), (*records.KEY, *records.CURVE), [[*key, 0, 9, 0.1]])
    records.append(path, key, result, batch_size=4, seconds=1.0)
    (record,) = records.read(path).values()
    assert (record.curve, record.solved_at) == (result.points, None)
    assert (record.task, record.seed) == ("a", "d")
