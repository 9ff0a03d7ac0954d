"""The programs as their users meet them: one line for bad input, the right exit code, nothing lost."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cores.conformance import RULES
from cores.yardsticks import MASKED, PLAIN, PRODUCTS
from scripts import benchmark, doctor, evaluate, report
from scripts import train as train_script

ROOT = Path(__file__).parent.parent
TINY = [
    "--env",
    "tmaze",
    "--env-opt",
    "length=2",
    "--hidden-size",
    "6",
    "--num-envs",
    "3",
    "--total-steps",
    "60",
]

BAD_WORDS = {
    "unknown task": (["--env", "tmase"], "did you mean tmaze"),
    "unknown Gymnasium id": (["--env", "CartPole-v9"], "CartPole-v1"),
    "continuous actions": (["--env", "Pendulum-v1"], "Discrete"),
    "unknown core": (["--core", "ur-lstn"], "ur-lstm"),
    "a core that can't be imported": (["--core", "nowhere:Core"], "No module named 'nowhere'"),
    "a core that is none": (["--core", "json:loads"], "RecurrentCore"),
    "unknown flag": (["--hiden-size", "3"], "did you mean --hidden-size?"),
    "unknown task option": (["--env-opt", "lenth=3"], "length"),
    "unknown core option": (["--core", "chrono", "--core-opt", "tmax=3"], "t_max"),
    "option without a value": (["--env-opt", "length"], "name=value"),
    "a size of 0": (["--hidden-size", "0"], "--hidden-size must lie in 1"),
    "no environments": (["--num-envs", "0"], "--num-envs must lie in 1"),
    "a length of 0": (["--env-opt", "length=0"], "length must be at least 1"),
    "a learning rate that is no number": (["--learning-rate", "nan"], "--learning-rate must lie in 0"),
    "half a step": (["--total-steps", "1.5"], "no whole number"),
    "unknown optimiser": (["--optimizer", "sgd"], "'adam', 'rmsprop'"),
    "unknown device": (["--device", "tpu"], "cuda"),
    "no such run": (["--resume", "nowhere"], "is no run folder"),
}


def assert_one_line(error: str, program: str, part: str) -> None:
    assert error.startswith(f"{program}: ")
    assert error.count("\n") == 1
    assert error.endswith("\n")
    assert part in error


@pytest.mark.parametrize(("words", "part"), BAD_WORDS.values(), ids=BAD_WORDS)
def test_bad_words(tmp_path, capsys, monkeypatch, words, part):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        train_script.main(words)
    assert exit_.value.code == 2
    assert_one_line(capsys.readouterr().err, "train", part)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as exit_:
        train_script.main([*TINY, "--log-dir", str(tmp_path / "file")])
    assert exit_.value.code == 2
    assert_one_line(capsys.readouterr().err, "train", "--log-dir")


def test_help_shows_the_default(capsys):
    with pytest.raises(SystemExit) as exit_:
        train_script.main(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert "--resume" in text
    assert "(default: ur-lstm)" in text


@pytest.fixture
def run(tmp_path, capsys) -> Path:
    """A finished run."""
    assert train_script.main([*TINY, "--log-dir", str(tmp_path / "runs")]) == 0
    out = capsys.readouterr().out
    assert "success over 1,000 fresh episodes" in out
    (config,) = (tmp_path / "runs").rglob("config.json")
    return config.parent


def test_evaluate(run, capsys):
    assert evaluate.main([str(run), "--episodes", "100", "--seed", "5"]) == 0
    out = capsys.readouterr().out
    for part in ("100 fresh episodes", "ur-lstm (this agent)", "oracle", "best memoryless", "chance"):
        assert part in out
    assert evaluate.main([str(run), "--episodes", "100", "--seed", "5"]) == 0
    assert capsys.readouterr().out == out


def test_resume_goes_on_and_changes_nothing_else(run, capsys):
    assert train_script.main(["--resume", str(run), "--total-steps", "120"]) == 0
    assert "120 env steps" in capsys.readouterr().out
    with pytest.raises(SystemExit) as exit_:
        train_script.main(["--resume", str(run), "--hidden-size", "9"])
    assert exit_.value.code == 2
    assert_one_line(capsys.readouterr().err, "train", "--hidden-size can't change in a resumed run")


@pytest.mark.parametrize("program", [train_script, evaluate], ids=["train", "evaluate"])
def test_damaged_checkpoints(run, capsys, program):
    for path in run.rglob("tensors.safetensors"):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    words = ["--resume", str(run)] if program is train_script else [str(run)]
    with pytest.raises(SystemExit) as exit_:
        program.main(words)
    assert exit_.value.code == 5
    assert_one_line(capsys.readouterr().err, program.__name__.split(".")[-1], "tensors.safetensors")
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before


@pytest.mark.parametrize("text", ["{", "[]", '{"hidden_size": NaN}', '{"hidden_size": 1e3}', '{"colour": 1}'])
def test_a_damaged_configuration(run, capsys, text):
    (run / "config.json").write_text(text)
    with pytest.raises(SystemExit) as exit_:
        evaluate.main([str(run)])
    assert exit_.value.code == 2
    assert_one_line(capsys.readouterr().err, "evaluate", "config.json")


def test_evaluate_checks_its_words(run, capsys):
    for words in ([str(run), "--episodes", "0"], [str(run), "--seed", "-1"], [str(run.parent)]):
        with pytest.raises(SystemExit) as exit_:
            evaluate.main(words)
        assert exit_.value.code == 2
        assert_one_line(capsys.readouterr().err, "evaluate", "")


def test_report(run, tmp_path, capsys):
    assert report.main([str(run.parent), "--out", str(tmp_path / "out" / "tmaze")]) == 0
    assert "| ur-lstm |" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"tmaze.csv", "tmaze.md", "tmaze.png"}
    with pytest.raises(SystemExit) as exit_:
        report.main([str(tmp_path / "out")])
    assert exit_.value.code == 2
    assert_one_line(capsys.readouterr().err, "report", "no finished run")


def test_benchmark(capsys):
    assert benchmark.main(["envs", "--num-envs", "8", "--seconds", "0.01", "--repeats", "1"]) == 0
    assert capsys.readouterr().out.count("steps/s") == 5
    words = ["train", "--envs", "tmaze", "--cores", "lstm", "memoryless", "--hidden-size", "8"]
    assert benchmark.main([*words, "--seconds", "0.01", "--repeats", "1"]) == 0
    assert capsys.readouterr().out.count("learning ") == 2


def test_benchmark_of_cores(capsys):
    words = [
        "cores",
        "--cores",
        "ur-lstm",
        "memoryless",
        "--hidden-sizes",
        "4",
        "6",
        "--learning",
        "5x3",
        "2x1",
    ]
    assert benchmark.main([*words, "--acting", "3", "--seconds", "0.01", "--statistic", "min"]) == 0
    tables = capsys.readouterr().out.split("\n\n")
    assert len(tables) == 3
    for table, size in zip(tables[1:], (4, 6), strict=True):
        titles, *rows = table.rstrip("\n").splitlines()
        assert re.split("  +", titles) == [f"H = {size}", "learn 5x3", "learn 2x1", "act 3"]
        assert [re.split("  +", row)[0] for row in rows] == [PRODUCTS, PLAIN, MASKED, "ur-lstm", "memoryless"]
        assert rows[1].count(" 1.00x") == 3


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--learning", "80"], "such as 80x16, got '80'"),
        (["--learning", "0x16"], "such as 80x16"),
        (["--acting", "0"], "--acting"),
        (["--hidden-sizes"], "--hidden-sizes"),
        (["--hidden-sizes", "0"], "--hidden-sizes"),
        (["--num-threads", "0"], "--num-threads"),
        (["--seconds", "nan"], "--seconds"),
        (["--cores", "lsmt"], "did you mean lstm"),
    ],
)
def test_benchmark_checks_its_words(capsys, words, part):
    with pytest.raises(SystemExit) as exit_:
        benchmark.main(["cores", *words])
    assert exit_.value.code == 2
    assert_one_line(capsys.readouterr().err, "benchmark", part)


def test_doctor_finds_nothing(capsys):
    assert doctor.main(["core", "chrono", "--core-opt", "t_max=20", "--hidden-size", "5"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == f"chrono: {len(RULES)} of {len(RULES)} rules hold"
    assert [line.split() for line in out[:-1]] == [["ok", rule] for rule in RULES]


def test_doctor_names_the_broken_rule(capsys):
    """Fails if the exit code does not follow the findings."""
    assert doctor.main(["core", "faulty_cores:MultipliesReset"]) == 1
    out = capsys.readouterr().out
    assert "BROKEN  broken-state    after a state of nan and a reset, the results differ" in out
    assert "torch.where" in out
    assert f"{len(RULES) - 1} of {len(RULES)} rules hold" in out
    assert "mend the first" not in out


def test_doctor_lists_its_rules(capsys):
    assert doctor.main(["rules"]) == 0
    assert set(RULES) <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["core", "ur-lstn"], "did you mean ur-lstm"),
        (["core", "nowhere:Core"], "No module named 'nowhere'"),
        (["core", "chrono", "--core-opt", "tmax=20"], "did you mean t_max?"),
        (["core", "lstm", "--hidden-size", "0"], "hidden_size must be"),
        (["core", "lstm", "--input-size", "0"], "input_size must be"),
        (["core"], "core"),
        (["cores"], "core"),
    ],
)
def test_doctor_checks_its_words(capsys, words, part):
    with pytest.raises(SystemExit) as exit_:
        doctor.main(words)
    assert exit_.value.code == 2
    assert_one_line(capsys.readouterr().err, "doctor", part)


def test_as_a_program(tmp_path):
    """A newcomer's first mistake: a line, no traceback."""
    command = [sys.executable, "-m", "scripts.train", "--core", "lstmm", "--log-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert_one_line(done.stderr, "train", "lstm")


def test_nobody_reads_on(tmp_path):
    """`| head -1` ends the reading, not the run."""
    command = f"'{sys.executable}' -m scripts.train {' '.join(TINY)} --log-dir '{tmp_path}' | head -1"
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, shell=True)
    assert done.stderr == ""
    assert list(tmp_path.rglob("evaluation.json"))
