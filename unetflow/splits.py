"""python -m unetflow.splits sheet.tsv out.tsv --folds 5: see `unetflow.commands.split`."""

import sys

from unetflow.commands import run_command

if __name__ == "__main__":
    sys.exit(run_command("split", prog="python -m unetflow.splits"))
