"""The metrics from the command line, for images that never saw the pipeline."""

import argparse
import json
import math
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetflow.commands.parsers import add_json, command_parser
from unetflow.commands.score_kind import FEW, in_pieces, kind_of, scattered, touching
from unetflow.commands.score_table import (
    WITHOUT_INTERIOR,
    Found,
    frame_scores,
    instance_scores,
    membrane_scores,
)
from unetflow.errors import UnetflowError
from unetflow.evaluate.catalogue import ARROWS, UNDEFINED
from unetflow.images.lossless import lossy_compression
from unetflow.images.readers import READABLE
from unetflow.images.whole import WholeImage, read_whole

EXAMPLES = (
    "train-labels.tif probability.h5:/exported_data",
    "--json --frames truth.zarr prediction.zarr",
)
FILES = f"{READABLE}; stacks are (Z, Y, X), axes of size 1 are dropped"
EPILOG = f"""\
{textwrap.fill(FILES, 90, initial_indent="files:    ", subsequent_indent=" " * 10)}
kinds:    membranes  truth 0 membrane, nonzero interior; prediction P(interior) in [0, 1]:
                     the numbers of the ISBI 2012 challenge, slice by slice
          instances  labels, 0 background, one number per object: SEG, DET, AP, PQ, AJI
          auto       a prediction of fractions or booleans is membranes; whole numbers, as
                     floats too, are instances
"""


HINTS = {
    "looks inverted": "--invert, or without it where it is given",
    "by 255;": "--divide-by 255, or --kind instances if these are numbers of objects",
}
"""What an error of the metrics means here."""


class Options(argparse.Namespace):
    """What was typed."""

    truth: str
    prediction: str
    kind: str
    ignore: str | None
    json: bool
    threshold: float
    divide_by: float | None
    invert: bool
    frames: bool
    tolerance_px: float


@dataclass(frozen=True, slots=True)
class Result:
    """What is said of a pair of images."""

    kind: str
    shape: tuple[int, ...]
    warnings: list[str]
    scores: list[Found]


def main(
    arguments: Sequence[str] | None = None, *, prog: str = "python -m unetflow.metrics"
) -> int:
    """Print the scores of two files; 0, or 2 with a line on stderr for what cannot be scored."""
    options = parser_of(prog).parse_args(arguments, Options())
    try:
        result = _score(options)
    except (UnetflowError, ValueError, OSError) as error:
        hints = [f" Here: {option}." for words, option in HINTS.items() if words in str(error)]
        print(f"error: {error}{''.join(hints)}", file=sys.stderr)
        return 2
    if options.json:
        print(_as_json(options, result))
        return 0
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(_as_table(result))
    return 0


def parser_of(prog: str) -> argparse.ArgumentParser:
    """What reads the arguments of the command, which is called as `prog`."""
    does = "Score a segmentation against its truth, with the challenges' own metrics."
    parser = command_parser(prog, does, EXAMPLES, more=f"{EPILOG}\n")
    parser.add_argument("truth", help="the annotation")
    parser.add_argument("prediction", help="P(interior), or labels")
    parser.add_argument("--kind", choices=("auto", "membranes", "instances"), default="auto")
    parser.add_argument("--ignore", metavar="FILE", help="where it is 1 or 255 is in no score")
    add_json(parser)
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


def _score(options: Options) -> Result:
    warnings: list[str] = []
    truth, prediction = (read_whole(path, warnings) for path in (options.truth, options.prediction))
    ignore = None if options.ignore is None else read_whole(options.ignore, warnings)
    if truth.shape != prediction.shape:
        raise ValueError(
            f"{options.truth} has shape {truth.shape} and {options.prediction} {prediction.shape}: "
            "must be the same image. Crop or pad one of them."
        )
    warnings += (
        f"{path}: {how} does not keep values as they were, and numbers of objects least of all"
        for path in (options.truth, options.prediction)
        if (how := lossy_compression(path))
    )
    kind = kind_of(truth, prediction) if options.kind == "auto" else options.kind
    if kind == "membranes":
        proposal = _probability(np.asarray(prediction), options)
        flags = None if ignore is None else np.asarray(ignore)
        scores = list(membrane_scores(np.asarray(truth), proposal, flags, options.threshold))
        if odd := touching(np.asarray(truth)):
            warnings.append(f"{options.truth}: {odd}")
        empty = next(each.value for each in scores if each.score.metric == WITHOUT_INTERIOR)
        if empty:
            warnings.append(
                f"at {empty:g} of the 11 thresholds the prediction has no interior: it splits and "
                "merges nothing there, for a bad reason"
            )
    else:
        _refuse_images(options.truth, options.prediction)
        scores = list(_labels(truth, prediction, ignore, options))
        warnings += _masks(truth, prediction, scores, options)
    return Result(kind, truth.shape, warnings, scores)


def _refuse_images(*paths: str) -> None:
    """Raise ValueError for a store whose labels lie beside its pixels: those are no labels."""
    for path in paths:
        labels = [str(each) for each in sorted(Path(path).glob("labels/*")) if each.is_dir()]
        if labels:
            raise ValueError(
                f"{path} is an image or a foreground, with its labels apart: must be labels to be "
                f"scored as instances. Give {' or '.join(labels)}."
            )


def _labels(
    truth: WholeImage, prediction: WholeImage, ignore: WholeImage | None, options: Options
) -> Iterator[Found]:
    if not options.frames:
        return instance_scores(truth, prediction, ignore, options.tolerance_px)
    if len(truth.shape) < 3:
        raise ValueError(f"--frames needs a stack (frames, Y, X), but the shape is {truth.shape}.")
    return frame_scores(truth, prediction, ignore)


def _masks(
    truth: WholeImage, prediction: WholeImage, scores: Sequence[Found], options: Options
) -> Iterator[str]:
    """Warnings of images that are perhaps no numbers of objects: few, or all over the image."""
    frames = truth.shape[0] if options.frames else 1
    objects = [each.value for each in scores if each.score.metric == "objects"]
    for path, image, count in zip(
        (options.truth, options.prediction), (truth, prediction), objects, strict=True
    ):
        few = count <= FEW * frames
        odd = in_pieces(image, frames=options.frames) if few else scattered(image)
        if odd:
            yield f"{path}: {odd}"


def _probability(prediction: np.ndarray, options: Options) -> np.ndarray:
    if options.divide_by is not None:
        if not options.divide_by > 0:
            raise ValueError(f"--divide-by is {options.divide_by}: must be above 0, such as 255.")
        prediction = prediction / options.divide_by
    elif prediction.dtype.kind in "iu" and prediction.max(initial=0) > 1:
        raise ValueError(
            f"{options.prediction} is {prediction.dtype} and goes up to {prediction.max()}: "
            "P(interior) must lie in [0, 1]. Pass --divide-by 255 if 255 stands for 1, or --kind "
            "instances if these are numbers of objects."
        )
    return 1 - prediction.astype(np.float64) if options.invert else prediction


def _as_json(options: Options, result: Result) -> str:
    """Undefined and infinite values are null."""
    scores = [
        {
            "metric": each.score.metric,
            "variant": each.variant,
            "name": each.score.name,
            "value": each.value if math.isfinite(each.value) else None,
            "threshold": each.threshold,
            "better": each.score.better,
        }
        for each in result.scores
    ]
    content = {
        "truth": options.truth,
        "prediction": options.prediction,
        "kind": result.kind,
        "shape": list(result.shape),
        "warnings": result.warnings,
        "scores": scores,
    }
    return json.dumps(content, indent=2)


def _as_table(result: Result) -> str:
    rows = [("metric", "variant", "value", "", "threshold", "name")]
    for score, variant, value, threshold in result.scores:
        text = UNDEFINED if math.isnan(value) else f"{value:.6g}"
        at = "" if threshold is None else f"{threshold:.3g}"
        rows.append((score.metric, variant, text, ARROWS[score.better], at, score.name))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    head = f"{result.kind}, {' x '.join(map(str, result.shape))} px"
    return "\n".join([head, *(line.rstrip() for line in lines)])
