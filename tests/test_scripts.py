"""The programs as their user meets them: what they print, where they exit, and what they leave behind."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from programs import assert_one_line, tree

from agents.about import read_about
from agents.checkpoint import load_checkpoint, save_checkpoint
from agents.evaluation import load_run
from scripts import benchmark, evaluate, report, train

ROOT = Path(__file__).parent.parent
TINY_WORDS = "--env-opt length=2 --total-steps 300 --num-envs 3 --hidden-size 6 --encoder-size 7 --device cpu"
TINY = TINY_WORDS.split()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run that went to its end; nobody changes it."""
    logs = tmp_path_factory.mktemp("finished")
    assert train.main([*TINY, "--log-dir", str(logs)]) == 0
    (folder,) = (logs / "tmaze" / "ur-lstm").iterdir()
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("--env tmazee", "unknown environment 'tmazee'; did you mean tmaze, tmaze-active?"),
        ("--env MiniGrid-MemoryS8-v0", "MiniGrid-MemoryS"),
        ("--env no_such_module:X-v0", "No module named 'no_such_module'"),
        ("--env Pendulum-v1", "only Discrete is supported"),
        ("--env Blackjack-v1", "observation space"),
        ("--env-backend gymnasium", "tmaze is a native task: the backend gymnasium has no orig"),
        ("--env-backend gym", "env-backend"),
        ("--env CartPole-v1 --env-opt processes=3", "processes must be true or false, got 3"),
        ("--env-opt processes=true", "tmaze has no option 'processes'; its options are length"),
        ("--env popgym:popgym-X-v0", "No module named 'popgym'; it comes with pip install -e '.[popgym]'"),
        (
            "--env tmaze-active --env-opt length=1e6",
            "preset of tmaze-active: total_steps 5000000 is less than one update takes: 8,000,032,",
        ),
        ("--core ur-lstn", "unknown core 'ur-lstn': did you mean ur-lstm"),
        ("--core no_such_module:Core", "cannot be imported"),
        ("--core cores.lstm:STARTS", "no subclass of cores.RecurrentCore"),
        ("--core-opt t_max=3", "has no option 't_max'"),
        ("--core chrono --core-opt t_max=1", "t_max must be"),
        ("--core chrono --core-opt t_max", "takes name=value"),
        ("--core-opt hidden_size=3", "can't set 'hidden_size'"),
        ("--env-opt lenght=3", "tmaze has no option 'lenght'; did you mean length?"),
        ("--env-opt length=0", "length must be at least 1"),
        ("--env-opt length=2.5", "length must be a whole number"),
        ("--env-opt length=1e30", "length must be a whole number, got 1e+30"),
        ("--env-opt length=99999999999999999999", "length must be at most 1000000000000000, got 9999999999"),
        ("--env-opt seed=3", "can't set 'seed'"),
        ("--env CartPole-v1 --env-opt copy=True", "can't set 'copy'"),
        ("--env CartPole-v1 --env-opt lenght=3", "has no option 'lenght'"),
        ("--hidden-size 0", "--hidden-size must lie in 1 … 65536, got 0"),
        ("--num-envs -1", "--num-envs must lie in"),
        ("--unroll-length -1", "--unroll-length must lie in"),
        ("--total-steps 1.5", "'1.5' is no whole number"),
        ("--learning-rate nan", "--learning-rate must lie in 0 … 1000, got nan"),
        ("--discount 1.01", "--discount must lie in 0 … 1, got 1.01"),
        ("--lambda 2", "--lambda must lie in 0 … 1, got 2.0"),
        ("--optimizer sgd", "sgd"),
        ("--device tpu", "--device must be auto, cpu, cuda or cuda:N"),
        ("--device cuda:77", "--device cuda:77: this machine has"),
        ("--totalsteps 5", "did you mean --total-steps?"),
        ("--seed 1 --seed 2", "--seed is given twice"),
        ("--total-steps 10", "--total-steps 10 is less than one update takes: 416, by --num-envs 8 times"),
        ("--hidden-size 65536", "--hidden-size: the network and what it computes take "),
        ("--num-envs 1M --total-steps 1g", "--num-envs: the network and what it computes take "),
        ("--num-envs 1M --total-steps 1e15 --unroll-length 1M", "--num-envs: environments and unrolls take "),
        ("--config tmaze", "--config takes a file; a task's preset comes with the task: --env tmaze"),
        ("--config missing.toml", "--config missing.toml: no such file"),
        ("--config a.toml --resume b", "--config does not go with --resume"),
        ("stray", "stray"),
        ("--env", "--env"),
    ],
)
def test_wrong_words(words, part, tmp_path, capsys):
    """Exit 2, one line that says what is wrong and what is near, and no folder is made.

    Mutation: the run's folder made before all else is built.
    """
    words = [*words.split(), "--log-dir", tmp_path / "logs"]
    assert_one_line(train.main, words, 2, tmp_path, capsys, part)


@pytest.mark.parametrize("place", ["file", "file/below", "locked"])
def test_a_log_dir_that_cannot_be_written(place, tmp_path, capsys):
    """Also for root, who may write everywhere but not below a file.

    Mutation: the error of mkdir let through.
    """
    (tmp_path / "file").write_text("")
    (tmp_path / "locked").mkdir(mode=0o500)
    if place == "locked" and os.access(tmp_path / "locked", os.W_OK):
        pytest.skip("root may write into a folder without the right to")
    assert_one_line(train.main, [*TINY, "--log-dir", tmp_path / place], 2, tmp_path, capsys, "--log-dir")


@pytest.mark.parametrize("main", [train.main, evaluate.main])
def test_help(main, capsys):
    """Exit 0, and the flags on standard output; before them, that a default is not what holds.

    Mutations: the help taken for an error; presets left out.
    """
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    head, _, flags = capsys.readouterr().out.partition("options")
    assert "--seed INT" in flags
    if main is train.main:
        assert "replaces some of the defaults below: of --total-steps" in " ".join(head.split())
        assert "--dry-run" in head


def resume(folder):
    """Words that go on with a run."""
    return ["--resume", folder]


def evaluation(folder):
    """Words that evaluate a run."""
    return [folder]


BOTH = pytest.mark.parametrize(("main", "words"), [(train.main, resume), (evaluate.main, evaluation)])


@BOTH
def test_no_run_folder(main, words, tmp_path, capsys):
    """Mutation: a FileNotFoundError let through, or a run begun from scratch."""
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "missing"):
        assert_one_line(main, words(folder), 2, tmp_path, capsys, f"{folder} is no run folder")


@BOTH
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 10**6,
        b"\xff\xfe",
        b'{"hiden_size": 3}',
        b'{"learning_rate": NaN}',
        b'{"env_opt": 5}',
        b'{"env_opt": [5]}',
        b'{"env_opt": "length=3"}',
        b'{"core": {"a": 1}}',
        b'{"optimizer": []}',
        b'{"device": 3}',
        b'{"seed": 1' + b"0" * 400 + b"}",
    ],
    ids=lambda content: content[:24].decode(errors="replace"),
)
def test_a_configuration_that_cannot_be_used(main, words, content, run, capsys):
    """Mutation: the file's values taken as they are."""
    (run / "config.json").write_bytes(content)
    assert_one_line(main, words(run), 2, run, capsys)


@BOTH
def test_no_checkpoint_that_verifies(main, words, run, capsys):
    """Exit 5 with the file's name, and the run is left as it is: nothing starts from scratch.

    Mutation: 2 in place of 5.
    """
    for checkpoint in (run / "checkpoints").iterdir():
        path = checkpoint / "tensors.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    assert_one_line(main, words(run), 5, run, capsys, "tensors.safetensors")
    shutil.rmtree(run / "checkpoints")
    assert_one_line(main, words(run), 5, run, capsys, "no checkpoint in")


def test_which_checkpoint(run, capsys):
    """The latest, the best or one of a step acts, as its first line says; another word is bad input.

    Mutation: the word not handed on.
    """
    latest = max((run / "checkpoints").iterdir())
    state, _, _ = load_checkpoint(run / "checkpoints")
    shutil.rmtree(latest)
    steps = int(latest.name[5:])
    for age, success in ((100, 0.9), (200, 0.5), (steps, 0.4)):
        state["learner"]["env_steps"] = age
        figures = {"episodes": 100, "success": success}
        save_checkpoint(run / "checkpoints", state, age, figures=figures)
    for words, age in (([], steps), (["latest"], steps), (["best"], 100), (["200"], 200), (["2e2"], 200)):
        words = ["--checkpoint", *words] if words else []
        assert evaluate.main([str(run), "--episodes", "2", *words]) == 0
        assert capsys.readouterr().out.startswith(f"weights after {age:,} env steps")
    for word in ("newest", "150", "-1"):
        words = [run, f"--checkpoint={word}"]
        assert_one_line(evaluate.main, words, 2, run, capsys, "--checkpoint")


@BOTH
def test_a_checkpoint_of_another_configuration(main, words, run, capsys):
    """Mutation: torch's error of many lines let through."""
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "hidden_size": 8}))
    assert_one_line(main, words(run), 5, run, capsys, "does not fit")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("--hidden-size 8", "--hidden-size can't change in a resumed run, which has 6"),
        ("--lambda 0.5", "--lambda can't change"),
        ("--env-opt length=3", "--env-opt can't change"),
        ("--seed 1", "--seed can't change"),
        ("--core lstm", "--core can't change"),
    ],
)
def test_a_resumed_run_stays_the_run_it_is(change, part, run, capsys):
    """Mutation: the change taken over in silence."""
    assert_one_line(train.main, [*resume(run), *change.split()], 2, run, capsys, part)


def test_a_dry_run(run, tmp_path, capsys):
    """Says what a run would do, or where it would go on, and changes nothing.

    Mutations: the folder made; the curves of the run to be resumed cut.
    """
    before = tree(tmp_path)
    assert train.main([*TINY, "--log-dir", str(tmp_path / "logs"), "--num-actors", "2", "--dry-run"]) == 0
    said = capsys.readouterr().out
    for part in (f"{tmp_path / 'logs' / 'tmaze' / 'ur-lstm' / 'seed0-'}", "a dry run", " at least, of "):
        assert part in said
    assert "settings  command line: --env-opt length=2, --hidden-size 6" in said
    assert "warning: --num-actors without effect" in said
    assert train.main([*map(str, resume(run)), "--total-steps", "600", "--dry-run"]) == 0
    assert f"would resume from {run / 'checkpoints'}" in capsys.readouterr().out
    assert tree(tmp_path) == before


def test_a_run_is_repeated_by_its_record(finished, tmp_path, capsys):
    """The record of a run begins the same run; flags win over it, and both are told and kept.

    Mutations: the file over the flags; the origins not written.
    """
    words = ["--config", str(finished / "config.json"), "--log-dir", str(tmp_path), "--seed", "5"]
    assert train.main(words) == 0
    said = capsys.readouterr().out
    assert f"settings  {finished / 'config.json'}: env_opt length=2, hidden_size 6" in said
    assert "settings  command line: --seed 5, --log-dir" in said
    (folder,) = (tmp_path / "tmaze" / "ur-lstm").iterdir()
    first, second = (json.loads((path / "config.json").read_text()) for path in (finished, folder))
    assert {**first, "seed": 5, "log_dir": str(tmp_path)} == second
    origins = json.loads((folder / "origins.json").read_text())
    assert {name for name, origin in origins.items() if origin == "command line"} == {"seed", "log_dir"}
    assert origins["env"] == str(finished / "config.json")


def test_what_a_resumed_run_changed_is_kept(run, capsys):
    """A second resume goes on as the first did, and an older record's gaps are told.

    Mutation: the record left as the first start wrote it.
    """
    values = json.loads((run / "config.json").read_text())
    del values["c_bar"]
    (run / "config.json").write_text(json.dumps(values))
    (run / "origins.json").unlink()
    assert train.main([*map(str, resume(run)), "--total-steps", "600"]) == 0
    assert f"{run / 'config.json'} lacks c_bar, being of an older Longhold" in capsys.readouterr().out
    assert json.loads((run / "config.json").read_text()) == {**values, "c_bar": 1.0, "total_steps": 600}
    assert json.loads((run / "origins.json").read_text()) == {"total_steps": "command line"}
    (run / "origins.json").write_text("[]")
    assert_one_line(train.main, resume(run), 2, run, capsys, f"{run / 'origins.json'}: not a table of texts")


def test_a_resumed_run_may_go_on_for_longer(run, capsys):
    """Where nothing is said, what the run has holds; a longer run goes on from its end.

    Mutation: the defaults in place of the run's configuration.
    """
    steps = json.loads((run / "evaluation.json").read_text())["env_steps"]
    assert train.main([*map(str, resume(run)), "--total-steps", "600"]) == 0
    said = capsys.readouterr().out
    assert f"at {steps:,} env steps" in said
    assert "tmaze length=2" in said
    assert "6 units" in said
    assert 600 <= json.loads((run / "evaluation.json").read_text())["env_steps"] < 650


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("", "run"),
        ("RUN --episodes 0", "--episodes must be at least 1"),
        ("RUN --episodes 1.5", "'1.5' is no whole number"),
        ("RUN --seed -1", "--seed at least 0"),
        ("RUN --device tpu", "--device must be"),
        ("RUN --episode 3", "did you mean --episodes?"),
        ("RUN another", "another"),
    ],
)
def test_wrong_words_for_an_evaluation(words, part, finished, capsys):
    """Mutation: any of the checks left out."""
    words = [finished if word == "RUN" else word for word in words.split()]
    assert_one_line(evaluate.main, words, 2, finished, capsys, part)


def test_evaluation(finished, capsys):
    """Says whose weights, how often they succeed and what the task allows; one seed gives one answer.

    Mutation: the evaluation's seed without effect, or drawn anew each time.
    """

    def said(seed):
        before = tree(finished)
        assert evaluate.main([str(finished), "--episodes", "200", "--seed", str(seed)]) == 0
        assert tree(finished) == before
        return capsys.readouterr().out

    capsys.readouterr()
    text = said(0)
    for part in (
        "success over 200 fresh episodes",
        "ur-lstm",
        "oracle",
        "chance",
        "memoryless",
        "return",
        "length",
    ):
        assert part in text
    assert said(0) == text
    assert len({said(seed) for seed in range(3)}) > 1


def test_evaluation_beside_a_damaged_checkpoint(run, capsys):
    """The one before it is used, and that is said.

    Mutation: the refusal not told.
    """
    (checkpoint,) = (run / "checkpoints").iterdir()
    shutil.copytree(checkpoint, run / "checkpoints" / f"step-{10**9:015d}")
    (run / "checkpoints" / f"step-{10**9:015d}" / "state.json").unlink()
    assert evaluate.main([str(run), "--episodes", "5"]) == 0
    assert "skipped a damaged checkpoint" in capsys.readouterr().out


def test_a_finished_run(finished):
    """What lies in its folder, and what its evaluation holds.

    Mutation: a file left out, or NaN written where JSON knows none.
    """
    names = {path.name.split(".")[0] for path in finished.iterdir()}
    written = {"config", "origins", "about", "lock", "events", "metrics", "checkpoints", "evaluation"}
    assert names == written
    figures = json.loads((finished / "evaluation.json").read_text())
    assert figures["episodes"] == 1000
    assert figures["env_steps"] >= 300
    for name in ("success", "returns", "length"):
        assert figures[name]["low"] <= figures[name]["mean"] <= figures[name]["high"]
    assert figures["length"] == {"mean": 3.0, "low": 3.0, "high": 3.0}


def test_about(run):
    """Each start adds an entry: where it began, what learns and on what; a damaged file starts anew.

    Mutations: the first entry replaced; training refused for a damaged file.
    """
    (first,) = read_about(run)
    assert (first["env_steps"], first["device"], first["threads"], first["ranks"]) == (0, "cpu", 1, 1)
    network = load_run(run)[1]
    assert first["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    assert train.main(["--resume", str(run), "--total-steps", "600"]) == 0
    again, second = read_about(run)
    assert again == first
    assert 300 <= second["env_steps"] < 600
    (run / "about.json").write_text("[")
    assert train.main(["--resume", str(run), "--total-steps", "900"]) == 0
    assert len(read_about(run)) == 1


def test_report(finished, tmp_path, capsys):
    """A row for each core, as a page, a table and a plot; a folder without runs is a mistake of the user.

    Mutation: an empty table in place of the error.
    """
    assert report.main([str(finished.parent), "--out", str(tmp_path / "out" / "tmaze")]) == 0
    assert "| ur-lstm |" in capsys.readouterr().out
    endings = ("csv", "html", "md", "png")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"tmaze.{ending}" for ending in endings}
    told = (tmp_path / "out" / "tmaze.md").read_text()
    parameters = json.loads((finished / "about.json").read_text())[0]["parameters"]
    assert f"| ur-lstm | {parameters:,} |" in told
    assert f"python -m scripts.train --env tmaze {TINY_WORDS.split(' --total')[0]} --core ur-lstm" in told
    assert_one_line(report.main, [tmp_path / "out"], 2, tmp_path, capsys, "no run in")
    assert_one_line(report.main, [tmp_path / "none"], 2, tmp_path, capsys, "no run in")
    assert_one_line(report.main, [], 2, tmp_path, capsys, "report: ")
    words = [finished, "--out", tmp_path / "out" / "tmaze.csv" / "below"]
    assert_one_line(report.main, words, 2, tmp_path, capsys, "tmaze.csv")


def test_report_of_several_runners(finished, tmp_path, capsys):
    """A row for each runner of a core, where a folder holds runs of several. Mutation: all in one row."""
    for runner in ("local", "process"):
        folder = tmp_path / "runs" / runner
        shutil.copytree(finished, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "runner": runner}))
    assert report.main([str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "| ur-lstm, local |" in told
    assert "| ur-lstm, process |" in told
    assert [line.split(",")[2] for line in (tmp_path / "out.csv").read_text().splitlines()] == [
        "runner",
        "local",
        "process",
    ]


def test_benchmark(capsys, tmp_path):
    """A line for each native task and whom it is held against, and one for each core that is trained.

    Mutation: a run left out.
    """
    words = ["envs", "--num-envs", "8", "--seconds", "0.01", "--repeats", "1", "--envs", "tmaze"]
    assert benchmark.main([*words, "MiniGrid-MemoryS7-v0"]) == 0
    told = capsys.readouterr().out
    assert len(re.findall("^(tmaze|MiniGrid-MemoryS7-v0) .* steps/s .* bytes each$", told, re.M)) == 2
    assert len(re.findall("^ +(one original|SyncVectorEnv).* times as fast$", told, re.M)) == 2
    assert re.search("^first step of MiniGrid-MemoryS7-v0, after the import: .* from the cache$", told, re.M)
    assert_one_line(benchmark.main, ["envs", "--envs", "tmase"], 2, tmp_path, capsys, "did you mean tmaze?")
    words = ["train", "--envs", "tmaze", "--cores", "lstm", "memoryless", "--hidden-size", "8"]
    out = tmp_path / "rates.jsonl"
    assert benchmark.main([*words, "--seconds", "0.01", "--repeats", "1", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert told.count("learning ") == told.count("first update after ") == 2
    assert told.count("of its products' rate") == 1
    lstm, memoryless = map(json.loads, out.read_text().splitlines())
    assert (lstm["core"], memoryless["core"], memoryless["products_share"]) == ("lstm", "memoryless", 0)
    assert 0 < lstm["products_share"] < 1
    assert sum(lstm[f"{part}_share"] for part in ("envs", "acting", "learning")) == pytest.approx(1, abs=0.1)
    assert (lstm["policy_lag"], lstm["policy_lag_max"]) == (0, 0)
    assert 0.2 < lstm["first_update_s"] < 120  # torch alone takes longer to import than the first
    assert lstm["machine"]["cores"] >= 1
    assert set(lstm["machine"]) > {"cpu", "torch", "date", "command"}
    nowhere = tmp_path / "none" / "rates.jsonl"
    assert_one_line(benchmark.main, [*words, "--out", nowhere], 2, tmp_path, capsys, "No such file")


def program(*words, **options):
    """Runs a program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def test_as_a_process_of_its_own(finished, tmp_path):
    """Exit codes and streams are the process's too.

    Mutation: the exit code not handed to the shell.
    """
    wrong = program("scripts.train", "--env", "tmazee", "--log-dir", tmp_path / "logs")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "train: --env: unknown environment 'tmazee'; did you mean tmaze, tmaze-active?\n"
    assert tree(tmp_path) == []
    right = program("scripts.evaluate", finished, "--episodes", "20")
    assert (right.returncode, right.stderr) == (0, "")
    assert "success over 20 fresh episodes" in right.stdout


def test_nobody_reads_on(tmp_path):
    """`| head -1` ends the reading, not the run.

    Mutation: a BrokenPipeError let through.
    """
    words = " ".join([*TINY, "--log-dir", str(tmp_path)])
    command = f"'{sys.executable}' -m scripts.train {words} | head -1"
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, shell=True)
    assert done.stderr == ""
    assert list(tmp_path.rglob("evaluation.json"))
