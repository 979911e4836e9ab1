# Where the rules come from: what cannot work as a part of another workflow is refused in words.
from pathlib import Path

from snakemake.exceptions import WorkflowError

if not Path(str(workflow.current_basedir)).is_dir():
    raise WorkflowError(
        f"unetflow is loaded from {workflow.current_basedir}, but its jobs need the package beside "
        "its Snakefile. Clone the project, and name the Snakefile of the clone: "
        "module unetflow: snakefile: 'path/to/unetflow/Snakefile'"
    )
if workflow.modifier.path_modifier.prefix or workflow.modifier.path_modifier.modifies_prefixes:
    raise WorkflowError(
        "unetflow is loaded with prefix: or replace_prefix:, but its jobs know where results lie by "
        "the config. Take it out, and set the config's results to that folder."
    )
