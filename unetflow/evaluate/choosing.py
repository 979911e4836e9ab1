"""Operating thresholds: the best of a list by the scores of validation images."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd

from unetflow.evaluate.catalogue import BY_SLICES, SCORES, at_iou, row_of

log = logging.getLogger(__name__)


WITHOUT_VALIDATION = 0.5
# More objects found than annotated, beyond what a network errs by at the best threshold: where half
# of the objects are annotated it finds twice as many. Of very few objects a few more say nothing.
TIMES, MORE = 3, 10

ChosenThreshold = TypedDict(
    "ChosenThreshold",
    {
        "class": str,
        "metric": str,
        "variant": str,
        "threshold": float,
        "value": float,  # mean over the images
        "images": int,  # that were scored
    },
)
"""The best threshold of a class for one metric."""


class InstanceThreshold(TypedDict):
    """Where the instances of a class are made."""

    threshold: float
    by: str  # metric and variant, "default", or "model": a finished one brought it


class MadeInstances(InstanceThreshold):
    """How the instances of a class are made."""

    labelling: dict[str, Any]  # options of `unetflow.instances.label_instances`


def best_thresholds(scores: pd.DataFrame) -> list[ChosenThreshold]:
    """For each class, metric and variant the threshold with the best mean over images.

    `scores` has a row per image, class, metric, variant and threshold. Images where the metric is
    undefined are left out; of equal thresholds the one nearest to 0.5 is taken. None is chosen by a
    metric that is undefined at some of them: no image shows the class, nothing found is undefined
    and anything found is wrong, so that the best of the others would be one that finds something.
    """
    keys = ["class", "metric", "variant"]
    means = scores.groupby([*keys, "threshold"], as_index=False)["value"].mean()
    images = scores.groupby(keys)["image"].nunique().to_dict()
    best: list[ChosenThreshold] = []
    for names, group in means.groupby(keys):
        if group["value"].isna().any():
            continue
        name, metric, variant = map(str, names)
        sign = 1 if row_of(metric, variant).lower_is_better else -1
        order = pd.DataFrame(
            {"value": sign * group["value"], "distance": (group["threshold"] - 0.5).abs()}
        ).sort_values(["value", "distance"], kind="stable")
        row = group.loc[order.index[0]]
        best.append(
            {
                "class": name,
                "metric": metric,
                "variant": variant,
                "threshold": float(row["threshold"]),
                "value": float(row["value"]),
                "images": images[names],
            }
        )
    return best


def instance_threshold(
    chosen: Sequence[ChosenThreshold], kind: str, name: str, images: int
) -> InstanceThreshold:
    """Where the instances of a class are made: at the threshold of a score that decides.

    Of those of the catalogue that decide for this kind of truth, the first that was scored on all
    `images`, else on most of them, with a warning: images that are not in memory have no SEG at
    each threshold, and no thinned V_Rand of the whole image. Membranes of volumes are scored by
    slices. Without any `WITHOUT_VALIDATION`.
    """
    found = [
        best
        for score in SCORES
        if kind in score.decides
        for best in chosen
        if (best["class"], best["metric"]) == (name, score.metric)
        and best["variant"] in (score.variant, f"{score.variant}, {BY_SLICES}")
    ]
    if not found:
        return {"threshold": WITHOUT_VALIDATION, "by": "default"}
    best = max(found, key=lambda each: each["images"])  # of several the first
    by = f"{best['metric']} {best['variant']}".strip()
    if best["images"] < images:
        log.warning(
            "class %s: the threshold is chosen by %s on %d of %d validation images, as the others "
            "are too large to be scored at each threshold",
            name,
            by,
            best["images"],
            images,
        )
    return {"threshold": best["threshold"], "by": by}


def far_more_than_annotated(
    scores: pd.DataFrame, instances: Mapping[str, InstanceThreshold]
) -> Iterator[str]:
    """Warnings of images in which far more objects are found than are annotated.

    `scores` as of `best_thresholds`, with the sums of average precision; `instances` are the
    thresholds by class. Images are named by their stores; those whose instances were not scored at
    each threshold are left out.
    """
    if scores.empty:
        return
    counted = scores[(scores["metric"] == "ap") & (scores["variant"] == at_iou(0.5))]
    for name, made in instances.items():
        own = counted[(counted["class"] == name) & (counted["threshold"] == made["threshold"])]
        for _, row in own.iterrows():
            annotated, found = int(row["a"]), int(row["b"])
            if found > TIMES * annotated and found >= annotated + MORE:
                image = Path(row["image"]).name.removesuffix(".ome.zarr")
                yield (
                    f"{image}: {found} objects of class {name} are found and {annotated} "
                    "annotated. Is the annotation complete, and has each object its own number? "
                    "What nobody annotated can be ignored; specks that are no objects are left out "
                    "by instances: min_area_px"
                )


def chosen_thresholds(
    chosen: Sequence[ChosenThreshold], name: str | None = None
) -> dict[tuple[str, str], float]:
    """Thresholds by metric and variant of what was chosen for a class (None: for any)."""
    return {
        (best["metric"], best["variant"]): best["threshold"]
        for best in chosen
        if name in (None, best["class"])
    }
