"""The doctor as its users meet it: a line a rule, what a broken one means, and the right exit code."""

import pytest
from programs import assert_one_line

from cores.conformance import RULES
from scripts import doctor


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
def test_doctor_checks_its_words(tmp_path, capsys, words, part):
    assert_one_line(doctor.main, words, 2, tmp_path, capsys, part)
