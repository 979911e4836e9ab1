"""The page: its sections, put into one HTML file that needs no network."""

from collections.abc import Mapping, Sequence

import jinja2
import pandas as pd

from unetflow import colours
from unetflow.evaluate.catalogue import SCORES
from unetflow.provenance.schemas import RunRecordContent
from unetflow.report.handed import Config
from unetflow.report.run_results import Run, truth_warnings
from unetflow.report.score_lines import Line
from unetflow.report.sections.data import data
from unetflow.report.sections.headline import headline
from unetflow.report.sections.networks import networks
from unetflow.report.sections.overlays import overlays
from unetflow.report.sections.performance import performance
from unetflow.report.sections.provenance import making, provenance
from unetflow.report.sections.scores import scores
from unetflow.report.sections.seams import seams
from unetflow.report.sections.thresholds import refinement, thresholds
from unetflow.report.sections.training import training
from unetflow.report.stacks import describe_stacks


def render_page(
    config: Config,
    *,
    runs: Sequence[Run],
    lines: Mapping[str, Sequence[Line]],
    images: pd.DataFrame,
    stacks: pd.DataFrame,
    records: Mapping[str, Sequence[RunRecordContent]],
) -> str:
    """The report of all runs as HTML.

    `lines` are those of each experiment over all its folds, `images` the table of integrity with
    all cells as text, `stacks` that of stacks, `records` the run records of each stage. Of each
    image that is shown one crop is read.
    """
    made = making(config)
    page: str = _page().render(
        title=config["report"]["title"],
        headline=headline(runs, lines, truth_warnings(runs)),
        provenance=provenance(runs, config, records),
        performance=performance(records),
        data=data(images),
        scores=scores(runs, lines, made),
        networks=networks(runs, lines, config, made),
        stacks=describe_stacks(stacks),
        thresholds=thresholds(runs),
        refinement=refinement(config),
        training=training(runs),
        overlays=overlays(runs, config["report"]["overlays"]),
        seams=seams(runs),
        kinds=SCORES,
    )
    return page


def _page() -> jinja2.Template:
    """The template of the page, which includes those of the sections."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("unetflow.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["colours"] = colours
    return environment.get_template("page.html")
