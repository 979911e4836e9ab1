"""Rule verdict: the end of a run, which fails where images did, and says so once."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from unetflow.errors import UnetflowError
from unetflow.report.kinds import by_kind
from unetflow.stages.outcome import DONE, FAILED, SKIPPED
from unetflow.store.files import write_whole


class ImagesMissing(UnetflowError):
    """Some images of the sheet have no result."""


def write_verdict(*, outcome: str | Path, verdict: str | Path) -> None:
    """Rule verdict: a line with how many images are done and left out.

    Raises ImagesMissing, which tells of those that failed by stage and reason: all else is done
    then, the report too.
    """
    table = pd.read_csv(outcome, sep="\t", dtype=str, keep_default_na=False)
    counts = {state: int((table["state"] == state).sum()) for state in (DONE, FAILED, SKIPPED)}
    if counts[FAILED]:
        failed = table[table["state"] == FAILED].copy()
        failed["log"] = [str(Path(outcome).parent / log) for log in failed["log"]]
        lines = [line for _, of in failed.groupby("stage", sort=False) for line in _told(of)]
        raise ImagesMissing(
            f"{counts[FAILED]} of {len(table)} images failed; all others and the report are done. "
            f"{outcome} has the list:\n" + "\n".join(lines) + f"\n{failed['next'].iloc[0]}"
        )
    text = f"{counts[DONE]} images are done, {counts[SKIPPED]} were left out of training\n"
    write_whole(verdict, text.encode())


def _told(failed: pd.DataFrame) -> Iterator[str]:
    """Lines of the images that one stage failed on: one for each kind of reason, with its log."""
    first_of = failed.set_index("image")
    for kind in by_kind(zip(failed["image"], failed["reason"], strict=True)):
        first = first_of.loc[kind.names[0]]
        of = " of the first" if kind.count > 1 else ""
        yield f"  {kind.who}, in {first['stage']}: {kind.text}\n    Log{of}: {first['log']}"
