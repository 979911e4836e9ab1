"""Keys that stand twice in a section of a config: YAML's readers take the last without a word."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from unetflow.errors import ConfigError

MERGE = "tag:yaml.org,2002:merge"  # the key <<, of which there may be several
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was compiled


def check_keys(configs: Iterable[str | Path]) -> None:
    """Raise ConfigError that names each key which stands twice, and its lines.

    What is not there or no YAML is told by who reads it.
    """
    problems = [problem for config in configs for problem in _problems_of(Path(config))]
    if problems:
        raise ConfigError("keys that stand twice:\n  - " + "\n  - ".join(problems))


def _problems_of(config: Path) -> Iterator[str]:
    try:
        root = yaml.compose(config.read_text(), Loader=LOADER)
    except (OSError, ValueError, yaml.YAMLError):
        return
    for first, second in _twice(root, set()):
        yield (
            f"{config}: {first.value} stands in line {first.start_mark.line + 1} and in line "
            f"{second.start_mark.line + 1}, of which the last alone would count: make one of them"
        )


def _twice(node: yaml.Node | None, seen: set[int]) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Each key with the one of the same section that it repeats."""
    if not isinstance(node, yaml.CollectionNode) or id(node) in seen:  # by another name, perhaps
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        known: dict[object, yaml.Node] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                if key.value in known:
                    yield known[key.value], key
                known[key.value] = key
            yield from _twice(value, seen)
    else:
        for value in node.value:
            yield from _twice(value, seen)
