"""The wheel holds the workflow, too, in unetflow/pipeline; pyproject.toml says all else.

Build it of a fresh clone: all that lies in these folders is taken.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WORKFLOW = ("Snakefile", "workflow", "scripts", "profiles", "config", "envs")


class BuildWithWorkflow(build_py):
    """The package's modules, and the workflow from its one place; an editable install has that."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        pipeline = Path(self.build_lib, "unetflow", "pipeline")
        shutil.rmtree(pipeline, ignore_errors=True)  # of an earlier build
        pipeline.mkdir(parents=True)
        for name in WORKFLOW:
            if Path(name).is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(name, pipeline / name, ignore=ignore)
            else:
                shutil.copy(name, pipeline)


setup(cmdclass={"build_py": BuildWithWorkflow})
