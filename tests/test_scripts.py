"""The programs as their users meet them: one line for bad input, the right exit code, nothing lost."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import benchmark, evaluate, report
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
