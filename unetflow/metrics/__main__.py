"""python -m unetflow.metrics truth prediction: see `unetflow.commands.score`."""

import sys

from unetflow.commands import run

sys.exit(run("score", prog="python -m unetflow.metrics"))
