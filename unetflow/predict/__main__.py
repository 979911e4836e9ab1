"""python -m unetflow.predict model image output: see `unetflow.commands.predict`."""

import sys

from unetflow.engine.memory import keep_freed_memory

keep_freed_memory()  # before pandas starts threads

from unetflow.commands.predict import main  # noqa: E402

sys.exit(main())
