"""The page: its sections, put into one HTML file that needs no network."""

import base64
import hashlib
from collections.abc import Mapping, Sequence

import jinja2
import pandas as pd
from markupsafe import Markup

from unetflow import colours
from unetflow.evaluate.catalogue import SCORES
from unetflow.provenance.schemas import RunRecordContent
from unetflow.report.figures.inline import numbered_figures
from unetflow.report.files_beside import Beside, named_figures
from unetflow.report.handed import Config, PicturesFile, Repeating, TilesFile
from unetflow.report.run_results import Run, truth_warnings
from unetflow.report.score_lines import Line
from unetflow.report.sections.architecture import architecture
from unetflow.report.sections.curves import curves
from unetflow.report.sections.data import data
from unetflow.report.sections.gallery import FAR, MOSTLY, gallery, pictures_by_experiment
from unetflow.report.sections.methods import methods
from unetflow.report.sections.networks import networks
from unetflow.report.sections.outcome import outcome
from unetflow.report.sections.overlays import overlays
from unetflow.report.sections.performance import performance
from unetflow.report.sections.planes import planes
from unetflow.report.sections.provenance import making, provenance
from unetflow.report.sections.reliability import reliability
from unetflow.report.sections.repeating import repeating
from unetflow.report.sections.scores import scores
from unetflow.report.sections.seams import seams
from unetflow.report.sections.thresholds import refinement, thresholds
from unetflow.report.sections.training import training
from unetflow.report.sections.verdict import FALLING, verdict
from unetflow.report.sections.zoom import vendor_script, zoom
from unetflow.report.stacks import describe_stacks

SECTIONS = (
    ("verdict", "How good is it?"),
    ("gallery", "Where is it wrong?"),
    ("planes", "Volumes, plane by plane"),
    ("zoom", "Slides up close"),
    ("scores", "All scores"),
    ("outcome", "What became of the images"),
    ("networks", "Networks"),
    ("stacks", "Stacks"),
    ("overlays", "Crops"),
    ("curves", "Curves"),
    ("thresholds", "Thresholds"),
    ("training", "Training"),
    ("seams", "Borders of tiles"),
    ("reliability", "Reliability"),
    ("data", "Data"),
    ("methods", "What was done"),
    ("architecture", "The network, drawn"),
    ("provenance", "What was run"),
    ("repeating", "How to repeat it"),
    ("reading", "How to read the numbers"),
)
"""Templates, and what the page's list of contents calls them: how good, where wrong, can I trust
it, what was done."""
OPTIONAL = (
    "architecture",
    "curves",
    "networks",
    "planes",
    "reliability",
    "seams",
    "stacks",
    "thresholds",
    "training",
    "zoom",
)


def render_page(
    config: Config,
    *,
    runs: Sequence[Run],
    lines: Mapping[str, Sequence[Line]],
    images: pd.DataFrame,
    stacks: pd.DataFrame,
    records: Mapping[str, Sequence[RunRecordContent]],
    pictures: Sequence[PicturesFile],
    outcomes: pd.DataFrame,
    tiles: Sequence[TilesFile],
    repeat: Repeating,
) -> tuple[str, Beside]:
    """The report of all runs as HTML, and the figures that lie beside it.

    `lines` are those of each experiment over all its folds, `images` the table of integrity with
    all cells as text, `stacks` that of stacks, `records` the run records of each stage,
    `pictures` what was drawn of each image, `outcomes` what became of each as text, `tiles`
    those of slides, `repeat` how the run is repeated. Of each image in `overlays` one crop is read.
    """
    made = making(config)
    limits, trained, borders = thresholds(runs), training(runs), seams(runs)
    drawn, images_shown = (
        pictures_by_experiment(pictures),
        gallery(pictures, runs, lines, config, images),
    )
    told = provenance(runs, config, records)
    believed = reliability(runs)
    plots, drawn_networks = curves(runs, lines, drawn), architecture(runs)
    beside = named_figures(plots, limits, trained, borders, drawn_networks, believed)
    shown: dict[str, object] = {
        "curves": plots,
        "verdict": verdict(runs, lines, config, truth_warnings(runs)),
        "zoom": zoom(tiles, pictures),
        "gallery": images_shown,
        "planes": planes(pictures, images_shown.tiles),
        "outcome": outcome(outcomes, runs, pictures, made),
        "architecture": drawn_networks,
        "methods": methods(runs, lines, config, made, records, pictures),
        "provenance": told,
        "repeating": repeating(repeat, config, told.environment["commit"]),
        "performance": performance(records),
        "data": data(images),
        "scores": scores(runs, lines, made),
        "networks": networks(runs, lines, config, made),
        "stacks": describe_stacks(stacks),
        "thresholds": limits,
        "training": trained,
        "overlays": overlays(runs, config["report"]["overlays"], pictures),
        "seams": borders,
        "reliability": believed,
    }
    sections = [(of, name) for of, name in SECTIONS if of not in OPTIONAL or shown[of]]
    environment = environment_of_page()
    scripts = [environment.get_template("script.html").render()]
    if shown["zoom"]:
        scripts += [vendor_script(), environment.get_template("zoom_script.html").render()]
    if shown["planes"]:
        scripts.append(environment.get_template("planes_script.html").render())
    page: str = environment.get_template("page.html").render(
        **shown,
        scripts=[Markup(script) for script in scripts],
        script_digests=[_digest_of_script(script) for script in scripts],
        mostly=MOSTLY,
        far=FAR,
        tables={name for name, (_, numbers) in beside.items() if numbers is not None},
        title=config["report"]["title"],
        sections=sections,
        falling=FALLING,
        refinement=refinement(config),
        kinds=SCORES,
    )
    return page, beside


def _digest_of_script(script: str) -> str:
    """As a page's policy names the scripts that may run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def environment_of_page() -> jinja2.Environment:
    """The templates: that of the page includes those of the sections."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("unetflow.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["colours"] = colours
    environment.filters["figure"] = numbered_figures()
    return environment
