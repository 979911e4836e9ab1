"""Operating thresholds: the best of a list by the scores of validation images."""

import logging
from collections.abc import Sequence
from typing import Any

import pandas as pd

from unetflow.evaluate.catalogue import LOWER_IS_BETTER

log = logging.getLogger(__name__)


# By kind of truth; images that are not in memory have no SEG at each threshold, and no thinned
# V_Rand of the whole image.
INSTANCES_BY = {
    "instances": (("seg", ""), ("iou", "")),
    "interior": (("v_rand", "thinned"), ("v_rand", "unthinned")),
    "classes": (("iou", ""),),
}
WITHOUT_VALIDATION = 0.5


def best_thresholds(scores: pd.DataFrame) -> list[dict[str, Any]]:
    keys = ["class", "metric", "variant"]
    means = scores.groupby([*keys, "threshold"], as_index=False)["value"].mean()
    images = scores.groupby(keys)["image"].nunique().to_dict()
    best = []
    for names, group in means.dropna().groupby(keys):
        sign = 1 if names[1] in LOWER_IS_BETTER else -1
        order = pd.DataFrame(
            {"value": sign * group["value"], "distance": (group["threshold"] - 0.5).abs()}
        ).sort_values(["value", "distance"], kind="stable")
        row = group.loc[order.index[0]]
        best.append(
            {
                **dict(zip(keys, names, strict=True)),
                "threshold": float(row["threshold"]),
                "value": float(row["value"]),
                "images": images[names],
            }
        )
    return best


def instance_threshold(
    chosen: Sequence[dict[str, Any]], kind: str, name: str, images: int
) -> dict[str, Any]:
    found = [
        best
        for metric in INSTANCES_BY[kind]
        for best in chosen
        if best["class"] == name and (best["metric"], best["variant"]) == metric
    ]
    if not found:
        return {"threshold": WITHOUT_VALIDATION, "by": "default"}
    best = max(found, key=lambda each: each["images"])  # of several the first
    by = f"{best['metric']} {best['variant']}".strip()
    if best["images"] < images:
        log.warning(
            "class %s: the threshold is chosen by %s on %d of %d validation images, as the others "
            "are too large to be scored at each threshold",
            *(name, by, best["images"], images),
        )
    return {"threshold": best["threshold"], "by": by}
