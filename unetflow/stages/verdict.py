"""Rule verdict: the end of a run, which fails where images did, and says so once."""

from pathlib import Path

import pandas as pd

from unetflow.errors import UnetflowError
from unetflow.stages.outcome import DONE, FAILED, SKIPPED
from unetflow.store.files import write_whole


class ImagesMissing(UnetflowError):
    """Some images of the sheet have no result."""


def write_verdict(*, outcome: str | Path, verdict: str | Path) -> None:
    """Rule verdict: a line with how many images are done and left out.

    Raises ImagesMissing, which lists those that failed, each with why: all else is done then, the
    report too.
    """
    table = pd.read_csv(outcome, sep="\t", dtype=str, keep_default_na=False)
    counts = {state: int((table["state"] == state).sum()) for state in (DONE, FAILED, SKIPPED)}
    if counts[FAILED]:
        failed = table[table["state"] == FAILED]
        lines = [
            f"  {row.image}, in {row.stage}: {row.reason}\n    Log: {row.log}"
            for row in failed.itertuples()
        ]
        raise ImagesMissing(
            f"{counts[FAILED]} of {len(table)} images failed; all others and the report are done. "
            f"{outcome} has the list:\n" + "\n".join(lines) + f"\n{failed['next'].iloc[0]}"
        )
    text = f"{counts[DONE]} images are done, {counts[SKIPPED]} were left out of training\n"
    write_whole(verdict, text.encode())
