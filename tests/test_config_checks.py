"""What a configuration may be, field by field and together, and what is said where it makes little sense."""

import dataclasses
import math
from typing import get_type_hints

import pytest

from agents.config import RANGES, Config, flag
from agents.config_checks import FieldError, advice, check, shown
from agents.presets import PRESETS
from envs import ENVS

HINTS = get_type_hints(Config)


def error_of(**fields):
    """The message of the FieldError that a configuration's check raises, which must be one line."""
    with pytest.raises(FieldError, match=r".") as caught:
        check(dataclasses.replace(Config(), **fields))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_defaults_pass():
    """Mutation: a range that leaves out its default."""
    check(Config())
    for env, fields in PRESETS.items():
        assert env in ENVS
        check(dataclasses.replace(Config(env=env), **fields))


@pytest.mark.parametrize("field", RANGES)
def test_ranges(field):
    """Both ends pass; what lies beyond them, is no number, or is of another kind, is refused with its flag.

    Mutations: a comparison that NaN passes; True taken for 1; a float taken for a whole number.
    """
    low, high = RANGES[field]
    kind = HINTS[field]
    for end in (low, high):
        check(dataclasses.replace(Config(runner="local"), **{field: kind(end)}))
    below, above = (low - 1, high + 1) if kind is int else (low - 1e-9 * max(low, 1), high * 1.001)
    for value in (below, above, -math.inf, math.inf, math.nan, 10**400, -(10**400)):
        if kind is int and isinstance(value, float):
            continue
        assert error_of(**{field: value}).startswith(f"{flag(field)} must lie in ")
    for value in ("1", None, True, [1], 1j, *((1.0, math.nan) if kind is int else ())):
        whole = "whole " if kind is int else ""
        got = "a list" if value == [1] else repr(value)
        assert error_of(**{field: value}) == f"{flag(field)} must be a {whole}number, got {got}"


@pytest.mark.parametrize("field", ["env", "core", "device", "log_dir"])
@pytest.mark.parametrize("value", ["", None, 3])
def test_names(field, value):
    """Mutation: an empty name let through."""
    assert error_of(**{field: value}) == f"{flag(field)} must be a name, got {value!r}"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": "sgd"}, "--optimizer must be adam or rmsprop, got 'sgd'"),
        ({"env_backend": "gym"}, "--env-backend must be auto or gymnasium, got 'gym'"),
        ({"env_backend": None}, "--env-backend must be auto or gymnasium, got None"),
        ({"env_opt": ("backend=auto",)}, "--env-opt can't set 'backend': the run decides it"),
        ({"env_opt": ("length",)}, "--env-opt takes name=value, got 'length'"),
        ({"env_opt": (3,)}, "--env-opt takes name=value in plain text, got 3"),
        ({"env_opt": ("a=\0",)}, "--env-opt takes name=value in plain text, got 'a=\\x00'"),
        ({"env_opt": ["a=1"]}, "--env-opt takes name=value, got a list"),
        ({"log_dir": "a\udcff"}, "--log-dir holds a character that no name has: 'a\\udcff'"),
        ({"core": {"a": 1}}, "--core must be a name, got a table"),
        ({"optimizer": []}, "--optimizer must be adam or rmsprop, got a list"),
        ({"env": {}}, "--env must be a name, got a table"),
        (
            {"runner": "process", "num_actors": 4, "num_envs": 3},
            "--num-actors 4 needs as many --num-envs, got 3",
        ),
        ({"num_actors": 4, "num_envs": 3}, "--num-actors 4 needs as many --num-envs, got 3"),
        ({"core_opt": ("a b=1",)}, "--core-opt takes name=value, got 'a b=1'"),
        ({"core_opt": ("t_max=1", "t_max=2")}, "--core-opt gives 't_max' twice"),
        ({"core_opt": ("hidden_size=1",)}, "--core-opt can't set 'hidden_size': the run decides it"),
        ({"env_opt": ("seed=1",)}, "--env-opt can't set 'seed': the run decides it"),
        ({"device": "tpu"}, "--device must be auto, cpu, cuda or cuda:N, got 'tpu'"),
        ({"device": "cpu:x"}, "--device must be auto, cpu, cuda or cuda:N, got 'cpu:x'"),
        ({"device": "cuda:12345"}, "--device must be auto, cpu, cuda or cuda:N, got 'cuda:12345'"),
    ],
)
def test_other_fields(fields, message):
    """Mutation: the check of any of them left out."""
    assert error_of(**fields) == message


def test_a_device_that_is_not_here_is_no_mistake_of_the_record():
    """A run that was trained with CUDA can be evaluated without.

    Mutation: the device looked for in `check`.
    """
    check(Config(device="cuda:77"))


def test_fewer_environments_than_actors_where_there_are_no_actors():
    """Mutation: the check made for the local runner, too."""
    check(Config(runner="local", num_actors=99))


def test_an_error_names_its_field():
    """Mutation: another field's name kept (a file's error would name the wrong one)."""
    for fields in ({"hidden_size": 0}, {"device": "x"}, {"core_opt": ("a",)}, {"lambda_": 2.0}):
        with pytest.raises(FieldError) as caught:
            check(dataclasses.replace(Config(), **fields))
        assert [caught.value.field] == list(fields)
        assert str(caught.value) == flag(caught.value.field) + caught.value.complaint
    assert str(FieldError("env", ": none such")) == "--env: none such"


def test_what_a_message_shows():
    """Mutation: a table of a million entries written out; a number of 5000 digits turned into text."""
    assert shown({"a": 1}) == "a table"
    assert shown([[]] * 10**6) == "a list"
    assert shown(10**5000) == "a number far out of reach"
    assert len(shown("x" * 10**6)) == 80
    assert [shown(value) for value in (3, 0.5, True, "a", None)] == ["3", "0.5", "True", "'a'", "None"]


@pytest.mark.parametrize(
    ("fields", "runner", "parts"),
    [
        ({}, "local", []),
        ({}, "process", []),
        ({"num_actors": 2, "max_policy_lag": 1}, "process", []),
        (
            {"num_actors": 2, "max_policy_lag": 1},
            "local",
            ["--num-actors and --max-policy-lag without effect"],
        ),
        ({"replay_size": 9}, "local", ["--replay-size without effect"]),
        ({"replay_size": 9, "replays": 1}, "local", []),
        (
            {"learning_rate_final": 0.01},
            "local",
            ["--learning-rate-final 0.01 is above --learning-rate 0.002"],
        ),
        ({"exploration_cost_final": 1.0}, "local", ["--exploration-cost-final 1 is above"]),
        ({"entropy_cost_final": 0.1}, "local", ["--entropy-cost-final 0.1 is above --entropy-cost 0"]),
        ({"learning_rate": 0.0}, "local", ["nothing is learnt"]),
        ({"pg_rho_bar": 0.0}, "local", ["the policy learns nothing"]),
        ({"rho_bar": 0.0}, "local", ["the baseline learns nothing", "--c-bar 1 is above --rho-bar 0"]),
        ({"c_bar": 1.5}, "local", ["--c-bar 1.5 is above --rho-bar 1"]),
        ({"total_steps": 9000, "log_every_steps": 9001}, "local", ["no checkpoint before the end"]),
        ({"total_steps": 9000, "gates_every_steps": 9001}, "local", ["no record of the gates"]),
        ({"num_threads": 5}, "local", ["--num-threads 5, but 4 processor cores"]),
        ({"num_threads": 4}, "local", []),
        ({"num_actors": 5}, "process", ["--num-actors 5, but 4 processor cores"]),
    ],
)
def test_advice(fields, runner, parts):
    """One line for whatever makes little sense, and none where there is nothing to say.

    Mutations: any of the comparisons turned round, or left out.
    """
    lines = advice(dataclasses.replace(Config(), **fields), runner, 4)
    assert len(lines) == len(parts)
    for line, part in zip(lines, parts, strict=True):
        assert part in line
        assert "\n" not in line


def test_more_actors_than_environments_on_a_cluster_alone():
    """There a batch is made of the unrolls of some. Mutation: the runner not looked at."""
    check(Config(runner="ray", num_envs=4, num_actors=12))
    with pytest.raises(ValueError, match="num-actors 12 needs as many --num-envs, got 4"):
        check(Config(runner="process", num_envs=4, num_actors=12))
