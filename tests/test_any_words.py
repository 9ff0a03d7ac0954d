"""Whatever words and files the programs are given: exit 0 or 2, one line, and who is at fault by name."""

import contextlib
import io
import json

import numpy as np
import pytest
from programs import tree

from agents.config import Config
from scripts import benchmark, doctor, envs, evaluate, probe, record, report, train

TINY = {"env-opt": "length=2", "total-steps": "300", "num-envs": "3", "hidden-size": "6", "encoder-size": "7"}
TINY |= {"device": "cpu"}
"""Flags of a run that fits a test."""
FILE = {"env_opt": ["length=2"], "total_steps": 300, "num_envs": 3, "hidden_size": 6, "device": "cpu"}
"""The same in a file."""
FIELDS = [name.strip("_") for name in Config.__dataclass_fields__ if name != "log_dir"]
FAULTS = {
    "total_steps": ("num_envs", "unroll_length", "env_opt"),
    "num_envs": ("hidden_size", "encoder_size"),
    "num_actors": ("num_envs", "runner"),
    "hidden_size": ("num_envs", "unroll_length", "encoder_size"),
    "env_opt": ("env", "env_backend", "runner"),
    "core_opt": ("core",),
    "env_backend": ("env",),
}
"""By field: the others that may be at fault where it is named, since they must agree."""
SHORT = """0 -1 nan inf -inf 1e400 x 1.5 10 true -- - é 1k a=1 length=3 length=x length= =3 a=nan 9e99
t_max=1e400 cpu: cpu:0 cpu:1 cuda auto gymnasium lstm chrono memoryless local process rmsprop : a:b tmaze ..
1e6 65536 layers=3 layers=-1 memory-len CartPole-v1 = 1e-3 0.5 7 1 3 2 4 12 --help-me --------- [ ' " %s {}"""
ODD = [*SHORT.split(), "", "1" + "0" * 400, "\0", "\udcff", "a b", "x" * 3000, "\n"]
"""Values on the command line."""
VALUES = [0, -1, 1, 3, 7, 12, 40, 2.5, 1e6, float("nan"), 10**400, True, None, [], {}, [1], [[["a"]]]]
VALUES += ["", "x", "2k", "lstm", "a=1", "\0", "é", "x" * 999, "cpu", "tmaze", "process"]
VALUES += [["length=3"], {"length": 3}, {"a": {"b": 1}}]
"""Values in files."""
NAMES = {"env": ["tmaze", "memory-len"], "core": ["ur-lstm", "memoryless"], "optimizer": ["rmsprop"]}
NAMES |= {"env-opt": ["length"], "runner": ["process"], "env-backend": ["gymnasium"]}
"""What may be misspelt as a value of a flag."""


class BegunError(Exception):
    """A program came to its work: its words were right."""


def begin(*args, **options):
    """Stands for a program's work."""
    raise BegunError


def ending(main, words):
    """The exit code of a program, 0 where its work begins, and its line on standard error."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
    except BegunError:
        code = 0
    except SystemExit as exit_:
        code = exit_.code or 0
    except Exception as error:
        raise AssertionError(f"{main.__module__} {words} ended in {error!r}") from error
    line = err.getvalue()
    assert code in (0, 2), (words, code)
    assert line.count("\n") == (code == 2), (words, line)
    assert "Traceback" not in out.getvalue() + line
    return code, line


def misspelt(generator, word):
    """A word with a letter left out, twice, or exchanged for the next."""
    at = int(generator.integers(1, len(word) - 1))
    kind = generator.integers(3)
    if kind == 2 and word[at] != word[at + 1]:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + word[at] * 2 * int(kind != 0) + word[at + 1 :]


def flags(said):
    """Words that say these values."""
    return [word for flag, value in said.items() for word in (f"--{flag}", value)]


def some_fields(generator):
    """One or two fields."""
    return [str(field) for field in generator.choice(FIELDS, generator.integers(1, 3), replace=False)]


def long_field(generator):
    """A field whose name can be recognised with a slip in it."""
    return str(generator.choice([field for field in FIELDS if len(field) > 5]))


def odd_flags(generator, folder):
    """Right flags with odd values; a flag must be named."""
    fields = some_fields(generator)
    odd = {field.replace("_", "-"): str(ODD[generator.integers(len(ODD))]) for field in fields}
    taken_for_flags = [value for value in odd.values() if value.startswith("--")]
    return flags(TINY | odd), [*agreeing(fields), *taken_for_flags], []


def misspelt_flag(generator, folder):
    """A flag with a slip in it; it must be named, and the right one."""
    right = long_field(generator).replace("_", "-")
    wrong = misspelt(generator, right)
    words = flags({flag: value for flag, value in TINY.items() if flag != right} | {wrong: "3"})
    return words, [f"--{wrong}"], [f"--{right}"]


def misspelt_name(generator, folder):
    """A choice or a name with a slip in it; its flag must be named, and the right choice."""
    flag = str(generator.choice(list(NAMES)))
    right = str(generator.choice(NAMES[flag]))
    value = misspelt(generator, right) + ("=3" if flag == "env-opt" else "")
    return flags(TINY | {flag: value}), [f"--{flag}"], [right]


def odd_file(generator, folder):
    """A file with odd values for right fields, in JSON or TOML, and perhaps flags; a field must be named."""
    fields = some_fields(generator)
    values = {**FILE, **{field: VALUES[generator.integers(len(VALUES))] for field in fields}}
    path = folder / ("a.toml", "a.json", "config.json")[generator.integers(3)]
    if path.suffix == ".toml":
        path.write_text("\n".join(f"{n} = {toml(v)}" for n, v in values.items() if v is not None))
    else:
        path.write_text(json.dumps(values))
    said = {flag: value for flag, value in TINY.items() if flag.replace("-", "_") not in fields}
    words = ["--config", str(path), *(flags(said) if generator.integers(2) else [])]
    return words, agreeing(fields), []


def toml(value):
    """A value in TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(inner)}" for name, inner in value.items()) + "}"
    return json.dumps(value).replace("NaN", "nan")


def misspelt_field(generator, folder):
    """A file with a slip in a field's name; the file must be named, the field, and the right one."""
    right, path = long_field(generator), folder / "a.toml"
    wrong = misspelt(generator, right)
    path.write_text(f"{wrong} = 3")
    return ["--config", str(path)], [str(path)], [right, wrong]


def broken_file(generator, folder):
    """A right file with bytes changed, taken out or put in; the file must be named, or a field."""
    path = folder / ("a.json", "a.toml")[generator.integers(2)]
    lines = (f"{name} = {toml(value)}" for name, value in FILE.items())
    text = json.dumps(FILE) if path.suffix == ".json" else "\n".join(lines)
    content = bytearray(text.encode())
    for _ in range(generator.integers(1, 5)):
        at = int(generator.integers(len(content)))
        part = generator.choice(list(b'{}[]",:=.-\n\\#\xff\x000127ae '), generator.integers(0, 3))
        content[at : at + int(generator.integers(0, 3))] = bytes(part.tolist())
    path.write_bytes(bytes(content))
    return ["--config", str(path)], [str(path), *agreeing(["total_steps", "num_envs"])], []


KINDS = [odd_flags, odd_flags, misspelt_flag, misspelt_name, odd_file, odd_file, misspelt_field, broken_file]


def agreeing(fields):
    """Fields, and those that are named where they don't agree with them, as flags and as in files."""
    named = {name for name, others in FAULTS.items() for field in fields if field in others}
    return [form for name in {*fields, *named} for form in (f"--{name}".replace("_", "-"), f": {name}")]


@pytest.mark.parametrize("number", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_train(number, tmp_path, capsys):
    """Command lines and files either name a run that could begin, or end in exit 2 and one line that helps.

    Mutations: OverflowError of a huge number let through; a file's error with the flag's name in place of the
    field's and the file's; the nearest flag left out.
    """
    generator, ends = np.random.default_rng(number), {}
    logs = tmp_path / "logs"
    logs.mkdir()
    for _ in range(number):
        kind = KINDS[generator.integers(len(KINDS))]
        words, faults, right = kind(generator, tmp_path)
        code, line = ending(train.main, [*words, "--log-dir", str(logs), "--dry-run"])
        if code == 2:
            assert line.startswith("train: "), (words, line)
            assert any(name in line for name in faults), (words, line)
            assert all(name in line for name in right), (words, line)
        ends[kind.__name__, code] = ends.get((kind.__name__, code), 0) + 1
        assert tree(logs) == []
    for kind in (odd_flags, odd_file, broken_file):
        for code in (0, 2):
            assert ends[kind.__name__, code] > number / 400
    assert ends["misspelt_flag", 2] + ends["misspelt_name", 2] + ends["misspelt_field", 2] > number / 5
    with capsys.disabled():
        if number > 1000:
            print("".join(f"\n{count:6} {kind}, exit {code}" for (kind, code), count in sorted(ends.items())))


OTHERS = {
    evaluate: ("load_run",),
    record: ("load_run",),
    report: ("read_runs",),
    probe: ("carry_out_all", "write_summary"),
    envs: ("picture_of", "picture_of_all", "description"),
    benchmark: ("Envs.run", "Cores.run", "Train.run"),
    doctor: ("check_core", "check_installation"),
}
"""The programs, and what their work begins with."""
FLAGS = {
    evaluate: "episodes seed device",
    record: "episodes out seed greedy fps max-actions device",
    report: "out",
    probe: "core env delay length permute seeds steps hidden-size batch-size learning-rate jobs device",
    envs: "show env-opt steps seed out",
    benchmark: "envs cores num-envs num-threads seconds repeats hidden-sizes learning acting device runner",
    doctor: "core-opt hidden-size input-size quick",
}
FIRST = {
    evaluate: [["run"], []],
    record: [["run"]],
    report: [["runs"]],
    probe: [["--task", "recall"], ["--task", "copy"], ["--task", "pixel"], []],
    envs: [[]],
    benchmark: [["envs"], ["cores"], ["train"], ["env"], []],
    doctor: [["core", "lstm"], ["core", "lstn"], ["rules"], [], ["cor", "lstm"]],
}


@pytest.mark.parametrize("number", [30, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("program", OTHERS, ids=lambda program: program.__name__)
def test_other_programs(program, number, tmp_path, monkeypatch):
    """The same for the flags of every other program.

    Mutation: a number not checked, or an error of what is built let through.
    """
    monkeypatch.chdir(tmp_path)
    for name in OTHERS[program]:
        monkeypatch.setattr(f"{program.__name__}.{name}", begin)
    generator = np.random.default_rng(number)
    odd, codes = np.array(ODD, object), {0: 0, 2: 0}
    for _ in range(number):
        words = list(FIRST[program][generator.integers(len(FIRST[program]))])
        flags = FLAGS[program].split()
        for flag in generator.choice(flags, generator.integers(0, min(3, len(flags)) + 1), replace=False):
            typed = (
                misspelt(generator, str(flag)) if generator.random() < 0.1 and len(flag) > 3 else str(flag)
            )
            words += [f"--{typed}", *(map(str, generator.choice(odd, generator.integers(0, 3))))]
        code, line = ending(program.main, words)
        codes[code] += 1
        if code == 2:
            assert line.startswith(program.__name__.split(".")[-1] + ": "), (words, line)
    assert codes[2] > number / 6
