"""Images read as normalised floats."""

import numpy as np

from unetflow.store.pixels import Normalised


def test_normalising_uses_each_channels_own_mean() -> None:
    image = np.stack([np.full((2, 2), 3.0), np.full((2, 2), 8.0)])
    found = Normalised(image, {"mean": [1.0, 2.0], "deviation": [2.0, 3.0]})
    np.testing.assert_array_equal(found[:, 0:1, 0:1].ravel(), [1.0, 2.0])
