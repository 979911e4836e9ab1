"""Digests of code: what a rule's result depends on beside its inputs and parameters.

Snakemake looks at the time stamp of a script and never at the modules it imports. A digest of the
syntax trees of both, among a rule's params, makes an edit rerun what it can change, and a comment,
a docstring or a fresh clone rerun nothing.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = "unetflow"
# Cannot change a result: they are not followed.
WITHOUT_EFFECT = {
    "unetflow.provenance.code_digest",
    "unetflow.provenance.records",
    "unetflow.provenance.schemas",
    "unetflow.errors",
    "unetflow.progress",
    "unetflow.jobs",
}


def code_digest(script: str | Path, *others: str) -> str:
    """Digest of a script and of the package's modules that it imports, directly or not.

    `others` are further modules, such as that of the network named in the config, or files of the
    package such as "unetflow/report/templates/page.html". A name imported from a package counts as
    the module that it comes from. Comments and docstrings do not count, nor what a module does
    where it is run as a command of its own.
    """
    root = _root_of_package()
    script = Path(script)
    seen: dict[str, str] = {}
    files = [name for name in others if "/" in name]
    waiting = [*_imports(script, PACKAGE), *(name for name in others if "/" not in name)]
    while waiting:
        module = waiting.pop()
        if module in seen or _without_effect(module):
            continue
        path = _path_of(root, module)
        seen[module] = _tree_digest(path)
        waiting += _imports(
            path, module if path.name == "__init__.py" else module.rpartition(".")[0]
        )
    digest = hashlib.blake2b(_tree_digest(script).encode(), digest_size=16)
    for module in sorted(seen):
        digest.update(f"{module} {seen[module]}\n".encode())
    for name in files:
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def _root_of_package() -> Path:
    return Path(__file__).parents[2]


def _without_effect(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in WITHOUT_EFFECT)


def _path_of(root: Path, module: str) -> Path:
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_module(module: str) -> bool:
    return _path_of(_root_of_package(), module).exists()


@cache
def _parsed(path: Path, modified_ns: int) -> ast.Module:
    return _without_command(path)


def _without_command(path: Path) -> ast.Module:
    """The syntax tree of a file without what it does under `if __name__ == "__main__"`."""
    tree = ast.parse(path.read_bytes(), filename=str(path))
    command = ast.dump(ast.parse('__name__ == "__main__"', mode="eval").body)
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.dump(node.test) == command)
    ]
    return tree


def _tree(path: Path) -> ast.Module:
    return _parsed(path, path.stat().st_mtime_ns)


@cache
def _digest_at(path: Path, modified_ns: int) -> str:
    tree = _without_command(path)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            del body[0]
    return hashlib.blake2b(ast.dump(tree).encode(), digest_size=16).hexdigest()


def _tree_digest(path: Path) -> str:
    return _digest_at(path, path.stat().st_mtime_ns)


def _imports(path: Path, package: str) -> list[str]:
    """The modules of our package that a file imports, wherever in it."""
    found = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] == PACKAGE]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            if base.split(".")[0] == PACKAGE:
                found += [_module_of(base, alias.name) for alias in node.names]
    return found


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _module_of(base: str, name: str) -> str:
    """Where `from base import name` takes the name from."""
    if name != "*" and _is_module(f"{base}.{name}"):
        return f"{base}.{name}"
    path = _path_of(_root_of_package(), base)
    if path.name != "__init__.py":
        return base
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ImportFrom) and any(
            name == (alias.asname or alias.name) for alias in node.names
        ):
            origin = next(a.name for a in node.names if name == (a.asname or a.name))
            return _module_of(_absolute(node, base), origin)
    return base
