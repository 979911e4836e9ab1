"""Keys of the config that have another name now: read for one release more, and said."""

from collections.abc import Iterator, Sequence

ANY = "*"  # stands for every key of a section
OLD_KEYS = {  # and what each is called now, in the same section
    ("predict", "average"): "test_time_augmentation",
    ("experiments", ANY, "recipe", "patience"): "early_stopping",
}
GONE_IN = "0.3"  # the version that will not know them


def rename_old_keys(config: dict[str, object]) -> tuple[list[str], list[str]]:
    """Give old keys the names of today, in place and in their order; returns notes and problems.

    A note is a line for each old key. Where both names are given, that is a problem.
    """
    notes, problems = [], []
    for (*path, old), new in OLD_KEYS.items():
        for where, section in _sections(config, path):
            if old not in section:
                continue
            if new in section:
                problems.append(
                    f"config: {where}.{old} is {new} now, and both are given; take {old} out"
                )
                continue
            notes.append(
                f"config: {where}.{old} is {where}.{new} now; unetflow {GONE_IN} will not know "
                "the old name"
            )
            named = {new if key == old else key: value for key, value in section.items()}
            section.clear()
            section.update(named)
    return notes, problems


def _sections(
    section: object, path: Sequence[str], where: str = ""
) -> Iterator[tuple[str, dict[str, object]]]:
    """The sections that a path leads to, each with its keys from the root on."""
    if not isinstance(section, dict):
        return  # the schema's business
    if not path:
        yield where, section
        return
    for key in section if path[0] == ANY else [path[0]]:
        yield from _sections(section.get(key), path[1:], f"{where}.{key}" if where else key)
