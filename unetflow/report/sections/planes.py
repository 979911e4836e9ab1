"""Volumes plane by plane: what a slider through z shows of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unetflow.provenance.receipts import read_receipt
from unetflow.report.handed import PicturesFile
from unetflow.report.pictures import ImagePictures, VolumePlanes
from unetflow.report.sections.gallery import Tile

SHOWN = 8  # volumes of a page: each takes up to half a megabyte


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume in one run."""

    tile: Tile
    drawn: VolumePlanes

    @property
    def at_first(self) -> int:
        """Which of its planes is nearest to the middle, where the views are cut."""
        places = self.drawn["deep_at"]
        return min(range(len(places)), key=lambda at: abs(places[at] - 0.5))


@dataclass(frozen=True, slots=True)
class Planes:
    volumes: list[Volume]  # in the order of the gallery
    of: int  # that there are


def planes(files: Sequence[PicturesFile], tiles: Sequence[Tile]) -> Planes | None:
    """The first `SHOWN` volumes of the gallery's tiles; None where there is none."""
    of_volumes = [tile for tile in tiles if len(tile.drawn["size_px"]) > 2]
    if not of_volumes:
        return None
    return Planes(list(_volumes(files, of_volumes[:SHOWN])), len(of_volumes))


def _volumes(files: Sequence[PicturesFile], tiles: Sequence[Tile]) -> Iterator[Volume]:
    drawn = {(of["experiment"], of["fold"], of["image"]): of["pictures"] for of in files}
    for tile in tiles:
        receipt = drawn[tile.experiment, tile.fold, tile.image]
        yield Volume(tile, read_receipt(receipt, ImagePictures)["planes"])
