"""A sweep as data: the runs that a file stands for, against a list written by hand, and what is refused."""

import pytest
from programs import assert_one_line

from agents.sweeping.checks import check_all
from agents.sweeping.run import make_run
from agents.sweeping.sweep_file import expand, read_sweep
from scripts import sweep, train

EVERYTHING = """
seeds = 2
hidden-size = 8
total_steps = "50k"
[grid]
core = ["lstm", { core = "chrono", core-opt = ["t_max=9"] }]
env_opt = [["length=3"], { length = 5 }]

[[group]]
[[group]]
env = "passive-match"
total-steps = 1e6
seeds = [7]
grid.env-opt = [["delay=4"]]
[[group]]
core = "gru"
seeds = [4, 1, 3]
[group.grid]
hidden_size = [1, 2]
env_opt = [[]]
"""


def searched(field):
    """A file that searches for one field."""
    return f"[search]\ntrials = 3\n[search.fields]\n{field}"


def write(folder, text):
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_the_product_written_out(tmp_path):
    """Every run, in order: all first seeds, all second ones; within them by group, the last axis fastest.

    Mutations: seeds as the slowest or the fastest axis; the last axis slowest; a choice's other fields left
    out; a group's field beside the axis of that name; fields over choices.
    """
    plain, chrono = {"core": "lstm"}, {"core": "chrono", "core_opt": ("t_max=9",)}
    three, five = {"env_opt": ("length=3",)}, {"env_opt": ("length=5",)}
    base = {"hidden_size": 8, "total_steps": 50_000}
    match = {"hidden_size": 8, "env": "passive-match", "total_steps": 1_000_000, "env_opt": ("delay=4",)}
    gru = {"total_steps": 50_000, "core": "gru", "env_opt": ()}
    assert expand(read_sweep(write(tmp_path, EVERYTHING)).blocks) == [
        base | plain | three | {"seed": 1},
        base | plain | five | {"seed": 1},
        base | chrono | three | {"seed": 1},
        base | chrono | five | {"seed": 1},
        match | plain | {"seed": 7},
        match | chrono | {"seed": 7},
        gru | {"hidden_size": 1, "seed": 4},
        gru | {"hidden_size": 2, "seed": 4},
        base | plain | three | {"seed": 2},
        base | plain | five | {"seed": 2},
        base | chrono | three | {"seed": 2},
        base | chrono | five | {"seed": 2},
        gru | {"hidden_size": 1, "seed": 1},
        gru | {"hidden_size": 2, "seed": 1},
        gru | {"hidden_size": 1, "seed": 3},
        gru | {"hidden_size": 2, "seed": 3},
    ]


def test_five_seeds_of_the_default_without_a_word(tmp_path):
    """Mutation: a file without seeds, grid and groups taken for none."""
    assert expand(read_sweep(write(tmp_path, "")).blocks) == [{"seed": seed} for seed in (1, 2, 3, 4, 5)]


def test_a_run_that_is_asked_for_twice_is_done_once(tmp_path):
    """However it is said: here by a default, and by a group.

    Mutations: runs compared by what was said; seeds left out of the comparison.
    """
    text = 'seeds = 2\n[[group]]\ncore = "ur-lstm"\n[[group]]\nseeds = [2, 3]\n'
    path = write(tmp_path, text)
    checked = check_all(expand(read_sweep(path).blocks), str(tmp_path / "logs"), path)
    assert [run.config.seed for run in checked.runs] == [1, 2, 3]
    assert checked.num_repeated == 1


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"checkpoint_every_s": 5.0}, True),
        ({"keep_checkpoints": 9}, True),
        ({"core": "ur-lstm"}, True),
        ({"total_steps": 7}, False),
        ({"runner": "process"}, False),
        ({"num_threads": 2}, False),
        ({"env_opt": ("length=3",)}, False),
        ({"learning_rate": 1e-3}, False),
    ],
)
def test_folders(fields, same):
    """One to all that decides what a run learns.

    Mutations: `MAY_CHANGE` left out of the digest as a whole; taken in as a whole; what was said in place of
    what holds.
    """
    folders = {make_run(said, "logs").folder for said in ({"seed": 3}, {"seed": 3, **fields})}
    assert (len(folders) == 1) is same
    assert all(folder.parts[:3] == ("logs", "tmaze", "ur-lstm") for folder in folders)
    assert all(folder.name.startswith("seed3-") for folder in folders)


def test_the_preset_of_a_task_holds_for_its_runs():
    """Mutation: fields put over the defaults alone."""
    config = make_run({"env": "passive-match", "total_steps": 5, "seed": 1}, "logs").config
    assert (config.reward_scale, config.total_steps) == (0.1, 5)


def test_the_words_make_the_run(tmp_path):
    """scripts.train reads the very configuration from them.

    Mutations: floats rounded; options in one word; `lambda_` with its underscore; empty options left out.
    """
    fields = {
        "env_opt": ("length=3",),
        "core_opt": (),
        "lambda_": 0.1 + 0.2,
        "learning_rate": 1e-7,
        "seed": 3,
    }
    run = make_run({**fields, "seed": 3}, str(tmp_path))
    words = run.argv()
    settings = train.read_settings(train.parse(train.Arguments, "train", words), words)
    assert settings.config == run.config
    assert words[-2:] == ["--folder", str(run.folder)]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[gird]\ncore = ['lstm']", "mine.toml: unknown field 'gird'; did you mean grid?"),
        ("coer = 'lstm'", "mine.toml: unknown field 'coer'; did you mean core?"),
        ("[grid]\ncoer = ['lstm']", "unknown field 'coer'; did you mean core?"),
        (
            "[[group]]\n[[group]]\ncoer = 'lstm'",
            "mine.toml: group 2: unknown field 'coer'; did",
        ),
        ("group = 3", "groups are written [[group]]"),
        ("grid = 3", "grid must be a table of lists"),
        ("core = ['lstm', 'gru']", "core is a list: lists of choices stand under [grid]"),
        ("[grid]\ncore = 'lstm'", "grid: core must be a list of choices, got 'lstm'"),
        ("[grid]\ncore = []", "grid: core must be a list of choices, got none in it"),
        (
            "[grid]\nenv_opt = ['length=3']",
            "grid: a choice of env_opt is a list of options, as in env_opt = [[",
        ),
        ("[grid]\ncore = [{env = 'tmaze'}]", "grid: a choice of core does not say core"),
        ("core = 'gru'\n[grid]\ncore = ['lstm']", "core stands there twice"),
        ("core = 'gru'\n[grid]\nlog_dir = ['a']", "log_dir is one for all runs"),
        ("[[group]]\nlog_dir = 'a'", "group 1: log_dir is one for all groups"),
        ("seed = 3", "seeds are said by seeds = 5"),
        ("[grid]\nseed = [3]", "seeds are said by seeds = 5"),
        (
            "seeds = 0",
            "seeds must say how many, from 1 to 10000, or a list of different whole numbers from 0 on, got 0",
        ),
        ("seeds = [1, 2, 1]", "got [1, 2, 1]"),
        ("seeds = [-1]", "got [-1]"),
        ("seeds = [true]", "got [True]"),
        ("seeds = 'many'", "got 'many'"),
        ("seeds = 10000\n[grid]\nhidden_size = [1, 2]", "20,000 runs; a sweep has 10,000 at most"),
        ("core = 'lstn'", "mine.toml: core: unknown core 'lstn': did you mean lstm"),
        ("[grid]\ncore = ['lstm', 'grru']", "mine.toml: core: unknown core 'grru'"),
        ("env = 'tmazee'", "mine.toml: env: unknown environment 'tmazee'; did you mean tmaze"),
        (
            "[grid]\nenv-opt = [{length = 3}, {lenght = 3}]",
            "no option 'lenght'; did you mean length?",
        ),
        ("hidden_size = 0", "mine.toml: hidden_size must lie in 1 … 65536, got 0"),
        ("hidden_size = 1979-05-27", "mine.toml: hidden_size must be a whole number"),
        ("total_steps = 10", "mine.toml: total_steps 10 is less than one update takes"),
        ("env = 3", "mine.toml: env must be a name, got 3"),
        ("a = [", "mine.toml: "),
        ("log_dir = 3", "mine.toml: log_dir must be a name, got 3"),
        ("search = 3", "search must be a table"),
        ("[search]\ntrails = 3", "mine.toml: search: unknown 'trails'; did you mean trials?"),
        ("[search]\ntrials = 0", "search: trials must be a whole number in 1 … 10000, got 0"),
        ("[search]\ntrials = 3", "search: [search.fields] must give a range or choices"),
        ("[search]\ntrials = 3\nmetric = 'loss'", "search: metric must be success or return, got 'loss'"),
        (
            searched("learning_raet = [1, 2]"),
            "search: unknown field 'learning_raet'; did you mean",
        ),
        (searched("learning_rate = 3"), "search: learning_rate takes a list of choices, or a range as in"),
        (searched("learning_rate = {low = 2, high = 1}"), "search: learning_rate takes low below high"),
        (searched("learning_rate = {low = 0, high = 1, log = true}"), "takes low below high, above 0 if log"),
        (searched("hidden_size = {low = 1.5, high = 9}"), "search: hidden_size can't lie between 1.5 and 9"),
        (searched("core = {low = 'a', high = 'b'}"), "search: core can't lie between 'a' and 'b'"),
        (searched("core_opt = [1, 2]"), "search: core_opt can't be searched for"),
        (searched("core = ['lstm']"), "search: core takes two choices or more"),
        (searched("core = ['lstm', 'grru']"), "mine.toml: core: unknown core 'grru'"),
        (searched("discount = {low = 0.5, high = 1.5}"), "mine.toml: discount must lie in 0 … 1, got 1.5"),
        ("core = 'gru'\n" + searched("core = ['lstm', 'gru']"), "core is searched for, and given above"),
    ],
)
def test_refused(text, part, tmp_path, capsys):
    """Exit 2 and one line with the file, the field and what is near; nothing is made.

    Mutation: the checks left to each run.
    """
    path = write(tmp_path, text)
    assert_one_line(sweep.main, [path], 2, tmp_path, capsys, part)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("missing.toml", "missing.toml: no such file"),
        ("mine.tml", "mine.tml: a sweep is a file .toml; did you mean mine.toml?"),
        ("mine.toml --ray-address local", "--ray-address is for --on ray"),
        (
            "mine.toml --on ray --ray-address a",
            "--ray-address must be auto, local, host:port or ray://host:port",
        ),
        ("mine.toml --jobs -1", "--jobs must be at least 0, got -1"),
        ("mine.toml --log-dir mine.toml/a", "--log-dir: mine.toml/a can't be written ("),
        ("", "FILE.toml"),
    ],
)
def test_wrong_words(words, part, tmp_path, capsys, monkeypatch):
    """Mutation: an OSError let through."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "")
    assert_one_line(sweep.main, words.split(), 2, tmp_path, capsys, part)
