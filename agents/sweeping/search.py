"""A search for hyper-parameters: trials that Optuna proposes, each the mean over all runs of a sweep.

Tree-structured Parzen estimator: Bergstra et al. 2011, as Optuna has it. What it knows stands in a file of
the sweep's folder, so that it goes on where it was stopped.
"""

import hashlib
import warnings
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.config import flag
from agents.run_folder import MEASURES
from agents.sweeping.plan import Plan, Range
from agents.sweeping.run import Run, flags
from agents.sweeping.sweep_file import Block, Fields

JOURNAL = "search.journal"
"""In the sweep's folder: trials and what they came to."""
HINT = "[search] needs the package optuna: install it with: pip install -e '.[search]'"
NUM_BEST = 5
"""Trials that are told at the end."""


class Search:
    """Asks for trials while there is nothing else to do, and tells what they came to."""

    def __init__(self, plan: Plan, folder: Path, name: str, make_runs: Callable[[Fields], list[Run]]):
        """Opens the record of a search, and takes up the trials that were under way.

        Args:
            plan: what is searched for.
            folder: of the sweep.
            name: of the search: its record may be one of several in the folder.
            make_runs: the runs of a trial, given its values.

        Raises:
            ValueError: there is no Optuna.
        """
        optuna = import_optuna()
        self._optuna, self._plan, self._make_runs = optuna, plan, make_runs
        self._distributions = {key: distribution(limits) for key, limits in plan.ranges.items()}
        backend = optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
        with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
            self._study = optuna.create_study(
                storage=optuna.storages.JournalStorage(backend),
                study_name=name,
                direction="maximize",
                load_if_exists=True,
            )
            # The trials so far move the seed on: a search that goes on does not repeat its first proposals.
            seed = plan.seed + len(self._study.trials)
            self._study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        first = make_runs({name: limits.ends[0] for name, limits in plan.ranges.items()})
        self.num_runs = plan.trials * len(first)
        self.total_steps = plan.trials * sum(run.config.total_steps for run in first)
        self._todo: deque[Run] = deque()
        self._open: dict[int, dict[Run, bool | None]] = {}
        for trial in self._study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
            self._begin(trial.number, trial.params)

    def next_run(self) -> Run | None:
        """The next run to start; None when all trials are under way or over."""
        while not self._todo and len(self._study.get_trials(deepcopy=False)) < self._plan.trials:
            trial = self._study.ask(self._distributions)
            self._begin(trial.number, trial.params)
        return self._todo.popleft() if self._todo else None

    def ended(self, run: Run, done: bool) -> None:
        """Is told of a run that ended, and whether it was done; its trial ends with its last run."""
        for number, runs in list(self._open.items()):
            if run in runs:
                runs[run] = done
                self._conclude(number)

    def _begin(self, number: int, values: Fields) -> None:
        runs = self._make_runs(values)
        others = {run: done for trial in self._open.values() for run, done in trial.items()}
        self._todo += [run for run in runs if run.result() is None and run not in others]
        known = {run: True if run.result() is not None else None for run in runs}
        self._open[number] = known | {run: done for run, done in others.items() if run in known}
        self._conclude(number)

    def _conclude(self, number: int) -> None:
        runs = self._open[number]
        if None in runs.values():
            return
        del self._open[number]
        figures = [(run.result() or {}).get(MEASURES[self._plan.metric], {}).get("mean") for run in runs]
        if all(runs.values()) and None not in figures:
            self._study.tell(number, sum(figures) / len(figures))
        else:
            self._study.tell(number, state=self._optuna.trial.TrialState.FAIL)

    @property
    def done(self) -> list[Run]:
        """The runs that are done, again for each trial of the same values."""
        over = [trial.params for trial in self._study.get_trials() if trial.state.is_finished()]
        runs = [run for values in over for run in self._make_runs(values)]
        runs += [run for trial in self._open.values() for run in trial]
        return [run for run in runs if run.result() is not None]

    @property
    def begun(self) -> dict[Run, int]:
        """Env steps of the runs that are to be gone on with."""
        return {run: point.env_steps for run in self._todo if (point := run.point()) is not None}

    def report(self) -> list[str]:
        """The best trials, and the command that trains by the best, a line each."""
        complete = self._study.get_trials(states=[self._optuna.trial.TrialState.COMPLETE])
        if not complete:
            return ["no trial came to its end"]
        found = sorted(complete, key=lambda trial: -trial.value)
        lines = [f"{len(found)} trials, {self._plan.metric} of the best:"]
        for trial in found[:NUM_BEST]:
            values = ", ".join(f"{flag(name)[2:]} {value}" for name, value in trial.params.items())
            lines.append(f"  {trial.value:.3f}  {values}")
        said = dict(self._make_runs(found[0].params)[0].said)
        del said["log_dir"]
        return [*lines, f"the best: python -m scripts.train {' '.join(flags(said))}"]


def import_optuna() -> Any:
    """Optuna, which says no more than it must.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise ValueError(HINT) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def distribution(limits: Range) -> Any:
    """A range as Optuna has it."""
    import optuna

    if limits.choices:
        return optuna.distributions.CategoricalDistribution(limits.choices)
    kind = "Int" if isinstance(limits.low, int) else "Float"
    return getattr(optuna.distributions, f"{kind}Distribution")(limits.low, limits.high, log=limits.log)


def name_of(plan: Plan, blocks: list[Block]) -> str:
    """What tells a search from others in its folder: all but its seed and for how long it goes on."""
    content = repr((blocks, plan.metric, sorted(plan.ranges.items())))
    return hashlib.sha256(content.encode()).hexdigest()[:8]
