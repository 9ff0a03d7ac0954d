"""Diagnoses: held against literal forms, and against agents made by hand whose memory is known."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.actor import Actor, make_envs
from agents.config import Config, stream_seed
from agents.diagnosing import picture, record
from agents.diagnosing.clearing import choose_steps, interval, measure
from agents.diagnosing.cue_probe import choose_lags, fit, held_out, holds, last_sight, objective, rows_after
from agents.diagnosing.curves import curves_of, write_curves
from agents.diagnosing.diagnosis import diagnose
from agents.diagnosing.gates import median_episode, spread
from agents.diagnosing.gradients import gradient_norms
from agents.diagnosing.play import Outcome, Plan, Tape, play
from agents.diagnosing.summary import summarise
from agents.network import make_network
from cores.core import RecurrentCore
from envs import make_vector_env

LENGTH, FORGETS_AFTER = 12, 5
EAST = 3
CONFIG = Config(env="tmaze", env_opt=(f"length={LENGTH}",), core="lstm", hidden_size=6, encoder_size=5)
PLAN = Plan(episodes=120, seed=3, max_actions=100)


class Notebook(RecurrentCore):
    """Holds the cue of a T-maze exactly: +1 north, -1 south; for so many steps.

    Its output is what it holds and whether it stands at the junction.
    """

    def __init__(self, input_size, limit=math.inf):
        super().__init__(input_size, 2, state_shapes=((1,), (1,)))
        self.limit = limit
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def project(self, x):
        return x

    def step(self, projected, state):
        held, age = state
        seen = projected[:, 3:4] - projected[:, 4:5]
        age = torch.where(seen != 0, 0.0, age + 1)
        held = torch.where(age > self.limit, 0.0, torch.where(seen != 0, seen, held))
        return torch.cat([held, projected[:, 2:3]], 1), (held, age)


def agent(limit=math.inf):
    """A network that walks east and takes the arm that its notebook names; where that is empty, either."""
    envs = make_envs(CONFIG, 1, 0)
    network = make_network(CONFIG, envs.single_observation_space, 4)
    envs.close()
    network.core = Notebook(network.core.input_size, limit)
    network.policy = torch.nn.Linear(2, 4)
    with torch.no_grad():
        network.encoder[1].weight.copy_(torch.eye(5))
        network.encoder[1].bias.zero_()
        network.policy.weight.copy_(torch.tensor([[6.0, 200], [-6, 200], [0, -450], [0, 0]]))
        network.policy.bias.copy_(torch.tensor([-99.0, -99, -99, 0]))
    return network


@pytest.fixture(scope="module")
def keeps():
    """The diagnosis of who holds the cue for ever."""
    return diagnose(CONFIG, agent(), PLAN, 7)


@pytest.fixture(scope="module")
def forgets():
    """Of who holds it for so many steps."""
    return diagnose(CONFIG, agent(FORGETS_AFTER), PLAN, 7)


def test_who_holds_the_cue(keeps):
    """Read at every lag, and by the observation at the cue alone.

    Mutations: the state before the row in place of the one after; the observation of the first row always.
    """
    cue = keeps["cue"]
    assert cue["lag"] == list(range(LENGTH + 1))
    assert cue["state"] == [1.0] * (LENGTH + 1)
    assert cue["observation"][0] == 1.0
    assert max(cue["observation"][1:]) < 0.65
    assert (cue["num_cues"], cue["chance"], cue["holds"]) == (2, 0.5, LENGTH)
    assert cue["episodes"] == [120] * (LENGTH + 1)


def test_who_forgets(forgets):
    """The probe falls to chance where the memory ends, and not a step before or after.

    Mutation: lags counted from the row after the cue.
    """
    cue = forgets["cue"]
    assert cue["state"][: FORGETS_AFTER + 1] == [1.0] * (FORGETS_AFTER + 1)
    assert max(cue["state"][FORGETS_AFTER + 1 :]) < 0.65
    assert cue["holds"] == FORGETS_AFTER
    assert forgets["clearing"]["never"]["mean"] < 0.65


def test_clearing(keeps, forgets):
    """It costs half of the success at any step after the cue; nothing more where all is forgotten by itself.

    Mutations: cleared after the step in place of before; other episodes played than those uncleared.
    """
    clearing = keeps["clearing"]
    assert clearing["never"]["mean"] == 1.0
    assert clearing["step"] == list(range(1, LENGTH + 1))
    assert max(clearing["mean"]) < 0.65
    assert clearing["cleared"] == [120] * LENGTH
    low, mean, high = (np.array(clearing[name]) for name in ("low", "mean", "high"))
    assert ((low <= mean) & (mean <= high)).all()
    own = forgets["clearing"]
    assert set(own["mean"][own["step"].index(FORGETS_AFTER + 1) :]) == {own["never"]["mean"]}


@pytest.mark.parametrize(("clear_at", "success"), [(None, 1.0), (0, 1.0), (1, 0.5), (LENGTH, 0.5)])
def test_clearing_is_before_the_step(clear_at, success):
    """Before the first step nothing is lost, before the second the cue is.

    Mutation: cleared a step later.
    """
    outcome = play(CONFIG, agent(), PLAN, clear_at=clear_at)
    assert abs(outcome.successes.mean() - success) <= (0 if success == 1 else 0.15)
    assert set(outcome.lengths) == {LENGTH + 1}


def test_forgetting_is_the_initial_state():
    """Mutation: only the first state tensor replaced."""
    network = make_network(CONFIG, make_envs(CONFIG, 1, 0).single_observation_space, 4)
    actor = Actor(make_envs(CONFIG, 3, 1), network, seed=2)
    actor.unroll(actor.allocate(5))
    assert all(bool(tensor.any()) for tensor in actor._acting.core_state)
    actor.forget()
    for tensor, initial in zip(actor._acting.core_state, network.initial_state(3), strict=True):
        assert torch.equal(tensor, initial)


@pytest.mark.parametrize(("core", "options"), [("ur-lstm", ()), ("gru", ("layers=2",)), ("memoryless", ())])
def test_gradients(core, options):
    """Against finite differences of the log-probability, entry by entry.

    Mutations: the action of the row before; the square of the norm; the choice a row later; what the products
    see of the input left out.
    """
    torch.manual_seed(0)
    T, M = 6, 3
    sizes = {"hidden_size": 5, "encoder_size": 4, "num_products": 3}
    config = Config(env="tmaze", core=core, core_opt=options, **sizes)
    network = make_network(config, make_envs(config, 1, 0).single_observation_space, 4).double()
    with torch.no_grad():
        network.policy.weight.normal_()
    inputs = torch.randn(T, M, network.core.input_size, dtype=torch.float64)
    actions, choices = torch.randint(4, (T, M)), np.array([5, 2, 4])

    @torch.no_grad()
    def log_probability(column, rows):
        state = network.initial_state(1)
        for t in range(choices[column] + 1):
            out, state = network.core(rows[t].view(1, 1, -1), state, torch.tensor([[t == 0]]))
        logits = network.logits(out[0, 0], rows[choices[column]])
        return logits.log_softmax(-1)[actions[choices[column], column]]

    found = gradient_norms(network, inputs, actions, choices)
    assert found.shape == (T, M)
    for column in range(M):
        for t in range(T):
            squares = 0.0
            for i in range(inputs.shape[2]):
                up, down = inputs[:, column].clone(), inputs[:, column].clone()
                up[t, i] += 1e-5
                down[t, i] -= 1e-5
                squares += float((log_probability(column, up) - log_probability(column, down)) / 2e-5) ** 2
            assert found[t, column] == pytest.approx(math.sqrt(squares), rel=1e-5, abs=1e-9)
    assert (found > 0).any()


def test_the_gradient_of_a_notebook(keeps):
    """What was held hangs on the cue's row and on the choice's own, and on nothing between.

    Mutation: lags counted from the episode's start.
    """
    gradient = keeps["gradient"]
    assert (gradient["choice"], gradient["lag"]) == ("question", list(range(LENGTH + 1)))
    norms = gradient["norm"]
    assert norms[1:LENGTH] == [0.0] * (LENGTH - 1)
    assert gradient["cue_share"] == pytest.approx(norms[LENGTH] / norms[0]) != pytest.approx(1)
    assert (gradient["cue_lag"], gradient["episodes"]) == (LENGTH, [64] * (LENGTH + 1))


def test_a_probe_is_the_minimum():
    """No step in any direction makes its objective smaller; a literal gradient says so.

    Mutation: the penalty's factor doubled in `fit` alone, or too few iterations.
    """
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(4, (40,), generator=generator)
    weights, bias = fit(features, labels, 4)
    logits = features @ weights.T + bias
    errors = logits.softmax(1) - torch.eye(4, dtype=torch.float64)[labels]  # [M, C]
    assert (errors.T @ features / 40 + 1e-2 * weights).abs().max() < 1e-5
    assert errors.mean(0).abs().max() < 1e-5
    assert objective(features, labels, weights, bias) < math.log(4)


def test_a_probe_counts_on_episodes_it_was_not_fitted_to():
    """More features than episodes fit any labels, and tell nothing of others.

    Mutations: fitted to all; counted on the half that it was fitted to.
    """
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(200, 300, generator=generator, dtype=torch.float64)
    labels = torch.randint(2, (200,), generator=generator)
    right, tried = held_out(features, labels, 2)
    assert tried == 100
    assert 30 < right < 70
    features[:, 0] = labels.double()
    right, _ = held_out(features[:, :1], labels, 2)
    assert right == 100


def test_what_a_probe_reads():
    """All of the state after the row that lies so far behind the cue, and that row's encoded observation.

    Mutations: the first tensor of the state alone; the state before the row; the lag counted from the start.
    """
    torch.manual_seed(0)
    network = make_network(CONFIG, make_envs(CONFIG, 1, 0).single_observation_space, 4)
    N, last = 3, np.array([0, 2, -1])
    tape = Tape(inputs=[torch.randn(N, network.core.input_size) for _ in range(5)])
    found = rows_after(network, tape, last, [0, 2])
    state, states = network.initial_state(N), []
    for row in tape.inputs:
        _, state = network.core(row[None], state, torch.zeros(1, N, dtype=torch.bool))
        states.append(torch.cat([torch.zeros(N, 1), *state], 1).double())
    for lag, (read, seen) in zip([0, 2], found, strict=True):
        for env in (0, 1):
            torch.testing.assert_close(read[env], states[last[env] + lag][env])
            torch.testing.assert_close(seen[env], tape.inputs[last[env] + lag][env, :5].double())
        assert not read[2].any()


def test_each_environment_plays_its_first_episode():
    """Also while others are not yet at its end. Mutation: later episodes written over it."""
    config = Config(env="MiniGrid-Empty-Random-5x5-v0", core="lstm", hidden_size=6, encoder_size=5)
    envs = make_envs(config, 1, 0)
    network = make_network(config, envs.single_observation_space, 7)
    plan = Plan(episodes=40, seed=3, max_actions=150)
    outcome, stream = play(config, network, plan), stream_seed(3, "evaluation")
    actor = Actor(make_envs(config, 40, stream), network, seed=stream + 1)
    buffers, lengths = actor.allocate(1), {}
    for _ in range(150):
        ended = actor.unroll(buffers).episodes
        for env, length in zip(ended.envs.tolist(), ended.lengths.tolist(), strict=True):
            lengths.setdefault(env, length)
    assert min(lengths.values()) < 40  # there is time for a second one
    assert outcome.lengths.tolist() == [lengths.get(env, 150) for env in range(40)]


def test_choices_of_lags_and_steps():
    """Even, from end to end, where enough episodes come.

    Mutations: the longest lag that only one episode reaches; clearing at step 0.
    """
    spans = np.array([-1] * 9 + [3] * 30 + [200] * 19)
    assert choose_lags(spans) == [0, 1, 2, 3]
    assert choose_lags(spans[:28]) == []
    long = choose_lags(np.full(20, 500))
    assert (len(long), long[0], long[-1]) == (64, 0, 500)
    assert choose_steps(np.full(9, 51))[:2] == [1, 5]
    assert choose_steps(np.full(9, 51))[-1] == 50
    assert choose_steps(np.ones(9, int)) == []


def test_the_last_sight():
    """Within the episode alone.

    Mutation: rows after the end counted.
    """
    shown = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 0], [1, 0, 1]], bool)
    assert last_sight(shown, np.array([3, 4, 2])).tolist() == [2, -1, 1]


def test_holding():
    """Up to the first lag that falls below half of the way.

    Mutation: a later lag that is read again by luck.
    """
    assert holds([0, 2, 4, 6], [1.0, 0.8, 0.7, 0.9], 0.5) == 2
    assert holds([0, 2], [0.75, 1.0], 0.5) is None


def test_gates():
    """Mutation: quantiles over steps."""
    values = torch.arange(11.0).repeat(2, 1) * torch.tensor([[1.0], [2.0]])
    assert spread(values) == {"low": [1.0, 2.0], "median": [5.0, 10.0], "high": [9.0, 18.0]}
    outcome = Outcome(np.array([1.0, 0, 1, 1]), np.zeros(4), np.array([9, 5, 5, 2]))
    assert median_episode(outcome) == 2


def last_layer_config(env, *options, core="ur-lstm", core_options=()):
    return Config(env=env, env_opt=options, core=core, core_opt=core_options, hidden_size=6, encoder_size=5)


CASES = {
    "tmaze": (last_layer_config("tmaze", "length=6", core="on-lstm"), set()),
    "memoryless": (last_layer_config("tmaze", "length=6", core="memoryless"), {"clearing", "gates"}),
    "active": (last_layer_config("tmaze-active", "length=3", core="lru"), set()),
    "match": (last_layer_config("passive-match", "delay=2", core_options=("layers=2",)), set()),
    "tiles": (last_layer_config("active-match", "delay=2", "tile_size=2", core="gru"), set()),
    "stack": (last_layer_config("key-to-door", "delay=2", core="frame-stack"), {"cue", "gates"}),
    "memory": (last_layer_config("MiniGrid-MemoryS7-v0", "max_steps=9", core="mingru"), set()),
    "cartpole": (last_layer_config("CartPole-v1"), {"cue"}),
}


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_agent(name, tmp_path):
    """All numbers are finite, what does not apply says why, and it is written, read, drawn and told.

    Mutations: the state asked of a core that has none; a success of 0 where the task tells none.
    """
    config, left_out = CASES[name]
    envs = make_envs(config, 1, 0)
    network = make_network(config, envs.single_observation_space, int(envs.single_action_space.n))
    envs.close()
    found = diagnose(config, network, Plan(40, 1, 30), 5)
    assert set(found["left_out"]) == left_out == {part for part in record.PARTS if found[part] is None}
    folder = record.write(tmp_path, found)
    assert record.read(tmp_path) == json.loads(json.dumps(found))
    for _ in range(2):
        write_curves(folder, found)
    assert len(list(folder.glob("events.*"))) == 1
    scalars = EventAccumulator(str(folder)).Reload()
    for tag, (steps, values) in curves_of(found).items():
        assert [event.step for event in scalars.Scalars(tag)] == steps
        np.testing.assert_allclose([event.value for event in scalars.Scalars(tag)], values, rtol=1e-5)
    assert "gradient" in found["summary"]
    if name == "memory":
        assert found["gradient"]["choice"] == "last"


def test_the_same_seed_the_same_diagnosis():
    """Mutation: the seed without effect, or actions drawn anew."""
    config = last_layer_config("tmaze", "length=4")
    network = make_network(config, make_envs(config, 1, 0).single_observation_space, 4)
    first, again, other = (diagnose(config, network, Plan(40, seed, 9), 0) for seed in (1, 1, 2))
    assert first == again
    assert first["gradient"] != other["gradient"]


def test_what_is_measured():
    """Success, or what was paid where nobody succeeds or nobody says so.

    Mutation: a success of 0 everywhere taken for a measure.
    """
    returns, lengths = np.array([1.0, 3.0]), np.array([4, 4])
    for successes, name in (([0, 0.5], "success"), ([0, 0], "return"), ([np.nan, np.nan], "return")):
        outcome = Outcome(np.array(successes), returns, lengths)
        assert measure(outcome) == name
        assert interval(outcome, name).mean == (0.25 if name == "success" else 2.0)


def test_cut_episodes():
    """They fail, with what they were paid until then.

    Mutation: their success unknown, so that only short ones count.
    """
    tape = Tape()
    config = last_layer_config("MiniGrid-Empty-5x5-v0")
    envs = make_envs(config, 1, 0)
    network = make_network(config, envs.single_observation_space, int(envs.single_action_space.n))
    outcome = play(config, network, Plan(60, 1, 30), tape=tape)
    cut = outcome.lengths == 30
    assert 0 < cut.sum() < 60
    assert not outcome.successes[cut].any()
    assert outcome.successes[outcome.lengths < 30].all()
    assert (outcome.returns > 0).tolist() == (outcome.successes > 0).tolist()
    assert len(tape.inputs) == len(tape.actions) == 30
    assert tape.cues == []


@pytest.mark.parametrize("env_id", ["tmaze-active", "passive-match", "active-match", "memory-len"])
def test_what_shows_the_cue(env_id):
    """The rows that are said to show it differ with it, the others before the choice do not.

    The environments step with the same random numbers and actions; only the cue is another one.
    Mutations: the pads of the choice taken for the cue; the oracle's later visits.
    """
    field = {"tmaze-active": "cue", "memory-len": "context"}.get(env_id, "target")
    options = {"delay": 4} if env_id.endswith("match") else {"length": 9}
    steps = 30 if env_id.endswith("match") else 9
    low, high = {"tmaze-active": (2, 4), "memory-len": (0, 2)}.get(env_id, (0, 4))
    actions = np.random.default_rng(0).integers(low, high, size=(steps, 200))
    seen = []
    for shift in (0, 1):
        envs = make_vector_env(env_id, 200, seed=4, **options)
        envs.reset(seed=4)
        envs.state[field] = (envs.state[field] + shift) % envs.num_cues
        if env_id.endswith("match"):
            board = envs.state["board"]
            board[board >= 6] = 6 + (board[board >= 6] - 6 + shift) % 3
        rows, shown = [], []
        for row in actions:
            rows.append(envs.step(row)[0].reshape(200, -1).copy())
            shown.append(envs.shows_cue())
        seen.append((np.stack(rows), np.stack(shown)))
    (one, shown), (other, again) = seen
    assert np.array_equal(shown, again)
    assert np.array_equal((one != other).any(-1), shown)
    if env_id != "memory-len":
        assert 0 < shown.mean() < 1


def test_what_shows_the_object():
    """MiniGrid's Memory: literally, the cell of the start room's object in the drawn mask of what is seen.

    Mutations: west for east; the object at the hallway's end.
    """
    for size, view in (("S7", 3), ("S13", 7)):
        envs = make_vector_env(f"MiniGrid-Memory{size}-v0", 30, seed=1, agent_view_size=view)
        envs.reset()
        middle = int(size[1:]) // 2
        generator, shown = np.random.default_rng(0), []
        for _ in range(40):
            envs.step(generator.integers(3, size=30))
            shown.append(envs.shows_cue())
            for i in range(30):
                assert shown[-1][i] == envs._seen(i)[middle - 1, 1]
        assert 0 < np.mean(shown) < 1
        assert set(envs.cue()) == {0, 1}


def test_summaries(keeps, forgets):
    """What is held, needed, and not used.

    Mutations: the cost of the first step for the greatest; a cue told to be unused that is not held to the
    end, or seen all along.
    """
    assert keeps["summary"].startswith(f"the state holds the cue at 1.00 for {LENGTH} steps (the observation")
    assert f"clearing it between steps 1 and {LENGTH} costs up to 0." in keeps["summary"]
    assert f"for {FORGETS_AFTER} steps of {LENGTH};" in forgets["summary"]
    costless = "clearing it costs no success at any step, as far as these episodes tell"
    assert f"{costless};" in forgets["summary"]
    assert costless not in keeps["summary"]
    unused = {**keeps, "clearing": forgets["clearing"]}
    assert f"{costless}: the agent does not use what it holds;" in summarise(unused)
    seen = {**keeps["cue"], "observation": keeps["cue"]["state"]}
    assert f"{costless};" in summarise({**unused, "cue": seen})
    nothing = SimpleNamespace(cue=None, clearing=None, left_out={}, measure="success")
    gradient = {"norm": [0.0], "lag": [0], "cue_share": None}
    assert summarise({**vars(nothing), "gradient": gradient}) == "the choice has no gradient"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 2}', '{"format": NaN}'])
def test_a_damaged_file(content, tmp_path):
    """One line with its path. Mutation: the check of the format left out."""
    assert record.read(tmp_path) is None
    (tmp_path / "diagnosis").mkdir()
    (tmp_path / "diagnosis" / "diagnosis.json").write_text(content)
    with pytest.raises(ValueError, match=r"diagnosis\.json: ") as caught:
        record.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_no_line_crosses_a_legend(tmp_path, monkeypatch):
    """That of the gates, which fill their panel, stands below it and its axis's name, within the picture.

    Mutation: its place left to matplotlib, which does not know of the second axis.
    """
    seen = []

    def measured(figure, *words, **options):
        figure.draw_without_rendering()
        panel = figure.axes[3]
        names = (panel.get_legend(), panel.xaxis.label, panel, figure)
        seen.extend(thing.get_window_extent() for thing in names)

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", measured)
    spread = {"low": [1.0, 2.0], "median": [3.0, 4.0], "high": [9.0, 9.0], "mean": [0.5, 0.6]}
    gates = {"step": [0, 1], "forget": spread, "input": spread, "time_scale": spread}
    left_out = dict.fromkeys(("cue", "clearing", "gradient"), "left out")
    found = {**dict.fromkeys(left_out), "gates": gates, "left_out": left_out, "env": "tmaze", "core": "lstm"}
    picture.draw(tmp_path / "x.png", {**found, "env_steps": 10, "episodes": 5})
    legend, label, panel, figure = seen
    assert figure.y0 <= legend.y0 < legend.y1 < label.y0 < panel.y0
    assert panel.x0 - 60 < legend.x0 < legend.x1 < panel.x1 + 60


def test_no_number_that_is_none(tmp_path):
    """Mutation: NaN written, which no JSON reader takes."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        record.write(tmp_path, {"format": 1, "seed": math.nan})
