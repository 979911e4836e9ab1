"""python -m unetflow.metrics truth prediction: see `unetflow.commands.score`."""

import sys

from unetflow.commands import run_command

sys.exit(run_command("score", prog="python -m unetflow.metrics"))
