"""Tests of the names: that each leads to its core, and that a wrong one is answered in one helpful line."""

import ast
import doctest
import inspect
import re
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

import cores
from cores import CORES, RecurrentCore, make_core

X, H = 4, 6  # inputs, units

OWN_CORE = """
import torch
from cores import RecurrentCore

class Last(RecurrentCore):
    def __init__(self, input_size, hidden_size, scale, *, shift=0.0):
        super().__init__(input_size, hidden_size, output_size=input_size, state_shapes=((input_size,),))
        self.scale, self.shift = scale, shift

    def project(self, x):
        return x

    def step(self, projected, state):
        return state[0] * self.scale + self.shift, (projected,)

class Layered(Last):
    def __init__(self, input_size, hidden_size, layers):
        super().__init__(input_size, hidden_size, 1.0)
        self.own = layers

class Anything(Last):
    def __init__(self, input_size, hidden_size, **options):
        super().__init__(input_size, hidden_size, 1.0)
        self.own = options

class Stranger:
    pass

def function(input_size, hidden_size):
    return None
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """Puts modules with a core of one's own, and with mistakes, where they can be imported."""
    (tmp_path / "own_cores.py").write_text(OWN_CORE)
    (tmp_path / "broken_cores.py").write_text("raise RuntimeError('first line\\nsecond line')")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "own_cores"
    for name in ("own_cores", "broken_cores"):
        sys.modules.pop(name, None)


def error_of(name, *sizes, **options):
    """Returns the message of the ValueError that make_core raises, which must be one line."""
    with pytest.raises(ValueError, match=r".") as caught:
        make_core(name, *(sizes or (X, H)), **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("name", "start", "help"),
    [
        ("lstm", "standard", "none"),
        ("chrono", "chrono", "none"),
        ("o-lstm", "cumax", "none"),
        ("u-lstm", "uniform", "none"),
        ("r-lstm", "standard", "refine"),
        ("cr-lstm", "chrono", "refine"),
        ("or-lstm", "cumax", "refine"),
        ("ur-lstm", "uniform", "refine"),
        ("m-lstm", "standard", "master"),
        ("cm-lstm", "chrono", "master"),
        ("om-lstm", "cumax", "master"),
        ("um-lstm", "uniform", "master"),
    ],
)
def test_a_name_is_its_place_in_the_grid(name, start, help):
    """Fails if two names lead to one core."""
    core = make_core(name, X, H)
    assert (core.start, core.help) == (start, help)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("urlstm", "did you mean ur-lstm"),
        ("UR-LSTM", "did you mean ur-lstm"),
        ("memorless", "did you mean memoryless"),
        ("xyz", "choose one of lstm, chrono"),
        ("", "choose one of lstm, chrono"),
    ],
)
def test_unknown_names(name, suggestion):
    """Fails if the nearest names are not given: nobody should have to open the source."""
    message = error_of(name)
    assert message.startswith(f"unknown core {name!r}: ")
    assert suggestion in message


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("chrono", {"tmax": 50}, "core 'chrono' has no option 'tmax': did you mean t_max?"),
        ("on-lstm", {"chunks": 2}, "core 'on-lstm' has no option 'chunks': did you mean chunk?"),
        (
            "ur-lstm",
            {"t_max": 50},
            "core 'ur-lstm' has no option 't_max': choose one of refine_bias, layer_norm, layers",
        ),
        (
            "lstm",
            {"start": "uniform"},
            "core 'lstm' has no option 'start': choose one of forget_bias, layer_norm, layers",
        ),
        ("u-lstm", {"k": 1}, "core 'u-lstm' has no option 'k': choose one of layer_norm, layers"),
        ("memoryless", {"depth": 2}, "core 'memoryless' has no option 'depth': choose one of layers"),
        ("chrono", {"t_max": 2}, "t_max must be a number of steps of at least 3, not 2"),
        ("m-lstm", {"chunk": 4}, "chunk must divide hidden_size, and 4 does not divide 6"),
    ],
)
def test_wrong_options(name, options, expected):
    """Fails if options without effect are let through, or suggested."""
    assert error_of(name, **options) == expected


@pytest.mark.parametrize("name", list(CORES))
@pytest.mark.parametrize("size", [0, -1, 2.0, "6", True, None])
def test_sizes_out_of_range(name, size):
    """Fails if a size is not checked before it reaches torch."""
    assert error_of(name, X, size) == f"hidden_size must be a whole number of at least 1, not {size!r}"
    assert error_of(name, size, H) == f"input_size must be a whole number of at least 1, not {size!r}"


def test_options_reach_the_constructor():
    """Fails if options are checked and then dropped."""
    assert make_core("on-lstm", X, H, chunk=3).chunk == 3
    assert make_core("lstm", X, H, forget_bias=2.5).bias[0].item() == 2.5


def test_layers():
    """Mutations: options kept from the upper layers; layers=1 a stack of one; the number not checked."""
    core = make_core("m-lstm", X, H, layers=3, chunk=2)
    assert [(layer.input_size, layer.hidden_size, layer.chunk) for layer in core.layers] == [
        (X, H, 2),
        (H, H, 2),
        (H, H, 2),
    ]
    assert type(make_core("lstm", X, H, layers=1)) is type(make_core("lstm", X, H))
    for layers in (0, -1, 1.0, "2", True, None):
        assert (
            error_of("lstm", layers=layers) == f"layers must be a whole number of at least 1, not {layers!r}"
        )


def test_layers_of_a_core_of_ones_own(own_module):
    """Mutations: H inputs for every upper layer; an option `layers` of its own taken away from a core."""
    core = make_core(f"{own_module}:Last", X, H, layers=2, scale=2.0)
    inputs, reset = torch.randn(5, 3, X), torch.zeros(5, 3, dtype=torch.bool)
    out, _ = core(inputs, core.initial_state(3), reset)
    torch.testing.assert_close(out[2:], 4.0 * inputs[:-2])
    assert make_core(f"{own_module}:Layered", X, H, layers="many").own == "many"
    assert make_core(f"{own_module}:Anything", X, H, layers="many").own == {"layers": "many"}


def test_a_core_of_ones_own(own_module):
    """Fails if a core from outside needs more than its two methods."""
    core = make_core(f"{own_module}:Last", X, H, scale=2.0)
    inputs = torch.randn(5, 3, X)
    reset = torch.zeros(5, 3, dtype=torch.bool)
    reset[2, 1] = True
    out, (last,) = core(inputs, core.initial_state(3), reset)
    expected = torch.cat([torch.zeros(1, 3, X), 2.0 * inputs[:-1]])
    expected[2, 1] = 0.0
    assert core.output_size == X
    torch.testing.assert_close((out, last), (expected, inputs[-1]))


class Counter(RecurrentCore):
    """Counts the steps of an episode from a start of its own, in a state of rank 3."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size, state_shapes=((1, hidden_size),))
        self.first = torch.nn.Parameter(torch.full((hidden_size,), 10.0))

    def initial_state(self, batch_size):
        """Returns the learnt start, [B, 1, H]."""
        return (self.first.expand(batch_size, 1, -1),)

    def project(self, x):
        """Returns the inputs as they are."""
        return x

    def step(self, projected, state):
        """Gives the count, and adds one."""
        return state[0][:, 0], (state[0] + 1,)


def test_the_state_is_handed_on_exactly():
    """Fails if a reset means zeros, comes a step late, or if a state of higher rank is masked along H.

    Whole numbers prove it: 10 plus the steps since the reset, or since the state that came in.
    """
    T, B = 5, 3
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[[0, 2, 3, 4], [1, 0, 0, 2]] = True
    core = Counter(X, H)
    state = (torch.tensor([100.0, 200.0, 300.0]).view(B, 1, 1).expand(B, 1, H),)
    out, (last,) = core(torch.randn(T, B, X), state, reset)
    expected = [[100, 10, 300], [101, 11, 301], [10, 12, 302], [10, 13, 303], [11, 14, 10]]
    assert out[:, :, 0].tolist() == expected
    assert last[:, 0, 0].tolist() == [12, 15, 11]
    out.sum().backward()
    assert core.first.grad.tolist() == [9.0] * H  # nine of the fifteen outputs count from it
    assert core.gates(out[0], state) == {}


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        (
            "no_such_module:Core",
            {},
            "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("own_cores:Missing", {}, "cannot be imported: AttributeError: "),
        ("own_cores:", {}, "cannot be imported: AttributeError: "),
        (":Core", {}, "cannot be imported: ValueError: "),
        (".relative:Core", {}, "cannot be imported: TypeError: "),
        ("broken_cores:Core", {}, "cannot be imported: RuntimeError: first line second line"),
        ("own_cores:Stranger", {}, "is no subclass of cores.RecurrentCore"),
        ("own_cores:function", {}, "is no subclass of cores.RecurrentCore"),
        ("own_cores:Last", {}, "cannot be made: missing a required argument: 'scale'"),
        ("own_cores:Last", {"scale": 1.0, "shfit": 1.0}, "has no option 'shfit': did you mean shift?"),
    ],
)
def test_mistakes_in_a_core_of_ones_own(own_module, name, options, expected):
    """Fails if any exception of a stranger's module comes through as it is."""
    assert error_of(name, **options).startswith(f"core {name!r} {expected}")


def test_the_documented_example_runs():
    """Fails if the interface changes and the package's docstring does not."""
    result = doctest.testmod(cores)
    assert result.attempted > 5
    assert result.failed == 0


def test_the_example_of_the_readme_runs():
    """Fails if the interface changes and the README does not."""
    text = (Path(__file__).parents[1] / "README.md").read_text()
    (example,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "make_core" in block]
    seen: dict = {}
    exec(example, seen)
    assert seen["out"].shape == seen["gates"]["forget"].shape == (5, 3, 6)


def test_options_are_documented():
    """Fails if a constructor takes an option that its class does not explain."""
    for factory in CORES.values():
        made = factory.func if isinstance(factory, partial) else factory
        for option in inspect.signature(made).parameters:
            assert f"    {option}: " in made.__doc__


def test_cores_know_nothing_of_agents_and_environments():
    """Fails if a file of the package imports more than torch, numpy, triton, and numba with its compiler."""
    allowed = {"cores", "torch", "numba", "llvmlite", "triton", "numpy", *sys.stdlib_module_names}
    for path in Path(cores.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
            modules = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert {module.split(".")[0] for module in modules} <= allowed, path


def test_the_interface_must_be_filled_in():
    """Fails if a core without its two methods runs, and returns nothing."""
    core = RecurrentCore(X, H)
    with pytest.raises(NotImplementedError, match="RecurrentCore must define project"):
        core.project(torch.zeros(3, X))
    with pytest.raises(NotImplementedError, match="RecurrentCore must define step"):
        core.step(torch.zeros(3, X), core.initial_state(3))
