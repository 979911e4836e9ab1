"""Numbers that a program saved as colours: the one channel that was meant."""

import numpy as np

WITH_TRANSPARENCY = (2, 4)  # numbers of samples of which the last is transparency


class NotGray(ValueError):
    """An image with more than one number a pixel."""


def one_channel(pixels: np.ndarray, *, samples: bool) -> np.ndarray:
    """The gray values (...) of an image (..., C) whose channels are all the same.

    Of `samples` (colours, not the channels of a microscope) 2 or 4 have transparency as the last.
    White that is transparent was painted by nobody, and is 0:

        gray            255 255 255
        transparency      0 255 255     of a mask that was painted on a layer
        is read as        0 255 255

    Raises NotGray for channels that differ, for what is transparent in part, and for other numbers
    that are: whether they count is for their owner to say.
    """
    transparency = None
    if samples and pixels.shape[-1] in WITH_TRANSPARENCY:
        pixels, transparency = pixels[..., :-1], pixels[..., -1]
    gray = pixels[..., 0]
    if pixels.shape[-1] > 1 and not (pixels == gray[..., None]).all():
        raise NotGray(
            f"it holds {pixels.shape[-1]} channels that differ, colours perhaps: save labels or "
            "probabilities as gray values (not as RGB), or labels as a PNG or TIFF with a palette "
            "whose indices are the numbers"
        )
    if transparency is None:
        return gray
    white = 1 if gray.dtype.kind in "bf" else np.iinfo(gray.dtype).max  # and opaque
    shown = np.where(transparency == 0, gray.dtype.type(0), gray)
    if not (np.isin(transparency, (0, white)) & ((shown == gray) | (gray == white))).all():
        raise NotGray(
            "some of its numbers are transparent, and may be there or not: save it without "
            "transparency (an alpha channel)"
        )
    return shown
