"""python -m unetflow.predict model image output: see `unetflow.commands.predict`."""

import sys

from unetflow.commands import run_command

sys.exit(run_command("predict", prog="python -m unetflow.predict"))
