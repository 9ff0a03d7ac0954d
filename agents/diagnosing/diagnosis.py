"""All parts of a diagnosis, from one set of episodes."""

import time
from typing import Any

import numpy as np

from agents.actor import make_envs
from agents.config import Config
from agents.console import PLAIN_LINE_EVERY_S, clock, say
from agents.diagnosing import record
from agents.diagnosing.clearing import choose_steps, clear_at_steps, measure
from agents.diagnosing.cue_probe import last_sight, probe_cue
from agents.diagnosing.gates import gates_of_episode, median_episode
from agents.diagnosing.gradients import gradient_by_lag
from agents.diagnosing.play import Outcome, Plan, Tape, play
from agents.diagnosing.summary import summarise
from agents.network import Network
from envs import NativeVectorEnv


def diagnose(config: Config, network: Network, plan: Plan, env_steps: int) -> dict[str, Any]:
    """Plays fresh episodes and examines the memory in them.

    Args:
        config: the run's.
        network: the policy, on the device to act on.
        plan: which episodes.
        env_steps: age of the weights, to be kept with the result.

    Returns:
        What `agents.diagnosing.record` describes.
    """
    pace, tape = Pace(), Tape()
    num_cues, question = task_facts(config)
    never = play(config, network, plan, tape=tape, tick=pace.step)
    last = last_sight(np.stack(tape.shown), never.lengths) if num_cues else None
    found: dict[str, Any] = {
        "format": record.FORMAT,
        "env": config.env,
        "core": config.core,
        "env_steps": env_steps,
        "episodes": plan.episodes,
        "seed": plan.seed,
        "measure": measure(never),
        "cue": probe_cue(network, tape, never.lengths, num_cues) if num_cues else None,
        "gradient": gradient_of(network, tape, never, question, last),
        "gates": gates_of(network, tape, never),
    }
    tape.inputs.clear()
    reason = why_not_cleared(network, never)
    pace.expect(len(choose_steps(never.lengths)))
    found["clearing"] = None if reason else clear_at_steps(config, network, plan, never, pace.step)
    found["left_out"] = {}
    if not num_cues:
        found["left_out"]["cue"] = "the task tells no cue"
    elif not found["cue"]["lag"]:
        found["cue"] = None
        found["left_out"]["cue"] = "too few episodes saw the cue"
    if reason:
        found["left_out"]["clearing"] = reason
    if found["gates"] is None:
        found["left_out"]["gates"] = "the core tells no gates"
    return found | {"summary": summarise(found)}


def task_facts(config: Config) -> tuple[int, int | None]:
    """How many cues a run's task has, and the step of its question; 0 and None where it tells none."""
    envs = make_envs(config, 1, 0)
    try:
        if not isinstance(envs, NativeVectorEnv) or not envs.num_cues:
            return 0, None
        try:
            return envs.num_cues, envs.question_step
        except NotImplementedError:  # it comes when the agent's walk brings it
            return envs.num_cues, None
    finally:
        envs.close()


def gradient_of(
    network: Network, tape: Tape, outcome: Outcome, question: int | None, last: np.ndarray | None
) -> dict[str, Any]:
    """The part "gradient"."""
    choices = outcome.lengths - 1
    if question is not None and (outcome.lengths > question).any():
        choices = np.where(outcome.lengths > question, question, -1)
    else:
        question = None
    return {
        "choice": "last" if question is None else "question",
        **gradient_by_lag(network, tape, choices, last),
    }


def gates_of(network: Network, tape: Tape, outcome: Outcome) -> dict[str, Any] | None:
    """The part "gates"."""
    episode = median_episode(outcome)
    return gates_of_episode(network, tape, episode, int(outcome.lengths[episode]))


def why_not_cleared(network: Network, outcome: Outcome) -> str:
    """Why there is no part "clearing"; empty where there is one."""
    if not network.core.state_shapes:
        return "the core has no state to clear"
    if not choose_steps(outcome.lengths):
        return "episodes are too short: nothing can be remembered"
    if measure(outcome) == "return" and not np.isfinite(outcome.returns).all():
        return "the returns are no numbers"
    return ""


class Pace:
    """Says how far it is, every ten seconds, and the time that is left as soon as that is known."""

    def __init__(self):
        self._steps, self._per_play, self._plays = 0, 0, 0
        self._started = self._said = time.perf_counter()

    def expect(self, plays: int) -> None:
        """The first play is over; so many more follow."""
        self._per_play, self._plays = self._steps, plays
        self._started, self._steps = time.perf_counter(), 0

    def step(self) -> None:
        """One step of all environments is done."""
        self._steps += 1
        now = time.perf_counter()
        if now - self._said < PLAIN_LINE_EVERY_S:
            return
        self._said = now
        if not self._plays:
            say(f"  playing, action {self._steps:,}")
            return
        whole = self._per_play * self._plays
        left_s = (now - self._started) / self._steps * max(whole - self._steps, 0)
        done = min(self._steps // self._per_play, self._plays)
        say(f"  cleared at {done} of {self._plays} steps  left about {clock(left_s)}")
