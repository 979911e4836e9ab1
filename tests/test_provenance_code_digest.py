"""Digests of code: what reruns a stage and what does not."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

from unetflow.provenance import code_digest as code_module
from unetflow.provenance.code_digest import code_digest, lines_behind, modules_behind

# All kinds of syntax whose trees have differed, or could, between versions of Python
SAMPLE = '''
"""A docstring."""
from __future__ import annotations

import os.path as where, sys
from . import sibling

@decorated(1, *many, key=-0.0, **more)
class Thing(Base, metaclass=Kind):
    """Another."""

    field: dict[str, tuple[int, ...]] = {}
    bare: int

async def gather(a, b=1, /, c: int = 0x_FF, *rest: *Rest, d, e=None, **others) -> list[int]:
    global seen
    seen, *left = [x async for x in rest if x if not c], 1_000.5e3, 3j, b"\\x00", ..., True
    async with a as (p, q), b:
        return {**others, "k": await p, u"caf\\u00e9": 'one' "two"}

def outer(n: "later" = 10**400, keep=lambda x=1, *y, z=2: (x, y, z)):
    m = 0xFFFF_FFFF_FFFF_FFFF_FFFF_FFFF_FFFF_FFFF
    def inner():
        nonlocal m
        yield from (m := m + 1, -m, ~m, not m, m @ m, m // 2 ** -1)
    text = f"{n}" f"" "a" f"b{n!r:>{m}}" f"{n:{m}}{{}}{m:%H:%M}" rf"\\d{n:.{m}f}" f"{n:}"
    said = f"{n=}, {n = !s:^{m}}, {f'{m:{n}}' 'c'}, {(lambda: 1)()}"
    try:
        assert a[1:2, ::3, *rest] < n <= m is not None, "no"
    except* (OSError, ValueError) as error:
        raise RuntimeError from error
    else:
        del a.b, a[0]
    finally:
        while True:
            break
    match n:
        case None | False:
            pass
        case [1, *_, Thing(field=-1.5, bare=str() as s)] if s:
            pass
        case {"a": 1, **others}:
            for i, j in {1, 2}:
                continue
            else:
                i += j if i else {k: v for k, v in ()}
'''
SAMPLE_DIGEST = "2b3c82b8fe58cd898ff5dba1ce618189"
OTHER_VERSIONS = [f"3.{minor}" for minor in (11, 12, 13, 14) if minor != sys.version_info.minor]

# The texts of each line must have digests of their own
DIFFERENT = [
    "a + b || a - b || b + a || a * b || a @ b || a or b || a and b || a is b || a is not b",
    "a < b < c || (a < b) < c || a < (b < c) || a < b <= c || a < b and b < c || a > b > c",
    "a || -a || +a || ~a || not a || --a || a() || a.b || a[b] || a[b:] || a[:b] || await_(a)",
    "x = 0 || x = 0.0 || x = -0.0 || x = 0j || x = False || x = None || x = '' || x = b''",
    "x = 1 || x = 1.0 || x = 1j || x = True || x = '1' || x = b'1' || x = f'1' || x = f'{1}'",
    "x = ... || x = '...' || x = () || x = [] || x = {} || x = 1e999 || x = inf || x = 'inf'",
    "x = 'a' || x = b'a' || x = a || x = '\xe4' || x = 'a\u0308' || x = '\\n' || x = r'\\n'",
    f"x = 0x1{'0' * 5000} || x = 0x1{'0' * 5001} || x = 0.1 || x = 0.10000000000000002",
    "f'{a}' || f'{a!r}' || f'{a!s}' || f'{a=}' || f'{a = }' || x = '{a}' || f'{{a}}' || f'{b}'",
    "f'{a:3}' || f'{a:4}' || f'{a:{3}}' || f'{a:{b}}' || f'{a:{b}3}' || f'{a:3{b}}' || f'{a}3'",
    "f'{a}b' || f'b{a}' || f'{a}{b}' || f'{b}{a}' || f'{ab}' || f'{a}' + 'b' || f'{a}', 'b'",
    "lambda a, b: 0 || lambda a, b, /: 0 || lambda a, *, b: 0 || lambda *, a, b: 0",
    "lambda a=1, b=2: 0 || lambda a=2, b=1: 0 || lambda a, b=1: 0 || lambda a, *, b=1: 0",
    "lambda *, a=1, b: 0 || lambda *, a, b=1: 0 || lambda *, a=None, b: 0 || lambda *a, b: 0",
    "def f(a, b): 0 || def f(a: b, b): 0 || def f(a, b: b): 0 || def f(a, b) -> b: 0",
    "def f(): a || async def f(): a || def g(): a || def f(): return a || def f(): yield a",
    "f(a, b) || f(b, a) || f(a, b=b) || f(a, *b) || f(a, **b) || f((a, b)) || f(a)(b)",
    "@a\n@b\nclass c: 0 || @b\n@a\nclass c: 0 || @a\nclass c: 0 || class c(a): 0",
    "{**a, b: c} || {b: c, **a} || {a: b, **c} || {a: b, None: c} || {a, b, c} || [a, b, c]",
    "[a for a in b] || [a async for a in b] || (a for a in b) || [a for a in b if a] || a, *b",
    "a if b else c || c if b else a || b if a else c || b and a or c",
    "a\nb || b\na || a, b || a\nb\nb || a",
    "if a:\n b\n c || if a:\n b\nelse:\n c || if a:\n b\nc || if a:\n c\nelse:\n b",
    "for a in b:\n c\nelse:\n d || for a in b:\n c\n d || while b:\n c\n d || while b:\n c\nd",
    "try:\n a\nexcept b:\n c\nelse:\n d || try:\n a\nexcept b:\n c\nfinally:\n d",
    "try:\n a\nexcept b:\n c || try:\n a\nexcept* b:\n c || try:\n a\nexcept b as c:\n c",
    "match a:\n case None: 0 || match a:\n case True: 0 || match a:\n case False: 0",
    "match a:\n case [a]: 0 || match a:\n case [*a]: 0 || match a:\n case a(): 0",
    "import a || import a as b || import a.b || from a import b || from . import b",
    "def f(): global a, b || def f(): nonlocal a, b || def f(): global b, a || def f(): a, b",
    "a = b || a: b || a: b = b || (a): b = b || a += b || a = b = b || (a := b) || del a, b",
    "def f():\n a\nb || def f():\n a\n b || class f:\n a\nb",
]
# Two ways to write the same
SAME = [
    "a + b || (a)  +  b  # a comment",
    "x = 255, 1000.0 || x = 0x_FF, 1_0e2",
    """x = 'text' || x = u"te" "xt" """,
    "f'{a}text' || f'{a}te' '' f'' 'xt'",
    "f'{a:{b}}' || f'{a:{b}}' ''",
    "def f():\n 'words'\n return 1 || def f():\n return 1",
    "async def f():\n 'words'\n return 1 || async def f():\n 'other'\n return 1",
    "class A:\n 'words'\n a = 1 || class A:\n a = 1",
    "'words'\na || 'other words'\n\n\na",
]


@pytest.fixture
def digest(tmp_path: Path) -> Callable[[str], str]:
    """The digest of a text of code."""

    def digest_of(text: str) -> str:
        path = tmp_path / "text.py"
        path.write_text(text, encoding="utf-8")
        code_module._source_at.cache_clear()
        return code_digest(path)

    return digest_of


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package and its scripts that a test may edit."""
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in ("unetflow", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    monkeypatch.setattr(code_module, "_root_of_package", lambda: tmp_path)
    return tmp_path


def digests(root: Path) -> dict[str, str]:
    found = {path.stem: code_digest(path) for path in (root / "scripts").glob("*.py")}
    for rule in ("train", "predict"):
        found[rule] = code_digest(root / "scripts" / f"{rule}.py", "unetflow.networks.unet")
    return found


def changed_by(root: Path, module: str, before: str, after: str) -> set[str]:
    """The rules whose digest an edit of a module changes."""
    first = digests(root)
    path = root / module
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    code_module._source_at.cache_clear()
    second = digests(root)
    return {rule for rule in first if first[rule] != second[rule]}


@pytest.mark.slow
def test_an_edit_in_a_metrics_module_changes_calibration_and_evaluation(copy: Path) -> None:
    edited = changed_by(copy, "unetflow/metrics/rand.py", "2 * self.ab", "3 * self.ab")
    assert {"calibrate", "evaluate"} <= edited
    assert not edited & {"prepare_image", "prepare_truth", "weights", "statistics"}
    assert not edited & {"train", "predict", "instances", "draw_demo"}


@pytest.mark.slow
def test_an_edit_in_the_network_changes_training_and_prediction(copy: Path) -> None:
    edited = changed_by(copy, "unetflow/networks/unet.py", "padded=False", "padded=True")
    assert edited == {"train", "predict"}
    edited = changed_by(copy, "unetflow/networks/sizes/unet.py", "whole(64)", "whole(32)")
    assert edited == {"train", "predict"}


@pytest.mark.slow
def test_another_network_edited_or_added_changes_nothing(copy: Path) -> None:
    assert not changed_by(copy, "unetflow/networks/fcn.py", "nn.MaxPool2d(2)", "nn.MaxPool2d(3)")
    assert not changed_by(copy, "unetflow/networks/sizes/fcn.py", "whole(64)", "whole(32)")
    first = digests(copy)
    (copy / "unetflow/networks/sizes/mine.py").write_text("OPTIONS = None\n")
    assert digests(copy) == first


@pytest.mark.slow
def test_an_edit_of_the_labelling_or_of_a_reader_leaves_predictions_alone(copy: Path) -> None:
    edited = changed_by(copy, "unetflow/components/groups_of_block.py", "count + 1", "count + 2")
    assert "instances" in edited
    assert "predict" not in edited
    edited = changed_by(copy, "unetflow/images/readers.py", "import", "import ast\nimport")
    assert "prepare_image" in edited
    assert "predict" not in edited


def test_what_a_module_does_as_a_command_changes_nothing(copy: Path) -> None:
    edited = changed_by(
        copy, "unetflow/stages/train.py", "level=logging.INFO", "level=logging.DEBUG"
    )
    assert edited == set()


@pytest.mark.slow
def test_comments_and_docstrings_change_nothing(copy: Path) -> None:
    edited = changed_by(
        copy, "unetflow/store/shards.py", '"""Zarr arrays', '"""Other words for arrays'
    )
    assert edited == set()
    assert (
        changed_by(copy, "unetflow/tiles/grid.py", "import itertools", "# why\nimport itertools")
        == set()
    )


@pytest.mark.slow
def test_errors_progress_and_logs_are_not_followed(copy: Path) -> None:
    assert changed_by(copy, "unetflow/errors.py", "(Exception)", "(RuntimeError)") == set()
    assert changed_by(copy, "unetflow/progress.py", "20.0", "5.0") == set()
    assert changed_by(copy, "unetflow/jobs/logs.py", 'mode="w"', 'mode="a"') == set()


def test_a_name_from_a_package_counts_as_the_module_it_comes_from(tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text("from unetflow.metrics import rand_score\n")
    assert set(code_module._imports(script, "unetflow")) == {"unetflow.metrics.rand"}
    script.write_text("from unetflow import networks, tiles\nimport unetflow.store.shards\n")
    assert set(code_module._imports(script, "unetflow")) == {
        "unetflow.networks",
        "unetflow.tiles",
        "unetflow.store.shards",
    }


def test_a_file_of_the_package_counts_where_it_is_named(copy: Path) -> None:
    script = copy / "scripts" / "report.py"
    before = code_digest(script, "unetflow/report/templates/page.html")
    (copy / "unetflow" / "report" / "templates" / "page.html").write_text("other")
    assert code_digest(script, "unetflow/report/templates/page.html") != before


def test_the_digest_of_a_text_is_the_stored_one(digest: Callable[[str], str]) -> None:
    assert digest(SAMPLE) == SAMPLE_DIGEST


@pytest.mark.parametrize("version", OTHER_VERSIONS)
@pytest.mark.slow
def test_every_version_of_python_finds_the_same_digests(version: str, tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(SAMPLE)
    files = [tmp_path / "sample.py", *sorted((ROOT / "scripts").glob("*.py"))]
    digest_all = (
        "import sys; from unetflow.provenance.code_digest import code_digest; "
        "print([code_digest(path, 'unetflow.networks.unet') for path in sys.argv[1:]])"
    )
    answer = run_python(version, "-c", digest_all, *map(str, files))
    assert answer == str([code_digest(path, "unetflow.networks.unet") for path in files])


def run_python(version: str, *arguments: str) -> str:
    """What another version of Python prints; skips the test where there is none that runs."""
    command = shutil.which(f"python{version}")
    if command is None:
        pytest.skip(f"no python{version} on this machine: its digests are not compared")
    # Where pyenv is used, a shim runs nothing until it is told which version
    environment = {**os.environ, "PYENV_VERSION": version, "PYTHONPATH": str(ROOT)}
    if subprocess.run([command, "-c", ""], env=environment, capture_output=True).returncode:
        pytest.skip(f"{command} does not run: its digests are not compared")
    answer = subprocess.run(
        [command, *arguments], env=environment, capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def test_different_code_has_different_digests(digest: Callable[[str], str]) -> None:
    for line in DIFFERENT:
        seen: dict[str, str] = {}
        for text in line.split(" || "):
            other = seen.setdefault(digest(text), text)
            assert other == text, "these have one digest"


def test_the_same_code_in_other_words_has_the_same_digest(digest: Callable[[str], str]) -> None:
    for line in SAME:
        text, other = line.split(" || ")
        assert digest(text) == digest(other), line


def test_a_sum_of_a_thousand_terms_has_a_digest(digest: Callable[[str], str]) -> None:
    terms = ["a"] * 1500  # half as many again as Python lets functions call each other
    assert digest(" + ".join(terms)) != digest(" + ".join(terms[1:]))


def modules(root: Path, texts: dict[str, str]) -> None:
    """Write modules of a package `unetflow`."""
    for name, text in texts.items():
        path = root / "unetflow" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    code_module._source_at.cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a script, `s.py`, and a package to fill."""
    monkeypatch.setattr(code_module, "_root_of_package", lambda: tmp_path)
    return tmp_path


def test_a_name_handed_on_when_asked_for_counts_as_its_module(package: Path) -> None:
    lazy = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from unetflow.lazy.of import name\n"
        "def __getattr__(name): ...\n"
    )
    modules(package, {"lazy/__init__.py": lazy, "lazy/of.py": "name = 1"})
    script = package / "s.py"
    script.write_text("from unetflow.lazy import name")
    assert list(modules_behind(script)) == ["unetflow.lazy.of"]
    script.write_text("import unetflow.lazy  # the names that it asks for are not known")
    code_module._source_at.cache_clear()
    assert list(modules_behind(script)) == ["unetflow.lazy", "unetflow.lazy.of"]


@pytest.mark.parametrize("check", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_what_only_type_checkers_read_is_not_followed_and_changes_nothing(
    package: Path, check: str
) -> None:
    script = package / "s.py"
    script.write_text("import unetflow.user")
    block = f"if {check}:\n    from unetflow.a import x\nelse:\n    from unetflow.b import x\n"
    modules(package, {"user.py": block, "a.py": "x = 1", "b.py": "x = 2", "c.py": "x = 3"})
    assert list(modules_behind(script)) == ["unetflow.b", "unetflow.user"]
    before = code_digest(script)
    modules(package, {"user.py": block.replace("import x\nelse", "import x as y\nelse")})
    assert code_digest(script) == before
    modules(package, {"user.py": block.replace("unetflow.b", "unetflow.c")})
    assert code_digest(script) != before


@pytest.mark.parametrize(
    "check", ["not TYPE_CHECKING", "TYPE_CHECKING or x", "other.TYPE_CHECKING"]
)
def test_other_conditions_are_followed(package: Path, check: str) -> None:
    script = package / "s.py"
    script.write_text(f"if {check}:\n    import unetflow.a")
    modules(package, {"a.py": ""})
    assert list(modules_behind(script)) == ["unetflow.a"]


def test_a_package_counts_where_it_hands_on_a_name_of_another_project(package: Path) -> None:
    script = package / "s.py"
    script.write_text("from unetflow.typed import Array")
    modules(package, {"typed/__init__.py": "from numpy import ndarray as Array"})
    assert list(modules_behind(script)) == ["unetflow.typed"]


def test_the_lines_behind_a_digest_are_those_of_the_modules_that_it_counts(package: Path) -> None:
    script = package / "s.py"
    script.write_text("from unetflow.a import x\nfrom unetflow.errors import E")
    modules(package, {"a.py": "from unetflow import b\n# why\n", "b.py": "\n\n\n", "c.py": "\n"})
    modules(package, {"errors.py": "\n" * 50, "page.html": "\n" * 50})
    assert lines_behind(script) == 5
    assert lines_behind(script, "unetflow.c", "unetflow/page.html") == 6


@pytest.mark.slow
def test_a_library_more_in_the_run_records_changes_nothing(copy: Path) -> None:
    start = "\nVERSIONS_OF = ("
    records = "unetflow/provenance/records.py"
    assert changed_by(copy, records, start, f'{start}"scipy", ') == set()
