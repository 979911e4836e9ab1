"""Does an image suit a model? Its channels, resolution and gray values beside the training's."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unetflow.errors import UnsuitableError
from unetflow.images.asked import SHEET, Door
from unetflow.images.units import shown
from unetflow.networks.model_file import ModelDescription
from unetflow.store.ome import are_cubes
from unetflow.store.pixels import LOG, logarithms
from unetflow.store.stains import WAYS
from unetflow.tiles.geometry import Geometry
from unetflow.tiles.regions import PLANE

FAR = 3.0  # deviations of the training pixels that an image's mean may be off theirs
EXTREME = 1000.0  # of a single pixel: next to it a network sees nothing else
NARROW = 0.1  # of them, that an image's pixels span: a network hardly sees less
OF_CUBE = 48  # flips and rotations
TOLERANCE = 0.1  # of a resolution: what a network hardly sees


def check_image(
    description: ModelDescription,
    channels: int,
    mpp: float | None,
    image: str | Path,
    *,
    spacing: Sequence[float] | None = None,
    door: Door = SHEET,
) -> None:
    """Refuse an image of other channels, or another resolution [um/px] where both are known.

    Of a volume also one whose planes lie farther apart, or closer; `spacing` is along z, y, x.
    """
    check_channels(description, channels, image, door=door)
    _check_planes(description, spacing, image)
    trained, key = description.get("mpp"), "spacing" if description.get("spacing") else "mpp"
    if trained and mpp and abs(mpp / trained - 1) > TOLERANCE:
        to = _in_words(description["spacing"]) if key == "spacing" else f"{trained:.4g}"
        raise UnsuitableError(
            f"{image}: has {shown(mpp)}, but the model was trained at {shown(trained)}. Leave "
            f"{door('level')} out"
            + (f" and set the dataset's {key} to {to}" if door is SHEET else "")
            + ": then it is resampled."
        )


def _check_planes(
    description: ModelDescription, spacing: Sequence[float] | None, image: str | Path
) -> None:
    """Refuse a volume whose voxels have another shape than those of the training."""
    trained = description.get("spacing")
    if not trained or not spacing:
        return
    own, theirs = (of[0] / of[-1] for of in (spacing, trained))
    if abs(own / theirs - 1) > TOLERANCE:
        raise UnsuitableError(
            f"{image}: its planes lie {own:.3g} px of a plane apart, but those that the model was "
            f"trained on {theirs:.3g} px. "
            + (
                f"Set the dataset's spacing to {_in_words(trained)}, to which it is resampled, or "
                "correct the sheet's spacing column."
                if description.get("mpp")
                else "Correct the sheet's spacing column, or give all of it in um and set the "
                "dataset's spacing, to which volumes are resampled."
            )
        )


def _in_words(spacing: Sequence[float]) -> str:
    """A spacing as the config has it."""
    return str([float(f"{length:.4g}") for length in spacing])


def check_axes(axes: int, of_network: Sequence[str], image: str | Path) -> None:
    """Refuse an image of other axes than the network's."""
    if axes != len(of_network):
        kind = "a volume" if axes > PLANE else "an image"
        raise UnsuitableError(
            f"{image}: is {kind} of {axes} axes, but the model sees ({', '.join(of_network)}). Set "
            "the dataset's as to "
            f"{'volume' if len(of_network) > PLANE else 'slices'}, or choose another model."
        )


def check_symmetries(
    count: int, geometry: Geometry, steps: Sequence[float] | None, image: str | Path
) -> None:
    """Refuse test-time augmentation where a flipped image has its output elsewhere.

    And that over all sides of a cube where voxels are none: `steps` are the sides of a voxel, None
    of an image.
    """
    if count > 1 and not geometry.symmetric:
        raise UnsuitableError(
            f"{image}: the model sees {geometry.before_px} px before a pixel and "
            f"{geometry.after_px} px after it, so that predict: test_time_augmentation: {count}, "
            "which flips and turns the image, would move what it says. Set it to 1."
        )
    if count != OF_CUBE or steps is None:
        return
    why = ""
    if not are_cubes(steps):
        why = f"its planes lie {steps[0]:.3g} px of a plane apart"
    elif not geometry.alike:
        why = "the model sees z in another way than y and x"
    if why:
        raise UnsuitableError(
            f"{image}: {why}, but predict: test_time_augmentation: {OF_CUBE} turns each side of a "
            "cube up. Set it to 16, or the dataset's spacing to three equal lengths, to which "
            "volumes are resampled."
        )


def check_channels(
    description: ModelDescription, channels: int, image: str | Path, *, door: Door = SHEET
) -> None:
    """Refuse an image with other channels than the model was trained on."""
    if channels != description["channels"]:
        raise UnsuitableError(
            f"{image}: has {channels} channels, but the model was trained on "
            f"{description['channels']}. Choose that many by {door('channels')}, such as "
            f"{' '.join(map(str, range(description['channels'])))}."
        )


def other_intensities(
    description: ModelDescription,
    mean_C: Sequence[float],
    lowest_C: Sequence[float],
    highest_C: Sequence[float],
) -> list[str]:
    """Warnings where an image's gray values, or any of them, are far from those of the training."""
    of = description["intensity"]
    if of.get("scale") == LOG:
        mean_C, lowest_C, highest_C = (
            logarithms(np.array(values)).tolist() for values in (mean_C, lowest_C, highest_C)
        )
    if of.get("scale") in WAYS:
        return []  # each image has its own, which are replaced
    warnings = []
    for channel, (mean, lowest, highest, trained, deviation) in enumerate(
        zip(mean_C, lowest_C, highest_C, of["mean"], of["deviation"], strict=True)
    ):
        extreme = max(lowest, highest, key=lambda value: abs(value - trained))
        if abs(extreme - trained) > EXTREME * deviation:
            warnings.append(
                f"channel {channel} has a pixel of {extreme:.4g}, but the model was trained on "
                f"pixels of {trained:.4g} with a deviation of {deviation:.4g}. Around such pixels "
                "the result means nothing. Replace them, hot pixels by the median of their "
                "neighbours, and run the command again."
            )
        if abs(mean - trained) > FAR * deviation:
            warnings.append(
                f"channel {channel} has a mean of {mean:.4g}, but the model was trained on pixels "
                f"of {trained:.4g} with a deviation of {deviation:.4g}. Where the image is of "
                "another kind (bright ground instead of dark, another stain or bit depth), its "
                "result means nothing."
            )
        if 0 < highest - lowest < NARROW * deviation:
            warnings.append(
                f"channel {channel} has pixels of {lowest:.4g} to {highest:.4g} alone, but the "
                f"model was trained on pixels of {trained:.4g} with a deviation of "
                f"{deviation:.4g}: to it they are all alike. Where the image is scaled in another "
                "way (0 to 1 in place of 0 to 255, 8 bits in place of 16), its result means "
                "nothing. Save it as those of the training are."
            )
    return warnings
