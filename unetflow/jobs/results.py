"""Which receipts of a results folder tell of which stores.

    images/a.json, truth/a.json                         images/a.ome.zarr
    weights/paper/a.json                                weights/paper/a.zarr
    predictions/net/fold0/foreground/a.json             predictions/net/fold0/a.ome.zarr

Receipts of images that share jobs lie in the folder of their bundle: `unetflow.jobs.bundles`.
"""

from collections.abc import Iterator
from pathlib import Path

from unetflow.provenance.receipts import BUNDLES
from unetflow.provenance.shard_lists import Stored

# Folders of receipts; how many folders above them, in which folder and with which ending the
# stores lie
TOLD = (
    ("images", 0, ".ome.zarr"),
    ("truth", 1, ".ome.zarr"),
    ("weights/*", 0, ".zarr"),
    ("predictions/*/fold*/foreground", 1, ".ome.zarr"),
    ("predictions/*/fold*/refined", 1, ".ome.zarr"),
    ("predictions/*/fold*/instances", 1, ".ome.zarr"),
)


def stores_told_of(results: Path) -> Iterator[Stored]:
    """Each receipt of a store, in order, with the store that it tells of, there or not."""
    for pattern, up, ending in TOLD:
        for folder in sorted(results.glob(pattern)):
            place = results / "images" if pattern == "truth" else [folder, folder.parent][up]
            for receipt in [*folder.glob("*.json"), *folder.glob(f"{BUNDLES}/*/*.json")]:
                if "." not in receipt.stem:  # else a list of shards or a run record
                    yield Stored(place / f"{receipt.stem}{ending}", receipt)


def bundles_in(results: Path) -> list[Path]:
    """The receipts of bundles."""
    folders = [folder for pattern, _, _ in TOLD for folder in results.glob(pattern)]
    return sorted(path for folder in folders for path in folder.glob(f"{BUNDLES}/*.json"))


def models_in(results: Path) -> list[tuple[Path, Path, str]]:
    """Model files: each with the receipt that tells of it, and the key of its digest in there."""
    trained = results.glob("models/*/fold*/model.json")
    calibrated = results.glob("calibration/*/fold*.json")
    return [
        *((receipt.with_suffix(".safetensors"), receipt, "digest") for receipt in sorted(trained)),
        *(
            (receipt.with_suffix("") / "deploy.safetensors", receipt, "deployed")
            for receipt in sorted(calibrated)
            if "." not in receipt.stem  # else a run record
        ),
    ]


def model_made_in(results: str, path: str) -> str | None:
    """A model file that a run makes in a folder of results, as its rule names it; None of others.

    >>> model_made_in("results", "./results/models/unet/fold0/model.safetensors")
    'results/models/unet/fold0/model.safetensors'
    """
    folder, file = Path(results, "models").absolute(), Path(path).absolute()
    if not file.is_relative_to(folder):
        return None
    return f"{results.rstrip('/')}/models/{file.relative_to(folder).as_posix()}"
