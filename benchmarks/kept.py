"""What preparation leaves on disk: python benchmarks/kept.py SLIDE...

Of each file its bytes, those of its store with all levels, and with coarse levels alone
(`prepare: keep_images: false`).
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from prepared import prepare

from unetflow.store.disk import on_disk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("slides", type=Path, nargs="+", metavar="SLIDE")
    for slide in parser.parse_args().slides:
        of_file = slide.stat().st_size
        print(f"{slide.name}: {of_file / 1e6:.2f} MB")
        for keep in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                store = prepare(Path(folder), path=slide, keep=keep)
                _, of_store = on_disk([str(store)])
            what = "all levels" if keep else "coarse levels alone"
            print(f"  {what}: {of_store / 1e6:.2f} MB, {of_store / of_file:.2f} times the file")


if __name__ == "__main__":
    main()
