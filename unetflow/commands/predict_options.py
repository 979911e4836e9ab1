"""The options of `unetflow predict`."""

import argparse
import math
import sys
from collections.abc import Callable

from unetflow.commands.parsers import command_parser
from unetflow.engine.devices import cores
from unetflow.images.units import problem_of
from unetflow.instances.separation import DEFAULTS, METHODS

OF_VOLUMES = (16, 48)  # flips and rotations that images have not
DOES = "A finished model on images: foreground, instances and a table of the objects."
EXAMPLES = (
    "deploy.safetensors slide.svs slide.ome.zarr",
    "deploy.safetensors images/ more.tif --out segmented",
    "deploy.safetensors slide.svs slide.ome.zarr --threshold 0.4 --mpp 0.25",
)


def parser_of(prog: str) -> argparse.ArgumentParser:
    """What reads the arguments of the command, which is called as `prog`."""
    parser = command_parser(prog, DOES, EXAMPLES)
    parser.add_argument(
        "model",
        help="deploy.safetensors of a calibration, model.safetensors, or a name: unetflow models",
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="with --out: files, folders, or one sheet (.tsv with columns image and path); "
        "without: one file, and the OME-Zarr to write (default: NAME.segmented.ome.zarr here)",
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="for results of many images, as the pipeline has them; the same command goes on",
    )
    _add_options_of_image(parser)
    _add_options_of_foreground(parser)
    _add_options_of_instances(parser)
    return parser


def _add_options_of_image(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is read").add_argument
    count = _in_range(int, 0, math.inf)
    add("--mpp", type=_mpp, help="um per pixel of the finest level, if the file is wrong or silent")
    add("--level", type=count, help="of a pyramid, instead of the model's resolution")
    add("--scene", help="of a file of several images: number or name (default: the largest)")
    add("--time", type=count, help="of a series")
    add("--plane", type=count, help="of a stack")
    add("--axes", help="of an array that has no names for them, such as czyx")
    add("--channels", type=count, nargs="+", help="which, in which order")


def _add_options_of_foreground(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("foreground")
    add = group.add_argument
    sizes = (128, 256, 512, 1024, 2048)
    add("--write-px", type=int, choices=sizes, help="of a tile (default: by the precision)")
    numbers = group.add_mutually_exclusive_group()
    numbers.add_argument(
        "--test-time-augmentation",
        type=int,
        choices=(1, 7, 8, *OF_VOLUMES),
        help="average over so many flips and rotations (default 1: none; 16, 48: of volumes)",
    )
    numbers.add_argument(
        "--average",
        type=int,
        choices=(1, 7, 8),
        dest="test_time_augmentation",
        default=argparse.SUPPRESS,
        action=_OldName,
        help=argparse.SUPPRESS,
    )
    add("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    add("--smooth-px", type=_in_range(float, 0.25, 32), help="blur it by a Gaussian of this width")
    add("--threads", type=_in_range(int, 1, 4096), default=cores(), help="default: all cores")
    add("--cpu", dest="gpu", action="store_false", help="do not use a GPU")
    add("--require-gpu", action="store_true", help="no GPU is an error")


def _add_options_of_instances(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("instances").add_argument
    count, size = _in_range(int, 0, math.inf), _in_range(float, 1e-3, 1e6)
    add("--threshold", type=_in_range(float, 0, 1), help="default: the model file's, else 0.5")
    add("--min-area-px", type=count, help="smaller instances are left out")
    add("--fill-holes", action=argparse.BooleanOptionalAction)
    add("--max-hole-px", type=_in_range(int, 1, math.inf), help="larger holes stay ground")
    add("--separate", choices=METHODS, help="how clumps are taken apart")
    add("--split-px", type=size, help="necks: where they are this much thinner; distance: lower")
    add("--split-logits", type=size, help=f"valleys: this much lower (default {_usual('valleys')})")
    share = _in_range(float, 0, 0.999)
    add("--seed-threshold", type=share, help=f"seeds: above this (default {_usual('seeds')})")
    add("--border-threshold", type=share, help=f"border: up to this (default {_usual('border')})")


def _usual(method: str) -> str:
    return f"{DEFAULTS[method]:g}"


def _mpp(text: str) -> float:
    """Type of an argument: a resolution."""
    mpp = _number(float, text)
    if problem := problem_of(mpp):
        raise argparse.ArgumentTypeError(problem)
    return mpp


class _OldName(argparse.Action):
    """An option that has another name now: it works for this release, and says so."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        new = f"--{self.dest.replace('_', '-')}"
        print(
            f"{option_string} is {new} now; unetflow 0.3 will not know the old name",
            file=sys.stderr,
        )
        setattr(namespace, self.dest, values)


def _in_range(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    """Type of an argument: a number from `least` to `most`."""

    def number(text: str) -> float:
        value = _number(kind, text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not in the range {least:g} to {most:g}")
        return value

    return number


def _number(kind: Callable[[str], float], text: str) -> float:
    try:
        return kind(text)
    except ValueError:
        rule = "a whole number" if kind is int else "a number with a point, such as 0.25"
        several = "; several have spaces between them" if "," in text else ""
        raise argparse.ArgumentTypeError(f"{text!r} must be {rule}{several}") from None
