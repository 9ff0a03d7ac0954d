"""The doctor as its users meet it: a line a rule, what a broken one means, and the right exit code."""

import pytest
from programs import assert_one_line

from agents.installation import Finding
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


def test_doctor_tries_the_rules_with_a_core_that_fails(capsys):
    """Mutation: any error of the first step ends it, though the rules tell more."""
    assert doctor.main(["core", "faulty_tasks:Wrong"]) == 1
    assert f"of {len(RULES)} rules hold" in capsys.readouterr().out


def test_doctor_lists_its_rules(capsys):
    assert doctor.main(["rules"]) == 0
    assert set(RULES) <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("warning", 0), ("failed", 1)])
def test_doctor_of_the_installation(state, code, capsys, monkeypatch, tmp_path):
    """A line a check with what to do, and an exit code that follows the findings; --quick trains nothing.

    Mutations: a warning that ends in 1; the self-test made in spite of --quick.
    """
    finding = Finding(state, "a thing", "" if state == "ok" else "mend it")
    monkeypatch.setattr(
        doctor, "checks", lambda folder: {"thing": lambda: finding, str(folder): lambda: finding}
    )
    monkeypatch.setattr(doctor, "SELF_TEST", {"test": lambda: Finding("ok", "trained")})
    assert doctor.main(["--quick", "--log-dir", "logs"]) == code
    said = capsys.readouterr().out
    assert ("mend it" in said) == (state != "ok")
    assert said.count(state) >= 2
    assert "logs" in said
    assert "trained" not in said
    assert said.splitlines()[-1].startswith("can not be used" if code else "can be used: 0 failed")
    assert doctor.main([]) == code
    assert "trained" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["core", "ur-lstn"], "did you mean ur-lstm"),
        (["core", "nowhere:Core"], "No module named 'nowhere'"),
        (["core", "chrono", "--core-opt", "tmax=20"], "did you mean t_max?"),
        (["core", "lstm", "--hidden-size", "0"], "hidden_size must be"),
        (["core", "lstm", "--input-size", "0"], "input_size must be"),
        (["core", "faulty_tasks:Unfinished"], "Unfinished must define project ("),
        (["core", "faulty_tasks:HalfDone"], "HalfDone must define step ("),
        (["core", "faulty_tasks:Unmade"], "AttributeError: unmade ("),
        (["core"], "core"),
        (["cores"], "unknown word 'cores'; did you mean core"),
        (
            ["xyzzy"],
            "unknown word 'xyzzy'; 'core NAME' checks a core, 'rules' lists its rules, no word at all",
        ),
        (["--quik"], "did you mean --quick"),
    ],
)
def test_doctor_checks_its_words(tmp_path, capsys, words, part):
    """Mutations: the rules tried with a core that lacks what all of them need; any of the checks left out."""
    assert_one_line(doctor.main, words, 2, tmp_path, capsys, part)
