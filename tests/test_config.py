"""The configuration: what it is made of, and what it says of the gradient's path."""

import dataclasses
import inspect
import itertools
from typing import get_type_hints

import pytest

from agents.config import (
    RANGES,
    Config,
    describe_gradient_path,
    flag,
    resolve_unroll_length,
    stream_seed,
)
from agents.options import RESERVED, parse_count, parse_options, parse_value
from cores import make_core
from envs import make_vector_env, task_card

HINTS = get_type_hints(Config)


def test_every_number_has_a_range_and_every_range_a_number():
    """Mutation: a range left out, so that nothing checks the field."""
    numbers = {field.name for field in dataclasses.fields(Config) if HINTS[field.name] in (int, float)}
    assert set(RANGES) == numbers


def test_every_field_has_a_help_text():
    """Mutation: a field without the text under it."""
    lines = inspect.getsource(Config).splitlines()
    fields = [field.name for field in dataclasses.fields(Config)]
    for number, line in enumerate(lines):
        name = line.strip().split(":")[0]
        if name in fields and line.startswith("    ") and "=" in line:
            assert lines[number + 1].strip().startswith('"""'), name
            fields.remove(name)
    assert not fields


def test_what_the_run_gives_itself_cannot_be_an_option():
    """Mutation: a name left out (the call would get it twice: a TypeError)."""
    for name, function, more in (("env-opt", make_vector_env, {"copy"}), ("core-opt", make_core, set())):
        given = set(inspect.signature(function).parameters) - {"options"} | more
        assert given == set(RESERVED[name])
        for key in RESERVED[name]:
            with pytest.raises(ValueError, match=f"can't set '{key}'"):
                parse_options(name, (f"{key}=1",))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1000", 1000),
        ("1e6", 10**6),
        ("2.5e3", 2500),
        ("2M", 2 * 10**6),
        ("500k", 500_000),
        ("500K", 500_000),
        ("1_000", 1000),
        ("1g", 10**9),
        ("0.5M", 500_000),
        ("2.01M", 2_010_000),
        ("-3", -3),
        ("9007199254740993", 2**53 + 1),
    ],
)
def test_counts(text, number):
    """Mutation: the multiplication in binary floats (2.01 * 1e6 is no whole number there)."""
    assert parse_count(text) == number
    assert isinstance(parse_count(text), int)


@pytest.mark.parametrize(
    "text",
    ["1.5", "1.0001k", "", "k", "1e400", "1e999999999", "nan", "inf", "snan", "one", "0x10", "1 000", "1e-3"],
)
def test_what_is_no_count(text):
    """Mutation: rounded in silence; an OverflowError."""
    with pytest.raises(ValueError, match=r"^'.*' is no whole number$"):
        parse_count(text)


def test_every_count_with_two_decimals():
    """Mutation: as above."""
    for hundredths in range(1, 1000):
        assert parse_count(f"{hundredths / 100:.2f}M") == hundredths * 10**4


def test_options():
    """Whole numbers, numbers, truth values, and text for all else; a value may hold "=".

    Mutations: true left as text; 3.0 as a float where 3 is meant; split at the last "=".
    """
    assert parse_options("env-opt", ("length=100", "delay=1e2", "share=0.5", "flag=True", "off=false")) == {
        "length": 100,
        "delay": 100,
        "share": 0.5,
        "flag": True,
        "off": False,
    }
    assert parse_options("env-opt", ("name=a=b", "none=", "text=4x4")) == {
        "name": "a=b",
        "none": "",
        "text": "4x4",
    }
    assert parse_options("env-opt", ()) == {}
    assert [type(parse_value(text)) for text in ("3", "0.5", "true", "x")] == [int, float, bool, str]
    config = Config(env_opt=("length=7",), core_opt=("t_max=9",))
    assert (config.env_options, config.core_options) == ({"length": 7}, {"t_max": 9})


@pytest.mark.parametrize("env", ["tmaze", "memory-len"])
def test_unroll_length(env):
    """The user's choice, else episodes, each with the step that resets it, else the default.

    Mutations: an episode without that step (episodes would drift through the unrolls); 31 steps taken for
    enough; an episode more than it takes.
    """
    for length, steps in ((1, 33), (14, 32), (15, 34), (29, 62), (30, 32), (31, 33), (100, 102)):
        assert resolve_unroll_length(Config(), task_card(env, length=length)) == steps
    card = task_card(env, length=20)
    assert resolve_unroll_length(Config(unroll_length=7), card) == 7
    assert resolve_unroll_length(Config(), None) == 128
    assert resolve_unroll_length(Config(), dataclasses.replace(card, episode_length=None)) == 128


def test_gradient_path():
    """Says how far the gradient reaches, and warns where it falls short of what the task needs.

    Mutations: the warning left out, or given where unrolls hold whole episodes or are twice the span; the
    period without the step that resets.
    """
    card = task_card("tmaze", length=20)

    def warning(unroll_length, card):
        first, *rest = describe_gradient_path(unroll_length, card)
        assert f"{unroll_length} steps" in first
        assert all(line.startswith("warning: ") for line in rest)
        return rest[0] if rest else None

    assert "task needs 20" in describe_gradient_path(22, card)[0]
    assert [n for n in (21, 22, 23, 44) if describe_gradient_path(n, card)[0].endswith("yes")] == [22, 44]
    assert [n for n in (5, 21, 22, 23, 39, 40, 44) if warning(n, card)] == [5, 21, 23, 39]
    assert "--unroll-length 22" in warning(21, card)
    free = dataclasses.replace(card, episode_length=None)
    assert warning(21, free).endswith("use --context-length 20")
    assert warning(19, free).endswith("use --context-length 20 --unroll-length 20")
    assert "gradient reaches 20 to 41 steps;" in describe_gradient_path(21, card, 20)[0]
    assert [len(describe_gradient_path(21, card, n)) for n in (0, 19, 20)] == [2, 2, 1]
    assert describe_gradient_path(9, None) == [
        "gradient reaches 9 steps; the task's memory span is not known"
    ]


def test_flags():
    """Mutation: another name in an error than on the command line."""
    assert [flag(name) for name in ("lambda_", "max_grad_norm", "env")] == [
        "--lambda",
        "--max-grad-norm",
        "--env",
    ]


def test_each_stream_has_its_own_seed():
    """Mutations: the run's seed for all of them; seed + index (streams of neighbouring seeds would meet)."""
    streams = ("weights", "environments", "actions", "evaluation")
    seeds = [stream_seed(seed, stream) for seed in range(1000) for stream in streams]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert min(b - a for a, b in itertools.pairwise(sorted(seeds))) > 10**6
    assert stream_seed(3, "weights") == stream_seed(3, "weights")
