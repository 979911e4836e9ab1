"""Digests of code: what a rule's result depends on beside its inputs and parameters.

Snakemake looks at the time stamp of a script and never at the modules it imports. A digest of the
syntax trees of both, among a rule's params, makes an edit rerun what it can change, and a comment,
a docstring, a fresh clone or another version of Python rerun nothing.
"""

import ast
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

PACKAGE = "unetflow"
OURS = frozenset({PACKAGE})
# Modules and packages that cannot change a result: they are in no digest and are not followed.
WITHOUT_EFFECT = {
    "unetflow.arguments",  # what it lets pass it leaves as it is
    "unetflow.engine.distributed",  # who does shards and blocks
    "unetflow.engine.gpu_busy",  # measures, for the run record
    "unetflow.engine.gpus",  # which GPU, of those that a job may take
    "unetflow.engine.memory",  # how much is left; what is chosen by it stands in the run record
    "unetflow.errors",  # a stage that raises one has no result
    "unetflow.images.file_pixels",  # the bits of the prepared image, whose digest counts
    "unetflow.jobs",  # logs and who works when: what changes a result reaches a rule as params
    "unetflow.progress",  # says in the log how far a stage is
    "unetflow.provenance.code_digest",  # makes the digests
    "unetflow.provenance.records",  # what it writes is nobody's input
    "unetflow.provenance.schemas",  # types alone, which a checker reads, as the next
    "unetflow.report.handed",
    "unetflow.train.torchrun",  # starts processes; what each does is in `train.process`
}


class _Source(NamedTuple):
    """What counts of a file of code."""

    digest: str
    imports: list[ast.Import | ast.ImportFrom]
    lines: int


def code_digest(script: str | Path, *others: str) -> str:
    """Digest of a script and of the package's modules that it imports, directly or not.

    `others` are further modules, such as that of the network named in the config (of a user's own
    package all its modules count that are imported), or files of the package such as
    "unetflow/report/templates/page.html". A name imported from a package counts as the module that
    it comes from. Comments and docstrings do not count, nor what a module does where it is run as a
    command of its own, nor what only type checkers read.
    """
    parts = [_source(Path(script)).digest]
    for module, path in modules_behind(script, *others).items():
        parts.append(f"{module} {_source(path).digest}")
    for name in others:
        if "/" in name:
            content = (_root_of_package() / name).read_bytes()
            parts.append(f"{name} {_digest_of(content)}")
    return _digest_of("\n".join(parts).encode())


def modules_behind(script: str | Path, *others: str) -> dict[str, Path]:
    """The modules of the package that `code_digest` of the same arguments counts, and their files.

    The script itself is not among them, nor are files in `others` that are no modules.
    """
    found: dict[str, Path] = {}
    named = [name for name in others if "/" not in name]
    ours = frozenset({PACKAGE, *(name.partition(".")[0] for name in named)})
    waiting = [*_imports(Path(script), PACKAGE, ours), *named]
    while waiting:
        module = waiting.pop()
        if module in found or _without_effect(module):
            continue
        path = found[module] = _path_of(module)
        is_package = path.name == "__init__.py"
        waiting += _imports(path, module if is_package else module.rpartition(".")[0], ours)
    return dict(sorted(found.items()))


def lines_behind(script: str | Path, *others: str) -> int:
    """How many lines the modules behind a digest have: an edit of any may rerun the rule."""
    return sum(_source(path).lines for path in modules_behind(script, *others).values())


def _root_of_package() -> Path:
    return Path(__file__).parents[2]


def _without_effect(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in WITHOUT_EFFECT)


def _path_of(module: str) -> Path:
    """Its file, which need not exist."""
    first, *below = module.split(".")
    if first == PACKAGE:
        path = _root_of_package().joinpath(first, *below)
    else:  # a user's own: where Python finds it
        spec = find_spec(first)
        if spec is None or (spec.origin is None and not spec.submodule_search_locations):
            return Path(f"{module}.py")
        folders = spec.submodule_search_locations
        path = Path(folders[0] if folders else Path(str(spec.origin)).parent / first, *below)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_module(module: str) -> bool:
    return _path_of(module).exists()


# Which modules a file imports


def _imports(path: Path, package: str, ours: frozenset[str] = OURS) -> list[str]:
    """The modules of our package, or of a named one, that a file imports, wherever in it."""
    return _imports_at(path, path.stat().st_mtime_ns, package, ours)


@cache
def _imports_at(path: Path, modified_ns: int, package: str, ours: frozenset[str]) -> list[str]:
    found = []
    for node in _source_at(path, modified_ns).imports:
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names if each.name.partition(".")[0] in ours]
        else:
            base = _absolute(node, package)
            if base.partition(".")[0] in ours:
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
    path = _path_of(base)
    if path.name != "__init__.py":
        return base
    for node in _source(path).imports:
        origin = _absolute(node, base) if isinstance(node, ast.ImportFrom) else ""
        if isinstance(node, ast.ImportFrom) and origin.partition(".")[0] == base.partition(".")[0]:
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return _module_of(origin, alias.name)
    return base


# What counts of a file


def _digest_of(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _source(path: Path) -> _Source:
    return _source_at(path, path.stat().st_mtime_ns)


@cache
def _source_at(path: Path, modified_ns: int) -> _Source:
    content = path.read_bytes()
    is_package = path.name == "__init__.py"
    rows = []
    imports = []
    waiting: list[object] = [ast.parse(content, filename=str(path))]
    while waiting:  # no recursion: a sum of a thousand terms is a thousand levels deep
        node = waiting.pop()
        rows.append(_row(node, waiting, is_package))
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(node)
    return _Source(_digest_of("\n".join(rows).encode()), imports, content.count(b"\n"))


# The rows of a syntax tree: one a node, the same in all versions of Python


def _row(node: object, waiting: list[object], is_package: bool) -> str:
    """A node in one line; the nodes below it go to the end of `waiting`.

    Fields have their names and lists their lengths, so that the rows give back the tree. Left out
    is what says nothing (None, 0, an empty list): fields that a newer Python adds are of this
    kind in code that does without them.
    """
    if not isinstance(node, ast.AST):
        return _constant(node)  # a name of `global`, or None: no key before **, no default
    row = type(node).__name__
    if isinstance(node, ast.Constant | ast.MatchSingleton):
        return f"{row} {_constant(node.value)}"  # without `kind`, the u of u"text"
    for name in _that_say(node._fields):
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            waiting.append(value)
            row += f" {name}"
        elif isinstance(value, list):
            below = _that_count(node, value, is_package)
            waiting += below
            row += f" {name}*{len(below)}" if below else ""
        elif value:
            row += f" {name}={_constant(value)}"
    return row


@cache
def _that_say(fields: tuple[str, ...]) -> list[str]:
    """Fields without `ctx`: whether a name is set or read shows in the place where it stands."""
    return sorted(set(fields) - {"ctx"})


def _constant(value: object) -> str:
    """A constant in ASCII that shows its type: 1, 1.0, True, '1' and b'1' are five."""
    return hex(value) if type(value) is int else ascii(value)  # an int may be too long for repr


def _that_count(node: ast.AST, below: list[object], is_package: bool) -> list[object]:
    """The nodes of a list that count, out of those that a node holds."""
    if isinstance(node, ast.JoinedStr):
        return _pieces(node)
    if not below or not isinstance(below[0], ast.stmt):
        return below
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        below = below[_has_docstring(node) :]
    return _that_run(below, is_package)


def _has_docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> bool:
    match node.body[0]:
        case ast.Expr(ast.Constant(str())):
            return True
    return False


def _that_run(statements: Sequence[object], is_package: bool) -> list[object]:
    """Statements without those for a command or for type checkers; an `else` of theirs stays.

    A package's `if TYPE_CHECKING` stays: its imports say what the package hands on when asked.
    """
    found = []
    for statement in statements:
        if isinstance(statement, ast.If) and _is_idle(statement.test, is_package):
            found += _that_run(statement.orelse, is_package)
        else:
            found.append(statement)
    return found


def _is_idle(test: ast.expr, is_package: bool) -> bool:
    """Whether a condition is false where its module is imported."""
    match test:
        case ast.Compare(ast.Name("__name__"), [ast.Eq()], [ast.Constant("__main__")]):
            return True
        case ast.Name("TYPE_CHECKING") | ast.Attribute(ast.Name("typing"), "TYPE_CHECKING"):
            return not is_package
    return False


def _pieces(node: ast.JoinedStr) -> list[object]:
    """Text and fields of an f-string, text in one piece: each Python cuts it in its own way."""
    found: list[object] = []
    for value in node.values:
        for piece in _pieces(value) if isinstance(value, ast.JoinedStr) else [value]:
            if isinstance(piece, ast.Constant):
                piece = piece.value
            if isinstance(piece, str) and found and isinstance(found[-1], str):
                found[-1] += piece
            elif piece != "":
                found.append(piece)
    return found
