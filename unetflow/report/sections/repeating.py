"""How to repeat the run: its command, its config beside the defaults, the disk that it takes."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from unetflow.report.handed import Config, PartFiles, Repeating
from unetflow.report.sections.provenance import plain
from unetflow.store.disk import on_disk

UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class Changed:
    """A key of the config that is not as by default."""

    key: str
    value: str
    default: str  # empty where there is none


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the results on disk."""

    name: str
    files: int
    size: str
    without: str
    command: str


@dataclass(frozen=True, slots=True)
class HowToRepeat:
    command: str  # empty where it is not known
    commit: str
    changed: list[Changed]
    config: str  # YAML
    parts: list[Part]  # of which there is anything
    size: str  # of all parts


def repeating(handed: Repeating, config: Config, commit: str) -> HowToRepeat:
    """`commit` is that of the run records, as text. Files are counted, not opened."""
    sizes = [on_disk(of["paths"]) for of in handed["parts"]]
    return HowToRepeat(
        command=handed["command"],
        commit=commit,
        changed=alike(
            [
                Changed(
                    of["key"],
                    _as_yaml(of["value"]),
                    _as_yaml(of["default"]) if of["has_default"] else "",
                )
                for of in handed["changed"]
            ],
            len(config["experiments"]),
        ),
        config=yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True, width=100),
        parts=[
            _part(of, *size) for of, size in zip(handed["parts"], sizes, strict=True) if size[0]
        ],
        size=in_words(sum(size for _, size in sizes)),
    )


def alike(changed: Sequence[Changed], experiments: int) -> list[Changed]:
    """What several experiments have alike, in one row; `*` stands for all of them."""
    names: dict[tuple[bool, Changed], list[str]] = {}
    for of in changed:
        top, _, below = of.key.partition(".")
        name, _, rest = below.partition(".")
        many = top == "experiments" and bool(rest)
        one = dataclasses.replace(of, key=rest) if many else of
        names.setdefault((many, one), []).append(name)
    return [
        dataclasses.replace(of, key=f"experiments.{_names(of_names, experiments)}.{of.key}")
        if many
        else of
        for (many, of), of_names in names.items()
    ]


def _names(names: Sequence[str], experiments: int) -> str:
    if len(names) == 1:
        return names[0]
    return "*" if len(names) == experiments else f"{{{', '.join(names)}}}"


def _part(of: PartFiles, files: int, size_bytes: int) -> Part:
    return Part(of["part"], files, in_words(size_bytes), of["without"], of["command"])


def _as_yaml(value: object) -> str:
    """On one line, as the config has it."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text.strip('"') if isinstance(value, str) else text


def in_words(size_bytes: float) -> str:
    """With a unit of powers of 1000.

    >>> in_words(999), in_words(1234567)
    ('999 B', '1.23 MB')
    """
    for unit in UNITS[:-1]:
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} {UNITS[-1]}"
