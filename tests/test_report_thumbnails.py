"""Small pictures: what they weigh, and in which colours objects stand."""

import base64
import io

import numpy as np
from PIL import Image

from unetflow.colours import KINDS, rgb
from unetflow.report.figures.thumbnails import (
    OBJECT_PX,
    THUMBNAIL_BYTES,
    THUMBNAIL_PX,
    object_panels,
    thumbnail,
)


def decoded(uri: str) -> np.ndarray:
    head, _, text = uri.partition(",")
    assert head == "data:image/webp;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")
    return np.asarray(picture) / 255.0


def test_even_noise_is_below_12_kb() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 700, 500), dtype=np.uint8)
    uri, size_px = thumbnail(noise, [])
    assert 0 < len(uri) <= THUMBNAIL_BYTES
    assert decoded(uri).shape[:2] == size_px


def test_a_thumbnail_keeps_the_shape_of_its_image() -> None:
    _, size_px = thumbnail(np.zeros((1, 50, 200), np.uint16), [])
    assert size_px == (THUMBNAIL_PX // 4, THUMBNAIL_PX)


def test_outlines_have_the_colour_of_what_became_of_the_object() -> None:
    labels = np.zeros((64, 64), int)
    labels[8:24, 8:56], labels[32:56, 8:56] = 3, 9
    dark = np.zeros((1, 64, 64), np.uint8)
    _, truth, result = map(
        decoded, object_panels(dark, (labels, {3: "missed"}), (labels, {9: "spurious"}))
    )
    assert truth.shape == (OBJECT_PX, OBJECT_PX, 3)

    def nearest(drawn: np.ndarray, row: int) -> str:
        line = drawn[row : row + 5, 20:90].reshape(-1, 3)
        seen = line[line.max(axis=1).argsort()[-70:]].mean(axis=0)
        return min(KINDS, key=lambda kind: float(np.abs(rgb(KINDS[kind]) - seen).sum()))

    top = OBJECT_PX * 8 // 64 - 2
    assert nearest(truth, top) == "missed"
    assert nearest(result, top) == "found"  # without a kind
    assert nearest(result, OBJECT_PX * 32 // 64 - 2) == "spurious"
