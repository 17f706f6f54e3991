"""The rules that keep the three packages apart, small and quick to load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("search", "storage", "trainer")

# What no file of a package may import, not even inside a function.
FORBIDDEN = {
    "trainer": {"optuna", "ray", "sqlalchemy", "search", "storage"},
    "storage": {"search", "trainer", "ray", "keras", "tensorflow"},
}
# The only files that may import a library at all.
IMPORTERS = {
    "tensorflow": {
        "trainer/fused_adam.py",
        "trainer/normalization.py",
        "trainer/device.py",
        "trainer/activation_map.py",
        "trainer/batch_statistics.py",
        "trainer/saved_model.py",
        "trainer/training_step.py",
        "trainer/weight_average.py",
    },
    "bioimageio": {"trainer/bioimageio_package.py"},
    "onnx": {"trainer/onnx_model.py"},
    "onnxruntime": {"trainer/onnx_model.py"},
    "tf2onnx": {"trainer/onnx_model.py"},
    "ray": {
        "search/ray_cluster.py",
        "search/ray_failure.py",
        "search/ray_workers.py",
        "search/node_check.py",
        "search/worker_process.py",
    },
}
# What must not be loaded when a module is imported, by itself or by anything it imports.
STAYS_LIGHT = {
    "search.cli": {"tensorflow", "keras", "ray", "optuna"},
    "trainer.volume": {"tensorflow", "keras"},
    "trainer.formats": {"tensorflow", "keras"},
    "trainer.segmentation": {"tensorflow", "keras"},
    "trainer.split": {"tensorflow", "keras"},
    "trainer.rescale": {"tensorflow", "keras"},
    "trainer.earlier_model": {"tensorflow", "keras"},
    "trainer.phantom": {"tensorflow", "keras"},
    "trainer.metrics": {"tensorflow", "keras"},
    "trainer.instances": {"tensorflow", "keras"},
    "trainer.boundary": {"tensorflow", "keras"},
    "trainer.page": {"tensorflow", "keras", "numpy", "matplotlib"},
    "trainer.chart": {"tensorflow", "keras"},
    "trainer.explain": {"tensorflow", "keras"},
    "trainer.publication": {"tensorflow", "keras", "bioimageio"},
    "trainer.export": {"tensorflow", "keras", "bioimageio", "onnx", "onnxruntime", "tf2onnx"},
    "trainer.explore": {"tensorflow", "keras"},
    "trainer.epfl": {"tensorflow", "keras"},
}
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers"}
MOST_LINES = 400


@dataclass(frozen=True)
class Module:
    """A source file of the product, by its path from the repository's root."""

    path: str
    source: str

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def package(self) -> str:
        return self.path.split("/", 1)[0]

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.path)

    def absolute(self, node: ast.ImportFrom) -> str:
        """The dotted name behind `from` with the leading dots resolved."""
        inside = self.name.split(".") + ["__init__"] * self.path.endswith("/__init__.py")
        parents = inside[: len(inside) - node.level] if node.level else []
        return ".".join([*parents, *([node.module] if node.module else [])])


Rule = Callable[[Module], Iterator[str]]


def imported_names(module: Module, nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Dotted names that import statements name: `from a import b` gives a.b."""
    for node in nodes:
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(names=names):
                yield from (f"{module.absolute(node)}.{alias.name}" for alias in names)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes under `node` that run when its module is imported."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                continue
            case ast.If(test=ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                for other in child.orelse:
                    yield from (other, *run_on_import(other))
            case _:
                yield from (child, *run_on_import(child))


def libraries(module: Module) -> set[str]:
    return {name.split(".")[0] for name in imported_names(module, ast.walk(module.tree))}


def forbidden_imports(module: Module) -> Iterator[str]:
    for library in sorted(libraries(module) & FORBIDDEN.get(module.package, set())):
        yield f"{module.path}: {module.package} must not import {library}"


def unexpected_importers(module: Module) -> Iterator[str]:
    for library in sorted(libraries(module) & IMPORTERS.keys()):
        if module.path not in IMPORTERS[library]:
            yield f"{module.path}: only {sorted(IMPORTERS[library])} may import {library}"


def heavy_imports_on_load(module: Module) -> Iterator[str]:
    on_load = imported_names(module, run_on_import(module.tree))
    loaded = {name.split(".")[0] for name in on_load}
    for library in sorted(loaded & STAYS_LIGHT.get(module.name, set())):
        yield f"{module.path}: {library} belongs inside the commands that need it"


def vague_names(module: Module) -> Iterator[str]:
    words = {word for part in module.name.split(".") for word in part.split("_")}
    if words & VAGUE_NAMES:
        yield f"{module.path}: name the one thing it holds"


def overlong_files(module: Module) -> Iterator[str]:
    lines = len(module.source.splitlines())
    if lines > MOST_LINES:
        yield f"{module.path}: {lines} lines, at most {MOST_LINES}"


def assertions_and_prints(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        match node:
            case ast.Assert():
                yield f"{module.path}:{node.lineno}: assert vanishes under python -O; raise"
            case ast.Call(func=ast.Name("print")):
                yield f"{module.path}:{node.lineno}: print() in product code"


RULES: list[Rule] = [
    forbidden_imports,
    unexpected_importers,
    heavy_imports_on_load,
    vague_names,
    overlong_files,
    assertions_and_prints,
]


def import_cycle(modules: list[Module]) -> list[str]:
    """The modules of a cycle of imports that run on load, or nothing."""
    known = {module.name for module in modules}
    graph: dict[str, set[str]] = {}
    for module in modules:
        names = imported_names(module, run_on_import(module.tree))
        # `from a import b` means module a.b where there is one, and otherwise a name in a.
        targets = {name if name in known else name.rpartition(".")[0] for name in names}
        graph[module.name] = targets & known
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def loaded_with(module: str, folder: Path) -> set[str]:
    """The top-level packages in memory after a fresh interpreter imported `module`."""
    code = f"import sys, {module}; sys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return {name.split(".")[0] for name in done.stdout.split()}


def product() -> list[Module]:
    return [
        Module(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    ]


def test_the_three_packages_are_read() -> None:
    assert {module.package for module in product()} == set(PACKAGES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_product_keeps_the_rule(rule: Rule) -> None:
    assert [broken for module in product() for broken in rule(module)] == []


def test_the_modules_import_each_other_in_no_cycle() -> None:
    assert import_cycle(product()) == []


@pytest.mark.parametrize("module", STAYS_LIGHT)
def test_a_light_module_loads_nothing_heavy(module: str) -> None:
    assert loaded_with(module, ROOT) & STAYS_LIGHT[module] == set()


# From here on: each rule finds what it is for.

BREAKING = [
    (forbidden_imports, "trainer/a.py", "import optuna"),
    (forbidden_imports, "trainer/a.py", "import ray.util as r"),
    (forbidden_imports, "trainer/a.py", "from sqlalchemy.orm import Session"),
    (forbidden_imports, "trainer/a.py", "def f():\n    from search import budget"),
    (forbidden_imports, "trainer/a.py", "from storage.checkpoints import Checkpoint"),
    (forbidden_imports, "trainer/a/b.py", "from ..x import optuna\nimport optuna"),
    (forbidden_imports, "storage/a.py", "import os, trainer.volume"),
    (forbidden_imports, "storage/a.py", "try:\n    import keras\nexcept ImportError:\n    pass"),
    (forbidden_imports, "storage/a.py", "import importlib\nimportlib.import_module('ray')"),
    (unexpected_importers, "trainer/a.py", "import tensorflow as tf"),
    (unexpected_importers, "search/a.py", "from tensorflow.python import eager"),
    (unexpected_importers, "search/coordinator.py", "def f():\n    import ray"),
    (heavy_imports_on_load, "search/cli.py", "import ray"),
    (heavy_imports_on_load, "search/cli.py", "if True:\n    from optuna import Study"),
    (heavy_imports_on_load, "search/cli.py", "class A:\n    import keras"),
    (vague_names, "trainer/utils.py", ""),
    (vague_names, "search/trial_manager.py", ""),
    (vague_names, "storage/helpers/a.py", ""),
    (overlong_files, "trainer/a.py", "\n" * 401),
    (assertions_and_prints, "trainer/a.py", "def f(x):\n    assert x"),
    (assertions_and_prints, "trainer/a.py", "print('done')"),
]
KEEPING = [
    (forbidden_imports, "trainer/a.py", "import keras, numpy\nfrom trainer import optuna"),
    (forbidden_imports, "trainer/a.py", "from . import storage"),
    (forbidden_imports, "storage/a.py", "import optuna, sqlalchemy"),
    (forbidden_imports, "search/a.py", "import trainer.volume, storage.lock, optuna"),
    (unexpected_importers, "trainer/device.py", "import tensorflow"),
    (unexpected_importers, "search/ray_workers.py", "import ray"),
    (heavy_imports_on_load, "search/cli.py", "def run():\n    import ray, optuna"),
    (
        heavy_imports_on_load,
        "search/cli.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import optuna",
    ),
    (heavy_imports_on_load, "search/coordinator.py", "import optuna"),
    (vague_names, "search/coordinator.py", ""),
    (overlong_files, "trainer/a.py", "\n" * 400),
    (assertions_and_prints, "trainer/a.py", "console.print('done')"),
]


@pytest.mark.parametrize(("rule", "path", "source"), BREAKING)
def test_a_broken_rule_is_found(rule: Rule, path: str, source: str) -> None:
    found = list(rule(Module(path, source)))
    assert len(found) == 1
    assert found[0].startswith(path)


@pytest.mark.parametrize(("rule", "path", "source"), KEEPING)
def test_what_keeps_a_rule_passes(rule: Rule, path: str, source: str) -> None:
    assert list(rule(Module(path, source))) == []


@pytest.mark.parametrize(
    "first",
    ["import trainer.b", "from trainer import b", "from trainer.b import Name", "from . import b"],
)
def test_a_cycle_of_imports_is_found(first: str) -> None:
    back = Module("trainer/b.py", "if True:\n    from trainer.a import something")
    assert set(import_cycle([Module("trainer/a.py", first), back])) == {"trainer.a", "trainer.b"}


@pytest.mark.parametrize(
    "first",
    [
        "def f():\n    import trainer.b",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import trainer.b",
        "import numpy",
    ],
)
def test_imports_that_do_not_run_on_load_make_no_cycle(first: str) -> None:
    back = Module("trainer/b.py", "import trainer.a")
    assert import_cycle([Module("trainer/a.py", first), back]) == []


def test_a_cycle_through_a_package_itself_is_found() -> None:
    modules = [
        Module("trainer/__init__.py", "from .a import f"),
        Module("trainer/a.py", "from trainer import g"),
    ]
    assert set(import_cycle(modules)) == {"trainer", "trainer.a"}


def test_a_heavy_import_behind_another_module_is_found(tmp_path: Path) -> None:
    (tmp_path / "light.py").write_text("import middle\n")
    (tmp_path / "middle.py").write_text("import heavy.core\n")
    (tmp_path / "heavy").mkdir()
    (tmp_path / "heavy" / "core.py").write_text("")
    assert "heavy" in loaded_with("light", tmp_path)
