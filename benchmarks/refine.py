"""What smoothing and a CRF do to the scores of a finished run.

    python benchmarks/refine.py config/config.yaml
    python benchmarks/refine.py config/dsb2018-cpu.yaml --results results/dsb2018-cpu

Reads images, truths and foregrounds of the run's results, and writes nothing. Each way to refine is
judged as the pipeline does: the foreground is stored as the run's is, each class has the thresholds
that are best on the validation images of its fold, and what is printed are means over the test
images (of all folds) at these. AP is of the instances at the threshold of SEG. Images of more than
1024 px have no instance scores at each threshold and are left out. Beside each score stands the
mean of its differences to the foreground as it is, image by image, with their standard error. Times
are CPU time of one thread, with reading.
"""

import argparse
import math
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from short import machine  # the program beside this one

from unetflow.evaluate.choosing import best_thresholds, chosen_thresholds
from unetflow.evaluate.image_scores import Truth, score_foreground
from unetflow.instances import label_instances
from unetflow.jobs.settings import Settings, read_settings
from unetflow.labels.dataset import Dataset
from unetflow.provenance.receipts import read_receipt
from unetflow.refine import Crf
from unetflow.refine.refined_store import Compared
from unetflow.refine.refinement import Refinement
from unetflow.store.arrays import read_array
from unetflow.store.foreground import as_probability, as_stored

ROOT = Path(__file__).parents[1]
SCORES = {"IoU": ("iou", "", "iou"), "SEG": ("seg", "", "seg"), "AP 0.5": ("ap", "iou 0.5", "seg")}
WAYS = {
    "as it is": Refinement(),
    "smooth_px 0.5": Refinement(0.5),
    "smooth_px 1": Refinement(1.0),
    "smooth_px 2": Refinement(2.0),
    "crf {}": Refinement(crf=Crf()),
    "crf, appearance_weight 1": Refinement(crf=Crf(appearance_weight=1)),
    "crf, appearance_weight 5": Refinement(crf=Crf(appearance_weight=5)),
    "crf, appearance_intensity 0.5": Refinement(crf=Crf(appearance_intensity=0.5)),
    "crf, radius_px 5": Refinement(crf=Crf(radius_px=5)),
    "crf, smoothness_weight 1": Refinement(crf=Crf(smoothness_weight=1)),
    "crf, weights 0 and 1": Refinement(crf=Crf(appearance_weight=0, smoothness_weight=1)),
    "crf, weights 10 and 3": Refinement(crf=Crf(appearance_weight=10, smoothness_weight=3)),
    "smooth_px 0.5, then crf {}": Refinement(0.5, Crf()),
}


class Run:
    """A finished run: its settings and where its results lie."""

    def __init__(self, settings: Settings, results: Path) -> None:
        self.settings, self.results = settings, results
        self.spent_s, self.done_mpx = 0.0, 0.0  # of refining

    def scored(self, experiment: str, fold: int, role: str, how: Refinement) -> pd.DataFrame:
        """A row per image, class, metric and threshold of the images with a role."""
        config = self.settings.config
        of = config["datasets"][config["experiments"][experiment]["dataset"]]
        dataset = Dataset(kind=of["truth"], classes=tuple(of["classes"]))
        rows: list[dict[str, Any]] = []
        for image in self.settings.images_of(experiment, fold, role):
            scores = self._scores(experiment, fold, image, dataset, how)
            rows += ({"image": image, **row} for row in scores)
        return pd.DataFrame(rows)

    def _scores(
        self, experiment: str, fold: int, image: str, dataset: Dataset, how: Refinement
    ) -> Iterator[dict[str, Any]]:
        config: Any = self.settings.config  # also what is read by the rules alone
        labelling = {key: of for key, of in config["instances"].items() if key != "threshold"}
        store = self.results / f"images/{image}.ome.zarr"
        truths = [Truth(store, dataset, k) for k in range(1, len(dataset.classes) + 1)]
        if not truths[0].in_memory:
            return
        folder = self.results / f"predictions/{experiment}/fold{fold}"
        refined = self.refined(image, read_array(folder / f"{image}.ome.zarr", "foreground"), how)
        for name, truth, plane in zip(dataset.classes, truths, refined, strict=True):
            label = partial(label_instances, **labelling)
            for row in score_foreground(truth, plane, config["calibrate"]["thresholds"], label):
                yield {"class": name, **row.cells()}

    def refined(self, image: str, foreground: Any, how: Refinement) -> np.ndarray:
        """The foreground (K, Y, X) of an image as it would be stored."""
        pixels = self._receipt(image)["pixels"]
        found = read_array(self.results / f"images/{image}.ome.zarr", "0")
        compared = Compared(found, pixels["mean"], pixels["deviation"]).cached(1, 1024)
        region = tuple(slice(0, size) for size in foreground.shape[1:])
        started = time.process_time()
        block = how.block(foreground, compared, region)
        self.spent_s += time.process_time() - started
        self.done_mpx += block[0].size / 1e6
        return as_probability(as_stored(block, foreground.dtype))

    def _receipt(self, image: str) -> dict[str, Any]:
        receipts = sorted((self.results / "images").glob(f"**/{image}.json"))
        return read_receipt(receipts[0])

    def judged(self, experiment: str, how: Refinement) -> tuple[pd.DataFrame, pd.DataFrame, str]:
        """Scores of validation and of test images (rows) by name, and thresholds of IoU and SEG."""
        judged: dict[str, list[pd.DataFrame]] = {"validation": [], "test": []}
        thresholds = []
        for fold in self.settings.folds(experiment):
            of_role = {role: self.scored(experiment, fold, role, how) for role in judged}
            best = best_thresholds(of_role["validation"])
            thresholds.append(self._in_words(best))
            for role, rows in of_role.items():
                judged[role].append(at_thresholds(rows, best))
        validation, test = (pd.concat(judged[role]) for role in ("validation", "test"))
        return validation, test, "; ".join(dict.fromkeys(thresholds))

    def _in_words(self, best: Any) -> str:
        chosen = chosen_thresholds(best)
        found = (chosen.get((metric, variant)) for metric, variant in (("iou", ""), ("seg", "")))
        return ", ".join("" if threshold is None else f"{threshold:g}" for threshold in found)


def at_thresholds(rows: pd.DataFrame, best: Any) -> pd.DataFrame:
    """The scores of images (mean over classes) at the thresholds that validation images chose."""
    found = {}
    for title, (metric, variant, chosen_by) in SCORES.items():
        of = rows[(rows["metric"] == metric) & (rows["variant"] == variant)]
        parts = []
        for name, own in of.groupby("class"):
            at = chosen_thresholds(best, str(name)).get((chosen_by, ""))
            parts.append(own[own["threshold"] == at])
        if parts:
            found[title] = pd.concat(parts).groupby("image")["value"].mean()
    return pd.DataFrame(found)


def line(name: str, scores: pd.DataFrame, before: pd.DataFrame) -> list[str]:
    """Of each score its mean, and the mean difference with its standard error."""
    cells = [name]
    for title in SCORES:
        if title not in scores:
            cells.append("")
            continue
        apart = (scores[title] - before[title]).dropna()
        error = apart.std() / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
        shown = "" if name == "as it is" else f" ({apart.mean():+.4f} ± {error:.4f})"
        cells.append(f"{scores[title].mean():.4f}{shown}")
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("config", type=Path)
    parser.add_argument("--results", type=Path, help="instead of the config's")
    parser.add_argument("--data", help="instead of the config's data_dir")
    options = parser.parse_args()
    config = yaml.safe_load(options.config.read_text())
    if options.data:
        config["data_dir"] = options.data
    settings = read_settings(config, ROOT / "workflow/schemas", ROOT)
    run = Run(settings, options.results or Path(settings.config["results"]))
    print(machine())
    for experiment in settings.config["experiments"]:
        judged, first = {}, None
        for name, how in WAYS.items():
            run.spent_s = run.done_mpx = 0.0
            judged[name] = run.judged(experiment, how)
            print(f"{name}: {run.spent_s / run.done_mpx:.2f} s a megapixel", flush=True)
            first = first or judged[name]
        assert first is not None
        for number, role in enumerate(("validation", "test")):
            images = len(first[number])
            print(f"\n{experiment}, {images} {role} images\n")
            print(f"| {' | '.join(['foreground', *SCORES, 'thresholds of IoU, SEG'])} |")
            print("| --- " * (len(SCORES) + 2) + "|")
            for name, found in judged.items():
                cells = [*line(name, found[number], first[number]), found[2]]
                print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
