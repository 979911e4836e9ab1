"""python -m unetflow.splits sheet.tsv out.tsv --folds 5: see `unetflow.commands.split`."""

import sys

from unetflow.commands.split import main

if __name__ == "__main__":
    sys.exit(main())
