"""The house: who may import whom, and what nobody imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("cores", "envs", "agents", "scripts")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

FORBIDDEN_IMPORTS = {
    "cores": {"envs", "agents", "scripts", "gymnasium", "minigrid"},
    "envs": {"cores", "agents", "scripts", "torch"},
    "agents": {"scripts"},
    "scripts": {"scripts"},
}
"""By package: what none of its modules imports."""

FORBIDDEN_ARROWS = {
    "agents/trajectory.py": {"agents", "cores", "envs"},
    "agents/vtrace.py": {"agents", "cores", "envs"},
    "agents/loss.py": {"agents", "cores", "envs"},
    "agents/learner.py": {"agents.actor", "agents.runners", "agents.training", "envs", "gymnasium"},
    "agents/network.py": {"agents.actor", "agents.learner", "agents.vtrace", "agents.loss", "envs"},
    "agents/actor.py": {"agents.learner", "agents.vtrace", "agents.loss", "agents.runners"},
    "agents/runners/local.py": {"agents.learner", "agents.vtrace", "agents.loss"},
}
"""By module: the arrows that would run backwards. A package stands for all that is in it."""

UNSAFE = {"pickle", "cloudpickle", "dill", "shelve", "marshal"}


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
    assert len(SOURCES) > 25
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == set(PACKAGES)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    """Mutation: an `import torch` in envs/engine.py, or `from agents.actor import Actor` in the learner."""
    names, module = imports(path), str(path.relative_to(ROOT))
    forbidden = FORBIDDEN_IMPORTS[module.split("/")[0]] | FORBIDDEN_ARROWS.get(module, set())
    assert not {name for target in forbidden for name in reaches(names, target)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_executes_what_it_reads(path):
    """No pickle, no torch.load, no eval and exec: a checkpoint from a stranger runs nothing."""
    assert not {name for target in UNSAFE for name in reaches(imports(path), target)}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in {"eval", "exec", "torch.load", "np.load", "__import__"}


def test_no_folder_or_module_without_a_job():
    vague = {"utils", "util", "common", "helpers", "helper", "base", "misc"}
    assert not {path for path in SOURCES if vague & set(path.relative_to(ROOT).with_suffix("").parts)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_public_name_is_explained(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{path} has no docstring"
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    for node in [*tree.body, *(node for outer in classes for node in outer.body)]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path}:{node.lineno}: {node.name} has no docstring"
