"""The house: who may import whom, what nobody imports, and what nobody calls."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("cores", "envs", "agents", "scripts", "benchmarks")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


each_source = pytest.mark.parametrize("path", SOURCES, ids=name_of)
each_file = pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)

FORBIDDEN_IMPORTS = {
    "cores": {"envs", "agents", "scripts", "benchmarks", "gymnasium", "minigrid"},
    "envs": {"cores", "agents", "scripts", "benchmarks", "torch"},
    "agents": {"scripts", "benchmarks"},
    "scripts": {"scripts", "benchmarks"},
    "benchmarks": {"scripts"},
}
"""By package: what none of its modules imports."""

LEARNING = {
    "agents.actor",
    "agents.learner",
    "agents.loss",
    "agents.runners",
    "agents.training",
    "agents.vtrace",
}
"""Reinforcement learning, of which a probe knows nothing."""
CONSOLE = {"agents.console", "agents.metrics"}
"""What speaks to the user."""

FORBIDDEN_ARROWS = {
    "agents/trajectory.py": {"agents", "cores", "envs"},
    "agents/vtrace.py": {"agents", "cores.core", "envs"},  # compiled sums, but no core
    "agents/loss.py": {"agents", "cores", "envs"},
    "agents/learner.py": {"agents.actor", "agents.runners", "agents.training", "envs", "gymnasium"},
    "agents/network.py": {"agents.actor", "agents.learner", "agents.vtrace", "agents.loss", "envs"},
    "agents/actor.py": {"agents.learner", "agents.vtrace", "agents.loss", "agents.runners"},
    "agents/runners/local.py": {"agents.learner", "agents.vtrace", "agents.loss"},
    "agents/runners/process.py": {"agents.learner", "agents.vtrace", "agents.loss", "agents.training"},
    "agents/runners/worker.py": {
        *LEARNING - {"agents.actor", "agents.runners"},
        "agents.console",
        "agents.metrics",
    },
    "agents/runners/supervision.py": {
        *LEARNING - {"agents.runners"},
        "agents.console",
        "agents.metrics",
        "torch",
        "gymnasium",
    },
    "agents/runners/failures.py": {
        *LEARNING - {"agents.runners"},
        "agents.console",
        "agents.metrics",
        "torch",
        "gymnasium",
    },
    "agents/runners/batching.py": {"agents", "cores", "envs", "torch"},
    "agents/runners/remote.py": {
        *LEARNING - {"agents.actor", "agents.runners"},
        "agents.console",
        "agents.metrics",
    },
    "agents/runners/member.py": {
        *LEARNING - {"agents.runners"},
        "agents.console",
        "agents.metrics",
        "torch",
        "gymnasium",
    },
    "agents/runners/tending.py": {
        *LEARNING - {"agents.runners"},
        "agents.console",
        "agents.metrics",
        "torch",
        "gymnasium",
    },
    "agents/runners/cluster.py": {*LEARNING, *CONSOLE, "torch", "gymnasium"},
    "agents/runners/ray.py": {"agents.learner", "agents.vtrace", "agents.loss", "agents.training"},
    "agents/runners/slots.py": {*LEARNING - {"agents.runners"}, "agents.runners.worker", "envs", "cores"},
    "agents/runners/weights.py": {*LEARNING - {"agents.runners"}, "agents.runners.slots", "envs", "cores"},
    "agents/runners/arena.py": {"agents", "cores", "envs", "torch"},
    "agents/runners/ranks.py": {"agents.learner", "agents.vtrace", "agents.loss", "agents.training", "envs"},
    "agents/distributed.py": {
        *LEARNING,
        "agents.console",
        "agents.metrics",
        "agents.network",
        "cores",
        "envs",
    },
    "agents/files.py": {*LEARNING, "agents.checkpoint", "agents.config", "cores", "envs", "torch"},
    "agents/checkpoint_format.py": {*LEARNING, "agents.checkpoint", "agents.config", "cores", "envs"},
    "agents/checkpoint.py": {*LEARNING, "agents.config", "cores", "envs", "torch"},
    "agents/checkpoint_writer.py": {*LEARNING, "agents.config", "cores", "envs"},
    "agents/curves.py": {*LEARNING, "agents.checkpoint", "agents.config", "cores", "envs"},
    "agents/probing/fitting.py": {"agents.probing.tasks", "agents.probing.sweep", "envs", *LEARNING},
    "agents/probing/recall.py": {"agents.probing.fitting", "cores", *LEARNING},
    "agents/probing/sequences.py": {"agents.probing.fitting", "cores", "envs", *LEARNING},
    "agents/probing/digits.py": {"agents.probing.fitting", "cores", "envs", *LEARNING},
    "agents/reporting/statistics.py": {"agents", "cores", "envs"},
    "agents/reporting/blocks.py": {"agents", "cores", "envs"},
    "agents/reporting/pictures.py": {"agents", "cores", "envs"},
    "agents/training.py": {
        "agents.about",
        "agents.diagnosing",
        "agents.probing",
        "agents.recording",
        "agents.reporting",
    },
    "agents/diagnosing/play.py": {*LEARNING - {"agents.actor"}, *CONSOLE, "cores"},
    "agents/diagnosing/record.py": {*LEARNING, "agents.config", "cores", "envs", "torch"},
    "agents/diagnosing/cue_probe.py": {*LEARNING, "agents.diagnosing.diagnosis", "cores", "envs"},
    "agents/diagnosing/gradients.py": {*LEARNING, "agents.diagnosing.diagnosis", "cores", "envs"},
    "agents/recording/playback.py": {"agents.learner", "agents.runners", "agents.training", "cores", "PIL"},
    "agents/recording/video.py": {"agents", "cores", "envs"},
    "agents/recording/charts.py": {"agents", "cores", "envs"},
}
"""By module: the arrows that would run backwards. A package stands for all that is in it."""

UNSAFE_IMPORTS = {"pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib", "torch.load", "numpy.load"}
UNSAFE_NAMES = {"eval", "exec", "__import__", "torch.load", "np.load", "numpy.load"}
VAGUE = {"utils", "util", "common", "helpers", "helper", "base", "misc", "shared", "lib"}


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides an arrow"
            assert node.module is not None
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def reaches(names: set[str], target: str) -> set[str]:
    """The names that lie in a package or module."""
    return {name for name in names if name == target or name.startswith(target + ".")}


def test_there_is_something_to_look_at():
    """Mutation: a package renamed, so that its rules are about nothing."""
    assert len(SOURCES) > 25
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == set(PACKAGES)
    assert set(FORBIDDEN_ARROWS) <= {name_of(path) for path in SOURCES}


@each_source
def test_imports_run_one_way(path):
    """Mutations: an `import torch` in envs/engine.py; `from agents.actor import Actor` in the learner."""
    names, module = imports(path), name_of(path)
    forbidden = FORBIDDEN_IMPORTS[module.split("/")[0]] | FORBIDDEN_ARROWS.get(module, set())
    forbidden |= {"tests", "conftest", *(test.stem for test in TESTS)}
    assert not {name for target in forbidden for name in reaches(names, target)}


@each_source
def test_cores_and_tasks_are_loaded_by_name_in_one_place_each(path):
    """An import by a name at run time hides an arrow from the test above; a user's own code needs one.

    Mutation: `importlib.import_module` in any other module.
    """
    if name_of(path) not in ("cores/__init__.py", "envs/__init__.py"):
        assert not reaches(imports(path), "importlib") - {"importlib.metadata"}  # which loads nothing


@each_source
def test_nothing_executes_what_it_reads(path):
    """No pickle, no torch.load, no eval and exec: a checkpoint from a stranger runs nothing.

    Mutations: `torch.load` called, or handed to another function; `import pickle` within a function.
    """
    assert not {name for target in UNSAFE_IMPORTS for name in reaches(imports(path), target)}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name | ast.Attribute):
            assert ast.unparse(node) not in UNSAFE_NAMES


@each_file
def test_no_folder_or_module_without_a_job(path):
    """Mutation: a file agents/utils.py."""
    assert not VAGUE & set(path.relative_to(ROOT).with_suffix("").parts)


def public_definitions(body: list[ast.stmt]):
    """Functions and classes that a reader can reach by name: those of modules and classes."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node.body)


@each_source
def test_every_public_name_is_explained(path):
    """Mutation: a public function without a docstring."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{path} has no docstring"
    for node in public_definitions(tree.body):
        assert ast.get_docstring(node), f"{path}:{node.lineno}: {node.name} has no docstring"


@each_file
def test_no_name_says_nothing(path):
    """No Manager, Util, Helper, Abstract or Base in the name of a class, and no `done` in what is stored.

    Mutation: a class LearnerManager.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            assert not [
                word for word in ("Manager", "Util", "Helper", "Abstract", "Base") if word in node.name
            ]
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            assert node.target.id not in ("done", "dones")
