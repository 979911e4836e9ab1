"""python -m unetflow.metrics truth prediction: see `unetflow.commands.score`."""

import sys

from unetflow.commands.score import main

sys.exit(main())
