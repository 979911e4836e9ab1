"""The arrows that may never be: which folder of the package imports which, directly or not.

What counts is what runs when a module is imported: imports in functions and under TYPE_CHECKING do
not, those of the packages around a module do. docs/design.md says why.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "unetflow"
GROUND = (
    *("errors", "arguments", "progress", "colours"),
    *("tiles", "engine", "components", "metrics"),
)
DOORS = {"unetflow.predict.__main__", "unetflow.metrics.__main__", "unetflow.splits"}
KNOW_TORCH = {f"unetflow.engine.{name}" for name in ("devices", "gpus", "memory")}
WITHOUT_TORCH = (
    *("store", "images", "labels", "weights", "components", "refine", "instances", "evaluate"),
    *("report", "export", "provenance", "jobs", "tiles", "metrics"),
)


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def folder_of(module: str) -> str:
    """The folder, or the file, right below the package: its room."""
    return module.split(".")[1] if "." in module else ""


def run_at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when a module is imported, those of classes and branches with them."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from run_at_import(node.orelse)
            continue
        yield node
        for name in ("body", "orelse", "finalbody"):
            yield from run_at_import(getattr(node, name, []))
        for handler in getattr(node, "handlers", []):
            yield from run_at_import(handler.body)


@cache
def imports_of(module: str) -> frozenset[str]:
    """What a module imports itself: modules of the package, and libraries by their first name."""
    found: set[str] = set()
    for node in run_at_import(ast.parse(modules()[module].read_text()).body):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: imports name the whole path"
            base = node.module or ""
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            if not name.startswith("unetflow"):
                found.add(name.split(".")[0])
                continue
            parts = name.split(".")
            # the packages around it are imported with it
            every = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
            found |= every & modules().keys()
    return frozenset(found - {module})


@cache
def reached_from(module: str) -> frozenset[str]:
    """All that is imported with a module."""
    found: set[str] = set()
    waiting = [module, module.rpartition(".")[0]] if "." in module else [module]
    while waiting:
        for name in imports_of(waiting.pop()) - found:
            found.add(name)
            if name in modules():
                waiting.append(name)
    return frozenset(found)


def arrows(source: str, *targets: str, but: tuple[str, ...] = ()) -> list[str]:
    """Imports from one folder into others, direct or through others, as `a -> b`."""
    return [
        f"{module} -> {name}"
        for module in modules()
        if folder_of(module) == source and module not in DOORS
        for name in sorted(reached_from(module))
        if (folder_of(name) in targets or name in targets)
        and name not in but
        and folder_of(name) != source
        # a package that hands on its public names lazily is no arrow by itself
        and not (
            name == f"unetflow.{folder_of(name)}" and not imports_of(name) - {"typing", "unetflow"}
        )
    ]


FOLDERS = sorted({folder_of(name) for name in modules()} - {""})
WINGS = [name for name in FOLDERS if name not in GROUND and name != "splits"]
ABOVE = ("stages", "commands", "jobs")


def test_all_folders_are_known() -> None:
    assert set(FOLDERS) == {
        *GROUND,
        *("store", "provenance", "images", "labels", "weights", "networks", "train", "predict"),
        *("refine", "instances", "evaluate", "report", "export", "demo", "models"),
        *("stages", "commands", "jobs"),
        "splits",
    }


@pytest.mark.parametrize("folder", GROUND)
def test_ground_imports_only_the_ground_before_it(folder: str) -> None:
    later = GROUND[GROUND.index(folder) + 1 :]
    assert arrows(folder, *WINGS, *later) == []


@pytest.mark.parametrize("folder", WITHOUT_TORCH)
def test_folder_never_reaches_torch(folder: str) -> None:
    reached = [
        module
        for module in modules()
        if folder_of(module) == folder
        and module not in DOORS
        and {"torch", "lightning_fabric"} & reached_from(module)
    ]
    assert reached == []


def test_of_the_engine_three_modules_know_torch_and_the_package_imports_nothing() -> None:
    engine = {module for module in modules() if folder_of(module) == "engine"}
    assert {module for module in engine if "torch" in reached_from(module)} <= KNOW_TORCH
    assert imports_of("unetflow.engine") <= {"unetflow"}


@pytest.mark.parametrize("folder", [name for name in WITHOUT_TORCH if name not in GROUND])
def test_folder_knows_neither_training_nor_prediction(folder: str) -> None:
    assert (
        arrows(
            folder,
            "train",
            "predict",
            but=("unetflow.train.recipes", "unetflow.train.changed_recipes"),
        )
        == []
    )


@pytest.mark.parametrize(
    "folder", [name for name in WINGS if name not in ("report", "provenance", *ABOVE)]
)
def test_wing_knows_no_receipts(folder: str) -> None:
    assert arrows(folder, "provenance") == []


@pytest.mark.parametrize("folder", [name for name in WINGS if name not in ABOVE])
def test_wing_knows_neither_rules_nor_commands_nor_jobs(folder: str) -> None:
    assert arrows(folder, *ABOVE) == []


def test_rules_know_no_jobs() -> None:
    assert arrows("stages", "jobs") == []


def test_training_takes_of_prediction_the_forward_pass_alone() -> None:
    assert arrows("train", "predict", but=("unetflow.predict.forward",)) == []
    assert arrows("predict", "train") == []


@pytest.mark.parametrize("folder", ["evaluate", "report", "labels"])
def test_a_labeller_is_handed_in(folder: str) -> None:
    assert arrows(folder, "instances") == []


def test_networks_know_sizes_files_and_errors_alone() -> None:
    known = ("networks", "tiles", "store", "errors", "arguments")
    others = [name for name in FOLDERS if name not in known]
    assert arrows("networks", *others) == []
    assert arrows("networks", "store", but=("unetflow.store.files", "unetflow.store")) == []


def test_an_import_that_never_runs_is_no_arrow() -> None:
    tree = ast.parse(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import a\nelse:\n    import b\n"
        "def f():\n    import c\n"
        "class K:\n    import d\n"
        "try:\n    import e\nexcept ImportError:\n    import g\n"
    )
    found = [n for n in run_at_import(tree.body) if isinstance(n, ast.Import)]
    assert [n.names[0].name for n in found] == ["b", "d", "e", "g"]
