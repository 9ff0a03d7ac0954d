"""Configurations in files: what TOML and JSON may say, and what is refused with the file and the field."""

import dataclasses
import json
import os

import pytest

from agents.config import Config
from agents.config_files import MAX_BYTES, RECORD, read_record, read_values


def error_of(path):
    """The message of the ValueError that a file ends in, which must be one line."""
    with pytest.raises(ValueError, match=r".") as caught:
        read_record(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


@pytest.fixture
def written(tmp_path):
    """Writes a file and gives its path."""

    def write(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_round_trip(written):
    """Mutations: tuples come back as lists (two equal configurations then differ); a field lost."""
    config = Config(
        env_opt=("length=7", "a=b"), seed=2**62, learning_rate=1e-5, optimizer="rmsprop", lambda_=0.5
    )
    path = written(RECORD, json.dumps(dataclasses.asdict(config)))
    assert read_record(path) == (config, [])
    assert hash(read_record(path)[0]) == hash(config)


def test_an_older_record(written):
    """Mutation: a field that it lacks not told."""
    values = dataclasses.asdict(Config(seed=3))
    del values["c_bar"], values["num_threads"]
    assert read_record(written(RECORD, json.dumps(values))) == (Config(seed=3), ["c_bar", "num_threads"])


def test_toml(written):
    """Names with dashes or not, counts as people write them, options as a list or as a table.

    Mutations: 1e6 left as a float; true written True; a whole learning rate left as an int.
    """
    path = written(
        "a.toml",
        """
        total-steps = 1e6
        num_envs = "2k"
        lambda = 1
        learning_rate = 2
        core_opt = ["t_max=9"]
        core = "chrono"
        [env_opt]
        length = 100
        flag = true
        share = 0.5
        name = "a=b"
        """,
    )
    values = read_values(path)
    assert values == {
        "total_steps": 10**6,
        "num_envs": 2000,
        "lambda_": 1.0,
        "learning_rate": 2.0,
        "core_opt": ("t_max=9",),
        "core": "chrono",
        "env_opt": ("length=100", "flag=true", "share=0.5", "name=a=b"),
    }
    assert [type(values[name]) for name in ("total_steps", "lambda_")] == [int, float]
    assert Config(**values).env_options == {"length": 100, "flag": True, "share": 0.5, "name": "a=b"}
    assert read_values(written("a.json", '{"env_opt": {"length": 3}, "lambda": 0.5}')) == {
        "env_opt": ("length=3",),
        "lambda_": 0.5,
    }


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("a.json", '{"hiden_size": 3}', "unknown field 'hiden_size'; did you mean hidden_size"),
        ("a.toml", "seeed = 3", "unknown field 'seeed'; did you mean seed"),
        ("a.toml", "xyzzy = 3", "unknown field 'xyzzy'; the fields are those of config.json"),
        ("a.json", '{"learning_rate": NaN}', "learning_rate must lie in 0 … 1000, got nan"),
        ("a.json", '{"num_envs": 0}', "num_envs must lie in 1 … 1e+06, got 0"),
        ("a.json", '{"seed": 1.5}', "seed must be a whole number, got 1.5"),
        ("a.json", '{"seed": true}', "seed must be a whole number, got True"),
        ("a.json", '{"seed": "many"}', "seed must be a whole number, got 'many'"),
        ("a.json", '{"seed": 1e400}', "seed must be a whole number, got inf"),
        ("a.json", '{"seed": NaN}', "seed must be a whole number, got nan"),
        ("a.json", '{"discount": "0.9"}', "discount must be a number, got '0.9'"),
        ("a.json", '{"env_opt": [3]}', "env_opt takes name=value in plain text, got 3"),
        ("a.json", '{"env_opt": 5}', "env_opt takes name=value, got 5"),
        (
            "a.json",
            '{"env_opt": {"a": {"b": 1}}}',
            "env_opt.'a' must be a number, true, false or text, got a table",
        ),
        ("a.json", '{"env_opt": {"a b": 1}}', "env_opt takes name=value, got 'a b=1'"),
        ("a.toml", "[env_opt]\nlength = 3\nseed = 4", "env_opt can't set 'seed'"),
        ("a.json", '{"lambda": 1, "lambda_": 1}', "lambda_ stands there twice"),
        ("a.json", '{"seed": 1, "seed": 2}', "'seed' stands there twice"),
        ("a.toml", "seed = 1\nseed = 2", "Cannot overwrite"),
        ("a.toml", "seed = ", "Invalid value"),
        ("a.json", "[]", "not a table of fields"),
        ("a.json", "{", "line 1"),
        ("a.json", "[" * 10**5, "holds 100,000 bytes, and may hold 65,536"),
        ("a.json", "[" * 10**4, "nested deeper than 64"),
        ("a.toml", "seed = " + "[" * 10**4, "nested deeper than 64"),
        ("a.toml", "a." * 30_000 + "a = 1", "a key of more than 16 parts"),
        ("a.toml", "[" + "a." * 30_000 + "a]", "a key of more than 16 parts"),
        ("a.toml", "x = {" + "a." * 30_000 + "a = 1}", "a key of more than 16 parts"),
        (
            "a.json",
            '{"seed": 1' + "0" * 400 + "}",
            "seed must lie in 0 … 9.22337e+18, got a number far out of reach",
        ),
        ("a.json", '{"seed": 1' + "0" * 9000 + "}", "4300 digits"),
        ("a.json", '{"' + "x" * 60_000 + '": 1}', "unknown field 'xxx"),
    ],
)
def test_what_no_file_may_say(written, name, text, part):
    """Mutations: any of the checks left out; a reader that takes minutes over a key of many parts."""
    path = written(name, text)
    message = error_of(path)
    assert message.startswith(f"{path}: ")
    assert part in message


def test_no_such_file(written, tmp_path):
    """The nearest file is named, and a run's folder leads to its record.

    Mutation: FileNotFoundError let through.
    """
    written("passive.toml", "")
    assert error_of(tmp_path / "pasive.toml").endswith(
        "pasive.toml: no such file; did you mean passive.toml?"
    )
    assert error_of(tmp_path / "passive").endswith("got 'passive'; did you mean passive.toml?")
    assert error_of(tmp_path / "missing" / "a.toml").endswith("no such file")
    assert "is a folder" in error_of(tmp_path)
    written(RECORD, "{}")
    assert error_of(tmp_path).endswith(f"is a folder; did you mean {tmp_path / RECORD}?")
    assert error_of(tmp_path / "tmaze").endswith("a task's preset comes with the task: --env tmaze")
    os.mkfifo(tmp_path / "pipe.toml")
    assert error_of(tmp_path / "pipe.toml").endswith("is no ordinary file")
    written("full.toml", "#" * MAX_BYTES)
    assert read_values(tmp_path / "full.toml") == {}
