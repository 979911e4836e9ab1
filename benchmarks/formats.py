"""What preparation makes of a folder of files, as a table: python benchmarks/formats.py FILE ...

Each file is prepared as the pipeline would, at its finest level, into a temporary folder.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

from unetflow.errors import UnetflowError
from unetflow.images.slide import Slide
from unetflow.provenance.receipts import read_receipt
from unetflow.stages.prepare_image import prepare_image


def row_of(path: Path, plane: int | None, folder: Path) -> str:
    """One row: axes, shape and resolution of the levels, type, seconds; or the error."""
    started = time.perf_counter()
    try:
        with Slide(path, plane=plane) as slide:
            axes = slide.axes
        prepare_image(
            raw={
                "path": str(path),
                "plane": plane,
                "time": None,
                "axes": None,
                "scene": None,
            },
            wanted={"level": None, "mpp": None, "want_mpp": None, "channels": None, "tissue": None},
            store=folder / "o.zarr",
            receipt=folder / "o.json",
            max_unreadable=0.01,
            threads=2,
            code="",
        )
    except UnetflowError as error:
        return f"| {path.name} | {str(error).replace(str(path), path.name)} | | | | |"
    receipt = read_receipt(folder / "o.json")
    levels = ", ".join(
        f"{level['shape'][0]}x{level['shape'][1]}"
        + (f" at {level['mpp']:.4g}" if level["mpp"] else "")
        for level in receipt["levels_of_file"]
    )
    shape = "x".join(map(str, receipt["levels"][0]["shape"]))
    seconds = f"{time.perf_counter() - started:.1f}"
    name = path.name if plane is None else f"{path.name}, plane {plane}"
    return f"| {name} | {axes} | {levels} | {shape} | {receipt['dtype']} | {seconds} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", help="image files; FILE@7 is plane 7 of a stack")
    print("| file | axes | levels of the file [px, um/px] | (C, Y, X) | type | seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for given in parser.parse_args().files:
        name, _, plane = given.partition("@")
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            print(row_of(Path(name), int(plane) if plane else None, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
