"""python -m unetflow.metrics truth prediction: see `unetflow.metrics.command`."""

import sys

from unetflow.metrics.command import main

sys.exit(main())
