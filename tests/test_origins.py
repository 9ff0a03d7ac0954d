"""Who gave a configuration its values: defaults < preset < file < flags."""

import dataclasses
import json

import pytest

from agents.config import Config
from agents.config_checks import FieldError, check
from agents.origins import FLAG, blame, described, settle
from agents.presets import PRESETS, SHORT
from envs import task_card


@pytest.fixture
def file(tmp_path):
    """A file that says something of a task with a preset."""
    path = tmp_path / "a.toml"
    path.write_text('env = "passive-match"\nreward_scale = 0.5\nseed = 3\nnum_envs = 32\n')
    return path


def test_who_wins(file):
    """Mutations: any two of the four exchanged; the preset of the default task in place of the file's."""
    config, origins, notes = settle({"seed": 4}, file)
    assert (config.reward_scale, config.total_steps, config.seed) == (0.5, 10_000_000, 4)
    preset = PRESETS["passive-match"]
    said = {"env": "passive-match", "reward_scale": 0.5, "num_envs": 32, "seed": 4}
    assert Config(**{**preset, **said}) == config
    by_preset = dict.fromkeys(preset, "preset of passive-match")
    by_file = dict.fromkeys(("env", "reward_scale", "num_envs"), str(file))
    assert origins == {**by_preset, **by_file, "seed": FLAG}
    assert notes == []
    assert described(config, origins) == [
        f"{file}: env passive-match, reward_scale 0.5",
        "preset of passive-match: num_products 64, total_steps 10000000, learning_rate 0.001, "
        "exploration_cost 0.003, exploration_floor 1.0, baseline_cost 2.0, foresight_cost 100.0, replays 1, "
        "replay_size 256, max_grad_norm 10.0",
        "command line: --seed 4",
    ]
    config, origins, _ = settle({"env": "concentration"}, file)
    assert config.total_steps == Config.total_steps
    assert "total_steps" not in origins
    assert settle({"env": "concentration"}, None) == (Config(env="concentration"), {"env": FLAG}, [])
    preset = PRESETS["tmaze"]
    assert settle({}, None) == (Config(**preset), dict.fromkeys(preset, "preset of tmaze"), [])
    # What a flag says is told, also where it says the default.
    assert described(*settle({"env": "concentration", "lambda_": 1.0}, None)[:2]) == [
        "command line: --env concentration, --lambda 1.0"
    ]


def test_a_preset_knows_the_length_of_a_corridor(tmp_path):
    """What options can't be read for is left to the checks; flags win.

    Mutations: the file's options not read; longer walks of another task; a length below the default's.
    """
    assert task_card("tmaze").span == SHORT
    (tmp_path / "a.toml").write_text("env_opt = {length = 250}\n")
    config, origins, _ = settle({}, tmp_path / "a.toml")
    assert (config.exploration_cost, config.total_steps) == (1.6e-4, 2_000_000)
    assert origins["exploration_cost"] == "preset of tmaze"
    assert settle({"env_opt": ("length=500",), "total_steps": 9}, None).config.total_steps == 9
    for text in ("length=50", "length=7", "length=-3", "length=x", "length", "length=true"):
        config = settle({"env_opt": (text,)}, None).config
        assert config == Config(**PRESETS["tmaze"], env_opt=(text,))
    check(settle({"env_opt": ("length=1e15",)}, None).config)
    others = settle({"env": "tmaze-active", "env_opt": ("length=500",)}, None).config
    assert others.exploration_cost == PRESETS["tmaze-active"]["exploration_cost"]


def test_a_record_is_followed_without_the_preset(tmp_path):
    """Mutations: the preset taken for what it lacks; the gap not told; a gap that a flag fills told."""
    values = dataclasses.asdict(Config(env="passive-match"))
    del values["reward_scale"], values["seed"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    config, _, (note,) = settle({"seed": 1}, tmp_path / "config.json")
    assert config == Config(env="passive-match", seed=1)
    assert "config.json lacks reward_scale, being of an older Longhold" in note


def test_an_error_names_where_the_value_came_from():
    """Mutation: the flag named where a file is at fault."""
    error = FieldError("num_envs", "must lie in 1 … 9, got 0")
    for origins, text in (
        ({}, "--num-envs must lie in 1 … 9, got 0"),
        ({"num_envs": FLAG}, "--num-envs must lie in 1 … 9, got 0"),
        ({"num_envs": "a.toml", "seed": FLAG}, "a.toml: num_envs must lie in 1 … 9, got 0"),
    ):
        with pytest.raises(ValueError, match=r".") as caught, blame(origins):
            raise error
        assert str(caught.value) == text
    with pytest.raises(KeyError), blame({}):
        raise KeyError
