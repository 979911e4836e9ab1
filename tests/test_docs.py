"""The documentation is true: links lead somewhere, code blocks are of the program that there is."""

import argparse
import ast
import importlib
import importlib.util
import itertools
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
import yaml
from conftest import ROOT

from unetflow import networks
from unetflow.commands import COMMANDS, main
from unetflow.jobs.schemas import in_words, read_schema, schema_errors
from unetflow.train.changed_recipes import recipe_from

DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(?P<text>unetflow [^`]+)`", re.DOTALL)
LINK = re.compile(r"\]\((?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")
OTHERS = {"source", "napari", "pip"}  # commands of a shell block that are not ours
OF_A_RUN = "results/"  # a Python block that wants files of a run is compiled alone


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Code blocks of a language, with where they stand."""
    for page in PAGES:
        text = page.read_text()
        for block in BLOCK.finditer(text):
            if block["language"] == language:
                line = text[: block.start()].count("\n") + 2
                yield f"{page.name}:{line}", block["text"]


def shell_lines() -> Iterator[tuple[str, str]]:
    for where, text in blocks("sh"):
        yield from ((where, line) for line in text.splitlines() if line.strip())


def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub and MkDocs make them."""
    text = BLOCK.sub("", page.read_text())
    headings = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in headings}


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    """The program that writes pages."""
    spec = importlib.util.spec_from_file_location("pages", DOCS / "pages.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_the_config_is_that_of_the_schema(pages: ModuleType) -> None:
    assert (DOCS / "config.md").read_text() == pages.config_page(), "python docs/pages.py"


@pytest.mark.more
@pytest.mark.parametrize("page", ["scores.md", "api.md"])
def test_pages_are_what_the_code_writes(pages: ModuleType, page: str) -> None:
    assert (DOCS / page).read_text() == pages.PAGES[page](), "python docs/pages.py"


def test_the_notebook_is_that_of_its_page(pages: ModuleType) -> None:
    """Whose code runs, below."""
    written = (DOCS / "first-steps.ipynb").read_text()
    assert written == pages.notebook(), "python docs/pages.py"
    found = json.loads(written)
    nbformat.validate(found)
    code = ["".join(cell["source"]) for cell in found["cells"] if cell["cell_type"] == "code"]
    assert code == [text.strip() for where, text in blocks("python") if "python.md" in where]


def test_every_key_and_column_is_explained() -> None:
    def unexplained(path: str, part: Any) -> Iterator[str]:
        for key, inner in part.get("properties", {}).items():
            if not inner.get("description"):
                yield f"{path}{key}"
            for below in (inner, inner.get("additionalProperties"), inner.get("items")):
                if isinstance(below, dict):
                    yield from unexplained(f"{path}{key}.", below)

    for name in ("config", "images"):
        schema = read_schema(ROOT / "workflow" / "schemas" / f"{name}.schema.yaml")
        assert list(unexplained("", schema)) == []


def test_links_lead_to_what_is_there() -> None:
    for page in PAGES:
        for link in LINK.finditer(BLOCK.sub("", page.read_text())):
            if ":" in link["path"]:
                continue  # elsewhere
            target = page.parent / link["path"] if link["path"] else page
            assert target.exists(), f"{page.name}: {link[0]}"
            if link["anchor"]:
                assert link["anchor"] in anchors(target), f"{page.name}: {link[0]}"


class ParsedError(Exception):
    """A command would go on: its arguments are such as it takes."""


@pytest.fixture
def only_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands end where their arguments are read."""
    read = argparse.ArgumentParser.parse_args

    def parse(self: argparse.ArgumentParser, *given: Any) -> argparse.Namespace:
        found: argparse.Namespace = read(self, *given)
        if self.prog != "unetflow":
            raise ParsedError(self.prog)
        return found

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)


@pytest.mark.slow
def test_shell_blocks_are_commands_that_there_are(only_parsed: None) -> None:
    of_snakemake = importlib.import_module("snakemake.cli").get_argument_parser()
    for where, line in shell_lines():
        program, *arguments = shlex.split(line.partition(">")[0])
        try:
            if program == "unetflow" and arguments[0] != "--version":
                with pytest.raises(ParsedError, match=rf"unetflow {arguments[0]}\b"):
                    main(arguments)
            elif program == "snakemake":
                of_snakemake.parse_args(arguments)
            elif program == "make":
                assert f"\n{arguments[0]}:" in (ROOT / "Makefile").read_text(), f"{where}: {line}"
            elif program not in {*OTHERS, "unetflow"}:
                assert (ROOT / program).exists(), f"{where}: {line}"
        except SystemExit:
            pytest.fail(f"{where}: {line}")


@pytest.mark.slow
def test_commands_in_sentences_have_the_options_that_are_named(
    only_parsed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    help_of: dict[str, str] = {}
    for name in COMMANDS:
        with pytest.raises(SystemExit, match="0"):
            main([name, "--help"])
        help_of[name] = capsys.readouterr().out
    for page in PAGES:
        for found in INLINE.finditer(BLOCK.sub("", page.read_text())):
            name, *words = found["text"].split()[1:]
            if name.isupper() or "|" in words or name.startswith("-"):
                continue  # of any command
            assert name in COMMANDS, f"{page.name}: {found[0]}"
            ours = itertools.takewhile(lambda word: word != "--", words)
            for option in (word for word in ours if word.startswith("--")):
                assert option in help_of[name], f"{page.name}: {found[0]}"


@pytest.mark.slow
def test_every_help_ends_with_examples_that_the_command_takes(
    only_parsed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in COMMANDS:
        with pytest.raises(SystemExit, match="0"):
            main([name, "--help"])
        _, found, examples = capsys.readouterr().out.partition("\nexamples:\n")
        assert found and examples.strip(), name
        for line in examples.strip().splitlines():
            program, *arguments = shlex.split(line.partition(">")[0])
            assert program == "unetflow" and arguments[0] == name
            with pytest.raises(ParsedError, match=rf"unetflow {name}\b"):
                main(arguments)


def test_yaml_blocks_are_configs_as_the_schema_has_them() -> None:
    def without_required(part: Any) -> Any:
        if isinstance(part, dict):
            return {k: without_required(v) for k, v in part.items() if k != "required"}
        return [*map(without_required, part)] if isinstance(part, list) else part

    schema = without_required(read_schema(ROOT / "workflow" / "schemas" / "config.schema.yaml"))
    configs = 0
    for where, text in blocks("yaml"):
        config = yaml.safe_load(text)
        if not {*config} & {*schema["properties"]}:
            continue  # of another program
        configs += 1
        assert [in_words(where, error) for error in schema_errors(config, schema)] == []
        for experiment in config.get("experiments", {}).values():
            if experiment.get("recipe") != "auto":
                recipe_from(**experiment.get("recipe", {}))
            if experiment.get("network", "auto") != "auto":
                networks.options_of(**experiment["network"])
    assert configs > 5


def test_python_blocks_are_python() -> None:
    for where, text in blocks("python"):
        compile(text, where, "exec")


@pytest.mark.more
def test_the_first_steps_in_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for where, text in blocks("python"):
        if where.startswith("python.md") and OF_A_RUN not in text:
            exec(compile(text, where, "exec"), names)
    assert abs(names["probabilities"] - names["whole"]).max() < 1e-5
    assert names["found"].max() == 2


@pytest.mark.slow
def test_the_catalogue_of_errors_has_messages_that_there_are() -> None:
    texts = [
        text
        for path in (ROOT / "unetflow").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (text := literal(node))
    ]
    catalogue = re.findall(r"^\| `(.+?)` \|", (DOCS / "errors.md").read_text(), re.MULTILINE)
    assert len(catalogue) > 30
    for message in catalogue:
        pieces = [re.escape(piece.strip(" :;,")) for piece in message.split("...")]
        pattern = re.compile(".*".join(pieces), re.DOTALL)
        assert any(pattern.search(text) for text in texts), message


def literal(node: ast.AST) -> str:
    """A text in the code; what is filled in is left out."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    parts = node.values if isinstance(node, ast.JoinedStr) else []
    return " ".join(literal(part) for part in parts)


@pytest.mark.more
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = ("mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site"))
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for page in (*DOCS.glob("*.md"), ROOT / "CONTRIBUTING.md"):
        inside = "" if page.stem == "index" else page.stem
        html = (tmp_path / "site" / inside / "index.html").read_text()
        assert not re.search(r'(src|href)="https?://[^"]+\.(js|css|woff2?)', html)
