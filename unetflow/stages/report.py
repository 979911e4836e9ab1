"""Rule report: what was run and how good it is, as one HTML file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from unetflow.evaluate.pooling import read_scores
from unetflow.provenance.collected import collect_provenance
from unetflow.report.files_beside import write_beside
from unetflow.report.handed import Config, PicturesFile, Repeating, RunFiles, TilesFile
from unetflow.report.object_counts import object_counts
from unetflow.report.page import render_page
from unetflow.report.run_history import records_by_stage
from unetflow.report.run_results import lines_by_experiment, open_run
from unetflow.report.score_lines import headline_text
from unetflow.report.stacks import read_stacks
from unetflow.store.files import write_whole


def write_report(
    *,
    config: Config,
    runs: Sequence[RunFiles],
    receipts: Mapping[str, Sequence[str | Path]],
    pictures: Sequence[PicturesFile],
    tiles: Sequence[TilesFile],
    scores: str | Path,
    stacks: str | Path,
    integrity: str | Path,
    outcome: str | Path,
    repeat: Repeating,
    html: str | Path,
    headline: str | Path,
    provenance: str | Path,
) -> None:
    """Rule report: one page for all runs, its figures beside it, and headline scores as text.

    `config` is the whole config with its defaults, `runs` names the files of each experiment and
    fold, `receipts` those of all jobs by stage, in the order of the pipeline: run records are read
    beside them. `pictures` are what was drawn of each image, `tiles` those of slides; `scores`,
    `stacks`, `integrity` and `outcome` are tables; `repeat` says how the run is repeated, and which
    of its files are counted. No other file is looked at. `provenance` is nobody's output, as its
    content differs from run to run: of every receipt its digest and its run record.
    Raises StoreError for what is missing.
    """
    table = read_scores(scores)
    opened = [open_run(files, table) for files in runs]
    lines = lines_by_experiment(opened)
    page, beside = render_page(
        config,
        runs=opened,
        lines=lines,
        images=pd.read_csv(integrity, keep_default_na=False, dtype=str),
        stacks=read_stacks(stacks),
        records=records_by_stage(receipts),
        pictures=pictures,
        outcomes=pd.read_csv(outcome, sep="\t", keep_default_na=False, dtype=str),
        tiles=tiles,
        repeat=repeat,
    )
    write_beside(Path(html).parent, beside)
    write_whole(html, page.encode())
    objects = [
        f"{name}: {counts.text}" for name, of in lines.items() for counts in object_counts(of)
    ]
    text = headline_text(config["report"]["title"], lines, str(html), objects)
    write_whole(headline, text.encode())
    collected = collect_provenance(receipts, Path(provenance).parent)
    write_whole(provenance, (json.dumps(collected, indent=1) + "\n").encode())
