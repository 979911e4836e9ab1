"""python -m unetflow.predict model image output: see `unetflow.commands.predict`."""

import sys

from unetflow.commands import run

sys.exit(run("predict", prog="python -m unetflow.predict"))
