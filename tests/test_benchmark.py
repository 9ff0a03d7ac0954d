"""The benchmark of cores as its users meet it: a table for each size, and one line for bad input."""

import re

import pytest
from programs import assert_one_line

from cores.yardsticks import GRU, MASKED, PLAIN
from scripts import benchmark


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
        names = ["products 4 H", PLAIN, MASKED, GRU, "ur-lstm", "memoryless"]
        assert [re.split("  +", row)[0] for row in rows] == names
        assert rows[1].count(" 1.00x") == 3
        assert [row.count("x") for row in rows] == [3, 3, 3, 3, 6, 3]


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
        (["--device", "tpu"], "--device must be auto, cpu, cuda"),
        (["--cores", "lsmt"], "did you mean lstm"),
    ],
)
def test_benchmark_checks_its_words(tmp_path, capsys, words, part):
    assert_one_line(benchmark.main, ["cores", *words], 2, tmp_path, capsys, part)


def test_benchmark_of_saving(capsys):
    """A line for each size: of the checkpoint, of the wait, of the updates meanwhile."""
    assert benchmark.main(["saving", "--hidden-sizes", "4", "6", "--repeats", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["H=4", "H=6"]
    assert all("training waits" in line and "meanwhile" in line for line in lines)


@pytest.mark.parametrize("words", [["--hidden-sizes", "0"], ["--repeats", "0"]])
def test_benchmark_of_saving_checks_its_words(tmp_path, capsys, words):
    assert_one_line(benchmark.main, ["saving", *words], 2, tmp_path, capsys, words[0])
