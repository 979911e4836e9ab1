"""Is everything in a results folder what its receipts tell of? `unetflow verify results`.

Reads every shard of every store, and says what is not there, damaged or of another making, with
the receipts to delete: then the same command as ever makes it anew, and keeps what is whole.
"""

import argparse
import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from unetflow.commands import MENDABLE
from unetflow.commands.parsers import add_json, command_parser
from unetflow.engine.each import in_order
from unetflow.errors import StoreError
from unetflow.jobs.results import bundles_in, models_in, stores_told_of
from unetflow.progress import progress
from unetflow.provenance.failed import failure_of
from unetflow.provenance.receipts import bundle_of, read_receipt
from unetflow.provenance.shard_lists import Stored, faults_of
from unetflow.store.files import digest_of_file

Fault = tuple[str, Path]  # what is wrong, and the receipt to delete
SHELL_LINE = 20  # receipts in a line to type


EXAMPLES = (
    "results",
    "results --quick",
    "results --json",
)


def verify(results: Path, *, quick: bool = False, threads: int = 4) -> tuple[int, list[Fault]]:
    """How many receipts of stores, bundles and models there are, and what is wrong.

    `quick` reads of each shard its stamp alone. Raises StoreError where there are no receipts.
    """
    looks: list[Callable[[], list[Fault]]] = [
        *(partial(_faults_of_store, stored, not quick) for stored in stores_told_of(results)),
        *(partial(_faults_of_bundle, path) for path in bundles_in(results)),
        *(partial(_faults_of_model, *of) for of in models_in(results)),
    ]
    if not looks:
        raise StoreError(
            f"{results}: holds no receipts of unetflow. Name the folder that the config calls "
            "results."
        )
    faults: list[Fault] = []
    with progress("verify", total=len(looks)) as tick:
        for found in in_order(lambda look: look(), looks, threads=threads, ahead=2 * threads):
            faults += found
            tick()
    return len(looks), faults


def _faults_of_store(stored: Stored, thoroughly: bool) -> list[Fault]:
    receipt = Path(stored.receipt)
    if failure_of(receipt):
        return []  # there need be no store
    try:
        return [(fault, bundle_of(receipt)) for fault in faults_of(stored, thoroughly=thoroughly)]
    except StoreError:
        return [_unreadable(receipt)]


def _faults_of_bundle(receipt: Path) -> list[Fault]:
    """Whether the receipts of its images are those that it was made of."""
    try:
        told = read_receipt(receipt)["images"].items()
        images = {receipt.with_suffix("") / f"{name}.json": of["digest"] for name, of in told}
    except (StoreError, LookupError, TypeError, AttributeError):
        return [_unreadable(receipt)]
    return [
        (f"{path}: is not the receipt that {receipt} names", receipt)
        for path, digest in images.items()
        if not path.is_file() or digest_of_file(path) != digest
    ]


def _faults_of_model(model: Path, receipt: Path, key: str) -> list[Fault]:
    try:
        digest = read_receipt(receipt)[key]
    except (StoreError, LookupError, TypeError):
        return [_unreadable(receipt)]
    if digest is None:
        return []  # there need be no file
    if not model.is_file():
        return [(f"{model}: is not there", receipt)]
    if digest_of_file(model) != digest:
        return [(f"{model}: is not the file that {receipt} names", receipt)]
    return []


def _unreadable(receipt: Path) -> Fault:
    return f"{receipt}: not a readable receipt", bundle_of(receipt)


def _to_type(receipts: Sequence[Path]) -> Iterator[str]:
    """Commands that delete these receipts."""
    for start in range(0, len(receipts), SHELL_LINE):
        yield shlex.join(["rm", "-f", *map(str, receipts[start : start + SHELL_LINE])])


def main(arguments: Sequence[str] | None = None, *, prog: str) -> int:
    """The command; `MENDABLE` where something is wrong. Raises StoreError for other folders."""
    options = parser_of(prog).parse_args(arguments)
    count, faults = verify(options.results, quick=options.quick, threads=options.threads)
    if options.json:
        told = [{"fault": fault, "receipt": str(receipt)} for fault, receipt in faults]
        print(json.dumps({"receipts": count, "faults": told}))
        return MENDABLE if faults else 0
    if not faults:
        print(f"{options.results}: all that {count} receipts tell of is there and whole")
        return 0
    for fault, _ in faults:
        print(fault)
    print(f"\n{len(faults)} of these are wrong. To mend it, delete the receipts that tell of it:\n")
    for line in _to_type(list(dict.fromkeys(receipt for _, receipt in faults))):
        print(f"    {line}")
    print(
        "\nand run the same snakemake command as ever: what is whole is kept, the rest made anew."
    )
    return MENDABLE


def parser_of(prog: str) -> argparse.ArgumentParser:
    """What reads the arguments of the command, which is called as `prog`."""
    parser = command_parser(prog, __doc__, EXAMPLES)
    parser.add_argument("results", type=Path, help="the folder that the config calls results")
    parser.add_argument(
        "--quick", action="store_true", help="read of each shard only who made it: finds no damage"
    )
    parser.add_argument("--threads", type=int, default=4, help="receipts looked at side by side")
    add_json(parser)
    return parser
