"""The search of a sweep: trials that go on, and what they are judged by; and runs on a Ray cluster."""

import json
import signal
import sys

import pytest
from planted_runs import plant_evaluation
from processes import wait_for

from agents.sweeping import search
from agents.sweeping.plan import Plan, Range
from agents.sweeping.run import make_run
from agents.sweeping.search import Search
from scripts import sweep

RANGES = {"learning_rate": Range(1e-4, 1e-2, log=True), "optimizer": Range(choices=("adam", "rmsprop"))}
PLAN = Plan(4, "success", 3, RANGES)


@pytest.fixture
def open_search(tmp_path):
    """Opens the search of a folder, again and again; two seeds a trial."""

    def make_runs(values):
        return [make_run({**values, "seed": seed}, str(tmp_path)) for seed in (1, 2)]

    return lambda plan=PLAN: Search(plan, tmp_path, "a search", make_runs)


def finish(run, success, returns=0.0):
    """Makes a run one that is done."""
    run.folder.mkdir(parents=True, exist_ok=True)
    plant_evaluation(run.folder, run.config.total_steps, success, returns)


def test_a_trial_is_the_mean_over_its_runs(open_search):
    """All runs of a trial have its values, within the ranges; the greatest mean is the best.

    Mutations: the first run's figure for the mean; minimised; the return for the success.
    """
    found = open_search()
    means = []
    while (run := found.next_run()) is not None:
        other = found.next_run()
        assert [run.config.seed, other.config.seed] == [1, 2]
        assert run.config.learning_rate == other.config.learning_rate
        assert 1e-4 <= run.config.learning_rate <= 1e-2
        assert run.config.optimizer in ("adam", "rmsprop")
        for each, success in ((run, 0.125 * len(means)), (other, 0.5)):
            finish(each, success, returns=-success)
            found.ended(each, True)
        means.append((0.125 * len(means) + 0.5) / 2)
    assert len(means) == 4
    assert [trial.value for trial in found._study.get_trials()] == means
    assert found.report()[0] == "4 trials, success of the best:"
    assert found.report()[1].startswith(f"  {max(means):.3f}  learning-rate ")
    assert f"--learning-rate {run_values(found, 3)['learning_rate']}" in found.report()[-1]


def run_values(found, number):
    return found._study.get_trials()[number].params


def test_a_search_goes_on(open_search):
    """A trial that was under way is taken up, done runs are not done again, and proposals do not repeat.

    Mutations: a new trial for the one that was open; the sampler's seed the same as at first.
    """
    before = open_search()
    first = [before.next_run() for _ in range(4)]
    finish(first[0], 0.5)
    before.ended(first[0], True)

    after = open_search()
    again = [after.next_run() for _ in range(3)]
    assert again == first[1:]
    new = [after.next_run() for _ in range(4)]
    assert after.next_run() is None
    rates = [run.config.learning_rate for run in (*first, *new)]
    assert len(set(rates)) == 4
    finish(first[1], 0.25)
    after.ended(first[1], True)
    assert [trial.value for trial in after._study.get_trials()] == [0.375, None, None, None]
    assert after.done == first[:2]


def test_a_run_that_fails_takes_its_trial_with_it(open_search):
    """The others go on; it is no trial of success 0.

    Mutations: the mean over those that are done; the trial left open for ever.
    """
    found = open_search(PLAN._replace(trials=1))
    one, other = found.next_run(), found.next_run()
    finish(one, 1.0)
    found.ended(one, True)
    found.ended(other, False)
    assert found._study.get_trials()[0].state.name == "FAIL"
    assert found.next_run() is None
    assert found.report() == ["no trial came to its end"]


def test_without_optuna(monkeypatch):
    """One line. Mutation: the ImportError let through."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ValueError, match=r"needs the package optuna.*pip install -e '\.\[search\]'"):
        search.import_optuna()


def test_a_whole_search(tmp_path, capsys):
    """Two trials, the best with its command; the same command finds nothing left to do.

    Mutation: the values of a trial not handed to its runs.
    """
    path = tmp_path / "mine.toml"
    path.write_text(
        "seeds = [3]\nenv-opt = {length = 2}\nhidden-size = 6\nencoder-size = 4\nunroll-length = 5\n"
        "total-steps = 60\nrunner = 'local'\n[search]\ntrials = 2\n[search.fields]\n"
        "num-envs = {low = 2, high = 5}\n"
    )
    words = [str(path), "--log-dir", str(tmp_path / "logs")]
    assert sweep.main(words) == 0
    configs = [json.loads(file.read_text()) for file in (tmp_path / "logs").rglob("config.json")]
    assert {config["num_envs"] for config in configs} <= {2, 3, 4, 5}
    said = capsys.readouterr().out
    assert "2 runs in" in said
    assert "the best: python -m scripts.train --env-opt length=2" in said
    assert sweep.main(words) == 0
    assert "2 done; 0 env steps to do" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("number", [None, signal.SIGINT])
def test_on_ray(start, tmp_path, number):
    """A cluster of this machine does a sweep, or is stopped in it with all saved, and the sweep goes on.

    Mutations: a relative folder handed to the cluster; SIGINT blocked, as Ray's own processes have it.
    """
    path, logs = tmp_path / "mine.toml", tmp_path / "logs"
    path.write_text(
        "seeds = 2\nenv-opt = {length = 2}\nhidden-size = 6\nnum-envs = 3\nunroll-length = 5\n"
        f"total-steps = {300 if number is None else 60_000}\nrunner = 'local'\ncheckpoint-every-s = 0.2\n"
    )
    program = start("scripts.sweep", path, "--log-dir", logs, "--on", "ray", "--ray-address", "local")
    if number is not None:
        wait_for(lambda: list(logs.rglob("step-*/manifest.json")))
        program.send_signal(number)
    said, errors = program.communicate()
    assert program.returncode == (0 if number is None else 130), said + errors
    if number is not None:
        consoles = [console.read_text() for console in logs.rglob("console.txt")]
        assert any("stopped by SIGINT" in console for console in consoles)
    else:
        assert len(list(logs.rglob("evaluation.json"))) == 2
