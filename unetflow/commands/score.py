"""The metrics from the command line, for images that never saw the pipeline."""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from unetflow.commands.score_images import FORMATS, open_image
from unetflow.commands.score_table import Score, frame_scores, instance_scores, membrane_scores

EPILOG = f"""\
files:    {FORMATS}; stacks are (Z, Y, X), axes of size 1 are dropped
kinds:    membranes  truth 0 membrane, nonzero interior; prediction P(interior) in [0, 1]:
                     the numbers of the ISBI 2012 challenge, slice by slice
          instances  integer labels, 0 background, one number per object: SEG, DET, AP, PQ, AJI
          auto       a float or boolean prediction is membranes; labels are instances

examples: python -m unetflow.metrics train-labels.tif probability.tif
          python -m unetflow.metrics --json --frames truth.zarr prediction.zarr
"""
BETTER = {True: "higher", False: "lower", None: None}
ARROW = {True: "↑", False: "↓", None: ""}


def main(
    arguments: Sequence[str] | None = None, *, prog: str = "python -m unetflow.metrics"
) -> int:
    """Print the scores of two files; 0, or 2 with a line on stderr for what cannot be scored."""
    options = _parser(prog).parse_args(arguments)
    try:
        found = _score(options)
    except ValueError as error:
        hint = " Here: --invert." if "looks inverted" in str(error) else ""
        print(f"error: {error}{hint}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(found | {"scores": [_as_json(s) for s in found["scores"]]}, indent=2))
        return 0
    for warning in found["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    print(_table(found))
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Score a segmentation against its truth, with the challenges' own metrics.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("truth", help="the annotation")
    parser.add_argument("prediction", help="P(interior), or labels")
    parser.add_argument("--kind", choices=("auto", "membranes", "instances"), default="auto")
    parser.add_argument("--ignore", metavar="FILE", help="pixels that are not 0 are in no score")
    parser.add_argument("--json", action="store_true", help="all numbers as JSON")
    membranes = parser.add_argument_group("membranes")
    membranes.add_argument("--threshold", type=float, default=0.5, help="default 0.5")
    membranes.add_argument(
        "--divide-by", type=float, metavar="X", help="255 for a prediction of 8 bit"
    )
    membranes.add_argument("--invert", action="store_true", help="the prediction is P(membrane)")
    instances = parser.add_argument_group("instances")
    instances.add_argument(
        "--frames", action="store_true", help="score the first axis as frames, not as depth"
    )
    instances.add_argument(
        "--tolerance-px", type=float, default=2.0, help="of the boundary F1, default 2"
    )
    return parser


def _score(options: argparse.Namespace) -> dict[str, Any]:
    truth, prediction = open_image(options.truth), open_image(options.prediction)
    ignore = None if options.ignore is None else open_image(options.ignore)
    if truth.shape != prediction.shape:
        raise ValueError(
            f"{options.truth} has shape {truth.shape} and {options.prediction} {prediction.shape}: "
            "must be the same image. Crop or pad one of them."
        )
    kind = _kind(truth, prediction) if options.kind == "auto" else options.kind
    found: dict[str, Any] = {
        **{"truth": options.truth, "prediction": options.prediction, "kind": kind},
        **{"shape": list(truth.shape), "warnings": []},
    }
    if kind == "membranes":
        proposal = _probability(np.asarray(prediction), options)
        flags = None if ignore is None else np.asarray(ignore)
        scores = list(membrane_scores(np.asarray(truth), proposal, flags, options.threshold))
        empty = next(s.value for s in scores if s.metric == "thresholds without interior")
        if empty:
            found["warnings"].append(
                f"at {empty:g} of the 11 thresholds the prediction has no interior: it splits and "
                "merges nothing there, for a bad reason"
            )
    else:
        scores = list(_labels(truth, prediction, ignore, options))
    return found | {"scores": scores}


def _labels(
    truth: Any, prediction: Any, ignore: Any, options: argparse.Namespace
) -> Iterator[Score]:
    if not options.frames:
        return instance_scores(truth, prediction, ignore, options.tolerance_px)
    if len(truth.shape) < 3:
        raise ValueError(f"--frames needs a stack (frames, Y, X), but the shape is {truth.shape}.")
    return frame_scores(truth, prediction, ignore)


def _kind(truth: Any, prediction: Any) -> str:
    if prediction.dtype.kind in "fb":
        return "membranes"
    values = np.unique(truth)
    if prediction.dtype.kind in "iu" and len(values) > 2:
        return "instances"
    raise ValueError(
        f"the truth holds {len(values)} value(s) and the prediction is {prediction.dtype}: this "
        "may be membranes or instances. Say which: --kind membranes or --kind instances."
    )


def _probability(prediction: np.ndarray, options: argparse.Namespace) -> np.ndarray:
    if options.divide_by is not None:
        if not options.divide_by > 0:
            raise ValueError(f"--divide-by is {options.divide_by}: must be above 0, such as 255.")
        prediction = prediction / options.divide_by
    elif prediction.dtype.kind in "iu" and prediction.max(initial=0) > 1:
        raise ValueError(
            f"{options.prediction} is {prediction.dtype} and goes up to {prediction.max()}: "
            "P(interior) must lie in [0, 1]. Pass --divide-by 255 if 255 stands for 1."
        )
    return 1 - prediction.astype(np.float64) if options.invert else prediction


def _as_json(score: Score) -> dict[str, Any]:
    """A score as JSON has it; undefined and infinite values are null."""
    return {
        "metric": score.metric,
        "variant": score.variant,
        "value": score.value if math.isfinite(score.value) else None,
        "threshold": None if _missing(score.threshold) else score.threshold,
        "better": BETTER[score.higher_is_better],
    }


def _table(found: dict[str, Any]) -> str:
    rows = [("metric", "value", "", "threshold", "variant")]
    for score in found["scores"]:
        value = "undefined" if math.isnan(score.value) else f"{score.value:.6g}"
        at = "" if _missing(score.threshold) else f"{score.threshold:.3g}"
        rows.append((score.metric, value, ARROW[score.higher_is_better], at, score.variant))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    head = f"{found['kind']}, {' x '.join(map(str, found['shape']))} px"
    return "\n".join([head, *(line.rstrip() for line in lines)])


def _missing(threshold: float | None) -> bool:
    return threshold is None or math.isnan(threshold)
