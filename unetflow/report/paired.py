"""Differences of two methods over the same images, each image compared with itself."""

import math
from dataclasses import dataclass

import pandas as pd

from unetflow.evaluate.catalogue import Score
from unetflow.evaluate.pooling import Estimate, mean_over_images

FEWEST = 6  # images: of fewer even the same sign in all is chance in more than 1 of 20 cases


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one score: the mean over images of a value minus another's."""

    score: Score
    mean: Estimate

    @property
    def told_apart(self) -> bool:
        """Whether the 95 % interval leaves 0 out."""
        return self.mean.low > 0 or self.mean.high < 0  # False for NaN: one group has no interval

    @property
    def better(self) -> bool:
        """Whether the first is told apart and better."""
        return self.told_apart and (self.mean.value < 0) == self.score.lower_is_better

    @property
    def worse(self) -> bool:
        return self.told_apart and not self.better

    @property
    def text(self) -> str:
        """The difference with its sign."""
        value = self.mean.value
        return "undefined" if math.isnan(value) else signed(value, self.score.digits)

    @property
    def interval(self) -> str:
        if math.isnan(self.mean.low):
            return self.score.interval(self.mean)
        digits = self.score.digits
        return f"{signed(self.mean.low, digits)} to {signed(self.mean.high, digits)}"

    @property
    def said(self) -> str:
        """What it says of two networks."""
        if math.isnan(self.mean.low):
            return "unknown, without an interval"
        if self.mean.groups < FEWEST:
            return "too few images to tell"
        return "better" if self.better else "worse" if self.worse else "not told apart"


def signed(value: float, digits: int) -> str:
    """With its sign, none where it is rounded to zero.

    >>> signed(0.0204, 3), signed(-0.0204, 3), signed(-0.0004, 3)
    ('+0.020', '-0.020', '0.000')
    """
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def difference(score: Score, first: pd.DataFrame, second: pd.DataFrame) -> Difference | None:
    """First minus second; the rows are of one score and class, one per image.

    Only images that both have a score of count. None where there is no such image.
    """
    both = first.merge(second[["image", "value"]], on="image", suffixes=("", "_other"))
    both = both.assign(value=both["value"] - both["value_other"])
    both = both[both["value"].notna()]
    return Difference(score, mean_over_images(both)) if len(both) else None
