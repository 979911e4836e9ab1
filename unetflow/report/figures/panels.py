"""Pictures of the report: crops with truth, foreground and errors.

Shapes: (Y, X) of what is drawn, (Y, X, 3) of pictures, which are RGB in [0, 1].
"""

import base64
import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from skimage.segmentation import find_boundaries

from unetflow.colours import CHOSEN, FALSE, HIT, IGNORED, INSTANCES, MISSED, RAMP, rgb

QUALITY = 85  # of WebP: a quarter of the bytes of PNG where a picture has noise


@dataclass(frozen=True, slots=True)
class Overlay:
    """Four pictures of one crop, all of one size."""

    image: np.ndarray
    truth: np.ndarray  # instances coloured on the image
    foreground: np.ndarray  # `RAMP`, with the outlines of predicted instances
    errors: np.ndarray  # `HIT`, `MISSED`, `FALSE`, with the same outlines


def overlay(
    image_CYX: np.ndarray,
    truth_YX: np.ndarray,
    interior_YX: np.ndarray,
    foreground_YX: np.ndarray,
    instances_YX: np.ndarray,
    ignore_YX: np.ndarray,
    *,
    threshold: float,
) -> Overlay:
    """Panels of one crop. A pixel is predicted where foreground > threshold.

    `truth` and `instances` are labels, `interior` is nonzero where a pixel ought to be predicted
    (touching instances separated); ignored pixels are gray in truth and errors.
    """
    image = gray_or_rgb(image_CYX)
    truth = _coloured(image, truth_YX)
    foreground = _ramped(foreground_YX)
    outline = find_boundaries(instances_YX, mode="inner")
    foreground[outline] = rgb(MISSED)
    predicted = foreground_YX.astype(np.float64) > threshold
    wanted = interior_YX != 0
    errors = 0.75 * image
    for where, colour, share in (
        (wanted & predicted, HIT, 0.45),
        (wanted & ~predicted, MISSED, 0.9),
        (~wanted & predicted, FALSE, 0.9),
    ):
        errors[where] = (1 - share) * errors[where] + share * rgb(colour)
    errors[outline] = 1.0
    for panel in (truth, errors):
        panel[ignore_YX != 0] = rgb(IGNORED)
    return Overlay(image, truth, foreground, errors)


def weight_panels(
    image_CYX: np.ndarray, truth_YX: np.ndarray, weight_YX: np.ndarray
) -> dict[str, np.ndarray]:
    """Image, truth and weight map of one crop, as figure 3 of the paper shows them.

    The weight is drawn with `RAMP` from 0 to its largest value in the crop.
    """
    image = gray_or_rgb(image_CYX)
    truth = _coloured(image, truth_YX)
    weight = _ramped(weight_YX / max(float(weight_YX.max()), 1e-12))
    return {"image": image, "truth": truth, "weight": weight}


def patch_panel(image_CHW: np.ndarray, target_HW: np.ndarray, weight_HW: np.ndarray) -> np.ndarray:
    """An augmented patch: objects outlined where the network answers, gray what is ignored.

    Target and weight lie in the middle of the image.
    """
    drawn = gray_or_rgb(image_CHW)
    margin = (image_CHW.shape[1] - target_HW.shape[0]) // 2
    middle = drawn[margin : margin + target_HW.shape[0], margin : margin + target_HW.shape[1]]
    middle[weight_HW == 0] = 0.5 * middle[weight_HW == 0] + 0.5 * rgb(IGNORED)
    middle[find_boundaries(target_HW, mode="inner")] = rgb(HIT)
    middle[[0, -1]] = middle[:, [0, -1]] = rgb(CHOSEN)
    return drawn


def data_uri(picture: np.ndarray, quality: int = QUALITY) -> str:
    """A picture as a page holds it: WebP."""
    content = io.BytesIO()
    pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(content, format="webp", quality=quality, method=4)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"


def _coloured(behind: np.ndarray, labels_YX: np.ndarray) -> np.ndarray:
    """Instances in colours with white outlines on an image."""
    drawn = behind.copy()
    inside = labels_YX != 0
    colours = np.array([rgb(colour) for colour in INSTANCES])
    drawn[inside] = 0.45 * behind[inside] + 0.55 * colours[labels_YX[inside] % len(colours)]
    drawn[find_boundaries(labels_YX, mode="inner")] = 1.0
    return drawn


def _ramped(share_YX: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1] in the colours of `RAMP`."""
    ramp = np.array([rgb(colour) for colour in RAMP])
    steps = np.linspace(0, 1, len(ramp))
    return np.stack([np.interp(share_YX, steps, ramp[:, c]) for c in range(3)], axis=-1)


def scale_bar(width_px: int, um_per_px: float | None) -> tuple[float, str]:
    """Length [px] and text of a scale bar: 1, 2 or 5 times a power of ten, a quarter of the width.

    >>> scale_bar(512, 0.5)
    (100.0, '50 µm')
    >>> scale_bar(512, None)
    (100.0, '100 px')
    """
    step, unit = (um_per_px, "µm") if um_per_px else (1.0, "px")
    most = width_px * step / 4
    power = 10.0 ** math.floor(math.log10(most))
    length = power * max(factor for factor in (1, 2, 5) if factor * power <= most * (1 + 1e-9))
    return length / step, f"{length:g} {unit}"


def gray_or_rgb(image_CYX: np.ndarray) -> np.ndarray:
    """RGB (Y, X, 3) in [0, 1]: three channels of bytes as they are, else the mean, stretched."""
    if len(image_CYX) == 3 and image_CYX.dtype == np.uint8:
        return np.moveaxis(image_CYX, 0, -1) / 255.0
    gray_YX = image_CYX.astype(np.float64).mean(axis=0)
    low, high = gray_limits(image_CYX)
    stretched = np.clip((gray_YX - low) / max(high - low, 1e-12), 0, 1)
    return np.repeat(stretched[..., None], 3, axis=-1)


def gray_limits(image_CYX: np.ndarray) -> tuple[float, float]:
    """The gray values that are drawn black and white."""
    gray_YX = image_CYX.astype(np.float64).mean(axis=0)
    low, high = np.percentile(gray_YX, (0.5, 99.8))
    return float(low), float(high)
